"""A run in a list, and how its records make and change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from wtsflow.model.record import Event
from wtsflow.model.values import Json

NAMED = 3
"""How many of the steps that a parked run waits at are named."""

PARKED = "parked"
LEFT = "left"
CHECK = "check"
PRUNE = "prune"
"""A run's ``mode`` when it is the record of what was removed: it is never in a list of runs."""
SCHEDULE = "schedule"
"""The ``mode`` of what is written about a schedule and its slots: in no list of runs either."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in a list. ``status`` is empty while it is open; ``exit`` None; ``ended`` empty.

    ``targets`` counts; ``last`` is the number of its last record, ``audited`` of the last one that
    is known to be in the audit log. ``standing`` says why an open run has no process: ``parked``,
    then with ``due`` (milliseconds since the epoch when it goes on, None: when somebody answers)
    and ``waits`` (the steps that it waits at); ``left`` when its process let go of it on request;
    else empty. ``mode`` is ``check`` or empty. ``origin`` is ``rerun``, ``undo`` or ``schedule``,
    with the run or the schedule in ``origin_of``; else both are empty.
    """

    run: str
    last: int
    audited: int
    workflow: str
    version: str
    title: str
    actor: str
    ticket: str
    targets: int
    status: str
    exit: int | None
    started: str
    ended: str
    due: int | None = None
    standing: str = ""
    waits: str = ""
    environment: str = ""
    mode: str = ""
    origin: str = ""
    origin_of: str = ""


COLUMNS = tuple(field.name for field in fields(Summary))

_GOING: Mapping[str, str | int | None] = {"standing": "", "due": None, "waits": ""}


def changes(event: Event, time: str) -> dict[str, str | int | None]:
    """What a record changes in its run's summary: columns and their values."""
    data = event.data
    match event.type:
        case "opened":
            return _opened(data, time)
        case "parked":
            until = data.get("until_ms")
            due = int(until) if isinstance(until, int | float) and until > 0 else None
            return {"standing": PARKED, "due": due, "waits": _waits(data.get("paths"))}
        case "left":
            return {**_GOING, "standing": LEFT}
        case "resumed":
            return dict(_GOING)
        case "closed":
            return {**_GOING, **_ending(data), "ended": time}
        case "settled":
            return _ending(data)
        case "known" | "claimed" | "paused" | "unpaused" | "refused":
            return {"mode": SCHEDULE}
        case "ended":
            return {**_ending(data), "ended": time}
        case "pruned":
            actor = _mapping(data.get("actor"))
            ended: dict[str, str | int | None] = {"status": "success", "exit": 0, "ended": time}
            return {**ended, "mode": PRUNE, "actor": _text(actor.get("name"))}
        case _:
            return {}


def _opened(data: Mapping[str, Json], time: str) -> dict[str, str | int | None]:
    workflow, actor = _mapping(data.get("workflow")), _mapping(data.get("actor"))
    origin = _mapping(data.get("origin"))
    machines = data.get("targets")
    return {
        "workflow": _text(workflow.get("name")),
        "version": _text(workflow.get("version")),
        "title": _text(workflow.get("title")),
        "actor": _text(actor.get("name")),
        "ticket": _text(data.get("ticket")),
        "targets": len(machines) if isinstance(machines, Sequence | Mapping) else 0,
        "environment": _text(data.get("environment")),
        "mode": CHECK if data.get("check") else "",
        "origin": _text(origin.get("kind")),
        "origin_of": _text(origin.get("run") or origin.get("schedule")),
        "started": time,
    }


def _ending(data: Mapping[str, Json]) -> dict[str, str | int | None]:
    code = _mapping(data.get("exit")).get("code")
    return {
        "status": _text(data.get("status")) or "closed",
        "exit": code if isinstance(code, int) else None,
    }


def targets(event: Event) -> list[str]:
    """The names that an ``opened`` record gives for its targets; nothing for any other."""
    found = event.data.get("targets") if event.type == "opened" else None
    names = found if isinstance(found, Sequence | Mapping) and not isinstance(found, str) else ()
    return [name for name in names if isinstance(name, str)]


def scripts(event: Event) -> list[str]:
    """The SHA-256 of the scripts that an ``opened`` record names; nothing for any other."""
    found = event.data.get("scripts") if event.type == "opened" else None
    listed = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    digests = [_mapping(one).get("sha256") for one in listed]
    return [digest for digest in digests if isinstance(digest, str)]


def _waits(paths: Json) -> str:
    names = [str(path) for path in paths] if isinstance(paths, Sequence) else []
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Json) -> str:
    return "" if value is None else str(value)
