"""A transport that plays back signals, and the smallest parts around a runner."""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation import HEAD
from wtsflow import manifest
from wtsflow.clock import SystemClock
from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.runner import Parts, Runner
from wtsflow.engine.state import State
from wtsflow.errors import ConnectError, Vanished
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import LOCAL, Actor, Plan, Target
from wtsflow.model.record import Line, Record, Stop
from wtsflow.model.script import Interface, Language, PinnedScript
from wtsflow.model.values import Json, Secret
from wtsflow.ports import Exited, Idle, Invocation, Output, Signal
from wtsflow.verbs import VERBS

Play = Callable[[str, Invocation], Iterable[Signal | Exception]]
"""(target, invocation) → what its execution gives; an exception in it is raised."""

CONTENT = b"echo\n"


def ok(target: str, invocation: Invocation) -> Iterable[Signal | Exception]:
    return [Output("stdout", f"hello from {target}\n".encode()), Exited(0)]


class Forever:
    """Idles until it is asked to stop."""

    def __init__(self, end: Stop = Stop.CONFIRMED) -> None:
        self.end = end


@dataclass
class Execution:
    play: Iterable[Signal | Exception | Forever]
    stopped: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[Signal]:
        for signal in self.play:
            if isinstance(signal, Exception):
                raise signal
            if isinstance(signal, Forever):
                while not self.stopped.is_set():
                    yield Idle()
                    self.stopped.wait(0.02)
                yield Exited(None, "TERM", stop=signal.end)
                return
            yield signal

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        pass

    def recorded(self) -> None:
        pass


@dataclass
class Scripted:
    """Both the transport and its sessions."""

    play: Play = ok
    down: frozenset[str] = frozenset()
    started: list[tuple[str, Invocation]] = field(default_factory=list)
    before: Callable[[str], None] = lambda target: None

    def connect(self, target: Target, credentials: object) -> "Session":
        if target.name in self.down:
            raise ConnectError(f"{target.name}: connection refused", cure="is it up?")
        return Session(self, target.name)


@dataclass
class Session:
    range: Scripted
    target: str

    def start(self, invocation: Invocation) -> Execution:
        self.range.before(self.target)
        self.range.started.append((self.target, invocation))
        return Execution(self.range.play(self.target, invocation))

    def attach(
        self, invocation: Invocation, *, age: float, stdout: int = 0, stderr: int = 0
    ) -> Execution:
        raise Vanished(f"{self.target}: nothing is kept here")

    def close(self) -> None:
        pass


class Scripts:
    def __init__(self, interface: Interface) -> None:
        self.interface = interface

    def resolve(self, pin: str, **_more: object) -> PinnedScript:
        digest = hashlib.sha256(CONTENT).hexdigest()
        path, version = pin.rsplit("@", 1)
        return PinnedScript(pin, path, version, "c", "b", digest, Language.SHELL, self.interface)

    def read(self, script: PinnedScript) -> bytes:
        return CONTENT


class Nobody:
    def secret(self, name: str) -> Secret | None:
        return None


@dataclass
class Log:
    """An audit log in memory that can be told to fail."""

    records: list[Record] = field(default_factory=list)
    fail: Callable[[Record], Exception | None] = lambda record: None

    def append(self, records: Iterable[Record]) -> None:
        for record in records:
            if error := self.fail(record):
                raise error
            self.records.append(record)


@dataclass
class Ran:
    """What a run left: its state, its records, its lines and the transport."""

    runner: Runner
    state: State
    records: list[Record]
    lines: list[Line]
    range: Scripted

    def data(self, key: str) -> Mapping[str, Json]:
        return next(record.event.data for record in self.records if record.event.key == key)

    def recorded(self) -> list[str]:
        return [record.event.key for record in self.records]


_numbers = itertools.count()


def make(
    folder: Path,
    text: str,
    range_: Scripted,
    *,
    machines: Mapping[str, int],
    values: Mapping[str, Json] | None = None,
    interface: Interface | None = None,
    audit: Log | None = None,
    interrupt: Interrupt | None = None,
    subscribers: tuple = (),
    parallel: int = 50,
    grace: float = 5.0,
    check: bool = False,
) -> tuple[Runner, list[Record | Line]]:
    workflow = manifest.load(HEAD + text, "case.yaml")
    scripts = Scripts(interface or Interface())
    targets = {"local": (Target("local", transport="scripted"),)} | {
        name: tuple(Target(f"{name}{i + 1}", transport="scripted", os="linux") for i in range(n))
        for name, n in machines.items()
    }
    assert LOCAL.name in targets
    plan = Plan(
        workflow,
        {},
        targets,
        {pin: scripts.resolve(pin) for pin in workflow.pins()},
        parallel=parallel,
        grace=grace,
        check=check,
    )
    seen: list[Record | Line] = []
    parts = Parts(
        journal=SqliteJournal(folder / "state" / "journal.sqlite"),
        audit=audit or Log(),
        scripts=scripts,
        verbs=VERBS,
        transports={"scripted": lambda: range_},
        credentials=Nobody(),
        clock=SystemClock(),
        spool=folder / "spool",
        subscribers=(*subscribers, seen.append),
    )
    run = f"RUN{next(_numbers)}"
    runner = Runner(
        plan, run, parts, actor=Actor("me", "1"), values=values or {}, interrupt=interrupt
    )
    return runner, seen


def perform(folder: Path, text: str, range_: Scripted | None = None, **more) -> Ran:
    range_ = range_ or Scripted()
    more.setdefault("machines", {"web": 3})
    runner, seen = make(folder, text, range_, **more)
    state = runner.go({"plan": runner.plan.digest})
    records = [one for one in seen if isinstance(one, Record)]
    lines = [one for one in seen if isinstance(one, Line)]
    runner.parts.journal.close()  # type: ignore[attr-defined]
    return Ran(runner, state, records, lines, range_)


def wait_for(what: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
