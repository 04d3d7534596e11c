"""The open connections of one run: at most one for each target, shared by its tasks."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from wtsflow.errors import ConnectError
from wtsflow.model.plan import Target
from wtsflow.ports import Credentials, Session, Transport


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

    def get(self, target: Target) -> Session:
        """The session to a target. Raises ConnectError: nothing ran there."""
        with self._lock:
            transport = self._transport(target)
            lock = self._locks.setdefault(target.name, threading.Lock())
        with lock:
            session = self._open.get(target.name)
            if session is None:
                session = transport.connect(target, self._credentials)
                self._open[target.name] = session
            return session

    def _transport(self, target: Target) -> Transport:
        if target.transport not in self._make:
            raise ConnectError(
                f"{target.name}: there is no transport '{target.transport}'",
                cure=f"use one of: {', '.join(sorted(self._make))}",
            )
        if target.transport not in self._transports:
            self._transports[target.transport] = self._make[target.transport]()
        return self._transports[target.transport]

    def drop(self, target: Target) -> None:
        """Forget a session that was lost; the next task opens another."""
        with self._lock:
            session = self._open.pop(target.name, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """End every session, several at once."""
        with self._lock:
            sessions = list(self._open.values())
            self._open.clear()
        if sessions:
            with ThreadPoolExecutor(min(32, len(sessions))) as pool:
                list(pool.map(lambda session: session.close(), sessions))
