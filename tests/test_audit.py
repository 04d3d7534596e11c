"""The audit log: complete, durable and in order before anything is begun, or an error."""

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.keeping import (
    RUN,
    TIME,
    Ticking,
    a_run,
    closed,
    kept,
    lines_of,
    log_files,
    opened,
    posix,
    step,
    write,
)
from wtsflow.audit import Log, log as log_module
from wtsflow.audit.profile import evidence, profiled
from wtsflow.audit.seal import GENESIS, read, sealed
from wtsflow.audit.verify import verify
from wtsflow.errors import AuditError, Exit
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event, Record
from wtsflow.model.values import MASK, Json, Secret


def bodies(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["body"] for line in lines_of(folder)]


# --- the format -----------------------------------------------------------------------------


def test_a_line_has_its_fields_in_their_order_and_its_hash_over_its_bytes(tmp_path: Path) -> None:
    a_run(tmp_path, steps=1)
    prev = GENESIS
    for number, line in enumerate(lines_of(tmp_path), start=1):
        text = line.decode()
        assert list(json.loads(text)) == ["v", "seq", "prev", "body", "hash"]
        assert text.startswith(f'{{"v":1,"seq":{number},"prev":"{prev}","body":{{')
        covered = text[: text.rindex(',"hash"')] + "}"
        prev = hashlib.sha256(covered.encode()).hexdigest()
        assert json.loads(text)["hash"] == prev


def test_bodies_are_canonical_json_within_the_profile(tmp_path: Path) -> None:
    a_run(tmp_path)
    for line in lines_of(tmp_path):
        body = json.loads(line, parse_float=lambda text: pytest.fail(f"a float: {text}"))["body"]
        again = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert f'"body":{again},"hash"'.encode() in line
        _check_profile(body)


def _check_profile(value: object) -> None:
    if isinstance(value, dict):
        assert all(re.fullmatch(r"[a-z0-9_.]+", key) for key in value)
        for item in value.values():
            _check_profile(item)
    elif isinstance(value, list):
        for item in value:
            _check_profile(item)
    elif isinstance(value, int):
        assert abs(value) < 2**53


def test_each_record_says_who_where_and_when(tmp_path: Path) -> None:
    a_run(tmp_path, steps=1)
    body = bodies(tmp_path)[1]
    assert body["actor"] == {"name": "alice", "uid": "1000"}
    assert body["event"] == "opened"
    assert body["key"] == "opened"
    assert body["pid"] == os.getpid()
    assert body["run"] == RUN
    assert body["run_seq"] == 1
    assert body["run_prev"] == GENESIS
    assert body["time"] == TIME
    assert body["ver"] == "0.1.0"
    assert {"host", "boot_id", "mono_us"} <= set(body)
    assert body["data"]["inputs"] == [
        {"name": "Days", "value": 30},
        {"name": "ratio", "value": {"number": "0.5"}},
    ]
    assert "frozen" not in body["data"]
    assert len(body["data"]["frozen_sha256"]) == 64


