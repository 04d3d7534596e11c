"""A journal that nobody can write: on a read-only mount, in a copy that somebody keeps."""

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

from wtsflow.errors import JournalError
from wtsflow.files import check_private
from wtsflow.journals import schema
from wtsflow.journals.door import BUSY
from wtsflow.journals.sqlite import SqliteJournal


class StillJournal(SqliteJournal):
    """The same questions; writing raises JournalError. ``scratch`` is removed at the end."""

    def __init__(self, path: Path, scratch: "tempfile.TemporaryDirectory[str] | None") -> None:
        self.path = path
        self._scratch = scratch
        with self._translating("open"):
            address = f"file:{quote(str(path))}?mode=ro&immutable=1"
            db = sqlite3.connect(
                address, timeout=BUSY, isolation_level=None, check_same_thread=False, uri=True
            )
        self._begin(db)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file, to be copied."""
        return self._db

    def changed(self) -> bool:
        """Never: nobody can write it."""
        return False

    def close(self) -> None:
        """Let go of the file, and of the copy that was made to read it."""
        super().close()
        if self._scratch is not None:
            self._scratch.cleanup()

    @classmethod
    def of(cls, path: Path) -> Self:
        """Open it. Raises JournalError."""
        try:
            check_private(path, JournalError)
            log = path.with_name(f"{path.name}-wal")
            whole = not log.exists() or not log.stat().st_size
            if whole and _present(path):
                return cls(path, None)
            return cls._copied(path, log)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"cannot open the journal {path}: {error}") from error

    @classmethod
    def _copied(cls, path: Path, log: Path) -> Self:
        """A copy, in which what was committed last is taken in and the tables are the present's."""
        scratch = tempfile.TemporaryDirectory(prefix="wtsflow-")
        try:
            copy = Path(scratch.name) / path.name
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            if log.exists():
                shutil.copyfile(log, copy.with_name(log.name))
            SqliteJournal(copy).close()
            return cls(copy, scratch)
        except BaseException:
            scratch.cleanup()
            raise


def _present(path: Path) -> bool:
    """Whether the file has the present tables."""
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    try:
        return schema.version(db) == schema.VERSION
    finally:
        db.close()


def still(path: Path) -> StillJournal:
    """A journal that nobody can write. Raises JournalError."""
    return StillJournal.of(path)
