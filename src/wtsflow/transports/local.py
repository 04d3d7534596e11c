"""The machine that wtsflow runs on."""

import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, cast

from wtsflow.errors import ConnectError
from wtsflow.model.plan import Target
from wtsflow.model.values import Json
from wtsflow.ports import Credentials, Session
from wtsflow.transports.supervised import SupervisedSession
from wtsflow.transports.wire import Ended, Piece, Wire

_CHUNK = 1 << 17
_MOMENT = 0.1
"""Seconds in which a supervisor without work removes its folder and ends."""


class Local:
    """Runs scripts here; fulfils :class:`~wtsflow.ports.Transport`.

    ``settings`` may hold ``shell``, the POSIX shell of the supervisor; a target's own win.
    ``environment`` is what scripts get (default: wtsflow's own).
    """

    def __init__(
        self,
        settings: Mapping[str, Json] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = dict(settings or {})
        self._environment = dict(environment) if environment is not None else None

    def connect(self, target: Target, credentials: Credentials) -> Session:
        """A session here; nothing is connected. See :meth:`wtsflow.ports.Transport.connect`."""
        del credentials  # nobody logs in
        if sys.platform == "win32":
            from wtsflow.transports.local_windows import WindowsSession

            return WindowsSession(target.name, self._environment)
        settings = {**self._settings, **target.settings}
        return SupervisedSession(
            target.name, self._open, shell=str(settings.get("shell", "/bin/sh")), limit=1000
        )

    def _open(self, command: tuple[str, ...]) -> Wire:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ConnectError(
                f"{command[0]} cannot be started here: {error.strerror or error}",
                cure="is it installed and executable?",
            ) from None
        return _Pipes(process)


class _Pipes:
    """A process of this machine as a wire."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._input = cast("IO[bytes]", process.stdin)
        self._outputs = (cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr))
        self._selector = selectors.DefaultSelector()
        for file, name in zip(self._outputs, ("stdout", "stderr"), strict=True):
            self._selector.register(file, selectors.EVENT_READ, name)

    def send(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._input.fileno(), view) :]
        except (OSError, ValueError):
            raise Ended("the process does not read any more") from None

    def receive(self, seconds: float) -> Sequence[Piece]:
        if not self._selector.get_map():
            raise self._end()
        pieces: list[Piece] = []
        for key, _ in self._selector.select(max(0.0, seconds)):
            data = os.read(key.fd, _CHUNK)
            if data:
                pieces.append((key.data, data))
            else:
                self._selector.unregister(key.fileobj)
        if not pieces and not self._selector.get_map():
            raise self._end()
        return pieces

    def close(self) -> None:
        self._selector.close()
        for file in (self._input, *self._outputs):
            with suppress(OSError):
                file.close()
        try:
            self._process.wait(_MOMENT)
        except subprocess.TimeoutExpired:
            threading.Thread(target=self._process.wait, daemon=True).start()

    def _end(self) -> Ended:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return Ended("the process closed its streams")
        return Ended(f"the process ended with {code}", code=code)
