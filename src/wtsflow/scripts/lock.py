"""``wtsflow.lock``: what each pin means, one sorted line a pin, so that it merges cleanly.

::

    ad/x.ps1@1.4.2 tag:<oid> commit:<oid> blob:<oid> sha256:<hex> meta:sha256:<hex> by:<who>

``meta`` is the digest of the sidecar (``meta:none``: there is none). The lock is the authority for
running; tags are the authority for making a line.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from wtsflow.errors import ConfigError, InvalidError, Location
from wtsflow.model.text import shown
from wtsflow.scripts.pin import Pin

HEADER = "# wtsflow.lock, written by 'wtsflow lock': keep it in git, do not edit it"
OBJECT_ID = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
_LINE = re.compile(
    rf"(?P<pin>\S+) tag:(?P<tag>{OBJECT_ID}) commit:(?P<commit>{OBJECT_ID})"
    rf" blob:(?P<blob>{OBJECT_ID}) sha256:(?P<sha256>[0-9a-f]{{64}})"
    r" meta:(?:none|sha256:(?P<meta>[0-9a-f]{64})) by:(?P<by>\S+)"
)
_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. ``tag``, ``commit`` and ``blob`` are git ids; ``sha256`` and ``meta`` are hex."""

    pin: str
    tag: str
    commit: str
    blob: str
    sha256: str
    meta: str
    by: str

    def __str__(self) -> str:
        meta = f"sha256:{self.meta}" if self.meta else "none"
        return (
            f"{self.pin} tag:{self.tag} commit:{self.commit} blob:{self.blob} "
            f"sha256:{self.sha256} meta:{meta} by:{self.by}"
        )


@dataclass(frozen=True, slots=True)
class Lock:
    """The lines, by exact pin (with alias, without ``+``)."""

    path: Path
    entries: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file; one that is absent is empty. Raises ConfigError with the line."""
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path.name} cannot be read: {error}") from None
        entries: dict[str, Entry] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line and not line.startswith("#"):
                entry = _parse(line, Location(path.name, number, 1, number, len(line) + 1))
                if entries.setdefault(entry.pin, entry) != entry:
                    raise ConfigError(
                        f"{entry.pin} is locked twice, differently",
                        cure="compare the two lines, keep the right one",
                        location=Location(path.name, number, 1, number, len(line) + 1),
                    )
        return cls(path, entries)

    def text(self) -> str:
        """The file's text: the header and the lines in the order of their pins."""
        lines = sorted(str(entry) for entry in self.entries.values())
        return "\n".join([HEADER, *lines, ""])

    def write(self) -> None:
        """Replace the file at once, or leave it as it is. Raises ConfigError."""
        try:
            replace(self.path, self.text().encode())
        except OSError as error:
            raise ConfigError(f"{self.path.name} cannot be written: {error}") from None

    def holding(self, entries: Iterable[Entry]) -> "Lock":
        """The same file with these lines and no others."""
        return Lock(self.path, {entry.pin: entry for entry in entries})


def _parse(line: str, place: Location) -> Entry:
    if line.startswith(_CONFLICT):
        raise ConfigError(
            f"{place.source} holds a merge conflict",
            cure="keep the lines of both sides, remove the marks, then run: wtsflow lock",
            location=place,
        )
    found = _LINE.fullmatch(line)
    if not found:
        raise ConfigError(
            f"'{shown(line, 40)}' is not a line of a lock file",
            cure="restore it from git, or remove the line and run: wtsflow lock",
            location=place,
        )
    try:
        pin = Pin.parse(found["pin"])
    except InvalidError as error:
        raise ConfigError(error.message, cure=error.cure, location=place) from None
    if pin.open:
        raise ConfigError("a lock line names an exact version, without '+'", location=place)
    values = found.groupdict(default="")
    return Entry(**values)


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
