"""What a supervised session needs of a connection: a process there and its three streams."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

Stream: TypeAlias = Literal["stdout", "stderr"]
Piece: TypeAlias = tuple[Stream, bytes]


class Ended(Exception):
    """Nothing more comes from a wire. ``reason`` says why, as a clause without a full stop.

    ``code`` is the exit code of the process behind it, ``signal`` the name of what killed it,
    ``lost`` whether the connection went rather than the process ended.
    """

    def __init__(
        self, reason: str, *, code: int | None = None, signal: str = "", lost: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.signal = signal
        self.lost = lost


class Refused(Exception):
    """The connection is fine, but it takes no further channel (MaxSessions)."""


class Wire(Protocol):
    """One process on the target, reached by its standard streams."""

    def send(self, data: bytes) -> None:
        """Hand all of it to standard input; blocks while the other side does not read.

        Raises Ended.
        """
        ...

    def receive(self, seconds: float) -> Sequence[Piece]:
        """What has come, waiting at most ``seconds`` for it; empty when nothing came.

        Raises Ended when nothing more can come: all that came before has been returned.
        """
        ...

    def close(self) -> None:
        """Let go; idempotent, never raises."""
        ...


Open: TypeAlias = Callable[[tuple[str, ...]], Wire]
"""Start a process by its argument vector. Raises Refused, ConnectError, SessionLost."""
