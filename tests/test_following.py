"""Following a script over lost connections: what is tried, for how long, and what is said then."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contracts.transport import script
from wtsflow.errors import ConnectError, NotBegun, SessionLost, Vanished
from wtsflow.model.plan import Target
from wtsflow.model.record import Stop
from wtsflow.ports import Exited, Idle, Output, RunScript, Signal
from wtsflow.verbs import following
from wtsflow.verbs.following import Follower

CUT = SessionLost("web: there was no answer for 4.0 s while probe.sh ran")
AWAY = ConnectError("web did not answer within 2 s")
Play = Iterable[Signal | Exception | Callable[[], None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SHORTEST", 0.02)
    monkeypatch.setattr(following, "LONGEST", 0.05)
    monkeypatch.setattr(following, "_LOOK", 0.01)


class Clock:
    """Jumps on demand; else it is the machine's."""

    ahead = 0.0
    slept = 0.0

    def now(self) -> float:
        return 1_800_000_000.0 + self.slept

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Played:
    play: Play
    stopped: bool = False
    closed: int = 0

    def __iter__(self) -> Iterator[Signal]:
        for item in self.play:
            if isinstance(item, Exception):
                raise item
            if callable(item):
                item()
                continue
            stopped = isinstance(item, Exited) and self.stopped
            yield Exited(143, "TERM", Stop.CONFIRMED) if stopped else item

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed += 1

    def recorded(self) -> None:
        pass


@dataclass
class World:
    """The tools of a task, and its target: each contact takes the next of ``plays``."""

    plays: list[Play | Exception]
    reattach: float = 5.0
    age: float = 0.0
    clock: Clock = field(default_factory=Clock)
    cancelled: bool = False
    run: str = "RUN1"

    def __post_init__(self) -> None:
        self.plan = SimpleNamespace(reattach=self.reattach)
        self.asked: list[dict[str, Any]] = []
        self.markers: list[str] = []
        self.made: list[Played] = []
        self.kept: list[Any] = []
        self.said: list[str] = []
        self.output = {"stdout": b"", "stderr": b""}

    def session(self, target: Target) -> "World":
        if isinstance(self.plays[0], ConnectError) and not isinstance(self.plays[0], NotBegun):
            raise self.plays.pop(0)  # type: ignore[misc]
        return self

    def _next(self) -> Played:
        play = self.plays.pop(0)
        if isinstance(play, Exception):
            raise play
        self.made.append(Played(play))
        return self.made[-1]

    def start(self, invocation: RunScript) -> Played:
        self.asked.append({})
        self.markers.append(invocation.marker)
        return self._next()

    def attach(self, invocation: RunScript, **given: float) -> Played:
        self.asked.append(given)
        self.markers.append(invocation.marker)
        return self._next()

    def detached(self, reason: str, until: float) -> None:
        self.said.append("detached")

    def attached(self) -> None:
        self.said.append("attached")

    def keep(self, execution: Any) -> None:
        self.kept.append(execution)

    def take(self, output: Output) -> None:
        self.output[output.stream] += output.data

    def follower(self, **given: Any) -> Follower:
        task: Any = SimpleNamespace(age=self.age, deadline=given.pop("deadline", 60.0))
        tools: Any = self
        return Follower(task, Target("web"), script("echo", grace=0.1), tools, self.take)


def out(text: bytes) -> Output:
    return Output("stdout", text)


def test_a_cut_is_mended_and_the_output_goes_on_where_it_stopped() -> None:
    world = World(
        [
            [out(b"one\n"), Output("stderr", b"e"), CUT],
            AWAY,
            CUT,
            [out(b"two\n"), CUT],
            [out(b"three"), Exited(3, output=b"{}")],
        ]
    )
    end = world.follower().begin()
    assert (end.exited, end.late, end.cancelled) == (Exited(3, output=b"{}"), False, False)
    assert world.output == {"stdout": b"one\ntwo\nthree", "stderr": b"e"}
    assert [(a.get("stdout"), a.get("stderr")) for a in world.asked] == [
        (None, None),
        (4, 1),
        (4, 1),
        (8, 1),
    ]
    assert world.said == ["detached", "detached", "attached", "detached", "attached"]
    assert world.kept == [world.made[-1]]
    assert all(made.closed for made in world.made)


def test_a_beginning_that_nobody_saw_is_looked_for_and_not_repeated() -> None:
    world = World([CUT, [out(b"it ran"), Exited(0)]])
    assert world.follower().begin().exited == Exited(0)
    assert [bool(asked) for asked in world.asked] == [False, True], "a second start"


NEVER = NotBegun("web: probe.sh never began there")


def test_what_never_began_is_started_once_more_under_another_marker() -> None:
    """The connection was dead before: a step that follows a cut is not the cut's victim."""
    world = World([CUT, NEVER, [out(b"it ran"), CUT], [Exited(0)]])
    follower = world.follower()
    first = follower.invocation.marker
    assert follower.begin().exited == Exited(0)
    assert follower.invocation.marker == following.after(first) != first
    assert world.markers == [first, first, follower.invocation.marker, follower.invocation.marker]
    assert world.said == ["detached", "attached", "detached", "attached"]


def test_another_process_finds_what_was_started_under_another_marker() -> None:
    world = World([NEVER, [Exited(0)]], age=9.0)
    assert world.follower().find().exited == Exited(0)
    assert world.markers[1] == following.after(world.markers[0])


