"""One SSH connection by paramiko: what it offers, whom it believes, how it notices silence."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
import logging
import shlex
from typing import Any, ClassVar

import paramiko
from paramiko.common import (
    MSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_REQUEST,
    cMSG_GLOBAL_REQUEST,
)

from wtsflow.errors import ConnectError, LoginError, SessionLost
from wtsflow.ports import Credentials
from wtsflow.transports import ssh_auth
from wtsflow.transports.host_key import ALGORITHMS
from wtsflow.transports.ssh_settings import Hop
from wtsflow.transports.wire import Ended, Piece, Refused

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
WINDOW = 2 << 20
"""Bytes that may be on their way to us, per channel: the bound of what an unread one holds."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())


def _channel_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Keep the name of the signal that ended a process; paramiko throws it away."""
    at = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.exit_signal = message.get_text()  # type: ignore[attr-defined]
        channel.status_event.set()
        return
    message.packet.seek(at)
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined] # noqa: SLF001 - no public hook


def verify(key: bytes, signed: bytes, signature: bytes) -> bool:
    """Whether a signature is a public key's own; see :data:`~wtsflow.transports.host_key.Verify`."""
    try:
        kind = paramiko.Message(key).get_text()
        used = paramiko.Message(signature).get_text()
        if used not in ALGORITHMS:
            return False
        found = paramiko.PKey.from_type_string(kind, key)
        return bool(found.verify_ssh_sig(signed, paramiko.Message(signature)))
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError):
        return False


class _Transport(paramiko.Transport):
    """paramiko's transport with our allow-list."""

    _preferred_kex = tuple(name for name in KEX if name in paramiko.Transport._kex_info)  # type: ignore[attr-defined]
    _preferred_ciphers = CIPHERS
    _preferred_macs = MACS
    _preferred_pubkeys = ALGORITHMS
    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _channel_request,
    }
    wanted_keys: tuple[str, ...] = ALGORITHMS
    host_blob = b""

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self.wanted_keys

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        super()._verify_key(host_key, sig)  # type: ignore[misc]
        self.host_blob = host_key


class _Socket:
    """A socket that knows when it last heard something and asks for quick acknowledgements."""

    def __init__(self, inner: Any, monotonic: Callable[[], float]) -> None:
        self._inner = inner
        self._monotonic = monotonic
        self.heard = monotonic()
        self.quick = hasattr(socket, "TCP_QUICKACK") and isinstance(inner, socket.socket)

    def recv(self, size: int) -> bytes:
        data: bytes = self._inner.recv(size)
        self.heard = self._monotonic()
        if self.quick:
            self._inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Link:
    """A connection whose other side has not been believed yet; see :meth:`shake`.

    ``place`` names it in errors; ``interval`` and ``count`` say how long silence may last: after
    ``interval`` seconds without a byte an answer is asked for, and after ``interval * count``
    the connection is lost.
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
        self._socket = _Socket(sock, monotonic)
        self._asked = monotonic()
        self._asking: threading.Thread | None = None
        self._silent = False
        with self._translating("connected"):
            self.transport = _Transport(self._socket)
        self.transport.daemon = True

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
            except paramiko.ChannelException as error:
                raise Refused(str(error)) from None
            self._socket.quick = False
            wire = SshWire(self, channel)
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_REQUEST)
            message.add_int(channel.remote_chanid)
            message.add_string("exec")
            message.add_boolean(False)  # noqa: FBT003 - no answer is waited for
            message.add_string(command)
            self.transport._send_user_message(message)  # type: ignore[attr-defined] # noqa: SLF001
        return wire

    def tunnel(self, host: str, port: int, seconds: float) -> paramiko.Channel:
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
        now = self._monotonic()
        silence = now - self._socket.heard
        if silence > self._interval * self._count:
            self._silent = True
            self.close()
        elif silence > self._interval and now - self._asked > self._interval:
            self._asked = now
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=self._ask, daemon=True)
                self._asking.start()

    @property
    def lost(self) -> str:
        """Why the connection is gone, as a clause; empty while it is there."""
        if self._silent:
            return f"there was no answer for {self._interval * self._count:g} s"
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
            self._socket.close()
        with suppress(Exception):
            self.transport.close()

    def _ask(self) -> None:
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)  # noqa: FBT003 - the answer is the point
        with suppress(Exception):
            self.transport._send_user_message(message)  # type: ignore[attr-defined] # noqa: SLF001

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as error:
            if isinstance(error, paramiko.ChannelException):
                raise
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


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or ("the connection was closed" if isinstance(error, EOFError) else "")


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

    def __init__(self, link: Link, channel: paramiko.Channel) -> None:
        self._link = link
        self._channel = channel
        self._wake = _Wake()
        channel.in_buffer.set_event(self._wake)  # type: ignore[arg-type]
        channel.in_stderr_buffer.set_event(self._wake)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                sent = self._channel.send(bytes(view[:32_000]))
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

    def signal(self, name: str) -> None:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self._channel.remote_chanid)
        message.add_string("signal")
        message.add_boolean(False)  # noqa: FBT003 - RFC 4254, 6.9: no answer
        message.add_string(name)
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._link.transport._send_user_message(message)  # type: ignore[attr-defined] # noqa: SLF001

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
        done = channel.eof_received or channel.closed
        return done and not channel.recv_ready() and not channel.recv_stderr_ready()

    def _end(self) -> Ended:
        channel = self._channel
        channel.status_event.wait(1.0)
        signal = getattr(channel, "exit_signal", "")
        if signal:
            return Ended(f"the supervisor was killed by SIG{signal}", signal=signal)
        if channel.exit_status >= 0:
            return Ended(f"it ended with {channel.exit_status}", code=channel.exit_status)
        return Ended(self._link.lost or "the connection went", lost=True)
