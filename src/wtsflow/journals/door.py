"""Coming to the file of the journal: that it is ours, that it is there, what its errors mean."""

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

from wtsflow.errors import JournalError
from wtsflow.files import (
    check_private,
    network_file_system,
    private_file,
    private_folder,
    sync_folder,
)

BUSY = 10.0
"""Seconds to wait for another process's transaction."""


def prepare(path: Path) -> None:
    """Make the file (0600, in a folder 0700) or prove that it is ours alone, on a local disk."""
    private_folder(path.parent, JournalError)
    if kind := network_file_system(path.parent):
        raise JournalError(
            f"{path.parent} is on a network file system ({kind}), where locks do not hold",
            cure="set WTSFLOW_STATE to a folder on a local disk",
        )
    try:
        if not os.path.lexists(path):
            with contextlib.suppress(FileExistsError):
                os.close(private_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, JournalError))
            sync_folder(path.parent)
        # Never opened here when it exists: closing would drop this process's SQLite locks.
        check_private(path, JournalError)
    except OSError as error:
        raise JournalError(
            f"cannot open the journal {path}: {error.strerror}", cure=cure(error)
        ) from error


def connect(path: Path, busy: float) -> sqlite3.Connection:
    """Open it: every transaction is begun and ended by hand, by any thread."""
    return sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)


def write_ahead(db: sqlite3.Connection, busy: float) -> None:
    """Switch to WAL. SQLite itself does not wait here when two first openings meet."""
    end = time.monotonic() + busy
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            threading.Event().wait(0.02)
        else:
            return


_CURES = (
    ("full", "make room on the disk, then run it again"),
    ("No space", "make room on the disk, then run it again"),
    ("readonly", "make the folder and the file writable (a read-only mount?)"),
    ("Read-only", "make the folder and the file writable (a read-only mount?)"),
    ("unable to open", "make the folder and the file writable (a read-only mount?)"),
    ("locked", "another process has held it for long: see `wtsflow runs list`"),
    ("malformed", "keep the file as evidence, move it away; the audit log has the records"),
    ("not a database", "keep the file as evidence, move it away; the audit log has the records"),
    ("Too many open", "raise the limit of open files (ulimit -n)"),
)


def cure(error: Exception) -> str:
    """What to do about an error of SQLite or of the file."""
    said = str(error)
    return next((cure for sign, cure in _CURES if sign in said), "")
