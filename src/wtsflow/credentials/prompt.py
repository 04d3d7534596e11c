"""Secrets that a person types, where there is one: never without a terminal."""

import getpass
import sys
import threading
from collections.abc import Callable, Mapping

from wtsflow.model.values import Secret

UNATTENDED = "WTSFLOW_UNATTENDED"
"""Set (to anything) where no person is: then nothing is asked, and nothing waits for an answer."""


def is_terminal() -> bool:
    """Whether a person can be asked: standard input and standard error are a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


class Prompt:
    """Fulfils :class:`~wtsflow.ports.Credentials`; each name is asked for once per process.

    ``ask`` shows its argument and returns what is typed, unseen.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        ask: Callable[[str], str] = getpass.getpass,
        present: Callable[[], bool] = is_terminal,
    ) -> None:
        self._alone = bool(environment and environment.get(UNATTENDED))
        self._ask = ask
        self._present = present
        self._lock = threading.Lock()
        self._typed: dict[str, Secret | None] = {}

    def secret(self, name: str) -> Secret | None:
        """What a person types, or None where nobody is there to do so, or nothing is."""
        if self._alone or not self._present():
            return None
        with self._lock:
            if name not in self._typed:
                try:
                    value = self._ask(f"Secret '{name}': ")
                except EOFError:
                    value = ""
                self._typed[name] = Secret(value) if value else None
            return self._typed[name]
