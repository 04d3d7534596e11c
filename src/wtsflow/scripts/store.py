"""Content that was locked, kept by its sha256: a force-push and ``git gc`` cannot take it away."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

MAX_MEMORY = 32 << 20
"""Bytes that one store keeps in memory."""


def digest(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


class Store:
    """A folder of files named by their digest. Losing it costs nothing but a fetch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = str(folder)
        self._read: dict[str, bytes] = {}
        self._size = 0

    def _file(self, sha256: str) -> str:
        return f"{self._root}{os.sep}{sha256[:2]}{os.sep}{sha256}"

    def get(self, sha256: str) -> bytes | None:
        """The bytes with this digest, or None; a file that was altered counts as absent."""
        known = self._read.get(sha256)
        if known is not None:
            return known
        try:
            with open(self._file(sha256), "rb") as file:  # noqa: PTH123 - a path object costs more than the read
                data = file.read()
        except OSError:
            return None
        if digest(data) != sha256:
            return None
        self._remember(sha256, data)
        return data

    def _remember(self, sha256: str, data: bytes) -> None:
        """Keep it in memory too, while there is little: a plan reads what a check has read."""
        if self._size + len(data) <= MAX_MEMORY:
            self._read[sha256] = data
            self._size += len(data)

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest. A cache that cannot be written is no error."""
        sha256 = digest(data)
        if self.get(sha256) is None:
            with suppress(OSError):
                write(Path(self._file(sha256)), data)
        return sha256


def write(file: Path, data: bytes) -> None:
    """Make a file, its folders too, whole or not at all. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(data)
        Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
