"""Taking up a run where its records leave it.

``decide`` knows more by heart than is written down: which steps it found to be over, in which
order targets failed, what a loop goes through. All of that followed from the records as they were
then. Rule 1: whoever takes up a run decides again at every time at which something was written, and
does nothing of it, so that it knows what the process before it knew.
Rule 2: ends that were written together with what followed from them were known before that.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby, takewhile

from wtsflow.engine.decide import decide
from wtsflow.engine.scope import Names
from wtsflow.model.record import Record

ENDS = frozenset({"finished", "lost", "again", "detached", "attached"})
"""What workers tell of their tasks."""

WISHES = frozenset({"stopping", "left"})
"""What is heeded before anything is decided."""


def replay(names: Names, records: Iterable[Record]) -> None:
    """Take the records of a run, in their order, into ``names.state``."""
    state = names.state
    wake = float("inf")
    for time, together in groupby(records, key=lambda record: record.time):
        now = seconds(time)
        if wake <= now:
            decide(names, now)
        ends, others = _parted(together)
        for record in ends:
            state.apply(record.event, now)
        if ends and others and others[0].event.type not in WISHES:
            decide(names, now)
        for record in others:
            state.apply(record.event, now)
        wake = decide(names, now).wake


def _parted(together: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """The ends at the beginning of what was written together, and the rest."""
    records = list(together)
    ends = list(takewhile(lambda record: record.event.type in ENDS, records))
    return ends, records[len(ends) :]


def seconds(time: str) -> float:
    """A record's time as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()
