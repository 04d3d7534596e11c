"""Signals while a run goes on: each makes the wish that it ends more urgent."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from wtsflow.engine.interrupt import Interrupt, Level
from wtsflow.errors import Exit

HURRY = 15.0
"""Seconds after SIGTERM by which the process ends: whoever sends it kills soon."""

_MEANINGS: Mapping[str, tuple[Exit, str, Level, float | None]] = {
    "SIGINT": (Exit.INTERRUPTED, "Ctrl-C", Level.FINISH, None),
    "SIGTERM": (Exit.TERMINATED, "SIGTERM", Level.STOP, HURRY),
    "SIGHUP": (Exit.TERMINATED, "SIGHUP", Level.STOP, HURRY),
    "SIGBREAK": (Exit.INTERRUPTED, "Ctrl-Break", Level.STOP, HURRY),
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