def test_the_run_has_a_chain_of_its_own(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log):
        for number in range(3):
            for run in ("A", "B"):
                write(journal, log, Event(f"k/{number}"), run=run)
    last = {"A": GENESIS, "B": GENESIS}
    for line in lines_of(tmp_path)[1:]:
        said = json.loads(line)
        assert said["body"]["run_prev"] == last[said["body"]["run"]]
        last[said["body"]["run"]] = said["hash"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_T15_any_data_becomes_one_and_only_canonical_line(value: Any) -> None:
    done = profiled(value)
    _check_profile(done)
    line, digest = sealed(7, GENESIS, {"data": done, "event": "x"})
    assert line.count(b"\n") == 1
    seal = read(line)
    assert seal is not None
    assert (seal.seq, seal.prev, seal.hash) == (7, GENESIS, digest)
    assert json.loads(line)["body"]["data"] == done


FORGED = (
    '\n{"v":1,"seq":2,"body":{"event":"forged"}}\n'
    f'","run":"X","run_prev":"{GENESIS}","run_seq":9,"time":"{TIME}","ver":"0.1.0"}},"hash":"'
)


@pytest.mark.parametrize("field", ["message", "key", "target", "output", "name"])
def test_T40_a_text_cannot_forge_a_record(tmp_path: Path, field: str) -> None:
    forged: Json = {"run": "X", "run_prev": GENESIS, "run_seq": 1, "time": TIME, "ver": "0.1.0"}
    event = Event(
        f"finished/{FORGED}" if field == "key" else "finished/a@b/1",
        {field: FORGED, "outputs": {FORGED: forged}, "zz": forged},
    )
    with kept(tmp_path) as (journal, log):
        write(journal, log, event)
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact
    assert verdict.records == 2
    assert list(verdict.runs) == [RUN]
    assert len(lines_of(tmp_path)) == 2


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu"]), max_size=8))
def test_T40_no_reader_finds_the_end_of_a_line_inside_of_one(text: str) -> None:
    line, _ = sealed(1, GENESIS, {"data": profiled({"a": text}), "event": "x"})
    assert len(line.decode().splitlines()) == 1
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in line.decode()[:-1])


def test_T38_a_secret_leaf_is_masked_in_the_log_too(tmp_path: Path) -> None:
    with Log(tmp_path / "audit", clock=Ticking()) as log:
        log.append([Record(RUN, 1, TIME, Event("x", {"a": {"b": Secret("hunter2x")}}))])
    assert bodies(tmp_path)[1]["data"] == {"a": {"b": MASK}}


# --- many writers ---------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from wtsflow.audit import Log
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event

class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

folder, run, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with SqliteJournal(folder / "journal.sqlite") as journal:
    log = Log(folder / "audit", clock=Clock(), truth=journal, limit=20_000, deadline=30)
    for number in range(count):
        log.append(journal.record(run, [Event(f"k/{number}")], time=sys.argv[4]))
        print(number, flush=True)
    log.close()
