"""Locks of runs on targets: all or nothing, in line, and never held by the dead."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wtsflow.clock import SystemClock
from wtsflow.errors import BusyError, Exit, RecordError, StoppedError, TerminatedError
from wtsflow.files import file_lock, held
from wtsflow.locks import Holder, Locks, Obstacle, Patience, Takeover, Waiting, holding
from wtsflow.model.claim import Claim, Mode

CLOCK = SystemClock()
WEB, DATABASE, MAIL = "ssh://web01:22", "ssh://db01:22", "ssh://mail01:22"


def claim(target: str, mode: Mode = Mode.EXCLUSIVE) -> Claim:
    return Claim(target, target.removeprefix("ssh://").removesuffix(":22"), mode)


def shared(target: str) -> Claim:
    return claim(target, Mode.SHARED)


def holder(run: str, since: float = 1000.0) -> Holder:
    return Holder(run, since, "ada", "control01", os.getpid(), "disk/clean-up", "INC1")


def opened(state: Path) -> Locks:
    return Locks(state / "locks.sqlite", lambda run: held(state / f"{run}.lock"))


@contextmanager
def performing(state: Path, run: str) -> Iterator[None]:
    """What a driver does: it holds its run's lock."""
    with file_lock(state / f"{run}.lock", 5):
        yield


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[Locks]:
    with opened(tmp_path) as made:
        yield made


def runs(obstacles: Sequence[Obstacle]) -> list[str]:
    return [one.holder.run for one in obstacles]


# --- what goes together -----------------------------------------------------------------------


def test_shared_claims_go_together_and_an_exclusive_one_with_no_other(
    tmp_path: Path, locks: Locks
) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"), performing(tmp_path, "C"):
        assert not locks.take(holder("A"), [shared(WEB)]).obstacles
        assert not locks.take(holder("B"), [shared(WEB)]).obstacles
        refused = locks.take(holder("C"), [claim(WEB)])
        assert runs(refused.obstacles) == ["A", "B"]
        locks.release("A")
        locks.release("B")
        assert not locks.take(holder("C"), [claim(WEB)]).obstacles
        assert runs(locks.take(holder("A"), [shared(WEB)]).obstacles) == ["C"]


