"""Which signals a run heeds."""

import os
import signal

import pytest

from wtsflow.cli.signals import heeding
from wtsflow.engine.runner import Interrupt
from wtsflow.errors import Exit

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, Exit.INTERRUPTED),
        (signal.SIGTERM, Exit.TERMINATED),
        (signal.SIGHUP, Exit.TERMINATED),
    ],
)
def test_a_signal_asks_the_run_to_end_and_what_was_there_comes_back(number, code):
    before = signal.getsignal(number)
    interrupt = Interrupt()
    with heeding(interrupt):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert (interrupt.exit, interrupt.count) == (code, 2)
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
