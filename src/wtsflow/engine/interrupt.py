"""The wish that a run ends, and how urgently.

Rule: Ctrl-C once lets what runs finish and starts nothing; twice stops the remote processes,
verified; a third time lets go of them: they go on, and the run can be picked up again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from wtsflow.errors import Exit
from wtsflow.model.values import Json


class Level(IntEnum):
    """How urgently a run is to end; each includes what the one before does."""

    FINISH = 1
    STOP = 2
    DETACH = 3


@dataclass(slots=True)
class Interrupt:
    """Ask a run to end: from a signal handler or another thread, any number of times.

    ``hurry`` (seconds, None: no hurry) is how long after it was said the run lets go of what has
    not ended by then: whoever sends SIGTERM kills soon.
    """

    exit: Exit | None = None
    reason: str = ""
    level: int = 0
    hurry: float | None = None
    wake: Callable[[], None] = field(default=lambda: None)

    def __call__(
        self, code: Exit, reason: str, at_least: Level = Level.FINISH, hurry: float | None = None
    ) -> None:
        """Wish it once more: one level more urgent than before, and ``at_least`` this."""
        self.exit = self.exit or code
        self.reason = self.reason or reason
        self.hurry = hurry if self.hurry is None else self.hurry
        self.level = min(Level.DETACH, max(at_least, self.level + 1))
        self.wake()

    def demand(self, code: Exit, reason: str, level: Level) -> None:
        """Wish it as urgently as ``level``, however often that is said."""
        if self.level < level:
            self(code, reason, level)


def level_of(data: Mapping[str, Json] | None) -> int:
    """The level that a record of a wish holds; 0 where there is none.

    Runs before 0.2 knew one wish, and stopped what ran.
    """
    if data is None:
        return 0
    level = data.get("level", Level.STOP)
    return level if isinstance(level, int) else 0
