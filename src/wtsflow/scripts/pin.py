"""Pins: ``alias:path@x.y.z``, and ``+`` for "or its released successor".

A pin is the name of a tag of the script repository, so its grammar is narrower than git's: no
component begins with ``-`` or ``.``, ends in ``.`` or ``.lock``, or is a device's name on Windows.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, Self

from wtsflow.errors import PlanError
from wtsflow.model.text import shown

_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_PIN = re.compile(
    r"(?:(?P<alias>[a-z0-9_-]+):)?"
    r"(?P<path>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*)"
    rf"@(?P<version>{_NUMBER}\.{_NUMBER}\.{_NUMBER})(?P<plus>\+?)"
)
_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
MAX_PATH = 200
"""Characters of a script's path: what every file system and terminal takes."""


class Version(NamedTuple):
    """``x.y.z``: breaking, compatible, repaired."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.4.2``. Raises ValueError for everything else, leading zeros too."""
        if not re.fullmatch(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}", text):
            raise ValueError(f"'{shown(text)}' is not a version like 1.4.2")
        return cls(*map(int, text.split(".")))


@dataclass(frozen=True, slots=True)
class Pin:
    """One exact version of one script; ``open`` when it ends in ``+``."""

    alias: str
    path: str
    version: Version
    open: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pin. Raises PlanError naming what is wrong with it."""
        found = _PIN.fullmatch(text)
        if not found:
            raise PlanError(
                f"'{shown(text)}' is not a pinned script like ad/unlock-account.ps1@1.4.2",
                cure="name the script's path, '@' and one exact version",
            )
        _check_path(found["path"], text)
        return cls(
            found["alias"] or "",
            found["path"],
            Version.parse(found["version"]),
            bool(found["plus"]),
        )

    @property
    def tag(self) -> str:
        """The tag's name in its repository, without ``refs/tags/``."""
        return f"{self.path}@{self.version}"

    @property
    def script(self) -> str:
        """The script with its alias, without a version."""
        return f"{self.alias}:{self.path}" if self.alias else self.path

    @property
    def exact(self) -> str:
        """The pin without ``+``: how the lock names it."""
        return f"{self.script}@{self.version}"

    def at(self, version: Version) -> "Pin":
        """Another version of the same script, exactly."""
        return Pin(self.alias, self.path, version)

    def __str__(self) -> str:
        return self.exact + ("+" if self.open else "")


def _check_path(path: str, text: str) -> None:
    if path.lower().endswith((".bat", ".cmd")):
        raise PlanError(
            f"'{shown(text)}' is a batch file: Windows reads its arguments as commands again",
            cure="write it in PowerShell",
        )
    for part in path.split("/"):
        reason = (
            f"'{part}' begins with '{part[0]}'"
            if part[0] in "-."
            else f"'{part}' ends with '.'"
            if part.endswith(".")
            else f"'{part}' ends with '.lock'"
            if part.lower().endswith(".lock")
            else f"'{part}' is the name of a device on Windows"
            if _DEVICE.fullmatch(part)
            else ""
        )
        if reason or len(path) > MAX_PATH:
            reason = reason or f"its path is longer than {MAX_PATH} characters"
            raise PlanError(f"'{shown(text)}' cannot be a script: {reason}", cure="rename it")
