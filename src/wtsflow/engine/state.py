"""A run's state: a fold of its records, and nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wtsflow.engine.loop import Loop
from wtsflow.engine.status import Status, Tally
from wtsflow.model.record import Event, Outcome, Stop
from wtsflow.model.values import Json


@dataclass(slots=True)
class Attempt:
    """The latest attempt of one step on one target. Times are seconds of the run's clock."""

    number: int
    started: float
    ended: float | None = None
    outcome: str = ""
    message: str = ""
    stop: str = ""
    begun: bool = True
    """False: it ended before anything was sent to its target."""
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
    attempts: dict[str, dict[str, Attempt]] = field(default_factory=dict)
    """Step path → target → latest attempt."""
    skipped: set[str] = field(default_factory=set)
    waiting: dict[str, float] = field(default_factory=dict)
    """Path → when its wait is over."""
    waited: dict[str, float] = field(default_factory=dict)
    stopping: Mapping[str, Json] | None = None
    closed: Mapping[str, Json] | None = None
    running: int = 0
    entered: dict[str, float] = field(default_factory=dict)
    """When a group, loop or item was first allowed to begin."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """How script steps stand on their members, by path."""
    loops: dict[str, Loop] = field(default_factory=dict)
    """How ``for_each`` steps stand on their items, by path."""
    done: dict[str, Status] = field(default_factory=dict)
    """What :mod:`decide` found to be final, by path, so that it looks at nothing twice."""

    def apply(self, event: Event, at: float) -> None:
        """Take in one recorded event, which happened at ``at``."""
        match event.type:
            case "opened":
                self.opened = at
            case "started":
                self._start(event, at)
            case "finished" | "lost":
                self._finish(event, at)
            case "skipped":
                self.skipped.add(event.subject)
            case "waiting":
                self.waiting[event.subject] = float(str(event.data["until_ms"])) / 1000
            case "waited":
                self.waited[event.subject] = at
            case "stopping":
                self.stopping = event.data
            case "closed":
                self.closed = event.data

    def _start(self, event: Event, at: float) -> None:
        path, target, number = split(event.subject)
        self.attempts.setdefault(path, {})[target] = Attempt(number, started=at)
        self.running += 1

    def _finish(self, event: Event, at: float) -> None:
        path, target, number = split(event.subject)
        known = self.attempts.setdefault(path, {}).get(target)
        attempt = Attempt(number, started=at, begun=False)
        if known and known.number == number:
            attempt = known
            self.running -= known.running
        attempt.ended = at
        attempt.outcome = str(event.data.get("outcome") or Outcome.UNKNOWN)
        attempt.message = str(event.data.get("message") or event.data.get("reason") or "")
        attempt.stop = str(event.data.get("stop") or "")
        outputs = event.data.get("outputs")
        attempt.outputs = outputs if isinstance(outputs, Mapping) else {}
        self.attempts[path][target] = attempt

    def remember(self, path: str, target: str, outputs: Mapping[str, Json]) -> None:
        """Keep outputs with their secrets in memory; the records hold them masked."""
        self.attempts[path][target].outputs = outputs

    def unfinished(self) -> Iterator[tuple[str, str, Attempt]]:
        """Every attempt that was started and has not ended."""
        for path, targets in self.attempts.items():
            for target, attempt in targets.items():
                if attempt.running:
                    yield path, target, attempt


def split(subject: str) -> tuple[str, str, int]:
    """``path@target/attempt`` → its three parts. A target's name has no ``@`` and no ``/``."""
    name, _, number = subject.rpartition("/")
    path, _, target = name.rpartition("@")
    return path, target, int(number)
