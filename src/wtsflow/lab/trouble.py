"""What may be wrong with a practice host, and the fuse that makes it happen in time."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """Simulated trouble of one host; the default has none.

    ``down``: the connection is refused. ``refuses``: every login is. ``slow``: seconds that it
    thinks before it starts a command. ``hangs``: it takes the connection and never says a word.
    ``drops_after`` / ``freezes_after``: bytes of output of one connection after which that is cut
    / goes silent, with the processes living on.
    """

    down: bool = False
    refuses: bool = False
    slow: float = 0.0
    hangs: bool = False
    drops_after: int | None = None
    freezes_after: int | None = None


class Fuse:
    """Counts the output of one connection, for the two troubles that depend on it."""

    def __init__(self, trouble: Trouble) -> None:
        limits = [n for n in (trouble.drops_after, trouble.freezes_after) if n is not None]
        self._left = min(limits, default=None)
        self._lock = threading.Lock()

    def take(self, size: int) -> int:
        """How many of ``size`` bytes may still be sent; the rest, and all after it, may not."""
        with self._lock:
            if self._left is None:
                return size
            taken = min(size, self._left)
            self._left -= taken
            return taken

    @property
    def blown(self) -> bool:
        """Whether the limit is reached."""
        with self._lock:
            return self._left == 0
