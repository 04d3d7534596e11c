"""A copy of the journal as it is at one moment, while others go on writing."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from wtsflow.errors import JournalError
from wtsflow.journals.door import BUSY, connect
from wtsflow.journals.still import still


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that goes on seeing the journal as it is now. Raises JournalError."""
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        with closing(still(path)) as journal:
            yield journal.connection
        return
    try:
        with closing(connect(path, BUSY)) as db:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # now it is fixed
            yield db
    except sqlite3.Error as error:
        raise JournalError(f"cannot copy the journal {path}: {error}") from error


def copy(source: sqlite3.Connection, to: Path) -> None:
    """Write what a :func:`snapshot` sees into a new file that stands alone."""
    with closing(sqlite3.connect(to, isolation_level=None)) as db:
        source.backup(db)
        db.execute("PRAGMA journal_mode=DELETE")
