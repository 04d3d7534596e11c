"""Which signals a run heeds."""

import os
import signal

import pytest

from wtsflow.cli.signals import heeding
from wtsflow.engine.interrupt import Interrupt
from wtsflow.errors import Exit

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.mark.parametrize(
    ("number", "code", "levels"),
    [
        (signal.SIGINT, Exit.INTERRUPTED, (1, 2, 3, 3)),
        (signal.SIGTERM, Exit.TERMINATED, (2, 3, 3, 3)),
        (signal.SIGHUP, Exit.TERMINATED, (2, 3, 3, 3)),
    ],
)
def test_a_signal_asks_the_run_to_end_and_what_was_there_comes_back(number, code, levels):
    before = signal.getsignal(number)
    interrupt = Interrupt()
    with heeding(interrupt):
        for level in levels:
            signal.raise_signal(number)
            assert interrupt.level == level
    assert interrupt.exit == code
    assert signal.getsignal(number) is before


def test_a_run_under_nohup_survives_the_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt = Interrupt()
    try:
        with heeding(interrupt):
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert interrupt.exit is None
