"""The open connections of one run: at most one for each target, shared by its tasks."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from wtsflow.errors import ConnectError
from wtsflow.model.plan import Target
from wtsflow.ports import Credentials, Session, Transport

PATIENCE = 10.0
"""Seconds in which connections have to end; those that do not are let go of."""


class Sessions:
    """Opens a session when it is first asked for. Thread-safe."""

    def __init__(
        self, transports: Mapping[str, Callable[[], Transport]], credentials: Credentials
    ) -> None:
        self._make = transports
        self._credentials = credentials
        self._transports: dict[str, Transport] = {}
        self._open: dict[str, Session] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._closed = False

    def get(self, target: Target) -> Session:
        """The session to a target. Raises ConnectError: nothing ran there."""
        with self._lock:
            transport = self._transport(target)
            lock = self._locks.setdefault(target.name, threading.Lock())
        with lock:
            with self._lock:
                session = self._open.get(target.name)
            if session is None:
                session = transport.connect(target, self._credentials)
                self._keep(target, session)
            return session

    def _keep(self, target: Target, session: Session) -> None:
        with self._lock:
            if not self._closed:
                self._open[target.name] = session
                return
        session.close()
        raise ConnectError(f"{target.name}: the run is over")

    def _transport(self, target: Target) -> Transport:
        if target.transport not in self._make:
            raise ConnectError(
                f"{target.name}: there is no transport '{target.transport}'",
                cure=f"use one of: {', '.join(sorted(self._make))}",
            )
        if target.transport not in self._transports:
            self._transports[target.transport] = self._make[target.transport]()
        return self._transports[target.transport]

    def drop(self, target: Target, lost: Session) -> None:
        """Forget a session that was lost; the next task opens another.

        Another task may have done both before: what it opened stays.
        """
        with self._lock:
            if self._open.get(target.name) is not lost:
                return
            del self._open[target.name]
        lost.close()

    def close(self, patience: float = PATIENCE) -> None:
        """End every session, all at once, and wait ``patience`` seconds at most for it."""
        with self._lock:
            self._closed = True
            left = list(self._open.values())
            self._open.clear()
        todo = iter(left)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    session = next(todo, None)
                if session is None:
                    return
                with suppress(Exception):
                    session.close()

        threads = [
            threading.Thread(target=work, name=f"close {number}", daemon=True)
            for number in range(min(32, len(left)))
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
