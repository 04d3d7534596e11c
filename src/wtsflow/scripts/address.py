"""Where a script repository is: a folder, or a URL by https, ssh or file."""

import re
from dataclasses import dataclass
from pathlib import Path

from wtsflow.errors import ConfigError
from wtsflow.model.text import shown

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})"
_USER = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,63})"
_PATH = r"[^\x00-\x20\x7f-\x9f\\]*"
_URL = re.compile(
    rf"(?:https://(?:{_USER}@)?{_HOST}(?::[0-9]{{1,5}})?/{_PATH}"
    rf"|ssh://(?:{_USER}@)?{_HOST}(?::[0-9]{{1,5}})?/{_PATH}"
    rf"|(?:{_USER}@)?{_HOST}:(?![:/\\-]){_PATH}"
    rf"|file:///{_PATH})"
)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_LOOKS_LIKE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://|:)|[^/\\]*@[^/\\]*:")


@dataclass(frozen=True, slots=True)
class Address:
    """Exactly one of ``url`` and ``folder``."""

    url: str = ""
    folder: Path | None = None

    def __str__(self) -> str:
        return self.url or str(self.folder)


def address(text: str, base: Path) -> Address:
    """Read what ``scripts:`` says; a folder is relative to ``base``. Raises ConfigError."""
    if _DRIVE.match(text) or not (_LOOKS_LIKE_URL.match(text) or _scp(text, base)):
        if not text or "\0" in text:
            raise ConfigError("the script repository has no path", cure="scripts: . is this folder")
        return Address(folder=(base / text).resolve())
    if re.match(r"[a-z]+://[^/@]*:[^/@]*@", text):
        raise ConfigError(
            "the script repository's URL holds a password",
            cure="take it out; git finds passwords in ~/.netrc, keys in the ssh agent",
        )
    if not _URL.fullmatch(text):
        raise ConfigError(
            f"'{shown(text)}' is not a script repository",
            cure="write a folder, https://host/path, ssh://host/path, git@host:path or file:///path",
        )
    return Address(url=text)


def _scp(text: str, base: Path) -> bool:
    """``host:path`` is a URL unless a folder of that name is there."""
    return ":" in text.split("/", maxsplit=1)[0] and not (base / text).exists()
