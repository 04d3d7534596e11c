"""When to write: at once while it is quiet, every few milliseconds while it is not."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

PERIOD = 0.03
"""Seconds between two writes at most; well below what a person notices."""


class Pace:
    """Calls ``work`` soon after each :meth:`touch`, but not more often than every period.

    ``beat`` seconds: call it also when nothing was touched (a clock on the screen goes on). The
    calls come from whoever touches or from a thread of ours, never two at a time: ``lock`` is held.
    """

    def __init__(
        self,
        work: Callable[[], None],
        now: Callable[[], float],
        *,
        period: float = PERIOD,
        beat: float | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self._work = work
        self._now = now
        self._period = period
        self._beat = beat
        self._last = float("-inf")
        self._wake = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._go, name="console", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.now()

    def touch(self) -> None:
        """Say that there is something to write. Without a thread (not entered) it is done now."""
        if self._thread is None or self._now() - self._last >= self._period:
            self.now()
        else:
            self._wake.set()

    def now(self) -> None:
        """Do the work in the caller's thread."""
        with self.lock:
            self._last = self._now()
            self._work()

    def _go(self) -> None:
        while not self._over.is_set():
            self._wake.wait(self._beat)
            self._wake.clear()
            rest = self._last + self._period - self._now()
            if rest > 0 and self._over.wait(rest):
                return
            self.now()
