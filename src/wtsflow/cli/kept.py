"""What the commands that look back share: the journal, a run by its name, times."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow.cli.common import frame
from wtsflow.errors import UsageError
from wtsflow.model.text import did_you_mean

if TYPE_CHECKING:
    from wtsflow.journals.sqlite import SqliteJournal
    from wtsflow.journals.summary import Summary

CUT = "cut off"
"""How a run stands whose process was killed: what ran then has an unknown outcome."""
STANDINGS = {"parked": "parked", "left": "detached"}
"""How an open run stands that has no process, by its summary."""
MANY = 50
"""How many runs are looked at to say which one was meant."""
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@contextmanager
def journal() -> "Iterator[SqliteJournal]":
    """The journal, if there is one; a read-only mounted one as it is. Raises UsageError too."""
    from wtsflow.journals.sqlite import SqliteJournal
    from wtsflow.journals.still import still

    path = frame().state / "journal.sqlite"
    if not path.exists():
        raise UsageError(
            f"nothing was run yet: there is no journal in {frame().state}",
            cure="wtsflow run MANIFEST; or set WTSFLOW_STATE to where it is",
        )
    with closing(SqliteJournal(path) if writable(path) else still(path)) as opened:
        yield opened


def find_run(opened: "SqliteJournal", name: str) -> "Summary":
    """The run of this id, beginning of an id, or ``latest``. Raises UsageError."""
    if name == "latest":
        found = opened.runs(limit=1)
    else:
        found = [run for run in opened.find(name, limit=1) if run.run == name]
        found = found or opened.find(name.upper(), limit=MANY)
    if len(found) == 1:
        return found[0]
    if found:
        amount = str(len(found)) if len(found) < MANY else "many"
        raise UsageError(f"'{name}' is the beginning of {amount} runs", cure="give more of it")
    near = did_you_mean(name, [run.run for run in opened.runs(limit=MANY)])
    raise UsageError(f"there is no run '{name}'", cure=near or "see: wtsflow runs list")


def writable(path: Path) -> bool:
    """Whether an existing file and its folder may be written: not so on a read-only mount."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def driven(run: str) -> bool:
    """Whether a process still performs an open run: one that was killed does not."""
    from wtsflow.files import held

    lock = frame().state / "locks" / f"{run}.lock"  # as app.driver: not imported for a list
    return lock.exists() and writable(lock) and held(lock)


def status(run: "Summary") -> str:
    """How a run stands: how it ended, or one of ``open``, ``cut off``, ``parked``, ``detached``.

    Its process is asked for where nothing else says how it stands.
    """
    if run.status or run.standing:
        return run.status or STANDINGS.get(run.standing, run.standing)
    return "open" if driven(run.run) else CUT


def until(run: "Summary") -> str:
    """When a parked run goes on, by this machine's clock; empty where it waits for no time."""
    return "" if run.due is None else on_clock(run.due)


def on_clock(milliseconds: float) -> str:
    """A moment (since the epoch) on this machine's clock, to the minute."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone():%Y-%m-%d %H:%M}"


def moment(text: str) -> str:
    """A time in UTC as records have it, from ``2h``, ``3d``, a date or RFC 3339."""
    from wtsflow.clock import SystemClock

    if short := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        back = timedelta(**{_UNITS[short[2]]: int(short[1])})
        return (datetime.fromtimestamp(SystemClock().now(), UTC) - back).isoformat()[:26]
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is not a time", cure="write 2h, 3d, 2026-11-01 or 2026-11-01T08:00:00Z"
        ) from None
    return given.astimezone(UTC).isoformat(timespec="microseconds")[:26]


def local(time: str) -> str:
    """A record's time on this machine's clock, to the second."""
    if not time:
        return ""
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}"


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Each run's id, and how much of its beginning tells it from the others (10: its time)."""
    for size in range(10, 26):
        if len({one[:size] for one in ids}) == len(set(ids)):
            return {one: one[:size] for one in ids}
    return {one: one for one in ids}


def mapping(value: object) -> Mapping[str, object]:
    """``value`` if it is a mapping, else nothing."""
    return value if isinstance(value, Mapping) else {}
