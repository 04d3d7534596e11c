"""What is said to the supervisor (``supervisor.sh``), and how its answers are told from output."""

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from wtsflow.errors import PlanError
from wtsflow.ports import RunScript

TICK = 0.2
"""Seconds: the supervisor's unit of the grace."""

MAX_VALUE = 131_071
"""Linux refuses a single argument or variable of more bytes (MAX_ARG_STRLEN)."""

SLACK = 2
"""Seconds by which an attempt may be older than it is said to be."""

SHORT = 4096
"""Bytes of a script that the supervisor reads by itself; a longer one is read by a process."""

_OPEN_END = re.compile(r"(?:\b(?:then|do|else|in)|[{&|]|;;)$")
_PATTERN = re.compile(r"^[^ ()=]+\)$")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ_ONLY = {"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"}


@cache
def text(name: str = "supervisor.sh") -> str:
    """The supervisor as one line that may stand in single quotes in any login shell."""
    source = resources.files(__package__).joinpath(name).read_text("utf-8")
    parts: list[str] = []
    for line in map(str.strip, source.splitlines()):
        if not line or line.startswith("#"):
            continue
        is_open = _OPEN_END.search(line) or _PATTERN.match(line)
        parts.append(line + (" " if is_open else ";"))
    return "".join(parts).rstrip(";")


def identity(marker: str) -> str:
    """The name of an attempt's state: fixed in length, so that none is the start of another."""
    return hashlib.sha256(marker.encode()).hexdigest()[:24]


def run(job: RunScript) -> bytes:
    """The command that runs a script, with all that belongs to it but its standard input.

    Raises PlanError for what no process can be given: NUL bytes, names that are no variables.
    """
    variables = [_variable(name, value) for name, value in job.environment.items()]
    before = [*variables, *(_bytes(word, "the command") for word in job.command)]
    after = [_bytes(word, f"argument {n} of {job.name}") for n, word in enumerate(job.arguments, 1)]
    words = (
        "run",
        identity(job.marker),
        re.sub(r"[^A-Za-z0-9._-]", "_", job.name.rpartition("/")[2]).lstrip("-.") or "script",
        "lines" if _is_plain(job.content) else len(job.content),
        job.sha256,
        max(1, math.ceil(job.deadline)),
        math.ceil(max(0.0, job.grace) / TICK),
        len(variables),
        len(before),
        len(after),
        len(job.stdin),
    )
    line = " ".join(map(str, words)).encode() + b"\n"
    values = (_bytes(job.marker, "the marker"), *before, *after)
    content = _framed(job.content) if _is_plain(job.content) else job.content
    return line + b"".join(map(_framed, values)) + content


def attach(marker: str, age: float, stdout: int, stderr: int) -> bytes:
    """The command that picks up what was begun ``age`` seconds ago, from these offsets on."""
    line = f"attach {identity(marker)} {math.ceil(max(0.0, age)) + SLACK} {stdout} {stderr}\n"
    return line.encode() + _framed(marker.encode()) + _framed(text("attach.sh").encode())


def stop(marker: str, grace: float) -> bytes:
    """The command that ends an attempt's whole process tree."""
    ticks = math.ceil(max(0.0, grace) / TICK)
    return f"stop {identity(marker)} {ticks}\n".encode() + _framed(marker.encode())


def drain(marker: str) -> bytes:
    """The command that lets go of an attempt's streams, though somebody keeps them open."""
    return f"drain {identity(marker)}\n".encode()


ACK = b"ack\n"
"""The command that says that the end of what was run, or picked up, has been written down."""

FED = b"\n"
"""What says that a script's whole input has come; before it, it sees no end of it."""

CUT = ("cut",)
"""The words of the record after which a stream goes on elsewhere: what came last may be torn."""

BEAT = ("beat",)
"""The words of the record that only asks whether somebody reads."""


def _is_plain(content: bytes) -> bool:
    """Whether a shell reads it line by line quicker than a process would be started."""
    return len(content) <= SHORT and content.isascii() and b"\0" not in content


def _framed(value: bytes) -> bytes:
    *begun, last = value.split(b"\n")
    return b"".join(b"+" + line + b"\n" for line in begun) + b"=" + last + b"\n"


def _variable(name: str, value: str) -> bytes:
    if not _VARIABLE.fullmatch(name) or name in _READ_ONLY:
        raise PlanError(
            f"{name!r} cannot be an environment variable of a script",
            cure="use letters, digits and underscores, and no name that the shell owns",
        )
    return _bytes(f"{name}={value}", f"the variable {name}")


def _bytes(value: str, what: str) -> bytes:
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise PlanError(f"{what} holds half of a character (a lone surrogate)") from None
    if b"\0" in data:
        raise PlanError(
            f"{what} holds a NUL byte, which no process can be given",
            cure="hand it over on standard input",
        )
    if len(data) > MAX_VALUE:
        raise PlanError(
            f"{what} is {len(data)} bytes long; the limit is {MAX_VALUE}",
            cure="hand it over on standard input",
        )
    return data


@dataclass(frozen=True, slots=True)
class Said:
    """One record of the supervisor: its words."""

    words: tuple[str, ...]


class Records:
    """Tells the supervisor's records from the bytes around them, in one stream.

    A record may come in any pieces; what cannot belong to one is handed on at once.
    """

    def __init__(self, token: str) -> None:
        self._mark = b"\x1e" + token.encode() + b" "
        self._held = b""

    def feed(self, data: bytes) -> Iterable[bytes | Said]:
        """What these bytes complete: output and records, in order."""
        data = self._held + data if self._held else data
        self._held = b""
        found: list[bytes | Said] = []
        while data:
            start = data.find(self._mark)
            if start < 0:
                keep = self._unsure(data)
                self._held = data[len(data) - keep :] if keep else b""
                plain, data = data[: len(data) - keep], b""
            else:
                end = data.find(b"\n", start)
                plain = data[:start]
                if end < 0:
                    self._held, data = data[start:], b""
                else:
                    last = data.rfind(self._mark, start, end) + len(self._mark)
                    words = tuple(data[last:end].decode("ascii", "replace").split())
                    data = data[end + 1 :]
                    if words == CUT:
                        plain = plain[: len(plain) - self._unsure(plain)]
            if plain:
                found.append(plain)
            if start >= 0 and not self._held:
                found.append(Said(words))
        return found

    def close(self) -> bytes:
        """What was held back and is no record after all."""
        held, self._held = self._held, b""
        return held

    def _unsure(self, data: bytes) -> int:
        start = data.rfind(b"\x1e", max(0, len(data) - len(self._mark)))
        if start >= 0 and self._mark.startswith(data[start:]):
            return len(data) - start
        return 0
