"""The server side of SSH, by paramiko: one :class:`Link` a connection.

Behaves as OpenSSH's server does with ``PubkeyAuthentication`` only, no terminals, no forwarding,
``MaxSessions 10`` and ``AcceptEnv LANG LC_*``.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    MSG_CHANNEL_REQUEST,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_FAILURE,
    cMSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_SUCCESS,
)
from paramiko.message import Message

from wtsflow.lab.process import CHUNK, Process
from wtsflow.lab.trouble import Fuse, Trouble

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_SESSIONS = 10
_LOG = "wtsflow.lab"
logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False


@dataclass(frozen=True, slots=True)
class Site:
    """What a connection needs to know of its host.

    ``shell`` is the login shell, ``environment`` what it starts with; ``key`` is the one that may
    log in, as ``user``.
    """

    host_key: paramiko.PKey
    user: str
    key: paramiko.PKey
    shell: str
    folder: Path
    environment: Mapping[str, str]
    trouble: Trouble
    nap: Callable[[float], object]
    """Waits so many seconds, or less when the host goes down."""


class Wire(socket.socket):
    """A connection that can freeze: then nothing comes and nothing goes, and nobody is told."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(fileno=sock.detach())
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frozen = False
        self._gone = threading.Event()

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._hold()
        data = super().recv(size, flags)
        self._hold()
        return data

    def send(self, data: "Buffer", flags: int = 0) -> int:
        self._hold()
        return super().send(data, flags)

    def _hold(self) -> None:
        if self.frozen:
            self._gone.wait(0.1)
            raise TimeoutError

    def close(self) -> None:
        self._gone.set()
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        super().close()


@dataclass(slots=True)
class Asked:
    """What a client wants of one channel, and what runs for it."""

    environment: dict[str, str] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    begun: bool = False
    process: Process | None = None
    channel: paramiko.Channel | None = None


@dataclass(slots=True)
class Door(paramiko.ServerInterface):
    """What a host answers to the requests of one client."""

    site: Site
    asked: dict[int, Asked] = field(default_factory=dict)

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko's signature
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == self.site.user and key == self.site.key
        return AUTH_SUCCESSFUL if known and not self.site.trouble.refuses else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != "session":
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        if len(self.asked) >= MAX_SESSIONS:
            return OPEN_FAILED_CONNECT_FAILED
        self.asked[chanid] = Asked()
        return OPEN_SUCCEEDED

    def check_channel_env_request(
        self, channel: paramiko.Channel, name: bytes, value: bytes
    ) -> bool:
        text = name.decode("ascii", "replace")
        accepted = text == "LANG" or text.startswith("LC_")
        if accepted:
            said = value.decode("utf-8", "replace").replace("\0", "")
            self.asked[channel.chanid].environment[text] = said
        return accepted

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return self._take(channel, [self.site.shell])

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if b"\0" in command:
            return False
        return self._take(
            channel, [self.site.shell, "-c", command.decode(errors="surrogateescape")]
        )

    def _take(self, channel: paramiko.Channel, argv: list[str]) -> bool:
        """Once a channel: the process starts when the client has been told yes."""
        asked = self.asked[channel.chanid]
        if asked.argv:
            return False
        asked.argv = argv
        return True


def _request(channel: paramiko.Channel, message: Message) -> None:
    """Answer a channel request: paramiko's way, and the two things that it does not do.

    It knows no ``signal``, and a process may start only after the answer went out.
    """
    link = channel.transport
    assert isinstance(link, Link)  # noqa: S101 - only a link has this function in its table
    kind, wants_reply = message.get_text(), message.get_boolean()
    if kind == "signal":
        process = link.door.asked[channel.chanid].process
        done = process is not None and process.signal(message.get_text())
        if wants_reply:
            link.reply(channel, done=done)
        return
    message.rewind()
    message.get_int()
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]  # noqa: SLF001 - its own entry for this message
    link.begin(channel)


