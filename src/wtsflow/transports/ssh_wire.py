"""A channel of an SSH connection as a wire."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import paramiko

from wtsflow.transports.wire import Ended, Piece

WINDOW = 2 << 20
"""Bytes that may be on their way to us, per channel: the bound of what an unread one holds."""

PACKET = 32_000
"""Bytes that are sent at once: what fits into a packet."""


class Life(Protocol):
    """What a wire needs of its connection."""

    @property
    def lost(self) -> str:
        """Why the connection is gone; empty while it is there."""
        ...

    @property
    def interval(self) -> float:
        """Seconds of silence after which an answer is asked for."""
        ...

    def pulse(self) -> None:
        """Ask a silent peer for an answer."""
        ...


class _Wake:
    """What paramiko's buffers ring when something comes; they may not silence each other."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def set(self) -> None:
        self.event.set()

    def clear(self) -> None:
        """Only the reader clears it."""


class SshWire:
    """A channel with a process at its end; fulfils :class:`~wtsflow.transports.wire.Wire`."""

    def __init__(self, link: Life, channel: Any) -> None:
        self._link = link
        self._channel = channel
        self._wake = _Wake()
        channel.in_buffer.set_event(self._wake)
        channel.in_stderr_buffer.set_event(self._wake)

    def send(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                sent = self._channel.send(bytes(view[:PACKET]))
                if not sent:
                    raise self._end()
                view = view[sent:]
        except (paramiko.SSHException, OSError, EOFError):
            raise self._end() from None

    def receive(self, seconds: float) -> Sequence[Piece]:
        wake = self._wake.event
        wake.clear()
        pieces = self._collect()
        if pieces:
            return pieces
        if not self._finished() and not wake.wait(min(seconds, self._link.interval)):
            self._link.pulse()
        pieces = self._collect()
        if not pieces and self._finished():
            raise self._end()
        return pieces

    def close(self) -> None:
        with suppress(Exception):
            self._channel.close()

    def _collect(self) -> list[Piece]:
        channel, pieces = self._channel, list[Piece]()
        try:
            if channel.recv_ready():
                pieces.append(("stdout", channel.recv(WINDOW)))
            if channel.recv_stderr_ready():
                pieces.append(("stderr", channel.recv_stderr(WINDOW)))
        except (paramiko.SSHException, OSError, EOFError):
            raise self._end() from None
        return pieces

    def _finished(self) -> bool:
        channel = self._channel
        done: bool = channel.eof_received or channel.closed
        return done and not (channel.recv_ready() or channel.recv_stderr_ready())

    def _end(self) -> Ended:
        channel = self._channel
        channel.status_event.wait(1.0)
        signal = getattr(channel, "exit_signal", "")
        if signal:
            return Ended(f"the supervisor was killed by SIG{signal}", signal=signal)
        if channel.exit_status >= 0:
            return Ended(f"it ended with {channel.exit_status}", code=channel.exit_status)
        return Ended(self._link.lost or "the connection went", lost=True)
