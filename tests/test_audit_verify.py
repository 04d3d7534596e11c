"""Verify finds every change; what it cannot find, it says."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.keeping import (
    RUN,
    TIME,
    a_run,
    closed,
    kept,
    lines_of,
    log_files,
    opened,
    step,
    write,
)
from wtsflow.audit import reading
from wtsflow.audit.seal import GENESIS, sealed
from wtsflow.audit.segment import name
from wtsflow.audit.verify import SHOWN, UNPROVEN, Verdict, verify
from wtsflow.errors import AuditError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.values import Json

HERE = Path(__file__).parent


def proven(folder: Path, *, journal: bool = True) -> Verdict:
    if not journal:
        return verify(folder / "audit")
    with SqliteJournal(folder / "journal.sqlite") as truth:
        return verify(folder / "audit", truth)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    a_run(tmp_path, steps=6)
    assert proven(tmp_path).intact
    return log_files(tmp_path)[0]


def test_T41_each_of_300_random_flips_of_a_bit_is_found(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    chance = random.Random(20)
    for _ in range(300):
        at, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        log.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        assert not proven(tmp_path, journal=False).intact, (at, bit)
    log.write_bytes(whole)
    assert proven(tmp_path).intact


def test_T41_a_flip_of_any_byte_of_the_last_record_is_found(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    start = whole.rfind(b"\n", 0, -1) + 1
    for at in range(start, len(whole)):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not proven(tmp_path, journal=False).intact, at


def _edit(lines: list[bytes]) -> None:
    assert b"success" in lines[3]
    lines[3] = lines[3].replace(b"success", b"SUCCESS")


def _delete(lines: list[bytes]) -> None:
    del lines[5]


def _delete_first(lines: list[bytes]) -> None:
    del lines[0]


def _swap(lines: list[bytes]) -> None:
    lines[5], lines[6] = lines[6], lines[5]


def _duplicate(lines: list[bytes]) -> None:
    lines.insert(6, lines[5])


def _insert(lines: list[bytes]) -> None:
    said = json.loads(lines[5])
    lines.insert(6, sealed(said["seq"] + 1, said["hash"], said["body"])[0])


def _rehash_one(lines: list[bytes]) -> None:
    said = json.loads(lines[5])
    lines[5] = sealed(said["seq"], said["prev"], {**said["body"], "host": "elsewhere"})[0]


def _garbage(lines: list[bytes]) -> None:
    lines.insert(3, b"\xff\x00 not a record\n")


def _empty_line(lines: list[bytes]) -> None:
    lines.insert(3, b"\n")


def _deep(lines: list[bytes]) -> None:
    lines.insert(3, b'{"body":' + b"[" * 100_000 + b"\n")


@pytest.mark.parametrize(
    "change",
    [
        _edit,
        _delete,
        _delete_first,
        _swap,
        _duplicate,
        _insert,
        _rehash_one,
        _garbage,
        _empty_line,
        _deep,
    ],
)
def test_T41_a_record_changed_removed_moved_or_put_in_is_found(
    log: Path, tmp_path: Path, change: Callable[[list[bytes]], None]
) -> None:
    lines = lines_of(tmp_path)
    change(lines)
    log.write_bytes(b"".join(lines))
    verdict = proven(tmp_path, journal=False)
    assert not verdict.intact
    assert verdict.problems[0].file == log.name
    assert 1 <= verdict.problems[0].seq <= 8


def _rewritten(lines: list[bytes], change: Callable[[list[dict]], None]) -> bytes:
    """The whole log made anew by somebody who knows the format."""
    bodies = [json.loads(line)["body"] for line in lines]
    change(bodies)
    heads: dict[str, tuple[int, str]] = {}
    prev, done = GENESIS, []
    for seq, body in enumerate(bodies, start=1):
        if "run" in body:
            number, run_prev = heads.get(body["run"], (0, GENESIS))
            body |= {"run_seq": number + 1, "run_prev": run_prev}
        line, prev = sealed(seq, prev, body)
        if "run" in body:
            heads[body["run"]] = (body["run_seq"], prev)
        done.append(line)
    return b"".join(done)


def _other_actor(bodies: list[dict]) -> None:
    bodies[1]["data"]["ticket"] = "INC9"


def _one_less(bodies: list[dict]) -> None:
    del bodies[7]


@pytest.mark.parametrize("change", [_other_actor, _one_less])
def test_T41_a_rewritten_log_holds_by_itself_but_not_against_the_journal(
    log: Path, tmp_path: Path, change: Callable[[list[dict]], None]
) -> None:
    log.write_bytes(_rewritten(lines_of(tmp_path), change))
    assert proven(tmp_path, journal=False).intact
    assert "rewritten" in " ".join(UNPROVEN)
    verdict = proven(tmp_path)
    assert not verdict.intact
    assert {problem.kind for problem in verdict.problems} == {"journal"}


@pytest.mark.parametrize("count", [1, 3])
def test_T41_records_cut_off_at_the_end_are_missed_by_the_journal(
    log: Path, tmp_path: Path, count: int
) -> None:
    log.write_bytes(b"".join(lines_of(tmp_path)[:-count]))
    assert proven(tmp_path, journal=False).intact
    assert "cut off at the end" in " ".join(UNPROVEN)
    verdict = proven(tmp_path)
    assert not verdict.intact
    assert "were here and are gone" in verdict.problems[0].message


def test_T41_a_journal_that_was_changed_is_found(log: Path, tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        journal._db.execute('UPDATE facts SET data=\'{"outcome":"failed"}\' WHERE seq=3')
        journal._db.execute("DELETE FROM facts WHERE seq=5")
    messages = [problem.message for problem in proven(tmp_path).problems]
    assert messages == [
        f"run {RUN}: record 3 says something else in the journal",
        f"run {RUN}: the journal has no record 5",
    ]


def test_records_that_are_not_logged_yet_are_pending_not_missing(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log):
        write(journal, log, opened())
        journal.record(RUN, step(1), time=TIME)
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact
    assert verdict.pending == [(RUN, 2, 3)]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_T41_a_file_that_is_gone_is_found(tmp_path: Path, which: int) -> None:
    a_run(tmp_path, steps=8, limit=3000)
    files = log_files(tmp_path)
    assert len(files) > 3
    assert proven(tmp_path).intact
    files[which].unlink()
    verdict = proven(tmp_path, journal=False)
    assert not verdict.intact
    assert verdict.problems[0].kind == "file"


def test_T41_a_closed_file_that_lost_its_end_is_found(tmp_path: Path) -> None:
    a_run(tmp_path, steps=8, limit=3000)
    first = log_files(tmp_path)[0]
    whole = first.read_bytes()
    for left in (whole[: whole.rfind(b"\n", 0, -1) + 1], whole[:-30], b"", whole + b"junk"):
        first.write_bytes(left)
        assert not proven(tmp_path, journal=False).intact


def test_T41_a_file_that_was_renamed_is_found(tmp_path: Path) -> None:
    a_run(tmp_path, steps=8, limit=3000)
    path = log_files(tmp_path)[1]
    path.rename(path.with_name(name(3)))
    assert not proven(tmp_path, journal=False).intact


def test_many_runs_at_once_are_followed(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log):
        for number in range(30):
            for run in ("A", "B", "C"):
                event = step(number)[0] if number < 29 else closed()
                write(journal, log, event, run=run)
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact, verdict.problems
    assert {run: last for run, (last, _) in verdict.runs.items()} == {"A": 30, "B": 30, "C": 30}


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["run", "run_prev", "run_seq", "time", "ver", "event", "data", "actor"]),
        st.recursive(
            st.none()
            | st.integers()
            | st.sampled_from(["log.open", "log.torn_tail", GENESIS, TIME]),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["previous", "bytes", "name"]), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_a_log_that_somebody_made_up_is_proven_without_a_defect(
    tmp_path_factory: pytest.TempPathFactory, body: dict[str, Json]
) -> None:
    folder = tmp_path_factory.mktemp("made-up")
    (folder / name(1)).write_bytes(sealed(1, GENESIS, body)[0])
    (folder / name(2)).write_bytes(sealed(2, GENESIS, body)[0] + b'{"v":1,"seq":' + b"9" * 5000)
    assert not verify(folder).intact
    assert all(reading.Wanted(actor="x")(said) in {True, False} for said in [body])


def test_every_byte_of_a_torn_end_is_told_from_a_change(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    start = whole[:-1].rfind(b"\n", 0, whole[:-1].rfind(b"\n")) + 1
    for cut in range(start, len(whole)):
        log.write_bytes(whole[:cut])
        verdict = proven(tmp_path, journal=False)
        assert verdict.intact
        assert verdict.torn == cut - (whole[:cut].rfind(b"\n") + 1)


def test_a_ruined_log_has_a_short_list_of_problems(log: Path, tmp_path: Path) -> None:
    log.write_bytes(b"x\n" * 5000)
    verdict = proven(tmp_path, journal=False)
    assert verdict.count > 4000
    assert len(verdict.problems) == SHOWN


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot read"):
        verify(tmp_path / "audit")


def test_verify_is_fast_and_small(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    prev, head, count = GENESIS, GENESIS, 30_000
    with (folder / name(1)).open("wb") as file:
        line, prev = sealed(1, prev, {"event": "log.open", "time": TIME, "ver": "0"})
        file.write(line)
        for number in range(1, count):
            said: dict[str, Json] = {"data": {"x": "y" * 400}, "event": "e", "run": RUN}
            rest: dict[str, Json] = {"run_prev": head, "run_seq": number, "time": TIME, "ver": "0"}
            line, prev = sealed(number + 1, prev, said | rest)
            head = prev
            file.write(line)
    begun = time.process_time()
    verdict = verify(folder)
    assert verdict.intact
    assert verdict.records == count
    assert time.process_time() - begun < 1.0  # 0.09 s on a quiet machine


@pytest.mark.parametrize("folder", sorted((HERE / "audit/v1").glob("*/")), ids=lambda p: p.name)
def test_a_log_of_every_release_can_be_proven(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    verdict = verify(folder)
    assert verdict.intact, verdict.problems
    assert [verdict.records, verdict.files, verdict.last] == [
        expected["records"],
        expected["files"],
        expected["last"],
    ]
    assert {run: last for run, (last, _) in verdict.runs.items()} == expected["runs"]


def test_there_are_frozen_logs() -> None:
    assert len(list((HERE / "audit/v1").glob("*/audit-*.jsonl"))) > 2
