"""Driving a run at the command line: what ``run``, ``apply`` and ``resume`` share."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeAlias

from wtsflow.cli.common import document, frame, note, stop
from wtsflow.cli.production import confirm
from wtsflow.cli.request import closing_on_error
from wtsflow.cli.signals import heeding
from wtsflow.cli.waiting import shown_by
from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.manner import Answer, Manner
from wtsflow.model.record import Record, Task
from wtsflow.ports import Subscriber

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.runs import Finished, Prepared
    from wtsflow.subscribers.console import Console


class RunFormat(StrEnum):
    """How a run is shown: to a person, as one document at its end, or as a live stream."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


class OnUnknown(StrEnum):
    """What to do about an attempt whose end cannot be known."""

    ASK = "ask"
    ATTACH = "attach"
    DONE = "done"
    AGAIN = "again"
    STOP = "stop"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Driving:
    """``park``: seconds of waiting for which the process stays; ``diff``: show before and after."""

    format: RunFormat = RunFormat.TEXT
    park: float = float("inf")
    unknown: OnUnknown = OnUnknown.ASK
    step: bool = False
    """Ask before each step."""
    diff: bool = False
    yes: bool = False
    """Run in production without asking."""


Drive: TypeAlias = "Callable[[Sequence[Subscriber], Interrupt, Manner], Finished]"


def perform(app: "App", prepared: "Prepared", how: Driving) -> NoReturn:
    """Run the plan to its end and leave with its exit code.

    Production is asked about before. Raises UsageError, RecordError, BusyError.
    """
    with closing_on_error(app):
        confirm(app, prepared, yes=how.yes)
    stop_with(
        app,
        prepared,
        how,
        lambda seen, wish, manner: app.run(prepared, seen, wish, manner=manner),
    )


def stop_with(
    app: "App",
    prepared: "Prepared",
    how: Driving,
    drive: Drive,
    history: Sequence[Record] = (),
    last: "Callable[[Finished], None]" = lambda _finished: None,
) -> NoReturn:
    """Let ``drive`` perform a run, shown as it goes on, and leave with its exit code.

    ``last`` has the last word before that.
    """
    from wtsflow.subscribers.result import result

    with ExitStack() as stack:
        stack.callback(app.close)
        finished = driven(app, prepared, how, drive, history)
        records = app.journal.load(finished.run) if how.format is RunFormat.JSON else []
    if how.format is RunFormat.JSON:
        document(result(records))
    last(finished)
    stop(finished.exit)


def driven(
    app: "App",
    prepared: "Prepared",
    how: Driving,
    drive: Drive,
    history: Sequence[Record] = (),
) -> "Finished":
    """Let ``drive`` perform a run, shown as it goes on; signals are heeded."""
    interrupt = Interrupt()
    with ExitStack() as stack:
        watcher = stack.enter_context(_watcher(app, prepared, how, history))
        shown_by(app, watcher)
        stack.enter_context(heeding(interrupt))
        manner = Manner(
            park=how.park,
            unknown=_judge(how.unknown, watcher, interrupt),
            confirm=_stepping(watcher, interrupt) if how.step else None,
        )
        finished = drive([watcher] if watcher else [], interrupt, manner)
    for _reader, error in finished.detached:
        note(f"the output was cut off ({type(error).__name__}); see: wtsflow runs show latest")
    return finished


def _judge(
    said: OnUnknown, watcher: Subscriber | None, interrupt: Interrupt
) -> Callable[[Task, str], Answer]:
    """Whom to ask about what cannot be known; where nobody can be asked, its target stops."""
    if said is OnUnknown.ATTACH:
        return _once_more()
    if said is not OnUnknown.ASK:
        return lambda _task, _reason: Answer(said)
    ask = getattr(watcher, "ask", None)
    if ask is None:
        return lambda _task, _reason: Answer.STOP

    def asked(task: Task, reason: str) -> Answer:
        question = (
            f"{task.target}: it is not known how '{task.step.title or task.path}' ended: {reason}\n"
            "  attach: look for it once more     done:  somebody looked, it is done\n"
            "  again:  run it once more          stop:  go no further on this target\n"
            "  leave:  decide later, with wtsflow resume"
        )
        word = ask(question, list(Answer), Answer.STOP, over=lambda: interrupt.level > 0)
        return Answer(word)

    return asked


def _once_more() -> Callable[[Task, str], Answer]:
    """Look for each attempt once more, and no more often than that."""
    looked: set[str] = set()

    def answer(task: Task, _reason: str) -> Answer:
        if task.name in looked:
            return Answer.STOP
        looked.add(task.name)
        return Answer.ATTACH

    return answer


def _stepping(watcher: Subscriber | None, interrupt: Interrupt) -> Callable[[Task], bool]:
    """Whom to ask before each step."""
    from wtsflow.cli.partial import Stepping

    return Stepping(getattr(watcher, "ask", lambda *_, **__: "stop"), interrupt)


def _watcher(
    app: "App", prepared: "Prepared", how: Driving, history: Sequence[Record]
) -> AbstractContextManager[Subscriber | None]:
    here = frame()
    match how.format:
        case RunFormat.JSONL:
            from wtsflow.subscribers.jsonl import Stream

            return nullcontext(Stream(here.stdout))
        case RunFormat.JSON:
            if not here.stderr.isatty():
                return nullcontext(None)
            return _console(app, prepared, here.stderr, history, diff=how.diff)
        case RunFormat.TEXT:
            return _console(app, prepared, here.stdout, history, diff=how.diff)


def _console(
    app: "App", prepared: "Prepared", stream: TextIO, history: Sequence[Record], *, diff: bool
) -> "Console":
    import sys

    from wtsflow.subscribers.console import Console

    here = frame()
    console = Console(
        stream,
        app.clock,
        style=here.style(stream),
        live=stream.isatty() and here.environ.get("TERM") != "dumb",
        quiet=here.quiet,
        verbose=here.verbose,
        plan=prepared.plan,
        width=here.width,
        output=lambda run: str(app.spool(run)),
        answers=sys.stdin,
        diff=diff,
    )
    console.recall(history)
    return console
