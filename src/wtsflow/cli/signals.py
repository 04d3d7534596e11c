"""Signals while a run goes on: the first asks what runs to stop, the second does not wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from wtsflow.engine.runner import Interrupt
from wtsflow.errors import Exit

_MEANINGS = {
    "SIGINT": (Exit.INTERRUPTED, "Ctrl-C"),
    "SIGTERM": (Exit.TERMINATED, "SIGTERM"),
    "SIGHUP": (Exit.TERMINATED, "SIGHUP"),
    "SIGBREAK": (Exit.INTERRUPTED, "Ctrl-Break"),
}


@contextmanager
def heeding(interrupt: Interrupt) -> Iterator[None]:
    """Let the signals that this system has call ``interrupt``; put back what was there."""

    def heed(number: int, _frame: FrameType | None) -> None:
        interrupt(*_MEANINGS[signal.Signals(number).name])

    known = [getattr(signal, name) for name in _MEANINGS if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        known.remove(signal.SIGHUP)  # nohup: it is to survive the terminal
    before = {number: signal.signal(number, heed) for number in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
