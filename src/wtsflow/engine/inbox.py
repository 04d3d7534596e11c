"""What workers hand to the run's thread: ends, notes and lines, in the order they came."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.perform import Ended
from wtsflow.model.record import Event, Line
from wtsflow.ports import Clock

BACKLOG = 256
"""Batches of lines that may wait for the run's thread before workers are held back."""

TOGETHER = 1000
"""How much of what has come is taken before the next decision: ends share one write to disk."""


class Inbox:
    """One queue. ``tell`` is called with every line, in the run's thread."""

    def __init__(self, clock: Clock, interrupt: Interrupt, tell: Callable[[Line], None]) -> None:
        self._clock = clock
        self._interrupt = interrupt
        self._tell = tell
        self._queue: queue.SimpleQueue[Ended | Event | list[Line] | None] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(BACKLOG)
        self._over = False
        interrupt.wake = lambda: self._queue.put(None)

    def put(self, came: Ended | Event) -> None:
        """Hand over an end or a note; any thread."""
        self._queue.put(came)

    def show(self, lines: list[Line]) -> None:
        """Hand over lines; blocks while the run's thread is behind. Any thread."""
        while not self._over:
            if self._room.acquire(timeout=1.0):
                self._queue.put(lines)
                return

    def close(self) -> None:
        """Hold nobody back any more."""
        self._over = True

    def take(self, patience: float) -> list[Ended | Event]:
        """Wait for what workers send (at most a second), and take what is there.

        Lines alone decide nothing: they are shown until something ends, the time is over, or an
        interrupt comes. A flood of them holds none of these up for more than a batch.
        """
        until = self._clock.monotonic() + max(0.0, min(patience, 1.0))
        wish = self._interrupt.level
        taken: list[Ended | Event] = []
        with suppress(queue.Empty):
            while not taken:
                left = max(0.0, until - self._clock.monotonic())
                came = self._queue.get(timeout=left)
                self._sort(came, taken)
                if came is None or self._interrupt.level != wish or not left:
                    break
            for _ in range(min(self._queue.qsize(), TOGETHER)):
                if self._interrupt.level != wish:
                    break
                self._sort(self._queue.get_nowait(), taken)
        return taken

    def _sort(self, came: Ended | Event | list[Line] | None, taken: list[Ended | Event]) -> None:
        if isinstance(came, Ended | Event):
            taken.append(came)
        elif came is not None:
            self._room.release()
            for line in came:
                self._tell(line)
