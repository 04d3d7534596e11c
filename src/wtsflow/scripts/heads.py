"""Where a repository's branches stand, read from its own files, and what was read at a commit.

Starting git and importing its library takes longer than all else that a plan asks of a repository.
Rule 1: only what git itself would answer alike is answered here; all else is left to git.
Rule 2: what a file says at a commit never changes, so it is kept by the commit's id.
"""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from wtsflow.scripts.store import digest, write

_ID = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"HEAD|refs(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_ABSENT = b"-\n"
_DEPTH = 5
"""How many symbolic refs git follows."""


def commit(folder: Path, *names: str) -> str:
    """The commit that the first of these refs is at; empty where only git can say.

    ``folder`` holds ``.git``, or is a bare repository. A linked worktree, another storage of refs,
    a tag object or a name that is not plain are git's own affair.
    """
    own = folder / ".git" if (folder / ".git").exists() else folder
    try:
        if own.is_file() or (own / "reftable").exists() or (own / "commondir").exists():
            return ""
        for name in names:
            if found := _resolved(own, name):
                return found if _ID.fullmatch(found) else ""
    except (OSError, ValueError):
        pass
    return ""


def _resolved(own: Path, name: str) -> str:
    """An id; empty when there is no such ref; ``?`` when it is not a plain one."""
    for _ in range(_DEPTH):
        if not _NAME.fullmatch(name) or ".." in name or name.endswith(".lock"):
            return "?"
        try:
            said = (own / name).read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return _packed(own, name)
        if not said.startswith("ref: "):
            return said if _ID.fullmatch(said) else "?"
        name = said.removeprefix("ref: ")
    return "?"


def _packed(own: Path, name: str) -> str:
    try:
        lines = (own / "packed-refs").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    return next((line[:40] for line in lines if line[40:] == f" {name}"), "")


class Kept:
    """Files as they are at a commit. ``folder`` is made when something is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _file(self, at: str, path: str) -> Path:
        return self._folder / hashlib.sha256(f"{at}:{path}".encode()).hexdigest()

    def get(self, at: str, path: str) -> tuple[bytes | None] | None:
        """What the file holds (None: it is not there), in a tuple; None when that is not known."""
        try:
            data = self._file(at, path).read_bytes()
        except OSError:
            return None
        if data == _ABSENT:
            return (None,)
        said, newline, content = data.partition(b"\n")
        return (content,) if newline and said == digest(content).encode() else None

    def put(self, at: str, path: str, content: bytes | None) -> None:
        """Keep it. A cache that cannot be written is no error."""
        said = _ABSENT if content is None else digest(content).encode() + b"\n" + content
        with suppress(OSError):
            write(self._file(at, path), said)
