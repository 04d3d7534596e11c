"""Performing one task in a worker: everything between its ``started`` and ``finished`` records."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeAlias

from wtsflow.engine.lines import LineSplitter
from wtsflow.engine.redact import Redactor, StreamRedactor
from wtsflow.engine.sessions import Sessions
from wtsflow.engine.spool import Spool, file_name
from wtsflow.errors import ConnectError, NotBegun, SessionLost, WtsflowError
from wtsflow.model.plan import Plan, Target
from wtsflow.model.record import Event, Line, Outcome, Result, Task
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json, Secret
from wtsflow.ports import Clock, Credentials, Execution, ScriptSource, Session, Verb

Show: TypeAlias = Callable[[list[Line]], None]
"""Hands lines to the run's thread; blocks while it is behind."""

Note: TypeAlias = Callable[[Event], None]
"""Hands an event to the run's thread, which numbers and records it."""


@dataclass(slots=True)
class Concealed:
    """The secrets of a run so far, and the redactor that masks them all."""

    secrets: list[Secret] = field(default_factory=list)
    redactor: Redactor = field(default_factory=lambda: Redactor(()))
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, values: Iterable[Json]) -> Self:
        """The secrets among ``values``. Raises InvalidError when one is too short to be masked."""
        found = cls()
        for value in values:
            if isinstance(value, Secret):
                found.add(value)
        return found

    def text(self, text: str) -> str:
        """``text`` with every secret in it masked."""
        return self.redactor.text(text)

    def add(self, secret: Secret) -> None:
        """Mask it from now on. Raises InvalidError when it is too short to be masked."""
        with self.lock:
            if secret not in self.secrets:
                self.redactor = Redactor([*self.secrets, secret])
                self.secrets.append(secret)


@dataclass(slots=True)
class Workshop:
    """What all tasks of a run share."""

    run: str
    plan: Plan
    clock: Clock
    scripts: ScriptSource
    verbs: Mapping[str, Verb]
    sessions: Sessions
    credentials: Credentials
    spool: Path
    show: Show
    note: Note
    concealed: Concealed
    withhold: bool = False

    def perform(
        self, task: Task, arguments: Mapping[str, Json], cancelled: threading.Event
    ) -> "Ended":
        """Do a task and say how it ended. Never raises: what went wrong is the outcome."""
        verb = self.verbs[task.step.verb]
        ended = self._watched(task, cancelled, lambda tools: verb.perform(task, arguments, tools))
        return ended if ended.trace is Trace.LOST else replace(ended, trace=Trace.END)

    def attach(self, task: Task, cancelled: threading.Event) -> "Ended":
        """Pick up a task that another process began, and say how it ended. Never raises."""

        def ask(tools: TaskTools) -> Result:
            try:
                return self.verbs[task.step.verb].attach(task, tools)
            except (NotBegun, SessionLost):
                raise
            except WtsflowError as error:
                raise SessionLost(error.message, cure=error.cure) from error

        return self._watched(task, cancelled, ask)

    def _watched(
        self, task: Task, cancelled: threading.Event, do: Callable[["TaskTools"], Result]
    ) -> "Ended":
        begun = self.clock.monotonic()
        tools = TaskTools(self, task, cancelled)
        result, trace = _outcome(do, tools)
        output: dict[str, Json] = {}
        try:
            output = dict(tools.close())
        except Exception as error:  # noqa: BLE001 - what was done is known all the same
            output = {"error": repr(error)}
        result = replace(result, output=output, duration=self.clock.monotonic() - begun)
        return Ended(task, result, tuple(tools.kept), trace)


class Trace(StrEnum):
    """What is known of a task when its worker is through with it."""

    END = "end"
    """How it ended."""
    NONE = "none"
    """That it never began, where it was to be picked up."""
    LOST = "lost"
    """Not how it ended; that may become known later."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker is through with a task. ``kept`` are told when its end has been recorded."""

    task: Task
    result: Result
    kept: Sequence[Execution] = ()
    trace: Trace = Trace.END


