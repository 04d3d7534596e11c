"""What we change of paramiko's transport: the algorithms, and what it would throw away.

paramiko has no public hooks for these; each is held by a test against a real server.
"""
# ruff: noqa: SLF001

import logging
import socket
from collections.abc import Callable
from typing import Any, ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from wtsflow.transports.host_key import ALGORITHMS

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

logging.getLogger("paramiko").addHandler(logging.NullHandler())


_CHANNEL: Any = paramiko.Channel


def _channel_request(channel: Any, message: paramiko.Message) -> None:
    """Keep the name of the signal that ended a process; paramiko throws it away."""
    at = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.exit_signal = message.get_text()
        channel.status_event.set()
        return
    message.packet.seek(at)
    _CHANNEL._handle_request(channel, message)


def verify(key: bytes, signed: bytes, signature: bytes) -> bool:
    """Whether a signature is a public key's own: a :data:`wtsflow.transports.host_key.Verify`."""
    try:
        kind = paramiko.Message(key).get_text()
        used = paramiko.Message(signature).get_text()
        if used not in ALGORITHMS:
            return False
        found = paramiko.PKey.from_type_string(kind, key)
        return bool(found.verify_ssh_sig(signed, paramiko.Message(signature)))
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError):
        return False


_PARAMIKO: Any = paramiko.Transport
"""Without its types: what we build on here is not in paramiko's public face."""


class Transport(paramiko.Transport):
    """paramiko's transport with our allow-list."""

    _active_check_timeout = 30.0
    """paramiko's thread would wake ten times a second, on each of 200 idle connections; its close
    shuts the socket down first and need not be noticed by polling."""
    _preferred_kex = tuple(name for name in KEX if name in _PARAMIKO._kex_info)
    _preferred_ciphers = CIPHERS
    _preferred_macs = MACS
    _preferred_pubkeys = ALGORITHMS
    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **_PARAMIKO._channel_handler_table,
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


class Socket:
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
