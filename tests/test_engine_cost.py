"""What a step costs, counted instead of timed: writes, looks, threads, memory."""

import sqlite3
import threading
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.scripted import Log, Scripted, make, wait_for
from tests.simulation import Simulation
from wtsflow.engine import decide
from wtsflow.engine.crew import Crew
from wtsflow.engine.manner import Manner
from wtsflow.engine.runner import Runner
from wtsflow.engine.scope import Ends
from wtsflow.errors import JournalError
from wtsflow.files import OpenLock, file_lock
from wtsflow.journals.batch import Wish
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event, Line, Record
from wtsflow.ports import Exited

TIME = "2026-11-21T12:00:00.000000Z"


def chain(count: int) -> str:
    return "steps:\n" + "  - script: a/a.sh@1.0.0\n" * count


@dataclass
class Watched:
    """A journal and an audit log that say in which order they were written to."""

    journal: SqliteJournal
    said: list[tuple[str, list[str]]] = field(default_factory=list)

    def record(self, run: str, events: Sequence[Event], *, time: str) -> list[Record]:
        records = self.journal.record(run, events, time=time)
        self.said.append(("journal", [record.event.key for record in records]))
        return records

    def load(self, run: str, *, after: int = 0) -> list[Record]:
        return self.journal.load(run, after=after)

    def append(self, records: Sequence[Record]) -> None:
        self.said.append(("audit", [record.event.key for record in records]))

    def close(self) -> None:
        self.journal.close()


def watch(runner) -> Watched:
    book = runner._book
    watched = Watched(book._journal)
    book._journal = book._audit = watched
    return watched


def end(runner: Runner) -> None:
    runner.parts.journal.close()  # type: ignore[attr-defined]


def keys(seen: Sequence[Record | Line]) -> list[str]:
    return [one.event.key for one in seen if isinstance(one, Record)]


# --- durable writes ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10, 60])
def test_a_step_after_another_costs_one_write_to_each_of_journal_and_log(tmp_path: Path, count):
    runner, _ = make(tmp_path, chain(count), Scripted(), machines={})
    watched = watch(runner)
    runner.go({})
    writes = Counter(what for what, _ in watched.said)
    assert writes == {"journal": count + 2, "audit": count + 2}
    for (first, these), (then, those) in zip(watched.said[::2], watched.said[1::2], strict=True):
        assert (first, then) == ("journal", "audit")
        assert these == those
    assert watched.said[0][1] == ["opened"]
    for number in range(1, count):
        expected = [f"finished/step{number}@local/1", f"started/step{number + 1}@local/1"]
        assert watched.said[2 + 2 * number][1] == expected
    assert watched.said[-1][1] == [f"finished/step{count}@local/1", "closed"]
    end(runner)


def test_what_is_begun_at_once_is_written_at_once(tmp_path: Path):
    text = "targets: { web: { group: web } }\nsteps:\n  - { script: a/a.sh@1.0.0, target: web }\n"
    runner, _ = make(tmp_path, text, Scripted(), machines={"web": 40})
    watched = watch(runner)
    runner.go({})
    assert watched.said[2] == ("journal", [f"started/step1@web{n + 1}/1" for n in range(40)])
    end(runner)


def test_an_end_is_written_though_others_of_the_step_still_run(tmp_path: Path):
    """It is not kept for what follows from it: that may take an hour."""
    goes_on = threading.Event()

    def play(target, invocation):
        if target == "web2":
            goes_on.wait(30)
        return [Exited(0)]

    text = "targets: { web: { group: web } }\nsteps:\n  - { script: a/a.sh@1.0.0, target: web }\n"
    runner, seen = make(tmp_path, text, Scripted(play), machines={"web": 2})
    running = threading.Thread(target=runner.go, args=({},))
    running.start()
    try:
        wait_for(lambda: "finished/step1@web1/1" in keys(seen))
    finally:
        goes_on.set()
        running.join(30)
    end(runner)
    recorded = keys(seen)
    assert recorded.index("finished/step1@web1/1") < recorded.index("finished/step1@web2/1")


