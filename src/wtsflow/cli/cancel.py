"""``wtsflow cancel``: end a run from another terminal, wherever it stands."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from wtsflow import reopening
from wtsflow.cli import options
from wtsflow.cli.common import Format, document, note, out, stop
from wtsflow.cli.kept import driven as performed, find_run, mapping
from wtsflow.cli.performing import Driving, OnUnknown, RunFormat, driven
from wtsflow.cli.request import closing_on_error, opened
from wtsflow.engine.interrupt import Level
from wtsflow.errors import BusyError, Exit

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.model.record import Event
    from wtsflow.model.values import Json

POLL = 0.2
"""Seconds between two looks whether it has ended."""


def command(
    run: options.Run,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ] = "",
    gently: Annotated[
        bool, typer.Option("--after-step", help="Let what runs finish, and start nothing more.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it has ended; default: yes.")
    ] = True,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """End a run: what runs on its targets is stopped, and it is said whether it stopped.

    The process that performs the run sees the wish within a second. Where that process is gone
    (killed, parked, let go), this one takes its place: it stops on the targets what was left
    running, does 'finally', and closes the run.

    Ends with 0 when all of it stopped, and with 11 when that is not known.

    \b
    Examples:
      wtsflow cancel latest --reason 'wrong ticket'
      wtsflow cancel 01J8Z --after-step
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    app, settings = opened({})
    with closing_on_error(app):
        name = find_run(app.journal, run).run
        level = Level.FINISH if gently else Level.STOP
        alive = reopening.cancel(app, name, reason, level)
        if alive and not wait:
            app.close()
            _say(name, {}, format_)
            return
        while not (alive and _ended(app, name)):
            try:
                _take_over(app, name, Driving(RunFormat(_shown(format_)), settings.park))
                break
            except BusyError:  # somebody resumed it just then, and sees the wish
                alive = True
        said = _result(app, name)
        app.close()
    _say(name, said, format_)
    stop(Exit.SUCCESS if said["confirmed"] else Exit.UNKNOWN)


def _shown(format_: Format) -> str:
    return RunFormat.TEXT if format_ is Format.TEXT else RunFormat.JSON


def _ended(app: "App", run: str) -> bool:
    """Wait for the process that performs it. False: it is gone, and the run is still open."""
    note("waiting for its process to stop what runs (Ctrl-C: stop waiting; it goes on)")
    while True:
        alive = performed(run)
        if any(one.event.key == "closed" for one in app.journal.load(run)):
            return True
        if not alive:
            return False
        time.sleep(POLL)  # noqa: TID251 - a person watches


def _take_over(app: "App", run: str, how: Driving) -> None:
    """Perform the end of a run whose process is gone."""
    prepared = reopening.to_end(app, run)
    drive = Driving(how.format, how.park, OnUnknown.STOP)
    driven(
        app,
        prepared,
        drive,
        lambda seen, wish, manner: app.resume(prepared, run, seen, wish, manner=manner),
        app.journal.load(run),
    )


def _result(app: "App", run: str) -> "dict[str, Json]":
    """How it ended, and whether all that was stopped is known to have stopped."""
    records = app.journal.load(run)
    closed = next((one.event.data for one in records if one.event.key == "closed"), {})
    known: dict[str, Event] = {}
    for event in (one.event for one in records):
        if event.type in ("started", "finished", "lost"):
            known[event.subject] = event
        elif event.type == "again" and not event.data.get("begun"):
            known.pop(event.subject, None)
    unsure = sorted(
        {
            str(last.data.get("target"))
            for last in known.values()
            if last.type != "finished" or last.data.get("stop") == "unconfirmed"
        }
    )
    return {
        "status": str(closed.get("status") or "open"),
        "exit": mapping(closed.get("exit")).get("name"),  # type: ignore[dict-item]
        "confirmed": bool(closed) and not unsure,
        "unconfirmed": list(unsure),
    }


def _say(run: str, said: "Mapping[str, Json]", format_: Format) -> None:
    if format_ is Format.JSON:
        document({"schema": "wtsflow.cancelled/1", "run": run, **said})
    elif not said:
        out(f"{run}: its process was asked to end it; see: wtsflow runs watch {run}")
    elif said["confirmed"]:
        out(f"{run}: {said['status']}; nothing of it is left on its targets")
    else:
        where = ", ".join(str(name) for name in said["unconfirmed"])  # type: ignore[union-attr]
        out(f"{run}: {said['status']}; it is not known whether it stopped on: {where}")
        note(f"look there, or ask again later: wtsflow resume {run}")
