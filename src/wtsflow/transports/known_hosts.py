"""OpenSSH's known_hosts files: who a host may be. Nothing is ever added to them.

Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: ``marker`` is empty, ``@cert-authority`` or ``@revoked``; ``blob`` the public key."""

    marker: str
    type: str
    blob: bytes
    place: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one host."""

    keys: tuple[Entry, ...] = ()
    authorities: tuple[Entry, ...] = ()
    revoked: tuple[Entry, ...] = ()


@dataclass
class _File:
    """One file: lines by plain name, and those whose names must be tried."""

    plain: dict[str, list[Entry]] = field(default_factory=dict)
    patterns: list[tuple[tuple[str, ...], Entry]] = field(default_factory=list)
    hashed: list[tuple[bytes, bytes, Entry]] = field(default_factory=list)

    def entries(self, name: str) -> Iterable[Entry]:
        yield from self.plain.get(name, ())
        for patterns, entry in self.patterns:
            if matches(name, patterns):
                yield entry
        for salt, digest, entry in self.hashed:
            if hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest):
                yield entry


class KnownHosts:
    """Several files, each read once per process and again only when it has changed."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = tuple(paths)

    def find(self, host: str, port: int = DEFAULT_PORT, *, alias: str = "") -> Known:
        """What the files say of a host, by ``[host]:port`` first and then without the port."""
        plain = (alias or host).lower()
        names = [plain]
        if port != DEFAULT_PORT and not alias:
            names.insert(0, f"[{plain}]:{port}")
        known = Known()
        for name in names:
            entries = [entry for path in self.paths for entry in _load(path).entries(name)]
            known = Known(
                known.keys or tuple(e for e in entries if not e.marker),
                known.authorities + tuple(e for e in entries if e.marker == "@cert-authority"),
                known.revoked + tuple(e for e in entries if e.marker == "@revoked"),
            )
        return known

    def __str__(self) -> str:
        return ", ".join(map(str, self.paths)) or "no known_hosts file"


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether OpenSSH's patterns (``*``, ``?``, ``!`` in front to exclude) hold for a name."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if _pattern(pattern[1:].lower()).match(name):
                return False
        elif not found:
            found = _pattern(pattern.lower()).match(name) is not None
    return found


@lru_cache(maxsize=4096)
def _pattern(text: str) -> "re.Pattern[str]":
    return re.compile(translate(text.replace("[", "[[]")))


def fingerprint(blob: bytes) -> str:
    """A key as ``ssh-keygen -l`` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _load(path: Path) -> _File:
    try:
        stat = path.stat()
    except OSError:
        return _File()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, _mtime: int, _size: int) -> _File:
    found = _File()
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return found
    for number, line in enumerate(text.splitlines(), 1):
        _add(found, line, f"{path}:{number}")
    return found


def _add(file: _File, line: str, place: str) -> None:
    words = line.split()
    if not words or words[0].startswith("#"):
        return
    marker = words.pop(0) if words[0].startswith("@") else ""
    if len(words) < 3 or marker not in {"", "@cert-authority", "@revoked"}:
        return
    hosts, kind, encoded = words[:3]
    try:
        entry = Entry(marker, kind, base64.b64decode(encoded, validate=True), place)
    except (binascii.Error, ValueError):
        return
    names = hosts.split(",")
    if hosts.startswith("|1|"):
        try:
            salt, digest = map(base64.b64decode, hosts[3:].split("|"))
        except (binascii.Error, ValueError):
            return
        file.hashed.append((salt, digest, entry))
    elif any(sign in hosts for sign in "*?!"):
        file.patterns.append((tuple(names), entry))
    else:
        for name in names:
            file.plain.setdefault(name.lower(), []).append(entry)
