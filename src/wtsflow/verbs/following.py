"""Following a script on its target to its end, over connections that go and come again."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from wtsflow.errors import ConnectError, NotBegun, SessionLost, Vanished, WtsflowError
from wtsflow.model.plan import Target
from wtsflow.model.record import Task
from wtsflow.ports import Execution, Exited, Idle, Output, RunScript, Tools

SLACK = 2.0
"""Seconds that the target's own clock has to enforce the deadline before ours does."""

LATE = 12.0
"""Seconds in which a target that was out of reach has said that a deadline passed meanwhile."""

STOP = 8.0
"""Seconds beyond the grace in which a target that is out of reach is still asked to stop."""

SHORTEST, LONGEST = 0.5, 10.0
"""Seconds between two tries to reach it: each time twice as many."""

_LOOK = 0.1


STARTS = 3
"""Markers of an attempt at most: the next one is only used where the one before never began."""


def after(marker: str) -> str:
    """The marker that comes after this one."""
    return hashlib.sha256(marker.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class End:
    """How it ended; ``cancelled`` and ``late`` say that we asked it to stop, and why."""

    exited: Exited
    cancelled: bool
    late: bool


@dataclass
class Follower:
    """One script on one target. ``taken`` is given its output."""

    task: Task
    target: Target
    invocation: RunScript
    tools: Tools
    taken: Callable[[Output], None]

    def __post_init__(self) -> None:
        self._since = self.tools.clock.monotonic() - self.task.age
        self._began = self.tools.clock.now() - self.task.age
        self._received = {"stdout": 0, "stderr": 0}
        self._limit = self._since + self.task.deadline + SLACK
        self._caught_up = True
        self._outages = 0

    def begin(self) -> End:
        """Start it and follow it. Raises ConnectError when nothing ran, else SessionLost.

        A connection may turn out to be dead only when it is to be used. What then never began is
        started once more under another marker: the target refuses the first one for ever.
        """
        return self._follow(self._first(self._start))

    def find(self) -> End:
        """Follow what another process started. Raises NotBegun, Vanished, ConnectError."""
        return self._follow(self._first(self._look_for))

    def _first(self, contact: Callable[[], Execution]) -> Execution:
        """The execution under the first marker that is not one of those that never began."""
        for left in reversed(range(STARTS)):
            try:
                return contact()
            except NotBegun:
                if not left:
                    raise
            self.invocation = replace(self.invocation, marker=after(self.invocation.marker))
        raise AssertionError("nothing was tried")

    def _start(self) -> Execution:
        try:
            execution = self.tools.session(self.target).start(self.invocation)
        except Vanished:
            raise
        except SessionLost as lost:
            self._outages += 1
            return self._again(lost)
        if self._outages:
            self.tools.attached()
        return execution

    def _look_for(self) -> Execution:
        try:
            return self._attach()
        except (NotBegun, Vanished):
            raise
        except (ConnectError, SessionLost) as error:
            return self._again(error)

    def _follow(self, execution: Execution) -> End:
        while isinstance(end := self._until(execution), SessionLost):
            execution = self._again(end)
        self.tools.keep(execution)
        return end

    def _until(self, execution: Execution) -> End | SessionLost:
        """Watch it to its end, or to where the connection goes."""
        try:
            return self._watch(execution)
        except Vanished:
            raise
        except SessionLost as lost:
            return lost
        finally:
            execution.close()

    def _watch(self, execution: Execution) -> End:
        """Iterate to the end; ask it to stop when it is cancelled or our own clock says so."""
        late = stopped = False
        monotonic = self.tools.clock.monotonic
        for signal in execution:
            match signal:
                case Output():
                    self._take(signal)
                case Exited():
                    return End(signal, stopped, late)
                case Idle():
                    self._catch_up()
            if self.tools.cancelled and not stopped:
                stopped = True
                execution.stop()
            elif not (late or stopped) and self._caught_up and monotonic() > self._limit:
                late = True
                execution.stop()
        raise AssertionError("an execution ended without saying how")

    def _take(self, output: Output) -> None:
        """Hand output on. Our clock stands still while its readers are behind, not the target's."""
        begun = self.tools.clock.monotonic()
        self._received[output.stream] += len(output.data)
        self.taken(output)
        self._limit += self.tools.clock.monotonic() - begun

    def _catch_up(self) -> None:
        """All that happened while it was out of reach has come: from now on our clock counts."""
        if not self._caught_up:
            self._caught_up = True
            self._limit = max(self._limit, self.tools.clock.monotonic() + LATE)

    # --- a lost connection ------------------------------------------------------------------

    def _attach(self) -> Execution:
        execution = self.tools.session(self.target).attach(
            self.invocation,
            age=self._age(),
            stdout=self._received["stdout"],
            stderr=self._received["stderr"],
        )
        self._caught_up = False
        return execution

    def _age(self) -> float:
        """Seconds since it was started, by the clock that says more.

        One does not count the time in which this machine slept, the other may be set back. Who
        says too little could take a target that was rebooted meanwhile for one that was not.
        """
        clock = self.tools.clock
        return max(clock.monotonic() - self._since, clock.now() - self._began)

    def _again(self, lost: WtsflowError) -> Execution:
        """Reach the target again and pick the script up there, as long as that is worth it."""
        tools, when = self.tools, self.tools.clock.now()
        tries = _Tries(tools, self.invocation.grace)
        last = lost
        if tries.left() > 0:
            tools.detached(lost.message, tries.until)
        while tries.another():
            try:
                execution = self._attach()
            except (NotBegun, Vanished) as known:
                raise type(known)(f"{lost.message}; {known.message}", cure=known.cure) from None
            except SessionLost as error:
                last = error
                tools.detached(error.message, tries.until)
            except ConnectError as error:
                last = error
            else:
                tools.attached()
                return execution
        raise self._given_up(lost, last, when)

    def _given_up(self, lost: WtsflowError, last: WtsflowError, when: float) -> WtsflowError:
        """What to raise when it was tried for long enough."""
        at = datetime.fromtimestamp(when, UTC)
        message = f"{lost.message} (at {at:%Y-%m-%dT%H:%M:%SZ})"
        if last is not lost:
            message += f", and it could not be reached again: {last.message}"
        if self.tools.cancelled:
            message += "; it was to be stopped, and nobody can say whether it still runs"
        cure = f"when it can be reached: wtsflow resume {self.tools.run}"
        kind = ConnectError if isinstance(lost, ConnectError) else SessionLost
        return kind(message, cure=cure)


class _Tries:
    """When to try again, and how long: for the plan's patience, or what a stop is given."""

    def __init__(self, tools: Tools, grace: float) -> None:
        self._tools = tools
        self._grace = grace
        self._stopping = False
        self._pause = SHORTEST
        self.until = tools.clock.monotonic() + tools.plan.reattach

    def left(self) -> float:
        """Seconds that are left for trying; a cancel leaves fewer, from when it is heard."""
        now = self._tools.clock.monotonic()
        if self._tools.cancelled and not self._stopping:
            self._stopping = True
            self.until = min(self.until, now + self._grace + STOP)
        return self.until - now

    def another(self) -> bool:
        """Wait for the next try, or for a cancel. False: there is none any more."""
        clock, calm = self._tools.clock, not self._stopping
        wake = clock.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST)
        while (left := self.left()) > 0 and (rest := wake - clock.monotonic()) > 0:
            if calm and self._stopping:
                break
            threading.Event().wait(min(_LOOK, rest, left))
        return left > 0