def test_what_never_begins_is_unreachable_and_safe_to_retry() -> None:
    world = World([CUT, NEVER] * 9)
    with pytest.raises(ConnectError, match=r"no answer for 4\.0 s .*; web: probe\.sh never began"):
        world.follower().begin()
    assert len({*world.markers}) == following.STARTS


@pytest.mark.parametrize("first", [CUT, [out(b"x"), CUT]])
def test_what_vanished_is_not_asked_for_again(first: Any) -> None:
    world = World([first, Vanished("web: the machine was started anew", cure="look there")])
    with pytest.raises(Vanished, match=r"no answer .* started anew") as lost:
        world.follower().begin()
    assert lost.value.cure == "look there"
    assert not world.plays


def test_patience_ends_with_a_reason_a_time_and_the_next_command() -> None:
    world = World([[out(b"x"), CUT], *[AWAY] * 100], reattach=0.3)
    with pytest.raises(SessionLost) as lost:
        world.follower().begin()
    assert lost.value.message == (
        "web: there was no answer for 4.0 s while probe.sh ran (at 2027-01-15T08:00:00Z), "
        "and it could not be reached again: web did not answer within 2 s"
    )
    assert lost.value.cure == "when it can be reached: wtsflow resume RUN1"
    assert 2 < len(world.plays) < 97


def test_without_patience_a_cut_is_told_at_once() -> None:
    world = World([[CUT], [Exited(0)]], reattach=0)
    with pytest.raises(SessionLost, match="no answer for"):
        world.follower().begin()
    assert (world.said, len(world.plays)) == ([], 1)


def test_a_target_that_cannot_be_reached_at_first_is_not_tried_again() -> None:
    world = World([AWAY, [Exited(0)]])
    with pytest.raises(ConnectError):
        world.follower().begin()
    assert world.said == []


# --- another process ------------------------------------------------------------------------


def test_what_another_process_began_is_followed_from_the_first_byte() -> None:
    world = World([AWAY, CUT, [out(b"all of it"), Exited(4)]], age=100.0)
    assert world.follower().find().exited == Exited(4)
    first, second = world.asked
    assert (first["stdout"], first["stderr"]) == (0, 0)
    assert 100 <= first["age"] <= second["age"] < 110
    assert world.kept == [world.made[-1]]


@pytest.mark.parametrize("known", [NEVER, Vanished("it is gone")])
def test_what_is_known_of_it_is_told_as_it_is(known: Exception) -> None:
    with pytest.raises(type(known)) as told:
        World([known] * following.STARTS, age=5.0).follower().find()
    assert told.value is known


def test_a_target_that_is_never_reached_is_not_said_to_have_lost_it() -> None:
    world = World([AWAY] * 100, age=5.0, reattach=0.2)
    with pytest.raises(ConnectError, match="did not answer") as lost:
        world.follower().find()
    assert lost.value.cure == "when it can be reached: wtsflow resume RUN1"


# --- time and cancelling --------------------------------------------------------------------


def test_no_deadline_passes_on_our_side_while_the_target_is_out_of_reach() -> None:
    """It ended in time; that it comes to be known late, with much to read, changes nothing."""
    world = World([])

    def hour() -> None:
        world.clock.ahead += 3600

    world.plays = [
        [out(b"x"), hour, CUT],
        [out(b"much"), out(b"more"), Idle(), Exited(0)],
    ]
    end = world.follower(deadline=10.0).begin()
    assert (end.late, end.exited) == (False, Exited(0))


def test_a_target_that_keeps_no_time_is_stopped_by_ours_also_after_a_cut() -> None:
    world = World([])

    def later() -> None:
        world.clock.ahead += following.LATE + 1

    world.plays = [[CUT], [Idle(), later, Idle(), Exited(0)]]
    end = world.follower(deadline=1.0).begin()
    assert (end.late, end.exited.stop) == (True, Stop.CONFIRMED)


def test_the_time_in_which_this_machine_slept_is_counted_too() -> None:
    """Else a target that was rebooted meanwhile would seem to be up for longer than that."""
    world = World([])

    def sleep() -> None:
        world.clock.slept += 7200

    world.plays = [[sleep, CUT], [Exited(0)]]
    world.follower().begin()
    assert world.asked[-1]["age"] >= 7200


def test_our_clock_stands_still_while_we_are_too_slow_to_read() -> None:
    world = World([[out(b"x"), Idle(), Exited(0)]])
    follower = world.follower(deadline=1.0)

    def slow(output: Output) -> None:
        world.clock.ahead += 100

    follower.taken = slow
    assert not follower.begin().late


def test_a_cancel_while_it_is_out_of_reach_stops_it_when_it_is_back() -> None:
    world = World([])

    def cancel() -> None:
        world.cancelled = True

    world.plays = [[out(b"x"), CUT], AWAY, [cancel, Idle(), Exited(0)]]
    threading.Timer(0.05, cancel).start()
    end = world.follower().begin()
    assert (end.cancelled, end.exited.stop) == (True, Stop.CONFIRMED)


def test_a_cancel_does_not_wait_for_what_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "STOP", 0.2)
    world = World([[out(b"x"), CUT], *[AWAY] * 1000], reattach=60.0)

    def cancel() -> None:
        world.cancelled = True

    threading.Timer(0.1, cancel).start()
    began = time.monotonic()
    with pytest.raises(SessionLost, match="nobody can say whether it still runs"):
        world.follower().begin()
    assert time.monotonic() - began < 10
