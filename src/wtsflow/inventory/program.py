"""An inventory that is a program: run with ``--list``, bounded in time and output."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import IO, Any

from wtsflow.errors import ConfigError
from wtsflow.model.text import shown

SECONDS = 30.0
MAX_BYTES = 16 << 20
MAX_ERROR = 4096
MAX_HOSTS = 1000
"""How many hosts are asked for one by one, where the program prints no ``_meta``."""


def is_program(path: Path, data: bytes) -> bool:
    """Whether a file is to be run and not read."""
    if path.suffix in (".yaml", ".yml", ".json", ".ini", ".toml"):
        return False
    if os.name == "nt":
        return path.suffix in (".exe", ".com")
    return os.access(path, os.X_OK) and data[:2] in (b"#!", b"\x7fE")


def listing(path: Path) -> Any:
    """The JSON value that ``PATH --list`` prints, with ``_meta`` filled in.

    Raises ConfigError when it takes longer than 30 s, prints more than 16 MiB or no JSON, or ends
    with another code than 0.
    """
    data = _json(path, "--list")
    if not isinstance(data, dict) or "_meta" in data:
        return data
    hosts = {host: None for said in data.values() for host in _hosts(said)}
    if len(hosts) > MAX_HOSTS:
        raise ConfigError(
            f"{path} lists {len(hosts)} hosts without '_meta'",
            cure="let --list print '_meta': one call for each host would take too long",
        )
    variables = {host: _json(path, "--host", host) for host in hosts if not host.startswith("-")}
    return {**data, "_meta": {"hostvars": variables}}


def _hosts(said: Any) -> list[str]:
    hosts = said.get("hosts", []) if isinstance(said, Mapping) else said
    return [host for host in hosts if isinstance(host, str)] if isinstance(hosts, list) else []


def _json(path: Path, *arguments: str) -> Any:
    printed = _run(path, arguments)
    try:
        return json.loads(printed, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{path} {' '.join(arguments)} did not print JSON: {shown(printed[:60])}",
            cure="it must print what `ansible-inventory --list` prints",
        ) from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _run(path: Path, arguments: tuple[str, ...]) -> str:
    try:
        process = subprocess.Popen(
            [str(path.absolute()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=path.absolute().parent,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be run: {error.strerror}", cure="is its first line right?"
        ) from None
    printed = _Reader(process, process.stdout, MAX_BYTES)
    said = _Reader(process, process.stderr, MAX_ERROR)
    try:
        code = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{path} took longer than {SECONDS:g} s") from None
    finally:
        _end(process)
        printed.join(1)
        said.join(1)
    if printed.over:
        raise ConfigError(f"{path} printed more than {MAX_BYTES >> 20} MiB")
    if code:
        words = shown(said.text.strip().rpartition("\n")[2], 200)
        raise ConfigError(f"{path} {' '.join(arguments)} ended with {code}: {words}")
    return printed.text


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it and what it left behind."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


class _Reader(Thread):
    """Keeps the first ``limit`` bytes of a stream; a program that prints more is ended."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", stream: IO[bytes] | None, limit: int
    ) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._stream = stream
        self._limit = limit
        self._kept = bytearray()
        self.over = False
        self.start()

    def run(self) -> None:
        if self._stream is None:
            return
        with self._stream:
            while block := self._stream.read(1 << 16):
                room = self._limit - len(self._kept)
                self._kept += block[:room]
                self.over = self.over or len(block) > room
                if self.over and self._limit == MAX_BYTES:
                    self._process.kill()
                    return

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")
