"""One command on a practice host: a real process, with its streams tied to an SSH channel.

Like OpenSSH's server without a terminal: the process leads its own session, its exit is told at
once while a child that keeps the streams keeps the channel open, and a client that goes away
kills nothing.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

CHUNK = 32_768
DRAIN = 0.2
"""Seconds that output has to arrive in before the exit is told."""
SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM",
           "USR1", "USR2")  # fmt: skip
"""Those of RFC 4254 §6.10 that OpenSSH knows."""


class Line(Protocol):
    """The client's side. Every method but ``receive`` raises OSError when it is gone."""

    def receive(self) -> bytes:
        """Some standard input; nothing at its end or when the client is gone."""
        ...

    def send(self, stream: str, data: bytes) -> None:
        """Output; blocks while the client's window is full."""
        ...

    def exited(self, code: int | None, signal_name: str) -> None:
        """Tell how it ended."""
        ...

    def end(self) -> None:
        """No more output; close."""
        ...


class Process:
    """Started at once. Raises OSError when it cannot be."""

    def __init__(
        self, argv: Sequence[str], folder: Path, environment: Mapping[str, str], line: Line
    ) -> None:
        self._line = line
        self._popen = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
        self._pumps = [
            _thread(self._pump, stream, pipe)
            for stream, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr))
        ]
        _thread(self._feed, self._popen.stdin)
        self._follower = _thread(self._follow)

    @property
    def pid(self) -> int:
        """The process that leads the session."""
        return self._popen.pid

    def signal(self, name: str) -> bool:
        """Send the signal ``TERM`` etc. to the process group; False when that cannot be."""
        if name not in SIGNALS or self._popen.returncode is not None:
            return False
        with suppress(ProcessLookupError):
            if os.name == "posix":
                os.killpg(self.pid, signal.Signals[f"SIG{name}"])
            else:
                self._popen.terminate()
        return True

    def kill(self) -> None:
        """The power is cut."""
        self.signal("KILL")

    def join(self, seconds: float) -> None:
        """Wait for its end to be told."""
        self._follower.join(seconds)

    def _feed(self, pipe: IO[bytes]) -> None:
        """Standard input, which ends when the client says so or goes away."""
        with suppress(OSError, ValueError), pipe:
            while data := self._line.receive():
                view = memoryview(data)
                while view:
                    view = view[pipe.write(view) :]

    def _pump(self, stream: str, pipe: IO[bytes]) -> None:
        """Output, until every process that holds the pipe has closed it or the client is gone."""
        with suppress(OSError), pipe:
            while data := os.read(pipe.fileno(), CHUNK):
                self._line.send(stream, data)

    def _follow(self) -> None:
        code = self._popen.wait()
        for pump in self._pumps:
            pump.join(DRAIN)
        with suppress(OSError):
            self._line.exited(*_ending(code))
        for pump in self._pumps:
            pump.join()
        with suppress(OSError):
            self._line.end()


def _ending(code: int) -> tuple[int | None, str]:
    if code >= 0:
        return code & 0xFF, ""
    name = signal.Signals(-code).name.removeprefix("SIG")
    return None, name if name in SIGNALS else f"{name}@openssh.com"


def _thread(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, name="wtsflow-lab", daemon=True)
    thread.start()
    return thread


def marked(marker: str) -> list[int]:
    """Every process that has ``marker`` (``NAME=value``) in its environment; Linux only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if marker.encode() in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
    return found


def kill_marked(marker: str) -> None:
    """End what outlived its host."""
    for pid in marked(marker):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
