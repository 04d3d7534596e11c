"""The threads of a run that perform its tasks."""

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

Work: TypeAlias = tuple[Callable[[], None], str]


class Crew:
    """Threads that are kept for the next task: beginning one costs more than a task's own work.

    They are daemons, so that none that hangs keeps the process from ending.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._size = 0

    def spawn(self, work: Callable[[], None], name: str) -> None:
        """Let a thread do it: one that has nothing to do, else a new one.

        Raises RuntimeError where the system gives no more threads.
        """
        with self._lock:
            free = self._idle > 0
            self._idle -= free
        if not free:
            threading.Thread(target=self._serve, name=name, daemon=True).start()
            self._size += 1
        self._work.put((work, name))

    def _serve(self) -> None:
        while (given := self._work.get()) is not None:
            work, threading.current_thread().name = given
            work()
            with self._lock:
                self._idle += 1

    def close(self) -> None:
        """Let the threads go, each when it has done what it does."""
        for _ in range(self._size):
            self._work.put(None)
