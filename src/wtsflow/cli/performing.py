"""Performing a prepared plan at the command line: what ``run`` and ``apply`` share."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, TextIO

from wtsflow.cli.common import document, frame, note, stop
from wtsflow.cli.signals import heeding
from wtsflow.engine.interrupt import Interrupt
from wtsflow.ports import Subscriber

if TYPE_CHECKING:
    from wtsflow.app import App, Prepared
    from wtsflow.subscribers.console import Console


class RunFormat(StrEnum):
    """How a run is shown: to a person, as one document at its end, or as a live stream."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


def perform(app: "App", prepared: "Prepared", format_: RunFormat) -> NoReturn:
    """Run the plan to its end and leave with its exit code. Raises RecordError."""
    from wtsflow.subscribers.result import result

    interrupt = Interrupt()
    with ExitStack() as stack:
        stack.callback(app.close)
        watcher = stack.enter_context(_watcher(app, prepared, format_))
        stack.enter_context(heeding(interrupt))
        finished = app.run(prepared, [watcher] if watcher else [], interrupt)
        records = app.journal.load(finished.run) if format_ is RunFormat.JSON else []
    for _reader, error in finished.detached:
        note(f"the output was cut off ({type(error).__name__}); see: wtsflow runs show latest")
    if format_ is RunFormat.JSON:
        document(result(records))
    stop(finished.exit)


def _watcher(
    app: "App", prepared: "Prepared", format_: RunFormat
) -> AbstractContextManager[Subscriber | None]:
    here = frame()
    match format_:
        case RunFormat.JSONL:
            from wtsflow.subscribers.jsonl import Stream

            return nullcontext(Stream(here.stdout))
        case RunFormat.JSON:
            shown = here.stderr.isatty()
            return _console(app, prepared, here.stderr) if shown else nullcontext(None)
        case RunFormat.TEXT:
            return _console(app, prepared, here.stdout)


def _console(app: "App", prepared: "Prepared", stream: TextIO) -> "Console":
    from wtsflow.subscribers.console import Console

    here = frame()
    return Console(
        stream,
        app.clock,
        style=here.style(stream),
        live=stream.isatty() and here.environ.get("TERM") != "dumb",
        quiet=here.quiet,
        verbose=here.verbose,
        plan=prepared.plan,
        width=here.width,
        output=lambda run: str(app.spool(run)),
    )
