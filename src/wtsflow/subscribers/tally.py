"""What a viewer knows of a run: a fold of its records."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wtsflow.model.record import Record


@dataclass(slots=True)
class Attempt:
    """One attempt of one step on one target; ``ended`` is empty while it runs."""

    path: str
    target: str
    number: int
    title: str = ""
    script: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 1
    started: str = ""
    ended: str = ""
    outcome: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: str = ""
    stop: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    duration_ms: int = 0
    detached: Mapping[str, Any] | None = None
    """While its connection is gone: why, and until when it is tried again."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """What it changed, or in a check would change."""
    again: Mapping[str, Any] | None = None
    """It is followed by another number, whatever came of it: whether it had begun, why, by whom."""

    @property
    def step(self) -> str:
        """The step's place in the workflow: the path without what it is done for."""
        return re.sub(r"\[[^]]*\]", "", self.path)

    @property
    def label(self) -> str:
        """A short name for a person: the path without its own target."""
        return named(self.path.replace(f"[{self.target}]", ""), self.title)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of its output, as far as its record kept them."""
        kept = self.output.get("tail") or ()
        return tuple(kept.splitlines()) if isinstance(kept, str) else tuple(map(str, kept))

    @property
    def last(self) -> bool:
        """Whether no further attempt is allowed by its step."""
        return self.number >= self.attempts

    @property
    def never(self) -> bool:
        """Whether it was found that it had never begun on its target."""
        return self.again is not None and self.again.get("begun") is False


@dataclass(slots=True)
class Tally:
    """A run as far as its records tell. :meth:`add` is the only way in."""

    run: str = ""
    opened: Mapping[str, Any] = field(default_factory=dict)
    begun: str = ""
    time: str = ""
    """Of the latest record."""
    attempts: dict[str, Attempt] = field(default_factory=dict)
    """By ``path@target/number``, in order of their beginning."""
    running: dict[str, Attempt] = field(default_factory=dict)
    busy: Counter[str] = field(default_factory=Counter)
    """How many attempts run on a target."""
    skipped: dict[str, str] = field(default_factory=dict)
    untold: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Those of them that a check cannot tell anything of: why, and on which targets."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Path → until when, in milliseconds since the epoch."""
    stopping: Mapping[str, Any] | None = None
    closed: Mapping[str, Any] | None = None
    cancels: list[Mapping[str, Any]] = field(default_factory=list)
    """Who asked from elsewhere that it ends."""
    parked: Mapping[str, Any] | None = None
    """Set while no process performs it, because it waits: until when, and where."""
    left: Mapping[str, Any] | None = None
    """Set while no process performs it, because that was left by request: why."""
    resumed: list[Mapping[str, Any]] = field(default_factory=list)
    """By whom and where it was gone on with."""
    settled: int = 0
    """How often the truth about an attempt came after the end."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Tally":
        """The fold of a run's records."""
        tally = cls()
        for record in records:
            tally.add(record)
        return tally

    def add(self, record: Record) -> None:
        """Take in the next record."""
        self.run, self.time = record.run, record.time
        event, data = record.event, record.event.data
        match event.type:
            case "opened":
                self.opened, self.begun = data, record.time
            case "started":
                self._start(event.subject, data, record.time)
            case "finished":
                self._end(event.subject, data, record.time)
            case "lost":
                said = {"outcome": "unknown", "message": data.get("reason", ""), **data}
                self._end(event.subject, said, record.time)
            case "again":
                self._again(event.subject, data, record.time)
            case "detached" | "attached" as type_:
                task = event.subject.rpartition("/")[0]
                if attempt := self.attempts.get(task):
                    attempt.detached = data if type_ == "detached" else None
            case "skipped":
                self.skipped[event.subject] = str(data.get("reason", ""))
                if "change" in data:
                    self.untold[event.subject] = data
            case "waiting":
                self.waiting[event.subject] = int(str(data.get("until_ms") or 0))
            case "waited":
                self.waiting.pop(event.subject, None)
            case _:
                self._turn(event.type, data)

    def _turn(self, type_: str, data: Mapping[str, Any]) -> None:
        """What befalls the run as a whole."""
        match type_:
            case "cancel":
                self.cancels.append(data)
            case "stopping":
                self.stopping = data
            case "parked":
                self.parked = data
            case "left":
                self.left = data
            case "resumed":
                self.resumed.append(data)
                self.stopping = self.stopping if self.left is None else None
                self.parked = self.left = None
            case "closed":
                self.closed = data
                self.running.clear()
                self.busy.clear()
            case "settled":
                self.closed = {**(self.closed or {}), **data}
                self.settled += 1

    def _start(self, name: str, data: Mapping[str, Any], time: str) -> None:
        path, target, number = split(name)
        attempt = Attempt(
            path=path,
            target=target,
            number=number,
            title=str(data.get("title") or ""),
            script=data.get("script") or {},
            attempts=int(data.get("attempts") or 1),
            started=time,
        )
        self.attempts[name] = self.running[name] = attempt
        self.busy[target] += 1

    def _end(self, name: str, data: Mapping[str, Any], time: str) -> None:
        path, target, number = split(name)
        if self.running.pop(name, None):
            self.busy[target] -= 1
        attempt = self.attempts.setdefault(name, Attempt(path, target, number, started=time))
        attempt.ended = time
        attempt.detached = None
        attempt.outcome = str(data.get("outcome") or "unknown")
        attempt.message = str(data.get("message") or "")
        attempt.exit_code = data.get("exit_code")
        attempt.signal = str(data.get("signal") or "")
        attempt.stop = str(data.get("stop") or "")
        attempt.outputs = data.get("outputs") or {}
        attempt.output = data.get("output") or {}
        attempt.changes = data.get("changes") or {}
        between = round((seconds(time) - seconds(attempt.started)) * 1000)
        attempt.duration_ms = int(data.get("duration_ms") or between)

    def _again(self, name: str, data: Mapping[str, Any], time: str) -> None:
        """What ran when its process went is done again under another number."""
        attempt = self.attempts.get(name)
        if attempt is None:
            return
        attempt.again = data
        if self.running.pop(name, None):
            self.busy[attempt.target] -= 1
            attempt.ended, attempt.detached = time, None
            attempt.outcome = "skipped" if attempt.never else "unknown"
            attempt.message = str(data.get("why") or "")

    @property
    def standing(self) -> tuple[Attempt, ...]:
        """The attempts that count: those that no other number follows."""
        return tuple(one for one in self.attempts.values() if one.again is None)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the machines that the run is on."""
        return tuple(map(str, self.opened.get("targets") or ()))

    @property
    def status(self) -> str:
        """How it stands: ``running waiting stopping left``, or how it ended."""
        if self.closed is not None:
            return str(self.closed.get("status", ""))
        if self.left is not None:
            return "left"
        if self.parked is not None:
            return "waiting"
        if self.stopping is not None:
            return "stopping"
        return "waiting" if self.waiting and not self.running else "running"

    def latest(self, path: str, target: str) -> Attempt | None:
        """The last attempt of a step on a target."""
        found = [one for one in self.attempts.values() if (one.path, one.target) == (path, target)]
        return found[-1] if found else None


def named(path: str, title: str) -> str:
    """A step's path, with its title instead of a mere number (``step3``) at its end."""
    return re.sub(r"(?<![^/])step\d+$", lambda _: title, path) if title else path


def split(name: str) -> tuple[str, str, int]:
    """``path@target/number`` → its parts."""
    task, _, number = name.rpartition("/")
    path, _, target = task.rpartition("@")
    return path, target, int(number)


def seconds(time: str) -> float:
    """A record's time (RFC 3339) as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()