def test_all_is_got_or_nothing(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"), performing(tmp_path, "C"):
        locks.take(holder("A"), [claim(DATABASE)])
        refused = locks.take(holder("B"), [claim(WEB), claim(DATABASE), claim(MAIL)])
        assert [(one.name, one.count) for one in refused.obstacles] == [("db01", 1)]
        assert not locks.take(holder("C"), [claim(WEB), claim(MAIL)]).obstacles


def test_what_a_run_holds_is_no_obstacle_to_itself(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"):
        locks.take(holder("A"), [claim(WEB)])
        assert not locks.take(holder("A"), [claim(WEB), claim(DATABASE)]).obstacles
        assert [one.claim.target for one in locks.listed()] == [DATABASE, WEB]


def test_an_exclusive_claim_that_waits_is_not_overtaken_by_shared_ones(
    tmp_path: Path, locks: Locks
) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"), performing(tmp_path, "C"):
        locks.take(holder("A"), [shared(WEB)])
        assert runs(locks.take(holder("B"), [claim(WEB)], wait=True).obstacles) == ["A"]
        late = locks.take(holder("C"), [shared(WEB)])
        assert runs(late.obstacles) == ["B"]
        assert late.obstacles[0].waiting
        locks.release("A")
        assert not locks.take(holder("B"), [claim(WEB)], wait=True).obstacles


def test_who_waits_keeps_the_place_in_line(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"), performing(tmp_path, "C"):
        locks.take(holder("A"), [claim(WEB)])
        locks.take(holder("B"), [claim(WEB)], wait=True)
        locks.take(holder("C"), [claim(WEB)], wait=True)
        locks.take(holder("B", since=2000.0), [claim(WEB)], wait=True)
        locks.release("A")
        assert runs(locks.take(holder("C"), [claim(WEB)], wait=True).obstacles) == ["B"]
        assert not locks.take(holder("B"), [claim(WEB)], wait=True).obstacles


# --- the dead ---------------------------------------------------------------------------------


def test_a_claim_of_a_run_that_nobody_performs_is_taken_over(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"):
        locks.take(holder("A"), [claim(WEB), claim(DATABASE)])
    assert [(one.claim.name, one.alive) for one in locks.listed()] == [
        ("db01", False),
        ("web01", False),
    ]
    with performing(tmp_path, "B"):
        got = locks.take(holder("B"), [claim(WEB)])
    assert not got.obstacles
    assert got.taken == (Takeover(holder("A"), ("web01",), ("web01",)),)
    assert [one.holder.run for one in locks.listed()] == ["B"]


def test_a_dead_run_in_line_holds_nobody_up_and_was_taken_over_from_nobody(
    tmp_path: Path, locks: Locks
) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "C"):
        locks.take(holder("A"), [shared(WEB)])
        with performing(tmp_path, "B"):
            locks.take(holder("B"), [claim(WEB)], wait=True)
        got = locks.take(holder("C"), [shared(WEB)])
        assert not got.obstacles
        assert got.taken == ()


def test_a_refusal_takes_nothing_over(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"):
        locks.take(holder("A"), [claim(WEB)])
    with performing(tmp_path, "B"), performing(tmp_path, "C"):
        locks.take(holder("B"), [claim(DATABASE)])
        refused = locks.take(holder("C"), [claim(WEB), claim(DATABASE)])
        assert runs(refused.obstacles) == ["B"]
        assert refused.taken == ()
        assert {one.holder.run for one in locks.listed()} == {"A", "B"}


def test_rows_of_the_long_dead_are_swept(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"):
        locks.take(holder("A"), [claim(WEB)])
    with performing(tmp_path, "B"):
        locks.take(holder("B", since=1000.0 + 3600), [claim(DATABASE)])
        assert {one.holder.run for one in locks.listed()} == {"A", "B"}
        locks.release("B")
        locks.take(holder("B", since=1000.0 + 2 * 86400), [claim(DATABASE)])
        assert {one.holder.run for one in locks.listed()} == {"B"}


def test_a_machine_of_the_long_dead_is_taken_over_and_said_so(tmp_path: Path, locks: Locks) -> None:
    with performing(tmp_path, "A"):
        locks.take(holder("A"), [claim(WEB)])
    with performing(tmp_path, "B"):
        got = locks.take(holder("B", since=1000.0 + 9 * 86400), [claim(WEB)])
    assert [one.holder.run for one in got.taken] == ["A"]


HOLD = """
import sys, time
from pathlib import Path
from tests.test_locks import WEB, claim, holder, opened, performing
state = Path(sys.argv[1])
with performing(state, "DEAD"), opened(state) as locks:
    locks.take(holder("DEAD"), [claim(WEB)])
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_the_locks_of_a_killed_process_are_free_at_once(
    tmp_path: Path, locks: Locks, capsys: pytest.CaptureFixture[str]
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with child, performing(tmp_path, "B"):
        assert child.stdout
        assert child.stdout.readline() == "held\n"
        assert runs(locks.take(holder("B"), [claim(WEB)]).obstacles) == ["DEAD"]
        child.send_signal(signal.SIGKILL)
        child.wait()
        began = time.perf_counter()
        with holding(locks, holder("B"), [claim(WEB)], clock=CLOCK, patience=Patience(10)):
            took = time.perf_counter() - began
    with capsys.disabled():
        print(f" [taken over after kill -9 in {took * 1000:.1f} ms]", end="")
    assert took < 5


# --- waiting ----------------------------------------------------------------------------------


def test_who_does_not_wait_learns_who_is_in_the_way_and_what_to_do(
    tmp_path: Path, locks: Locks
) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"):
        since = CLOCK.now() - 185
        locks.take(holder("A", since), [claim(WEB), claim(DATABASE)])
        with (
            pytest.raises(BusyError) as caught,
            holding(locks, holder("B"), [claim(WEB), shared(DATABASE)], clock=CLOCK),
        ):
            raise AssertionError
    assert caught.value.exit == 75
    assert caught.value.message == (
        "db01 (and 1 more) is locked by run A of ada (disk/clean-up, INC1), for 3m 05s"
    )
    assert caught.value.cure == (
        "wait for it: --wait 5m; see who has what: wtsflow locks; end it: wtsflow cancel A"
    )


def test_who_waits_gets_through_when_the_other_ends(tmp_path: Path, locks: Locks) -> None:
    told: list[Waiting | Takeover] = []

    def end(said: Waiting | Takeover) -> None:
        told.append(said)
        if len(told) == 3:
            locks.release("A")

    with performing(tmp_path, "A"), performing(tmp_path, "B"):
        locks.take(holder("A"), [claim(WEB)])
        with holding(locks, holder("B"), [claim(WEB)], clock=CLOCK, patience=Patience(30, end)):
            assert [(one.holder.run, one.waiting) for one in locks.listed()] == [("B", False)]
    assert [isinstance(one, Waiting) and runs(one.obstacles) for one in told] == [["A"]] * 3 + [[]]
    assert locks.listed() == []


def test_who_waited_long_enough_is_refused_and_leaves_the_line(
    tmp_path: Path, locks: Locks
) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"):
        locks.take(holder("A"), [claim(WEB)])
        with (
            pytest.raises(BusyError, match=r"for .* \(waited 0s\)"),
            holding(locks, holder("B"), [claim(WEB)], clock=CLOCK, patience=Patience(0.05)),
        ):
            raise AssertionError
        assert [one.holder.run for one in locks.listed()] == ["A"]


@pytest.mark.parametrize(
    ("code", "kind"), [(Exit.INTERRUPTED, StoppedError), (Exit.TERMINATED, TerminatedError)]
)
def test_a_wish_to_end_ends_the_waiting(
    tmp_path: Path, locks: Locks, code: Exit, kind: type[StoppedError]
) -> None:
    with performing(tmp_path, "A"), performing(tmp_path, "B"):
        locks.take(holder("A"), [claim(WEB)])
        with (
            pytest.raises(kind) as caught,
            holding(
                locks,
                holder("B"),
                [claim(WEB)],
                clock=CLOCK,
                patience=Patience(30),
                over=lambda: code,
            ),
        ):
            raise AssertionError
        assert caught.value.exit is code
        assert [one.holder.run for one in locks.listed()] == ["A"]


# --- many -------------------------------------------------------------------------------------


def beginnings() -> Any:
    """How processes begin here: from one that has no threads and has imported this module."""
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.test_locks"])
    return server


def race(state: str, run: str, go: Any, answers: Any) -> None:
    """One of many processes that want one target at the same moment, and keep it."""
    with performing(Path(state), run), opened(Path(state)) as locks:
        go.wait()
        got = locks.take(holder(run), [claim(WEB)])
        answers.put((run, not got.obstacles))
        go.wait()


def test_of_twenty_processes_exactly_one_gets_the_target(tmp_path: Path) -> None:
    spawn = beginnings()
    go, answers = spawn.Barrier(20), spawn.Queue()
    racers = [
        spawn.Process(target=race, args=(str(tmp_path), f"R{n}", go, answers)) for n in range(20)
    ]
    for racer in racers:
        racer.start()
    said = [answers.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join(60)
    assert sum(got for _, got in said) == 1
    assert len({run for run, _ in said}) == 20


def pass_through(state: str, number: int, answers: Any) -> None:
    """Three targets in an order of one's own, again and again, and nobody else inside."""
    draw = random.Random(number)
    inside = Path(state) / "inside"
    with performing(Path(state), f"R{number}"), opened(Path(state)) as locks:
        for _ in range(3):
            wanted = [claim(WEB), claim(DATABASE), claim(MAIL)]
            draw.shuffle(wanted)
            with holding(
                locks, holder(f"R{number}"), wanted[:2], clock=CLOCK, patience=Patience(60)
            ):
                for one in wanted[:2]:
                    mark = inside.with_name(f"inside-{one.name}")
                    mark.touch(exist_ok=False)
                    mark.unlink()
    answers.put(number)


def test_ten_processes_that_want_targets_in_any_order_all_get_through(tmp_path: Path) -> None:
    spawn = beginnings()
    answers = spawn.Queue()
    passing = [
        spawn.Process(target=pass_through, args=(str(tmp_path), n, answers)) for n in range(10)
    ]
    for one in passing:
        one.start()
    through = {answers.get(timeout=60) for _ in passing}
    for one in passing:
        one.join(60)
    assert through == set(range(10))
    assert [one.exitcode for one in passing] == [0] * 10


def test_a_shared_line_does_not_starve_an_exclusive_claim(tmp_path: Path) -> None:
    """New shared claims come all the time; the exclusive one gets through none the less."""
    ended = threading.Event()

    def readers(name: str) -> None:
        with opened(tmp_path) as mine:
            for number in range(10_000):
                run = f"{name}{number}"
                with performing(tmp_path, run):
                    if not mine.take(holder(run), [shared(WEB)]).obstacles:
                        time.sleep(0.005)
                        mine.release(run)
                if ended.is_set():
                    return

    threads = [threading.Thread(target=readers, args=(name,)) for name in "AB"]
    for thread in threads:
        thread.start()
    try:
        with (
            performing(tmp_path, "X"),
            opened(tmp_path) as locks,
            holding(locks, holder("X"), [claim(WEB)], clock=CLOCK, patience=Patience(30)),
        ):
            assert [one.holder.run for one in locks.listed() if not one.waiting] == ["X"]
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


def test_ten_thousand_targets_are_locked_and_let_go(
    tmp_path: Path, locks: Locks, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = [claim(f"ssh://host{n:05}:22", Mode.SHARED) for n in range(10_000)]
    with performing(tmp_path, "A"), performing(tmp_path, "B"):
        locks.take(holder("A"), targets)
        began = time.perf_counter()
        with holding(locks, holder("B"), targets, clock=CLOCK):
            took = time.perf_counter() - began
            assert len(locks.listed()) == 20_000
        with capsys.disabled():
            print(f" [10,000 targets beside 10,000 locked: {took * 1000:.0f} ms]", end="")
        alone = [replace(one, mode=Mode.EXCLUSIVE) for one in targets]
        refused = locks.take(holder("B"), alone).obstacles
        assert [(one.holder.run, one.count) for one in refused] == [("A", 10_000)]
    assert took < 10


# --- the file ---------------------------------------------------------------------------------


def test_a_file_that_is_no_table_of_locks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locks.sqlite").write_bytes(b"not a database, but a good deal of text" * 100)
    (tmp_path / "locks.sqlite").chmod(0o600)
    with pytest.raises(RecordError, match="cannot lock targets") as caught:
        opened(tmp_path)
    assert caught.value.exit == 74
    assert "can be removed" in caught.value.cure


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_the_file_is_ours_alone(tmp_path: Path, locks: Locks) -> None:
    assert locks.listed() == []
    assert (tmp_path / "locks.sqlite").stat().st_mode & 0o777 == 0o600
    (tmp_path / "locks.sqlite").chmod(0o666)
    with pytest.raises(RecordError, match="can be written by others"):
        opened(tmp_path)


def test_two_that_open_it_first_at_once_both_get_it(tmp_path: Path) -> None:
    made: list[int] = []

    def open_it() -> None:
        with opened(tmp_path) as mine:
            made.append(len(mine.listed()))

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert made == [0] * 8