def test_an_execution_is_told_of_its_record_when_that_is_on_the_disk(tmp_path: Path):
    told: list[list[str]] = []

    class Told(Scripted):
        def connect(self, target, credentials):
            session = super().connect(target, credentials)
            start = session.start

            def begin(invocation):
                execution = start(invocation)
                execution.recorded = lambda: told.append([*recorded])
                return execution

            session.start = begin
            return session

    recorded: list[str] = []

    class Noting(Log):
        def append(self, records):
            recorded.extend(one.event.key for one in records)

    runner, _ = make(tmp_path, chain(3), Told(), machines={}, audit=Noting())
    runner.go({})
    assert len(told) == 3
    for number, before in enumerate(told, 1):
        assert f"finished/step{number}@local/1" in before
    end(runner)


def test_who_is_asked_about_a_step_is_asked_when_the_end_before_it_is_written(tmp_path: Path):
    runner, seen = make(tmp_path, chain(2), Scripted(), machines={})
    asked: list[list[str]] = []

    def confirm(task):
        asked.append(keys(seen))
        return True

    runner._manner = Manner(confirm=confirm)
    runner.go({})
    assert [before[-1] for before in asked] == ["opened", "finished/step1@local/1"]
    end(runner)


# --- the writing of many threads --------------------------------------------------------------


def commits(journal: SqliteJournal) -> list[str]:
    found: list[str] = []
    journal._db.set_trace_callback(lambda sql: found.append(sql) if sql == "COMMIT" else None)
    return found


