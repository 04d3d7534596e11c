"""One SSH connection by paramiko: opened, believed, logged in to, and lost."""

import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST, cMSG_GLOBAL_REQUEST

from wtsflow.errors import ConnectError, LoginError, SessionLost
from wtsflow.ports import Credentials
from wtsflow.transports import ssh_auth
from wtsflow.transports.ssh_settings import Hop
from wtsflow.transports.ssh_transport import Socket, Transport
from wtsflow.transports.ssh_wire import WINDOW, SshWire
from wtsflow.transports.wire import Refused


class Link:
    """A connection whose other side has not been believed yet; see :meth:`shake`.

    ``place`` names it in errors; ``interval`` and ``count`` say how long silence may last: after
    ``interval`` seconds without a byte an answer is asked for, and again; when ``count`` of them
    have not come the connection is lost.
    """

    def __init__(
        self,
        place: str,
        sock: Any,
        *,
        interval: float = 15.0,
        count: int = 3,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self._interval = interval
        self._count = count
        self._monotonic = monotonic
        self._socket = Socket(sock, monotonic)
        self._asked = monotonic()
        self._asking: threading.Thread | None = None
        self._silence = 0.0
        self._misses = 0
        with self._translating("connected"):
            self.transport: Any = Transport(self._socket)  # type: ignore[arg-type]

    def shake(self, keys: Sequence[str], until: float) -> tuple[str, bytes]:
        """Exchange keys, offering these host key algorithms in this order.

        Returns the algorithm agreed on and the host's key (or certificate), whose signature over
        this exchange is right; whether the key is the host's is for the caller to say. Raises
        ConnectError, also when ``until`` (monotonic) passes.
        """
        transport = self.transport
        transport.wanted_keys = tuple(keys)
        left = max(0.1, until - self._monotonic())
        transport.banner_timeout = transport.handshake_timeout = left
        done = threading.Event()
        with self._translating("spoken to"):
            transport.start_client(event=done)
            if not done.wait(left):
                raise ConnectError(
                    f"{self.place} was silent: no SSH key exchange within the time for it",
                    cure="is there an SSH server on that port? is the machine overloaded?",
                )
            if not transport.is_active():
                raise transport.get_exception() or EOFError
        self._refuse_weak()
        return transport.host_key_type, transport.host_blob

    def _refuse_weak(self) -> None:
        """Terrapin (CVE-2023-48795): no encrypt-then-MAC without strict key exchange."""
        transport = self.transport
        if transport.agreed_on_strict_kex:
            return
        for cipher, mac in (
            (transport.local_cipher, transport.local_mac),
            (transport.remote_cipher, transport.remote_mac),
        ):
            if not cipher.endswith("-gcm@openssh.com") and "-etm@" in mac:
                raise ConnectError(
                    f"{self.place} has no strict key exchange and wants {cipher} with {mac}",
                    cure="update its SSH server (CVE-2023-48795)",
                )

    def log_in(self, hop: Hop, credentials: Credentials, until: float) -> None:
        """Log in. Raises LoginError; ConnectError when the connection or the time ends."""
        self.transport.auth_timeout = max(0.1, until - self._monotonic())
        with self._translating("logged in to"):
            ssh_auth.log_in(self.transport, hop, credentials)

    def open(self, argv: tuple[str, ...]) -> "SshWire":
        """Start a process there. Raises Refused, SessionLost."""
        command = "exec " + shlex.join(argv)
        with self._losing():
            try:
                channel = self.transport.open_channel(
                    "session", window_size=WINDOW, timeout=self._interval * self._count
                )
            except paramiko.SSHException as error:
                if self.transport.is_active() and _is_refusal(error):
                    raise Refused(str(error)) from None
                raise
            self._socket.quick = False
            wire = SshWire(self, channel)
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_REQUEST)
            message.add_int(channel.remote_chanid)
            message.add_string("exec")
            message.add_boolean(False)
            message.add_string(command)
            self.transport._send_user_message(message)  # noqa: SLF001 - exec without waiting for its answer
        return wire

    def tunnel(self, host: str, port: int, seconds: float) -> Any:
        """A stream to another host by way of this one. Raises ConnectError."""
        try:
            with self._translating("used as a jump host"):
                return self.transport.open_channel(
                    "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=seconds
                )
        except paramiko.ChannelException as error:
            raise ConnectError(
                f"{self.place} does not lead to {host}:{port}: {error.text}",
                cure="can the jump host reach it, and does its sshd allow TCP forwarding?",
            ) from None

    def pulse(self) -> None:
        """Ask a silent peer for an answer, and give it up after too many. Never blocks."""
        now, heard = self._monotonic(), self._socket.heard
        if now - max(heard, self._asked) < self._interval:
            return
        self._misses = self._misses + 1 if self._asked > heard else 0
        if self._misses >= self._count:
            self._silence = now - heard
            self.close()
            return
        self._asked = now
        if self._asking is None or not self._asking.is_alive():
            self._asking = threading.Thread(target=self._ask, daemon=True)
            self._asking.start()

    @property
    def lost(self) -> str:
        """Why the connection is gone, as a clause; empty while it is there."""
        if self._silence:
            return f"there was no answer for {self._silence:.1f} s"
        if self.transport.is_active():
            return ""
        return "the connection went"

    @property
    def interval(self) -> float:
        """Seconds of silence after which an answer is asked for."""
        return self._interval

    def close(self) -> None:
        """End the connection; idempotent, never raises."""
        with suppress(Exception):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes paramiko's thread
        with suppress(Exception):
            self.transport.close()
        with suppress(Exception):
            self._socket.close()

    def _ask(self) -> None:
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        with suppress(Exception):
            self.transport._send_user_message(message)  # noqa: SLF001

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise SessionLost(
                f"{self.place}: {self.lost or _said(error)} when a step was to begin",
                cure="nothing of that step ran; what ran before is in the journal",
            ) from None

    @contextmanager
    def _translating(self, action: str) -> Iterator[None]:
        """The one door for paramiko's and the socket's exceptions before anything runs."""
        try:
            yield
        except paramiko.ChannelException:
            raise
        except paramiko.ssh_exception.IncompatiblePeer as error:
            raise ConnectError(
                f"{self.place} and wtsflow have no algorithm in common: {_said(error)}",
                cure="update its SSH server: sha1, cbc and 3des are not used",
            ) from None
        except paramiko.AuthenticationException as error:
            raise LoginError(f"{self.place} refused the login: {_said(error)}") from None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise ConnectError(
                f"{self.place} could not be {action}: {_said(error)}",
                cure="is it up, and is there an SSH server on that port?",
            ) from None


def _is_refusal(error: paramiko.SSHException) -> bool:
    """Of several refusals at once paramiko keeps one: the others get its default text."""
    return isinstance(error, paramiko.ChannelException) or str(error) == "Unable to open channel."


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or ("the connection was closed" if isinstance(error, EOFError) else "")
