"""Removing old runs: recorded first, never half, and the audit log verifies as before."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing as shutting, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.keeping import Ticking, closed, opened, step
from wtsflow.audit.verify import verify
from wtsflow.errors import BusyError, MismatchError
from wtsflow.files import file_lock
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import Actor
from wtsflow.model.record import Event
from wtsflow.model.values import Json
from wtsflow.upkeep import prune as module
from wtsflow.upkeep.place import Place, opened as looked_after
from wtsflow.upkeep.prune import Choice, Removed, choose, proven, prune

ALICE = Actor("alice", "1000", "control01")
CUT = "2026-03-01T00:00:00.000000Z"
UNKNOWN: dict[str, Json] = {
    "status": "unknown",
    "exit": {"code": 11, "name": "unknown"},
    "targets": {},
}


def run_id(number: int) -> str:
    return f"01JZ{number:022}"


def when(day: int) -> str:
    return f"2026-02-{day:02}T08:00:00.000000Z"


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    with looked_after(folder, Ticking(), ALICE) as found:
        yield found


def write(there: Place, number: int, *events: Event) -> str:
    """A run of these events, begun on that day of February, with kept output."""
    run = run_id(number)
    there.log.append(there.journal.record(run, events, time=when(number % 27 + 1)))
    spool = there.folder / "spool" / run
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "x.log").write_text("output")
    return run


def scripted(*digests: str) -> Event:
    listed: list[Json] = [{"pin": "a@1.0.0", "sha256": digest} for digest in digests]
    return Event("opened", {**opened().data, "scripts": listed})


def stored(folder: Path, digest: str, *, old: bool = True) -> Path:
    path = folder / "objects" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("bytes")
    moment = Ticking().wall - (200_000 if old else 10)
    os.utime(path, (moment, moment))
    return path


def removed(there: Place, **asked: Any) -> tuple[Choice, Removed]:
    verdict = proven(there)
    chosen = choose(there.journal, there.folder, **{"before": CUT, **asked}, verdict=verdict)
    return chosen, prune(there, chosen.runs, verdict)


def known(journal: SqliteJournal) -> set[str]:
    return {run.run for run in journal.runs()}


# --- what goes and what stays -----------------------------------------------------------------


def test_only_what_has_ended_and_is_old_goes(tmp_path: Path) -> None:
    with place(tmp_path / "state") as there:
        old = write(there, 1, opened(), *step(1), closed())
        stays = {
            write(there, 2, opened(), step(1)[0]),
            write(there, 3, opened(), Event("parked/1", {"until_ms": 5, "paths": ["w"]})),
            write(there, 4, opened(), Event("left/1")),
            write(there, 5, opened(), Event("closed", UNKNOWN)),
        }
        there.log.append(there.journal.record("01NEW", [opened(), closed()], time=CUT))
        chosen, done = removed(there)
        assert [run.run for run in chosen.runs] == [old]
        assert (done.runs, done.records, done.output) == (1, 4, 6)
        assert known(there.journal) == {*stays, "01NEW"}
        assert there.journal.load(old) == []
        assert {path.name for path in (there.folder / "spool").iterdir()} == stays
        assert chosen.stay == {"unknown": 1}


def test_a_run_with_a_lost_attempt_stays_until_it_is_settled(tmp_path: Path) -> None:
    lost = Event("lost/clean@web01/1", {"path": "clean", "target": "web01", "reason": "?"})
    with place(tmp_path / "state") as there:
        open_ends = write(there, 1, opened(), step(1)[0], lost, closed())
        settled = write(there, 2, opened(), step(1)[0], lost, closed(), step(1)[1])
        repeated = write(
            there, 3, opened(), step(1)[0], lost, Event("again/clean@web01/1"), closed()
        )
        chosen, _ = removed(there)
        assert {run.run for run in chosen.runs} == {settled, repeated}
        chosen, _ = removed(there, unknown=True)
        assert {run.run for run in chosen.runs} == {open_ends}


def test_the_newest_stay_whatever_their_age(tmp_path: Path) -> None:
    with place(tmp_path / "state") as there:
        runs = [write(there, number, opened(), closed()) for number in range(1, 8)]
        chosen, _ = removed(there, keep=3)
        assert [run.run for run in chosen.runs] == runs[:4]
        assert chosen.stay == {"newest": 3}
        assert known(there.journal) == set(runs[4:])


def test_a_run_that_a_process_is_at_stays(tmp_path: Path) -> None:
    with place(tmp_path / "state") as there:
        run = write(there, 1, opened(), closed())
        locks = there.folder / "locks"
        locks.mkdir()
        with file_lock(locks / f"{run}.lock", 0):
            chosen, _ = removed(there)
        assert (chosen.runs, chosen.stay) == ([], {"performed": 1})
        removed(there)
        assert list(locks.iterdir()) == []


def test_a_run_that_changed_since_it_was_chosen_stays(tmp_path: Path) -> None:
    with place(tmp_path / "state") as there:
        run = write(there, 1, opened(), closed())
        verdict = proven(there)
        chosen = choose(there.journal, there.folder, before=CUT, verdict=verdict)
        there.log.append(there.journal.record(run, [Event("settled/1", UNKNOWN)], time=CUT))
        assert prune(there, chosen.runs, verdict).runs == 0
        assert len(there.journal.load(run)) == 3
        assert verify(there.folder / "audit", there.journal).intact


def test_the_newest_slot_of_a_schedule_stays(tmp_path: Path) -> None:
    """Without it the schedule would be as if it had never fired."""
    with place(tmp_path / "state") as there:
        for slot in ("2026-02-01T02:00Z", "2026-02-02T02:00Z"):
            events = [Event("claimed", {"slot": slot}), Event("ended", {"status": "success"})]
            page = f"schedule/nightly@{slot}"
            there.log.append(there.journal.record(page, events, time=when(2)))
        chosen, _ = removed(there)
        assert [run.run for run in chosen.runs] == ["schedule/nightly@2026-02-01T02:00Z"]
        assert chosen.stay == {"newest slot": 1}


def test_script_bytes_go_when_no_run_names_them(tmp_path: Path) -> None:
    gone, shared, young = "aa" * 32, "bb" * 32, "cc" * 32
    with place(tmp_path / "state") as there:
        write(there, 1, scripted(gone, shared, young), closed())
        write(there, 2, scripted(shared))
        paths = [stored(there.folder, gone), stored(there.folder, shared)]
        paths.append(stored(there.folder, young, old=False))
        assert removed(there)[1].scripts == 1
        assert [path.exists() for path in paths] == [False, True, True]


# --- what is known afterwards -----------------------------------------------------------------


def test_the_log_verifies_and_says_which_record_removed_what(tmp_path: Path) -> None:
    with place(tmp_path / "state") as there:
        runs = [write(there, number, opened(), *step(1), closed()) for number in range(1, 6)]
        before = verify(there.folder / "audit", there.journal)
        _, done = removed(there)
        verdict = verify(there.folder / "audit", there.journal)
        assert verdict.intact, verdict.problems
        assert verdict.pruned == dict.fromkeys(runs, (done.by, 1))
        assert all(verdict.runs[run] == before.runs[run] for run in runs)
        assert there.journal.faults() == []
        assert there.journal.runs(target="web01") == []
        (record,) = there.journal.load(done.by)
        assert record.event.key == "pruned/1"
        assert record.event.data["actor"] == {"name": "alice", "uid": "1000", "host": "control01"}
        assert [one["hash"] for one in record.event.data["runs"]] == [  # type: ignore[union-attr,index,call-overload]
            before.runs[run][1] for run in runs
        ]
        assert there.journal.runs() == []
        removed(there)
        assert verify(there.folder / "audit", there.journal).pruned == verdict.pruned


def test_many_are_removed_in_parts_each_with_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", 3)
    told: list[int] = []
    with place(tmp_path / "state") as there:
        for number in range(1, 9):
            write(there, number, opened(), closed())
        verdict = proven(there)
        chosen = choose(there.journal, there.folder, before=CUT, verdict=verdict)
        done = prune(there, chosen.runs, verdict, told.append)
        assert told == [3, 6, 8]
        assert [r.event.key for r in there.journal.load(done.by)] == [
            "pruned/1",
            "pruned/2",
            "pruned/3",
        ]
        assert verify(there.folder / "audit", there.journal).intact


def test_T41_a_run_that_is_gone_without_a_record_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with place(folder) as there:
        runs = [write(there, number, opened(), closed()) for number in (1, 2)]
        removed(there, before=when(3))
    assert_problem(
        folder,
        f"run {runs[1]}: the journal has no record 1",
        f"""
        DELETE FROM runs WHERE run='{runs[1]}'; DELETE FROM facts WHERE run='{runs[1]}'""",
    )


def test_T41_a_removal_that_only_the_journal_tells_of_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with place(folder) as there:
        run = write(there, 1, opened(), closed())
        head = verify(folder / "audit").runs[run]
        listed: list[Json] = [{"run": run, "last": head[0], "hash": head[1]}]
        there.journal.record("01FORGED", [Event("pruned/1", {"runs": listed})], time=CUT)
    assert_problem(
        folder,
        "what says that it was pruned is not in the log",
        f"""
        DELETE FROM runs WHERE run='{run}'; DELETE FROM facts WHERE run='{run}'""",
    )


def test_T41_a_removed_runs_records_cannot_be_replaced_in_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with place(folder) as there:
        run = write(there, 1, opened(), closed())
        done = removed(there)[1]
    assert_problem(
        folder,
        f"it had 2 records when it was pruned (run {done.by}, record 1)",
        f"""
        UPDATE facts SET data=replace(data, '"last":2', '"last":2, "x":1') WHERE run='{done.by}';
        UPDATE facts SET data=replace(data, '"hash":"', '"hash":"0') WHERE run='{done.by}'""",
        run,
    )


def assert_problem(folder: Path, said: str, damage: str, pruned: str = "") -> None:
    with shutting(sqlite3.connect(folder / "journal.sqlite", isolation_level=None)) as db:
        db.executescript(damage)
    with SqliteJournal(folder / "journal.sqlite") as journal:
        verdict = verify(folder / "audit", journal)
    assert not verdict.intact
    assert any(said in one.message for one in verdict.problems), verdict.problems
    assert not pruned or pruned in verdict.pruned


def test_nothing_is_removed_where_the_log_is_not_intact(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with place(folder) as there:
        write(there, 1, opened(), closed())
    path = next((folder / "audit").glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"disk"', b'"dusk"', 1))
    with place(folder) as there, pytest.raises(MismatchError, match="only evidence"):
        proven(there)


def test_what_is_removed_while_the_log_is_verified_is_no_difference(tmp_path: Path) -> None:
    with place(tmp_path / "state") as there:
        for number in range(1, 4):
            write(there, number, opened(), closed())

        class Slow:
            """The journal, from which all is removed after the first look."""

            heads = staticmethod(there.journal.heads)
            load = staticmethod(there.journal.load)
            seen = 0

            def pruned(self) -> Any:
                found = there.journal.pruned()
                self.seen += 1
                if self.seen == 1:
                    removed(there)
                return found

        verdict = verify(there.folder / "audit", Slow())
        assert verdict.intact, verdict.problems
        assert len(verdict.pruned) == 3


def test_two_do_not_remove_at_the_same_time(tmp_path: Path) -> None:
    with (
        place(tmp_path / "state"),
        pytest.raises(BusyError, match="looks after"),
        place(tmp_path / "state"),
    ):
        pass
    with place(tmp_path / "state") as there:
        assert there.journal.runs() == []


# --- killed anywhere --------------------------------------------------------------------------


class Killed(BaseException):
    pass


class Steps:
    """Counts what is done that lasts, and ends before one of those."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def tick(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise Killed

    def around(self, done: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            self.tick()
            return done(*args, **more)

        return counted


def killed(folder: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Remove all that is old until step ``at``; return how many there were."""
    steps = Steps(at)
    with monkeypatch.context() as patch, place(folder) as there:
        verdict = proven(there)
        chosen = choose(there.journal, folder, before=CUT, verdict=verdict)
        patch.setattr(module, "TOGETHER", 2)
        for part, name in ((there.journal, "record"), (there.journal, "remove")):
            patch.setattr(part, name, steps.around(getattr(part, name)))
        patch.setattr(there.log, "append", steps.around(there.log.append))
        patch.setattr(shutil, "rmtree", steps.around(shutil.rmtree))
        patch.setattr(Path, "unlink", steps.around(Path.unlink))
        try:
            prune(there, chosen.runs, verdict)
        except Killed:
            return -1
    return steps.seen


def test_who_is_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(folder: Path) -> Path:
        with place(folder) as there:
            for number in range(1, 4):
                write(there, number, scripted(f"{number:02}" * 32), closed())
                stored(folder, f"{number:02}" * 32)
            write(there, 7, scripted("07" * 32))
            stored(folder, "07" * 32)
        return folder

    steps = killed(made(tmp_path / "whole"), 0, monkeypatch)
    assert steps > 15
    for at in range(1, steps + 1):
        folder = made(tmp_path / str(at))
        assert killed(folder, at, monkeypatch) == -1
        with SqliteJournal(folder / "journal.sqlite") as journal:
            assert journal.faults() == []
            verdict = verify(folder / "audit", journal)
            assert verdict.intact, (at, verdict.problems)
            here = known(journal)
            assert {run for run in verdict.runs if run.startswith("01JZ")} == here | set(
                verdict.pruned
            )
        with place(folder) as there:
            removed(there)
            assert known(there.journal) == {run_id(7)}
            assert [path.name for path in (folder / "spool").iterdir()] == [run_id(7)]
            left = [path.parent.name for path in (folder / "objects").rglob("*") if path.is_file()]
            assert left == ["07"]
            verdict = verify(folder / "audit", there.journal)
            assert verdict.intact, (at, verdict.problems)
            assert set(verdict.pruned) == {run_id(number) for number in range(1, 4)}


@pytest.mark.slow
def test_twenty_thousand_runs_are_removed_in_bounded_time(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with place(folder) as there:
        for start in range(0, 20_000, 500):
            for number in range(start, start + 500):
                records = there.journal.record(run_id(number), [opened(), closed()], time=when(1))
                there.log.append(records)
        begun = time.monotonic()
        _, done = removed(there)
        print(f"{done.runs} runs removed in {time.monotonic() - begun:.1f} s")
        assert done.runs == 20_000
