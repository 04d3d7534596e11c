"""Asking a person at the terminal while a run goes on."""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

from wtsflow.model.terminal import visible

TICK = 0.1
"""Seconds between two looks whether the question is still open."""
LONGEST = 200
"""Characters of an answer that are looked at."""


class Answers:
    """Lines that a person types.

    They are read in a thread of our own, so that a question can be given up: nothing else wakes
    a process that reads from a terminal, on every system. The thread is begun with the first
    question and reads one line for each.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reading = False
        self._over = False

    @property
    def there(self) -> bool:
        """Whether somebody can answer."""
        if self._stream is None or self._over:
            return False
        try:
            return self._stream.isatty()
        except ValueError:  # closed
            return False

    def ask(
        self,
        question: str,
        choices: Sequence[str],
        default: str,
        screen: TextIO,
        over: Callable[[], bool],
    ) -> str:
        """One of ``choices``, by its word or a beginning that only it has; see ``Console.ask``."""
        self._forget()
        said = visible(question, keep="\n")
        prompt = f"{said}\n[{'/'.join(choices)}] ({default}) "
        while True:
            screen.write(prompt)
            screen.flush()
            typed = self._line(over)
            if typed is None:
                screen.write("\n")
                return default
            word = typed.strip().lower()[:LONGEST]
            meant = [choice for choice in choices if choice.lower().startswith(word)]
            meant = [choice for choice in choices if choice.lower() == word] or meant
            if not word:
                return default
            if len(meant) == 1:
                return meant[0]
            prompt = f"one of {', '.join(choices)}, or its beginning: "

    def _forget(self) -> None:
        """What was typed before the question is no answer to it."""
        while not self._lines.empty():
            self._over = not self._lines.get() or self._over
        try:
            import termios
        except ImportError:  # Windows
            return
        assert self._stream is not None  # noqa: S101 - ``there`` was looked at
        with suppress(OSError, ValueError, termios.error):
            termios.tcflush(self._stream.fileno(), termios.TCIFLUSH)

    def _line(self, over: Callable[[], bool]) -> str | None:
        """What is typed next; None: nothing will be."""
        if not self._reading:
            self._reading = True
            threading.Thread(target=self._read, name="answers", daemon=True).start()
        while not over():
            try:
                line = self._lines.get(timeout=TICK)
            except queue.Empty:
                continue
            self._over = not line
            return line or None
        return None

    def _read(self) -> None:
        """Read one line; a question that was given up leaves it to the next."""
        assert self._stream is not None  # noqa: S101 - ``there`` was looked at
        try:
            line = self._stream.readline()
        except (OSError, ValueError):  # the terminal is gone
            line = ""
        self._reading = False
        self._lines.put(line)
