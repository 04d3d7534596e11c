"""Many runs in one process: what is recorded at the same time shares its flush, nothing else."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.keeping import RUN, TIME, Ticking, closed, kept, opened
from wtsflow.audit import Log
from wtsflow.audit.verify import verify
from wtsflow.errors import AuditError, JournalError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event, Record

THREADS, EACH = 24, 12


def together(work: Callable[[int], None], count: int = THREADS) -> None:
    """Do it in threads that begin at once; an error in one of them is raised."""
    start, errors = threading.Barrier(count), []

    def one(number: int) -> None:
        start.wait()
        try:
            work(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_that_record_at_the_same_time_share_transactions(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:
        commits: Counter[str] = Counter()
        journal._db.set_trace_callback(lambda said: commits.update([said]))

        def work(number: int) -> None:
            for i in range(EACH):
                (record,) = journal.record(f"RUN{number}", [Event(f"k/{i}")], time=TIME)
                assert (record.run, record.seq, record.event.key) == (
                    f"RUN{number}",
                    i + 1,
                    f"k/{i}",
                )

        together(work)
        assert commits["COMMIT"] < THREADS * EACH / 2
        for number in range(THREADS):
            keys = [record.event.key for record in journal.load(f"RUN{number}")]
            assert keys == [f"k/{i}" for i in range(EACH)]


def test_a_call_returns_only_after_the_commit_that_holds_its_records(tmp_path: Path) -> None:
    with (
        SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal,
        SqliteJournal(journal.path) as other,
    ):

        def work(number: int) -> None:
            for i in range(EACH):
                journal.record(f"RUN{number}", [Event(f"k/{i}")], time=TIME)
                assert len(other.load(f"RUN{number}")) == i + 1

        together(work, 8)


def test_one_key_of_one_run_sticks_for_one_of_the_threads_that_share(tmp_path: Path) -> None:
    won: list[tuple[int, str]] = []
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:

        def work(number: int) -> None:
            for i in range(EACH):
                for record in journal.record(RUN, [Event(f"k/{i}", {"by": number})], time=TIME):
                    won.append((number, record.event.key))
                    assert record.event.data == {"by": number}

        together(work)
        assert sorted(key for _, key in won) == sorted(f"k/{i}" for i in range(EACH))
        assert {(r.event.data["by"], r.event.key) for r in journal.load(RUN)} == set(won)


def test_an_event_that_cannot_be_written_is_its_callers_alone(tmp_path: Path) -> None:
    refused: list[int] = []
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:

        def work(number: int) -> None:
            for i in range(EACH):
                key = f"half a character \ud800/{i}" if number == 3 else f"k/{i}"
                try:
                    assert journal.record(f"RUN{number}", [Event("e"), Event(key)], time=TIME)
                except JournalError:
                    refused.append(number)

        together(work)
        assert refused == [3] * EACH
        assert journal.load("RUN3") == []
        assert len(journal.load("RUN4")) == EACH + 1


@pytest.mark.parametrize("committed", [True, False])
def test_nobody_loses_a_key_to_a_commit_that_broke_off(tmp_path: Path, committed: bool) -> None:
    """It may have happened or not: whose record it is learns so, and nobody else."""
    won: list[str] = []
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:
        breaks = Breaking(journal._db, committed)
        journal._db = breaks  # type: ignore[assignment]

        def work(number: int) -> None:
            keys = [Event(f"mine/{number}"), Event("everybody's")]
            records = journal.record(RUN, keys, time=f"{number}")
            won.extend(record.event.key for record in records)

        with journal._lock:  # so that all wait together
            wait = threading.Thread(target=together, args=(work,))
            wait.start()
            while len(journal._wishes) < THREADS:
                time.sleep(0.001)
        wait.join()
        journal._db = breaks.real
        assert breaks.broken == 1
        assert sorted(won) == sorted(["everybody's", *(f"mine/{i}" for i in range(THREADS))])
        assert len(journal.load(RUN)) == THREADS + 1


class Breaking:
    """A connection whose first commit breaks off: before it happened, or after."""

    def __init__(self, real, committed: bool) -> None:
        self.real, self.committed, self.broken = real, committed, 0

    def __getattr__(self, name: str):
        return getattr(self.real, name)

    def execute(self, sql: str, *values):
        if sql != "COMMIT" or self.broken:
            return self.real.execute(sql, *values)
        self.broken += 1
        self.real.execute("COMMIT" if self.committed else "ROLLBACK")
        raise OSError(5, "the connection broke off")


def test_where_no_transaction_can_be_begun_everybody_learns_so_in_one_wait(tmp_path: Path) -> None:
    refused: list[str] = []
    with (
        SqliteJournal(tmp_path / "state" / "journal.sqlite", busy=0.3) as journal,
        SqliteJournal(journal.path) as other,
        other._transaction(),
    ):

        def work(number: int) -> None:
            with pytest.raises(JournalError, match="locked") as caught:
                journal.record(f"RUN{number}", [Event("e")], time=TIME)
            refused.append(str(caught.value))

        begun = time.monotonic()
        together(work, 40)
        assert len(refused) == 40
        assert time.monotonic() - begun < 0.3 * 30


def test_what_a_marking_process_was_told_last_is_written_at_once(tmp_path: Path) -> None:
    with kept(tmp_path) as (journal, log), SqliteJournal(journal.path) as other:
        log.append(journal.record(RUN, [opened()], time=TIME))
        assert other.unaudited() == [(RUN, 0)]
        log.append(journal.record(RUN, [Event("parked/1", {"until_ms": 5})], time=TIME))
        assert other.unaudited() == []
        log.append(journal.record(RUN, [Event("resumed/1"), closed()], time=TIME))
        assert other.unaudited() == []


def test_threads_that_append_at_the_same_time_share_flushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[int] = []
    real = os.fdatasync

    def counted(descriptor: int) -> None:
        flushes.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    with kept(tmp_path, deadline=60, limit=20_000) as (journal, log):

        def work(number: int) -> None:
            for i in range(EACH):
                log.append(journal.record(f"RUN{number}", [Event(f"k/{i}")], time=TIME))

        together(work)
        verdict = verify(tmp_path / "audit", journal)
    assert verdict.intact, verdict.problems
    assert {last for last, _ in verdict.runs.values()} == {EACH}
    assert len(flushes) < THREADS * EACH / 2


def test_a_record_that_does_not_follow_is_its_callers_alone(tmp_path: Path) -> None:
    refused: list[int] = []
    with Log(tmp_path / "audit", clock=Ticking(), deadline=60) as log:

        def work(number: int) -> None:
            for i in range(EACH):
                seq = i + 5 if number == 3 else i + 1
                try:
                    log.append([Record(f"RUN{number}", seq, TIME, Event(f"k/{i}"))])
                except AuditError:
                    refused.append(number)

        together(work)
        assert refused == [3] * EACH
        verdict = verify(tmp_path / "audit")
    assert verdict.intact, verdict.problems
    assert "RUN3" not in verdict.runs
    assert all(last == EACH for last, _ in verdict.runs.values())


def test_after_a_failed_flush_nobody_who_waited_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    tries: list[int] = []
    with Log(tmp_path / "audit", clock=Ticking(), deadline=60) as log:

        def fail(descriptor: int) -> None:
            tries.append(descriptor)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fail)

        def work(number: int) -> None:
            with pytest.raises(AuditError, match="Input/output") as caught:
                log.append([Record(f"RUN{number}", 1, TIME, Event("e"))])
            refused.append(str(caught.value))

        together(work)
    assert len(refused) == THREADS
    assert len(tries) == 1