class Link(paramiko.Transport):
    """One connection of one client to one host."""

    _channel_handler_table = {  # noqa: RUF012 - paramiko's own table, with one line changed
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # noqa: SLF001
        MSG_CHANNEL_REQUEST: _request,
    }

    def __init__(self, sock: socket.socket, site: Site) -> None:
        self.wire = Wire(sock)
        self.site = site
        self.door = Door(site)
        self.fuse = Fuse(site.trouble)
        super().__init__(self.wire)
        self.set_log_channel(_LOG)
        self.add_server_key(site.host_key)

    def serve(self) -> None:
        """Greet and answer, in a thread of its own, until either side ends it."""
        self.start_server(event=threading.Event(), server=self.door)

    def _queue_incoming_channel(self, channel: paramiko.Channel) -> None:
        """Nobody waits for channels here; who keeps this one alive is :class:`Asked`."""
        self.door.asked[channel.chanid].channel = channel

    def _unlink_channel(self, chanid: int) -> None:
        self.door.asked.pop(chanid, None)
        super()._unlink_channel(chanid)  # type: ignore[misc]

    def begin(self, channel: paramiko.Channel) -> None:
        """Start what the client asked for, once, without holding up the connection."""
        asked = self.door.asked.get(channel.chanid)
        if asked is None or not asked.argv or asked.begun:
            return
        asked.begun = True
        threading.Thread(target=self._start, args=(asked, channel), daemon=True).start()

    def _start(self, asked: Asked, channel: paramiko.Channel) -> None:
        self.site.nap(self.site.trouble.slow)
        line = _Line(self, channel)
        try:
            host, port = self.wire.getpeername()
            said = {**asked.environment, "SSH_CONNECTION": f"{host} {port} {host} 22"}
            environment = {**self.site.environment, **said}
            asked.process = Process(asked.argv, self.site.folder, environment, line)
        except OSError as error:
            with suppress(OSError):
                line.send("stderr", f"{error}\n".encode())
                line.exited(255, "")
                line.end()

    def reply(self, channel: paramiko.Channel, *, done: bool) -> None:
        """Answer a request that wants it."""
        message = Message()
        message.add_byte(cMSG_CHANNEL_SUCCESS if done else cMSG_CHANNEL_FAILURE)
        message.add_int(channel.remote_chanid)
        self._send_user_message(message)  # type: ignore[attr-defined]

    def blow(self) -> None:
        """The connection's output has reached its limit."""
        if self.site.trouble.freezes_after is not None:
            self.wire.frozen = True
        else:
            self.close()


class _Line:
    """A channel as a process sees it; fulfils :class:`wtsflow.lab.process.Line`."""

    def __init__(self, link: Link, channel: paramiko.Channel) -> None:
        self._link = link
        self._channel = channel

    def receive(self) -> bytes:
        return self._channel.recv(CHUNK)

    def send(self, stream: str, data: bytes) -> None:
        sent = data[: self._link.fuse.take(len(data))]
        send = self._channel.sendall if stream == "stdout" else self._channel.sendall_stderr
        with _translating():
            send(sent)
        if self._link.fuse.blown:
            self._link.blow()
        if len(sent) < len(data):
            raise ConnectionResetError

    def exited(self, code: int | None, signal_name: str) -> None:
        if self._link.fuse.blown:
            raise ConnectionResetError
        with _translating():
            if code is not None:
                self._channel.send_exit_status(code)
                return
            message = Message()
            message.add_byte(cMSG_CHANNEL_REQUEST)
            message.add_int(self._channel.remote_chanid)
            message.add_string("exit-signal")
            message.add_boolean(False)
            message.add_string(signal_name)
            message.add_boolean(False)
            message.add_string("")
            message.add_string("")
            self._link._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001

    def end(self) -> None:
        with _translating():
            self._channel.close()


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except (EOFError, paramiko.SSHException) as error:
        raise ConnectionResetError from error
