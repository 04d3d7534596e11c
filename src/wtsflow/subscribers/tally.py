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
    waiting: dict[str, int] = field(default_factory=dict)
    """Path → until when, in milliseconds since the epoch."""
    stopping: Mapping[str, Any] | None = None
    closed: Mapping[str, Any] | None = None

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
            case "skipped":
                self.skipped[event.subject] = str(data.get("reason", ""))
            case "waiting":
                self.waiting[event.subject] = int(str(data.get("until_ms") or 0))
            case "waited":
                self.waiting.pop(event.subject, None)
            case "stopping":
                self.stopping = data
            case "closed":
                self.closed = data
                self.running.clear()

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
        attempt.outcome = str(data.get("outcome") or "unknown")
        attempt.message = str(data.get("message") or "")
        attempt.exit_code = data.get("exit_code")
        attempt.signal = str(data.get("signal") or "")
        attempt.stop = str(data.get("stop") or "")
        attempt.outputs = data.get("outputs") or {}
        attempt.output = data.get("output") or {}
        between = round((seconds(time) - seconds(attempt.started)) * 1000)
        attempt.duration_ms = int(data.get("duration_ms") or between)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the machines that the run is on."""
        return tuple(map(str, self.opened.get("targets") or ()))

    @property
    def status(self) -> str:
        """How it stands: ``running``, ``waiting``, ``stopping``, or how it ended."""
        if self.closed is not None:
            return str(self.closed.get("status", ""))
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
