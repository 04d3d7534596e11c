"""How runs are listed: as a table, as JSON, one JSON a line, or CSV."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wtsflow.cli.common import document, frame, write, write_bytes
from wtsflow.cli.kept import CUT, STANDINGS, driven, local, short_ids, status, until
from wtsflow.cli.tables import needed, table

if TYPE_CHECKING:
    from wtsflow.journals.summary import Summary

    Asked = Mapping[str, Any]


class ListFormat(StrEnum):
    """How a list of runs is printed."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


RUNNING = "running"
WORDS: Mapping[str, str] = {
    "open": "open",
    RUNNING: "active",
    "cut-off": "active",
    CUT: "active",
    "parked": "parked",
    "detached": "left",
}
"""What ``--status`` takes beside how runs end: as the journal has it."""

_COLUMNS = (
    *("run", "started", "ended", "status", "standing", "exit", "workflow", "version", "title"),
    *("environment", "mode", "origin", "origin_of", "targets", "actor", "ticket", "due", "waits"),
)
"""Of the CSV."""


def chosen(find: Callable[..., "list[Summary]"], said: str, limit: int) -> "list[Summary]":
    """The runs of the statuses in ``said`` (``failed,cut-off``); ``find`` asks the journal.

    Whether a process performs a run is asked for the runs in question only.
    """
    words = [word.strip() for word in said.split(",") if word.strip()]
    asked = {WORDS.get(word, word) for word in words} or None
    gone = CUT in words or "cut-off" in words
    if "active" not in (asked or ()) or (gone and RUNNING in words) or "open" in words:
        return find(status=asked, limit=limit)
    found = []
    for run in find(status=asked, limit=0):
        if run.status or run.standing or driven(run.run) is not gone:
            found.append(run)
        if limit and len(found) == limit:
            break
    return found


def show(runs: "Sequence[Summary]", format_: ListFormat, *, waiting: bool) -> None:
    """Print them."""
    match format_:
        case ListFormat.JSON:
            document({"schema": "wtsflow.runs/1", "runs": [facts(run) for run in runs]})
        case ListFormat.JSONL:
            if runs:
                write(frame().stdout, "\n".join(json.dumps(facts(run)) for run in runs))
        case ListFormat.CSV:
            write_bytes(_csv(runs))
        case ListFormat.TEXT:
            _table(runs, waiting=waiting)


def facts(run: "Summary") -> dict[str, Any]:
    """A run as data: times are RFC 3339; ``standing`` says whether a process performs it."""
    alive = not run.status and not run.standing and driven(run.run)
    standing = "ended" if run.status else STANDINGS.get(run.standing, "")
    said = {name: getattr(run, name) for name in run.__slots__}
    return {
        **said,
        "status": run.status or "open",
        "standing": standing or (RUNNING if alive else "cut-off"),
        "ended": run.ended or None,
        "due": None if run.due is None else _rfc3339(run.due),
        "alive": alive,
    }


def _rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _csv(runs: "Sequence[Summary]") -> Iterator[bytes]:
    from wtsflow.audit.reading import harmless, row

    yield row(_COLUMNS)
    for run in runs:
        said = facts(run)
        cells = ("" if said[name] is None else str(said[name]) for name in _COLUMNS)
        yield row([harmless(cell) for cell in cells])


def _table(runs: "Sequence[Summary]", *, waiting: bool) -> None:
    """On a screen that is too narrow ids are cut to what tells them apart."""
    heads: tuple[str, ...] = ("run", "started", "status", "workflow", "env", "why", "targets")
    if waiting:
        heads = ("run", "until", "waits at", "workflow", "env", "why", "targets")
    heads = (*heads, "by", "ticket")
    rows = [(*(_waiting(run) if waiting else _standing(run)), *_rest(run)) for run in runs]
    room = frame().room
    if room is not None and needed(heads, rows) > room:
        ids = short_ids([run.run for run in runs])
        rows = [(ids[run], *others) for run, *others in rows]
    table(heads, rows, keep=3)


def _standing(run: "Summary") -> tuple[str, str, str]:
    begun, goes_on = local(run.started), until(run)
    if goes_on[:4] == begun[:4]:
        goes_on = goes_on[5:]
    return run.run, begun[5:16], status(run) + (f" until {goes_on}" if goes_on else "")


def _waiting(run: "Summary") -> tuple[str, str, str]:
    return run.run, until(run) or "somebody answers", run.waits


def _rest(run: "Summary") -> tuple[str, ...]:
    mode = f" ({run.mode})" if run.mode else ""
    why = f"{run.origin} {run.origin_of}".strip()
    return (
        f"{run.workflow} {run.version}{mode}",
        run.environment,
        why,
        str(run.targets),
        run.actor,
        run.ticket,
    )
