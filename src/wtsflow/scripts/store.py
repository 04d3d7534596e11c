"""Content that was locked, kept by its sha256: a force-push and ``git gc`` cannot take it away."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def digest(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


class Store:
    """A folder of files named by their digest. Losing it costs nothing but a fetch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def get(self, sha256: str) -> bytes | None:
        """The bytes with this digest, or None; a file that was altered counts as absent."""
        try:
            data = self._file(sha256).read_bytes()
        except OSError:
            return None
        return data if digest(data) == sha256 else None

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest. A cache that cannot be written is no error."""
        sha256 = digest(data)
        if self.get(sha256) is None:
            with suppress(OSError):
                self._write(self._file(sha256), data)
        return sha256

    @staticmethod
    def _write(file: Path, data: bytes) -> None:
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