def _outcome(do: Callable[["TaskTools"], Result], tools: "TaskTools") -> tuple[Result, Trace]:
    try:
        return do(tools), Trace.END
    except NotBegun as error:
        return Result(Outcome.UNREACHABLE, _said(error)), Trace.NONE
    except ConnectError as error:
        return Result(Outcome.UNREACHABLE, _said(error)), Trace.END
    except SessionLost as error:
        tools.drop_session()
        return Result(Outcome.UNKNOWN, _said(error)), Trace.LOST
    except WtsflowError as error:
        return Result(Outcome.FAILED, _said(error)), Trace.END
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a defect must not leave the run hanging
        return Result(Outcome.UNKNOWN, f"a defect in wtsflow: {error!r}"), Trace.LOST


def _said(error: WtsflowError) -> str:
    return f"{error.message}: {error.cure}" if error.cure else error.message


class TaskTools:
    """Fulfils :class:`wtsflow.ports.Tools` for one task."""

    def __init__(self, workshop: Workshop, task: Task, cancelled: threading.Event) -> None:
        self.run = workshop.run
        self.plan = workshop.plan
        self.clock = workshop.clock
        self.credentials = workshop.credentials
        self._workshop = workshop
        self._task = task
        self._cancelled = cancelled
        self._streams: dict[str, tuple[StreamRedactor, LineSplitter]] = {}
        self._spool: Spool | None = None
        self._session: tuple[Target, Session] | None = None
        self.kept: list[Execution] = []
        """Executions that are to be told when the task's end has been recorded."""

    def session(self, target: Target) -> Session:
        session = self._workshop.sessions.get(target)
        self._session = target, session
        return session

    def drop_session(self) -> None:
        """Forget the session of this task, which was lost."""
        if self._session is not None:
            with suppress(Exception, SystemExit):
                self._workshop.sessions.drop(*self._session)

    def read(self, script: PinnedScript) -> bytes:
        return self._workshop.scripts.read(script)

    def conceal(self, secret: Secret) -> None:
        self._workshop.concealed.add(secret)

    def masked(self, text: str) -> str:
        return self._workshop.concealed.text(text)

    def detached(self, reason: str, until: float) -> None:
        self.drop_session()
        wall = self.clock.now() + until - self.clock.monotonic()
        data: dict[str, Json] = {"reason": reason, "until_ms": round(wall * 1000)}
        self._note("detached", data)

    def attached(self) -> None:
        self._note("attached", {})

    def _note(self, what: str, data: Mapping[str, Json]) -> None:
        task = self._task
        facts = {"path": task.path, "target": task.target, "attempt": task.attempt, **data}
        self._workshop.note(Event(f"{what}/{task.name}", facts))

    def keep(self, execution: Execution) -> None:
        self.kept.append(execution)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def output(self, stream: str, data: bytes) -> None:
        if self._workshop.withhold:
            return
        redactor, lines = self._stream(stream)
        self._keep(stream, redactor.feed(data), lines)

    def _stream(self, stream: str) -> tuple[StreamRedactor, LineSplitter]:
        if stream not in self._streams:
            redactor = self._workshop.concealed.redactor.stream()
            self._streams[stream] = (redactor, LineSplitter())
        return self._streams[stream]

    def _keep(self, stream: str, data: bytes, lines: LineSplitter) -> None:
        if not data:
            return
        if self._spool is None:
            self._spool = Spool(self._workshop.spool / spool_name(self._task))
        self._spool.write(data)
        self._show(stream, lines.feed(data))

    def _show(self, stream: str, texts: list[str]) -> None:
        if texts:
            task = self._task
            self._workshop.show(
                [Line(self.run, task.path, task.target, stream, text) for text in texts]
            )

    def close(self) -> Mapping[str, Json]:
        """Flush what is held back; return the spool's facts."""
        count = 0
        for stream, (redactor, lines) in self._streams.items():
            self._keep(stream, redactor.close(), lines)
            self._show(stream, lines.close())
            count += redactor.count
        return {**self._spool.close(), "redactions": count} if self._spool else {}


def spool_name(task: Task) -> str:
    """The file name of a task's spool, safe on every system."""
    return file_name(task.name)
