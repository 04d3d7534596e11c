"""A run's state: a fold of its records, and nothing else."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wtsflow.engine.course import Course
from wtsflow.engine.loop import Loop
from wtsflow.engine.status import Status, Tally
from wtsflow.model.record import Event, Outcome, Stop
from wtsflow.model.values import MASK, Json

_SLASH = re.compile("/")


@dataclass(slots=True)
class Attempt:
    """The latest attempt of one step on one target. Times are seconds of the run's clock."""

    number: int
    started: float
    ended: float | None = None
    outcome: str = ""
    message: str = ""
    stop: str = ""
    first: int = 0
    last: int = 0
    """Which events of the run its beginning and its end were: time alone orders nothing."""
    begun: bool = True
    """False: it ended before anything was sent to its target."""
    deadline: float = 3600.0
    """Seconds that it may take."""
    lost: bool = False
    """Its end was not known when that was written down; it may become known later."""
    again: bool = False
    """It is to be followed by another attempt, whatever became of it."""
    outputs: Mapping[str, Json] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.ended is None

    @property
    def repeatable(self) -> bool:
        """Whether trying again cannot double an effect that nobody saw, and may help.

        Rule: what is unknown, cancelled or not known to have stopped is never run again silently;
        what was not begun for want of a value would not be the second time either.
        """
        return (
            self.begun
            and self.outcome in (Outcome.FAILED, Outcome.TIMEOUT, Outcome.UNREACHABLE)
            and self.stop != Stop.UNCONFIRMED
        )


