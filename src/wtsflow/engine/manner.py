"""How a run is driven: none of it decides what the run does."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from wtsflow.model.record import Task


class Answer(StrEnum):
    """What to do about an attempt whose end cannot be known."""

    ATTACH = "attach"
    """Try once more to pick it up."""
    DONE = "done"
    """Take it as done: somebody looked."""
    AGAIN = "again"
    """Run it once more: somebody looked, or does not mind."""
    STOP = "stop"
    """Leave it unknown: its target goes no further."""
    LEAVE = "leave"
    """Decide nothing now: the process ends, the run stays open."""


def stop(_task: Task, _reason: str) -> Answer:
    """What is decided where nobody can be asked."""
    return Answer.STOP


@dataclass(frozen=True, slots=True)
class Manner:
    """``park``: a wait that is longer (seconds) ends the process and leaves only records.

    ``unknown`` is asked about an attempt of an earlier process whose end could not be found out,
    with the reason; ``confirm``, where given, about each step before it begins: False skips it.
    Both are called in the run's thread.
    """

    park: float = float("inf")
    unknown: Callable[[Task, str], Answer] = stop
    confirm: Callable[[Task], bool] | None = None
