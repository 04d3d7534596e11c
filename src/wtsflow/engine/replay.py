"""Taking up a run where its records leave it.

``decide`` knows more by heart than is written down: which steps it found to be over, in which
order targets failed, what a loop goes through. All of that followed from the records as they were
then. Rule: whoever takes up a run decides again at every time at which something was written, and
does nothing of it, so that it knows what the process before it knew.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from wtsflow.engine.decide import decide
from wtsflow.engine.scope import Names
from wtsflow.model.record import Record


def replay(names: Names, records: Iterable[Record]) -> None:
    """Take the records of a run, in their order, into ``names.state``."""
    state = names.state
    wake = float("inf")
    for time, together in groupby(records, key=lambda record: record.time):
        now = seconds(time)
        if wake <= now:
            decide(names, now)
        for record in together:
            state.apply(record.event, now)
        wake = decide(names, now).wake


def seconds(time: str) -> float:
    """A record's time as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()
