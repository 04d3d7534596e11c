"""Which slots of a schedule are due: pure, by the clock that is handed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wtsflow.model.workflow import CatchUp
from wtsflow.schedules.entry import Entry

ON_TIME = timedelta(minutes=5)
"""A slot that is found this late was not missed: whoever calls does not do so every second."""
HORIZON = timedelta(days=7)
"""Slots that are older are not even counted."""
MOST = 100
"""Slots of one schedule that are made up for at once; of more, the newest."""


@dataclass(frozen=True, slots=True)
class Due:
    """``fire`` are to run now, oldest first; ``missed`` counts those that nobody makes up for.

    ``first`` and ``last`` are the oldest and the newest of the missed ones.
    """

    fire: tuple[datetime, ...] = ()
    missed: int = 0
    first: datetime | None = None
    last: datetime | None = None


def lateness(entry: Entry) -> timedelta:
    """How late a slot may still begin."""
    if entry.schedule.catch_up is CatchUp.NONE:
        return ON_TIME
    return max(ON_TIME, timedelta(seconds=entry.schedule.within))


def due(entry: Entry, since: datetime, now: datetime) -> Due:
    """The slots later than ``since``, up to ``now``."""
    if not entry.schedule.enabled:
        return Due()
    slots: list[datetime] = []
    for slot in entry.cron.after(max(since, now - HORIZON), entry.zone):
        if slot > now:
            break
        slots.append(slot)
    early = now - lateness(entry)
    fire = [slot for slot in slots if slot >= early]
    keep = MOST if entry.schedule.catch_up is CatchUp.ALL else 1
    fire = fire[-keep:]
    missed = slots[: len(slots) - len(fire)]
    first, last = (missed[0], missed[-1]) if missed else (None, None)
    return Due(tuple(fire), len(missed), first, last)


def upcoming(entry: Entry, now: datetime) -> datetime | None:
    """The next slot after ``now``; None where there is none any more."""
    return next(entry.cron.after(now, entry.zone), None)
