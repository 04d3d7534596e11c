"""``wtsflow locks``: which run has which target, and which ones wait for it."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import complete
from wtsflow.cli.common import Format, document, frame, note
from wtsflow.cli.kept import short_ids
from wtsflow.cli.tables import needed, table

if TYPE_CHECKING:
    from wtsflow.locks import Locked, Locks

HEADS = ("target", "mode", "run", "by", "for", "state", "workflow", "ticket")


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="[TARGET]",
            help="Only targets of this name; * and ? match.",
            autocompletion=complete.targets,
        ),
    ] = "*",
    run: Annotated[
        str,
        typer.Option(
            "--run", metavar="RUN", help="Only of this run.", autocompletion=complete.runs
        ),
    ] = "",
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Show which run has which target, since when, and who waits for it.

    A run has its targets for as long as a process performs it: 'shared' together with others,
    'exclusive' alone, where a script may run whose sidecar says 'exclusive: true'. A run that
    is 'gone' was killed: it keeps nobody off its targets. What other machines do, and runs with
    another state folder (WTSFLOW_STATE), is not seen.

    \b
    Examples:
      wtsflow locks
      wtsflow locks 'web*'
      wtsflow locks --run 01J8ZQ4T --format json
      wtsflow run disk/clean-up --wait 5m      wait for them
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.clock import SystemClock

    with _locks() as locks:
        found = [
            one
            for one in (locks.listed() if locks else ())
            if fnmatchcase(one.claim.name.lower(), target.lower())
            and one.holder.run.startswith(run.upper())
        ]
    now = SystemClock().now()
    if format_ is Format.JSON:
        document({"schema": "wtsflow.locks/1", "locks": [_facts(one, now) for one in found]})
    elif found:
        _table(found, now)
    else:
        note("no target is locked" + (" that is asked for" if target != "*" or run else ""))


@contextmanager
def _locks() -> "Iterator[Locks | None]":
    """The table of claims, where a run has made one."""
    from wtsflow.files import held
    from wtsflow.locks import Locks
    from wtsflow.runs import driver

    state = frame().state
    path = state / "locks.sqlite"
    if not path.exists():
        yield None
        return
    with closing(Locks(path, lambda run: held(driver(state, run)))) as opened:
        yield opened


def _state(one: "Locked") -> str:
    if not one.alive:
        return "gone"
    return "waits" if one.waiting else "has it"


def _table(found: "Sequence[Locked]", now: float) -> None:
    from wtsflow.locks import lasting

    rows = [
        (
            one.claim.name,
            str(one.claim.mode),
            one.holder.run,
            one.holder.actor,
            lasting(now - one.holder.since),
            _state(one),
            one.holder.workflow,
            one.holder.ticket,
        )
        for one in found
    ]
    room = frame().room
    if room is not None and needed(HEADS, rows) > room:
        ids = short_ids([row[2] for row in rows])
        rows = [(*row[:2], ids[row[2]], *row[3:]) for row in rows]
    table(HEADS, rows, keep=6)


def _facts(one: "Locked", now: float) -> dict[str, Any]:
    return {
        "target": one.claim.name,
        "machine": one.claim.target,
        "mode": str(one.claim.mode),
        "run": one.holder.run,
        "waiting": one.waiting,
        "alive": one.alive,
        "since_ms": round(one.holder.since * 1000),
        "age_s": max(0, round(now - one.holder.since)),
        "actor": one.holder.actor,
        "host": one.holder.host,
        "pid": one.holder.pid,
        "workflow": one.holder.workflow,
        "ticket": one.holder.ticket,
    }