@dataclass(slots=True)
class State:
    """What is known of a run. ``apply`` is the only way in; its order is the journal's."""

    run: str
    opened: float = 0.0
    latest: float = 0.0
    """When the last thing happened: what follows from it alone is dated so, whoever finds out."""
    attempts: dict[str, dict[str, Attempt]] = field(default_factory=dict)
    """Step path → target → latest attempt."""
    skipped: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    """Those of them of which a check cannot tell what a real run would do."""
    looped: set[str] = field(default_factory=set)
    """The loops whose list is written down."""
    waiting: dict[str, float] = field(default_factory=dict)
    """Path → when its wait is over."""
    waited: dict[str, float] = field(default_factory=dict)
    stopping: Mapping[str, Json] | None = None
    """The wish to end that is heeded, with its ``level``."""
    cut_short: bool = False
    """It came before ``finally``: some of the run's own steps may never be done."""
    cancel: Mapping[str, Json] | None = None
    """The wish of another process that the run ends."""
    closed: Mapping[str, Json] | None = None
    left: bool = False
    """Its process let go of it on request."""
    counts: Counter[str] = field(default_factory=Counter)
    """How many events of each type there were."""
    events: int = 0
    """How many there were."""
    outages: Counter[str] = field(default_factory=Counter)
    """How often the connection to a running task went, by its name."""
    numbers: dict[str, int] = field(default_factory=dict)
    """``path@target`` → the number of its next attempt, where earlier ones never began."""
    uncounted: Counter[str] = field(default_factory=Counter)
    """``path@target`` → how many of its attempts are not counted as retries."""
    forgotten: bool = False
    """An output holds a secret: its records have it masked, so it is only in memory, if at all."""
    running: int = 0
    entered: dict[str, float] = field(default_factory=dict)
    """When a group, loop or item was first allowed to begin."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """How script steps stand on their members, by path."""
    loops: dict[str, Loop] = field(default_factory=dict)
    """How ``for_each`` steps stand on their items, by path."""
    courses: dict[str, Course] = field(default_factory=dict)
    """How lists of steps stand, by the path of their first step."""
    done: dict[str, Status] = field(default_factory=dict)
    """What :mod:`decide` found to be final, by path, so that it looks at nothing twice."""

    def apply(self, event: Event, at: float) -> None:
        """Take in one recorded event, which happened at ``at``."""
        self.counts[event.type] += 1
        self.events += 1
        self.latest = max(self.latest, at)
        match event.type:
            case "opened":
                self.opened = at
            case "started":
                self._start(event, at)
            case "finished" | "lost":
                self._finish(event, at)
            case "again":
                self._again(event)
            case "skipped":
                self.skipped.add(event.subject)
                if "change" in event.data:
                    self.untold.add(event.subject)
            case "waiting":
                self.waiting[event.subject] = float(str(event.data["until_ms"])) / 1000
            case "waited":
                self.waited[event.subject] = at
            case "looped":
                self.looped.add(event.subject)
            case "detached":
                self.outages[event.subject.rpartition("/")[0]] += 1
            case _:
                self._turn(event)

    def _turn(self, event: Event) -> None:
        """Take in what is of the run as a whole."""
        match event.type:
            case "cancel":
                self.cancel = event.data
            case "stopping":
                if self.stopping is None:
                    self.cut_short = "finally" not in self.begun()
                self.stopping = event.data
            case "left":
                self.left = True
            case "resumed":
                self._resume()
            case "closed" | "settled":
                self.closed = {**(self.closed or {}), **event.data}

    def _resume(self) -> None:
        """Rule 1: who lets go of a run and resumes it wants the rest; a wish to end it stands.

        Rule 2: a run that was told to end, and came to ``finally``, only does that to its end.
        Rule 3: the time of a group that nothing is recorded of begins anew.
        """
        begun = self.begun()
        if self.left:
            ending = self.cut_short and "finally" in begun
            self.stopping = {**(self.stopping or {}), "level": 1} if ending else None
            self.left = False
        self.entered = {path: at for path, at in self.entered.items() if path in begun}

    def _start(self, event: Event, at: float) -> None:
        path, target, number = split(event.subject)
        attempt = Attempt(number, started=at)
        attempt.first = self.events
        attempt.deadline = float(str(event.data.get("deadline_ms") or 3_600_000)) / 1000
        self.attempts.setdefault(path, {})[target] = attempt
        self.running += 1

    def _finish(self, event: Event, at: float) -> None:
        path, target, number = split(event.subject)
        known = self.attempts.setdefault(path, {}).get(target)
        if known and known.number > number:
            return  # late news of an attempt that another one followed
        if known and event.type == "lost" and not (known.running or known.lost):
            return  # it is known by now
        attempt = Attempt(number, started=at, begun=False)
        if known and known.number == number:
            attempt = known
            self.running -= known.running
        attempt.ended = at
        attempt.last = self.events
        attempt.lost = event.type == "lost"
        attempt.outcome = str(event.data.get("outcome") or Outcome.UNKNOWN)
        attempt.message = str(event.data.get("message") or event.data.get("reason") or "")
        attempt.stop = str(event.data.get("stop") or "")
        outputs = event.data.get("outputs")
        given = outputs if isinstance(outputs, Mapping) else {}
        attempt.outputs = {name: value for name, value in given.items() if clear(value)}
        self.forgotten = self.forgotten or len(attempt.outputs) < len(given)
        self.attempts[path][target] = attempt

    def _again(self, event: Event) -> None:
        path, target, number = split(event.subject)
        attempt = self.attempts.get(path, {}).get(target)
        if attempt is None or attempt.number != number:
            return
        self.uncounted[f"{path}@{target}"] += 1
        if event.data.get("begun"):
            attempt.again = True
            return
        self.running -= attempt.running
        del self.attempts[path][target]
        self.numbers[f"{path}@{target}"] = number + 1

    def remember(self, path: str, target: str, outputs: Mapping[str, Json]) -> None:
        """Keep outputs with their secrets in memory; the records hold them masked."""
        self.attempts[path][target].outputs = outputs

    def unlearn(self) -> None:
        """Forget what :mod:`decide` found out; what is recorded stays."""
        self.tallies.clear()
        self.loops.clear()
        self.courses.clear()
        self.done.clear()

    def begun(self) -> set[str]:
        """The paths at or below which something is recorded."""
        found = {name for path in self.attempts for name in lineage(path)}
        for names in (self.skipped, self.looped, self.waiting, self.waited):
            found |= {name for path in names for name in lineage(path.partition("@")[0])}
        return found

    def unfinished(self, *, lost: bool = False) -> Iterator[tuple[str, str, Attempt]]:
        """Every attempt that was started and has not ended; ``lost``: or whose end is unknown."""
        for path, targets in self.attempts.items():
            for target, attempt in targets.items():
                if attempt.running or (lost and attempt.lost):
                    yield path, target, attempt


def split(subject: str) -> tuple[str, str, int]:
    """``path@target/attempt`` → its three parts. A target's name has no ``@`` and no ``/``."""
    name, _, number = subject.rpartition("/")
    path, _, target = name.rpartition("@")
    return path, target, int(number)


def lineage(path: str) -> Iterator[str]:
    """A path of a run and all above it, with and without the key of what each is done for."""
    for end in (*(place.start() for place in _SLASH.finditer(path)), len(path)):
        yield path[:end]
        yield path[:end].rpartition("[")[0] or path[:end]


def clear(value: Json) -> bool:
    """Whether nothing in ``value`` is masked."""
    match value:
        case str():
            return MASK not in value
        case Mapping():
            return all(clear(item) for item in value.values())
        case list() | tuple():
            return all(clear(item) for item in value)
    return True