def asking(journal: SqliteJournal, number: int, problems: dict[int, str]) -> threading.Thread:
    def ask() -> None:
        try:
            journal.record(f"R{number}", [Event("opened")], time=TIME)
        except JournalError as error:
            problems[number] = str(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


def test_who_comes_while_another_writes_shares_the_next_transaction(tmp_path: Path):
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    written = commits(journal)
    problems: dict[int, str] = {}
    with journal._lock:  # as if one wrote just now
        threads = [asking(journal, number, problems) for number in range(20)]
        wait_for(lambda: len(journal._wishes) == 20)
    for thread in threads:
        thread.join(30)
    assert (len(written), problems) == (1, {})
    assert len(journal.runs(limit=0)) == 20
    journal.close()


def test_a_thread_that_is_stopped_while_it_writes_for_others_leaves_none_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    write = journal._write_together
    problems: dict[int, str] = {}

    def stopped(wishes):
        monkeypatch.setattr(journal, "_write_together", write)
        raise KeyboardInterrupt

    with journal._lock:
        threads = [asking(journal, number, problems) for number in range(5)]
        wait_for(lambda: len(journal._wishes) == 5)
        monkeypatch.setattr(journal, "_write_together", stopped)
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert len(problems) == 4, "all but the one that was stopped"
    assert all("interrupted" in said for said in problems.values())
    assert len(journal.record("R9", [Event("opened")], time=TIME)) == 1
    journal.close()


def test_what_cannot_be_written_is_the_error_of_who_asked_for_it(tmp_path: Path, monkeypatch):
    journal = SqliteJournal(tmp_path / "journal.sqlite")
    problems: dict[int, str] = {}

    def refuse(wish, db):
        if wish.run != "R1":
            raise sqlite3.OperationalError(f"nothing of {wish.run}")
        write(wish, db)

    write = Wish.write
    monkeypatch.setattr(Wish, "write", refuse)
    with journal._lock:
        threads = [asking(journal, number, problems) for number in range(3)]
        wait_for(lambda: len(journal._wishes) == 3)
    for thread in threads:
        thread.join(30)
    assert {number: said[-2:] for number, said in problems.items()} == {0: "R0", 2: "R2"}
    assert [one.run for one in journal.runs(limit=0)] == ["R1"]
    journal.close()


# --- the lock of the audit log ----------------------------------------------------------------


def test_the_lock_that_stays_open_keeps_others_out_and_is_kept_out(tmp_path: Path):
    path = tmp_path / ".lock"
    ours = OpenLock(path, 0.05)
    with ours, pytest.raises(TimeoutError):
        file_lock(path, 0.05).__enter__()
    with file_lock(path, 0.05), pytest.raises(TimeoutError):
        ours.__enter__()
    with ours, pytest.raises(TimeoutError):
        OpenLock(path, 0.05).__enter__()
    ours.close()


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_one(tmp_path: Path):
    path = tmp_path / ".lock"
    ours = OpenLock(path, 1.0)
    with ours:
        pass
    path.unlink()
    with ours, pytest.raises(TimeoutError):
        file_lock(path, 0.05).__enter__()
    ours.close()


# --- threads ----------------------------------------------------------------------------------


def test_a_thread_is_kept_for_the_next_task():
    crew, names, done = Crew(), set(), threading.Semaphore(0)

    def work() -> None:
        names.add(threading.get_ident())
        done.release()

    for number in range(50):
        crew.spawn(work, f"task {number}")
        done.acquire()
        wait_for(lambda: crew._idle == crew._size)
    assert len(names) == crew._size == 1
    crew.close()


def test_as_many_threads_work_as_there_are_tasks_at_once_and_all_go():
    crew, gate = Crew(), threading.Barrier(8)
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        gate.wait(30)

    for number in range(7):
        crew.spawn(work, f"task {number}")
    gate.wait(30)
    assert len(set(threads)) == crew._size == 7
    crew.close()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


# --- deciding ---------------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the steps that are looked at, each time."""
    seen: list[str] = []
    step = decide._Walker.step

    def noted(self, one, *given, **named):
        seen.append(one.path)
        return step(self, one, *given, **named)

    monkeypatch.setattr(decide._Walker, "step", noted)
    return seen


@pytest.mark.parametrize("count", [100, 1000])
def test_a_decision_looks_at_what_may_have_changed_however_long_the_run(looks, count):
    done = Simulation(chain(count)).run()
    assert done.decisions <= 3 * count + 10
    assert count < len(looks) <= 2 * done.decisions


@pytest.mark.parametrize("count", [50, 500])
def test_steps_that_wait_for_others_are_not_looked_at(looks, count):
    """All but the first need the first, which needs many tries."""
    text = "steps:\n  - { id: s0, script: a/a.sh@1.0.0, retry: { times: 20, wait: 1s } }\n"
    text += "  - { needs: [s0], script: a/a.sh@1.0.0 }\n" * count
    tries = iter(["failed"] * 20)
    done = Simulation(text, lambda task: next(tries, "success")).run()
    ended = max(index for index, path in enumerate(looks) if path == "s0")
    assert set(looks[: ended + 1]) == {"s0"}
    assert ended > 20
    assert done.verdict.good


def test_how_a_step_ended_everywhere_is_gathered_once_for_all_who_ask(monkeypatch):
    made = [0]
    of = Ends.of

    def counted(*given):
        made[0] += 1
        return of(*given)

    monkeypatch.setattr(Ends, "of", counted)
    Simulation(
        "targets: { web: { group: web } }\nsteps:\n"
        "  - { id: one, script: a/a.sh@1.0.0, target: web, outputs: { x: string } }\n"
        "  - { script: a/b.sh@1.0.0, target: web, with: { p: $(steps.one.outputs.x) } }\n",
        lambda task: ("success", {"x": "y"}),
        {"web": 200},
        parallel=50,
    ).run()
    assert 1 <= made[0] <= 30


# --- memory -----------------------------------------------------------------------------------


def grown(folder: Path, count: int) -> int:
    """The most bytes that a run of one step on ``count`` targets had at once."""
    folder.mkdir()
    text = "targets: { web: { group: web } }\nsteps:\n  - { script: a/a.sh@1.0.0, target: web }\n"
    range_ = Scripted(lambda target, invocation: [Exited(0)])
    range_.started = Forgetful()
    runner, seen = make(folder, text, range_, machines={"web": count})
    runner._book._subscribers.remove(seen.append)
    runner._book._audit = Forgetful()
    tracemalloc.start()
    try:
        runner.go({})
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        end(runner)


class Forgetful(list):
    """Takes anything and keeps nothing."""

    def append(self, _given) -> None:
        pass


@pytest.mark.slow
def test_ten_thousand_tasks_take_little_memory_each(tmp_path: Path):
    few, many = grown(tmp_path / "few", 1000), grown(tmp_path / "many", 10_000)
    assert (many - few) / 9000 < 4000  # bytes