"""


def test_eight_processes_write_one_chain(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, f"RUN{i}", "25", TIME],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for i in range(8)
    ]
    for writer in writers:
        _, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err.decode()
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact, verdict.problems
    assert verdict.files > 3
    assert {run: last for run, (last, _) in verdict.runs.items()} == {
        f"RUN{i}": 25 for i in range(8)
    }
    assert not verdict.pending


def test_threads_of_one_process_write_one_chain(tmp_path: Path) -> None:
    with kept(tmp_path, deadline=30.0) as (journal, log):

        def work(run: str) -> None:
            for number in range(20):
                write(journal, log, Event(f"k/{number}"), run=run)

        threads = [threading.Thread(target=work, args=(f"R{i}",)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact, verdict.problems
    assert verdict.records == 101


def test_two_logs_of_one_run_write_each_record_once(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, one), kept(tmp_path) as (_, two):
        records = journal.record(RUN, [opened(), *step(1)], time=TIME)
        one.append(records[:1])
        two.append(records)
        one.append(records)
        assert verify(tmp_path / "audit", journal).intact
    assert [body["run_seq"] for body in bodies(tmp_path) if "run" in body] == [1, 2, 3]


# --- after a crash --------------------------------------------------------------------------


def test_what_the_journal_has_and_the_log_has_not_is_appended_first(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log):
        write(journal, log, opened())
        journal.record(RUN, step(1), time=TIME)  # killed before the log
    with kept(tmp_path) as (journal, log):
        assert verify(tmp_path / "audit", journal).pending == []
        write(journal, log, closed())
        assert verify(tmp_path / "audit", journal).intact
    found = [(b["run_seq"], b.get("late", False)) for b in bodies(tmp_path) if "run" in b]
    assert found == [(1, False), (2, True), (3, True), (4, False)]


def test_a_gap_is_filled_by_the_next_append_of_the_run(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log):
        write(journal, log, opened())
        journal.record(RUN, [step(1)[0]], time=TIME)
        write(journal, log, step(1)[1])
        assert verify(tmp_path / "audit", journal).intact
    assert [b["run_seq"] for b in bodies(tmp_path) if "run" in b] == [1, 2, 3]


def test_a_gap_that_nothing_can_fill_is_refused(tmp_path: Path) -> None:
    with Log(tmp_path / "audit", clock=Ticking()) as log:
        log.append([Record(RUN, 1, TIME, opened())])
        with pytest.raises(AuditError, match="record 2 is missing"):
            log.append([Record(RUN, 3, TIME, closed())])
        log.append([Record(RUN, 2, TIME, closed())])
    assert verify(tmp_path / "audit").intact


def test_a_lost_log_is_made_again_from_the_journal(tmp_path: Path) -> None:
    records = a_run(tmp_path)
    for path in log_files(tmp_path):
        path.unlink()
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        journal._db.execute("UPDATE runs SET audited=0")
        with Log(tmp_path / "audit", clock=Ticking(), truth=journal):
            verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact
    assert verdict.runs[RUN][0] == len(records)


def test_a_tail_torn_at_any_byte_is_cut_off_and_recorded(tmp_path: Path) -> None:
    a_run(tmp_path, steps=1)
    path = log_files(tmp_path)[0]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    start = len(whole) - len(lines[-1]) - len(lines[-2])
    borders = {len(whole), len(whole) - len(lines[-1]), start}
    for cut in range(start, len(whole) + 1, 7):
        torn = cut not in borders and cut - max(b for b in borders if b < cut or b == start)
        _torn_at(tmp_path, path, whole, cut, torn or 0)


def _torn_at(folder: Path, path: Path, whole: bytes, cut: int, torn: int) -> None:
    path.write_bytes(whole[:cut])
    good = whole[:cut].rfind(b"\n") + 1
    assert verify(folder / "audit").intact
    assert verify(folder / "audit").torn == cut - good == torn
    with kept(folder) as (journal, log):
        write(journal, log, Event("next"), run="NEXT")
        with SqliteJournal(folder / "journal.sqlite") as reader:
            verdict = verify(folder / "audit", reader)
    lost = whole[good:].count(b"\n")
    assert verdict.count == 0 or lost, verdict.problems
    if torn:
        assert [size for _, size in verdict.repaired] == [torn]
        said = [json.loads(line)["body"] for line in path.read_bytes().splitlines()]
        cut_off = next(body["data"] for body in said if body["event"] == "log.torn_tail")
        assert cut_off["sha256"] == hashlib.sha256(whole[good:cut]).hexdigest()
    with SqliteJournal(folder / "journal.sqlite") as journal:
        journal._db.execute("DELETE FROM facts WHERE run='NEXT'")
        journal._db.execute("DELETE FROM runs WHERE run='NEXT'")


def test_a_tail_torn_while_others_write_is_repaired_by_them(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log):
        write(journal, log, opened())
        with log_files(tmp_path)[0].open("ab") as file:
            file.write(b'{"v":1,"seq":3,"prev":"12')
        write(journal, log, closed())
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact
    assert verdict.repaired == [(3, 25)]


@pytest.mark.parametrize("rest", [b"", b'{"v":1,"seq":', b"\0" * 40])
def test_a_new_file_without_its_first_record_is_begun_again(tmp_path: Path, rest: bytes) -> None:
    a_run(tmp_path, steps=2, limit=1000)
    last = log_files(tmp_path)[-1]
    last.write_bytes(rest)
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        journal._db.execute("UPDATE runs SET audited=0")
    with kept(tmp_path, limit=1000) as (journal, _log):
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact, verdict.problems
    assert bool(verdict.repaired) == bool(rest)


# --- files ----------------------------------------------------------------------------------


def test_a_full_file_is_closed_and_the_next_is_tied_to_it(tmp_path: Path) -> None:
    a_run(tmp_path, steps=6, limit=3000)
    files = log_files(tmp_path)
    assert len(files) > 2
    for before, after in pairwise(files):
        first = json.loads(after.read_bytes().splitlines()[0])
        last = json.loads(before.read_bytes().splitlines()[-1])
        assert after.name == f"audit-{first['seq']:012}.jsonl"
        assert last["body"]["event"] == "log.close"
        assert last["body"]["data"] == {"next": after.name}
        assert first["body"]["event"] == "log.open"
        assert first["body"]["data"]["previous"] == {
            "file": before.name,
            "hash": last["hash"],
            "bytes": before.stat().st_size,
            "sha256": hashlib.sha256(before.read_bytes()).hexdigest(),
        }
    assert verify(tmp_path / "audit").intact


def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    clock = Ticking()
    with kept(tmp_path, clock=clock) as (journal, log):
        write(journal, log, opened())
        clock.wall += 86_400
        write(journal, log, closed())
    assert len(log_files(tmp_path)) == 2
    assert verify(tmp_path / "audit").intact


def test_another_process_follows_into_the_new_file(tmp_path: Path) -> None:
    with kept(tmp_path, limit=2500) as (journal, one), kept(tmp_path, limit=2500) as (_, two):
        for number in range(12):
            write(journal, one if number % 2 else two, Event(f"k/{number}"))
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact, verdict.problems
    assert verdict.files > 2


@posix
def test_T47_the_log_is_ours_alone(tmp_path: Path) -> None:
    a_run(tmp_path)
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "audit").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


@posix
def test_T47_a_log_that_others_can_write_is_refused(tmp_path: Path) -> None:
    a_run(tmp_path)
    log_files(tmp_path)[0].chmod(0o620)
    with pytest.raises(AuditError, match="written by others"), kept(tmp_path):
        pass


@posix
def test_T47_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    a_run(tmp_path)
    path = log_files(tmp_path)[0]
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(AuditError, match="symbolic link"), kept(tmp_path):
        pass


@posix
@pytest.mark.parametrize("what", ["deleted", "replaced", "shortened", "changed"])
def test_T41_a_log_that_is_meddled_with_in_use_is_refused(tmp_path: Path, what: str) -> None:
    with kept(tmp_path) as (journal, log):
        write(journal, log, opened())
        path = log_files(tmp_path)[0]
        data = path.read_bytes()
        if what == "shortened":
            os.truncate(path, len(data) - 10)
        elif what == "changed":
            with path.open("ab") as file:
                file.write(data[-200:])
        else:
            path.unlink()
            if what == "replaced":
                path.write_bytes(data)
                path.chmod(0o600)
        with pytest.raises(AuditError, match=r"moved or deleted|shortened|does not fit"):
            write(journal, log, closed())


def test_T41_a_last_record_that_was_changed_is_refused_not_repaired(tmp_path: Path) -> None:
    a_run(tmp_path)
    path = log_files(tmp_path)[0]
    data = path.read_bytes()
    for changed in (data[:-300] + b"X" + data[-299:], data[:-1] + b"X"):
        path.write_bytes(changed)
        with pytest.raises(AuditError, match=r"does not match|was changed"), kept(tmp_path):
            pass
        assert path.read_bytes() == changed


# --- no record, no effect -------------------------------------------------------------------


@posix
def test_T42_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Log(tmp_path / "audit", clock=Ticking()) as log:
        log.append([Record(RUN, 1, TIME, opened())])
        size = log_files(tmp_path)[0].stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 300, before[1]))
            for _ in range(2):
                with pytest.raises(AuditError) as caught:
                    log.append([Record(RUN, 2, TIME, closed())])
                assert caught.value.exit is Exit.AUDIT
                assert log_files(tmp_path)[0].stat().st_size == size
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        log.append([Record(RUN, 2, TIME, closed())])
    verdict = verify(tmp_path / "audit")
    assert verdict.intact
    assert not verdict.repaired
    assert verdict.runs[RUN][0] == 2


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "read-only"),
        (errno.EMFILE, "ulimit"),
        (errno.EIO, "failing"),
    ],
)
def test_T42_an_error_of_the_disk_refuses_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, cure: str
) -> None:
    with Log(tmp_path / "audit", clock=Ticking()) as log:

        def broken(*_args: object) -> int:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", broken)
            with pytest.raises(AuditError, match="cannot write") as caught:
                log.append([Record(RUN, 1, TIME, opened())])
        assert cure in caught.value.cure
        if code == errno.EIO:
            with pytest.raises(AuditError):
                log.append([Record(RUN, 1, TIME, opened())])
        else:
            log.append([Record(RUN, 1, TIME, opened())])
            assert verify(tmp_path / "audit").intact


def test_T42_a_failed_flush_is_never_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(tmp_path / "audit", clock=Ticking()) as log:
        log.append([Record(RUN, 1, TIME, opened())])
        with monkeypatch.context() as patched:

            def broken(_descriptor: int) -> None:
                raise OSError(errno.EIO, "Input/output error")

            patched.setattr(os, "fdatasync", broken, raising=False)
            with pytest.raises(AuditError):
                log.append([Record(RUN, 2, TIME, closed())])
        for _ in range(2):
            with pytest.raises(AuditError, match="Input/output"):
                log.append([Record(RUN, 2, TIME, closed())])


def test_T42_a_disk_that_hangs_refuses_within_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    log = Log(tmp_path / "audit", clock=Ticking(), deadline=2.0)
    monkeypatch.setattr(os, "fdatasync", lambda _fd: hang.wait(60), raising=False)
    begun = time.monotonic()
    with pytest.raises(AuditError, match="did not answer within 2 s"):
        log.append([Record(RUN, 1, TIME, opened())])
    assert time.monotonic() - begun < 20
    with pytest.raises(AuditError):
        log.append([Record(RUN, 1, TIME, opened())])
    hang.set()
    log.close()


def test_T45_a_lock_that_is_held_for_ever_refuses(tmp_path: Path) -> None:
    from wtsflow.files import file_lock

    with (
        Log(tmp_path / "audit", clock=Ticking(), deadline=0.5) as log,
        file_lock(tmp_path / "audit" / ".lock", 1.0),
        pytest.raises(AuditError, match=r"lock was not free|did not answer"),
    ):
        log.append([Record(RUN, 1, TIME, opened())])


def test_what_another_process_completed_in_a_newer_file_is_not_written_twice(
    tmp_path: Path,
) -> None:
    with kept(tmp_path) as (mine, log), kept(tmp_path, limit=1) as (_, rotating):
        write(mine, log, opened())
        (late,) = mine.record(RUN, [Event("k/2")], time=TIME)
        rotating.append([Record("OTHER", 1, TIME, Event("begins a file"))])
        with kept(tmp_path) as (other, completing):
            write(other, completing, opened(), run="LAST")
        log.append([late])
        log.append(mine.record(RUN, [Event("k/3")], time=TIME))
    verdict = verify(tmp_path / "audit")
    assert verdict.intact, verdict.problems
    assert verdict.runs[RUN][0] == 3
    assert verdict.files > 1


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path / "audit", clock=Ticking())
    log.close()
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.append([Record(RUN, 1, TIME, opened())])


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "network_file_system", lambda _path: "cifs")
    with pytest.raises(AuditError, match=r"network file system \(cifs\)"):
        Log(tmp_path / "audit", clock=Ticking())


def test_evidence_says_what_the_record_says(tmp_path: Path) -> None:
    records = a_run(tmp_path)
    said = [body for body in bodies(tmp_path) if "run" in body]
    for record, body in zip(records, said, strict=True):
        assert {key: body[key] for key in evidence(record)} == evidence(record)


def test_a_lock_is_held_until_its_holder_goes(tmp_path: Path) -> None:
    from wtsflow.files import file_lock, held

    path = tmp_path / "run.lock"
    assert not held(path)
    with file_lock(path, 0):
        assert held(path)
    assert path.exists()
    assert not held(path)
