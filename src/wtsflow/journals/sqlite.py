"""The embedded journal: one SQLite file, every event at most once per run and key.

Rule 1: what :meth:`SqliteJournal.record` returned is on the disk (WAL, ``synchronous=FULL``).
Rule 2: ``UNIQUE(run, key)`` decides races: whoever's insert stuck may act.
Rule 3: ``seq`` is contiguous per run and is the order of the commits.
"""

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wtsflow.errors import JournalError
from wtsflow.files import (
    check_private,
    network_file_system,
    private_file,
    private_folder,
    sync_folder,
)
from wtsflow.model.record import Event, Record
from wtsflow.model.values import Json, masked

VERSION = 1
BUSY = 10.0
"""Seconds to wait for another process's transaction."""

_SCHEMA = """
CREATE TABLE facts (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    key TEXT NOT NULL,
    time TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (run, key),
    UNIQUE (run, seq)
);
CREATE TABLE runs (
    run TEXT PRIMARY KEY,
    last INTEGER NOT NULL,
    audited INTEGER NOT NULL DEFAULT 0,
    workflow TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    title TEXT NOT NULL DEFAULT '',
    actor TEXT NOT NULL DEFAULT '',
    ticket TEXT NOT NULL DEFAULT '',
    targets INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT '',
    exit INTEGER,
    started TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_unaudited ON runs (run) WHERE audited < last;
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in a list. ``status`` is empty while it is open; ``exit`` None; ``ended`` empty.

    ``targets`` counts; ``last`` is the number of its last record, ``audited`` of the last one that
    is known to be in the audit log.
    """

    run: str
    last: int
    audited: int
    workflow: str
    version: str
    title: str
    actor: str
    ticket: str
    targets: int
    status: str
    exit: int | None
    started: str
    ended: str


class SqliteJournal:
    """Fulfils :class:`wtsflow.ports.Journal`; for any number of threads and processes.

    Opening makes the file (0600, in a folder 0700). Raises JournalError: a network file system, a
    file that is not ours, a newer schema, a disk that cannot be written.
    """

    def __init__(self, path: Path, *, busy: float = BUSY) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._marks: dict[str, int] = {}
        _prepare(path)
        with self._translating("open"):
            self._db = sqlite3.connect(
                path, timeout=busy, isolation_level=None, check_same_thread=False
            )
        try:
            with self._translating("open"):
                self._settle(busy)
        except BaseException:
            self._db.close()
            raise

    def _settle(self, busy: float) -> None:
        self._write_ahead(busy)
        self._db.execute("PRAGMA synchronous=FULL")
        version = self._version()
        if version == 0:
            with self._transaction():
                if self._version() == 0:
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={VERSION}")
        elif version > VERSION:
            raise JournalError(
                f"{self.path} was written by a newer wtsflow (schema {version}, known: {VERSION})",
                cure="install that version, or set WTSFLOW_STATE to another folder",
            )

    def _write_ahead(self, busy: float) -> None:
        """Switch to WAL. SQLite itself does not wait here when two first openings meet."""
        end = time.monotonic() + busy
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                threading.Event().wait(0.02)
            else:
                return

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    # --- writing --------------------------------------------------------------------------

    def record(self, run: str, events: Sequence[Event], *, time: str) -> list[Record]:
        """Durably write the events whose key is new, in one transaction; return their records."""
        with self._translating("write"), self._transaction():
            row = self._db.execute("SELECT last FROM runs WHERE run=?", (run,)).fetchone()
            last = row[0] if row else 0
            records: list[Record] = []
            for event in events:
                data = masked(event.data)
                text = json.dumps(data, separators=(",", ":"), allow_nan=False)
                done = self._db.execute(
                    "INSERT OR IGNORE INTO facts (run, seq, key, time, data) VALUES (?,?,?,?,?)",
                    (run, last + 1, event.key, time, text),
                )
                if done.rowcount:
                    last += 1
                    records.append(Record(run, last, time, Event(event.key, json.loads(text))))
            self._summarise(run, last, time, records)
            self._flush_marks()
        return records

    def _summarise(self, run: str, last: int, time: str, records: Sequence[Record]) -> None:
        self._db.execute(
            "INSERT INTO runs (run, last, started) VALUES (?,?,?)"
            " ON CONFLICT (run) DO UPDATE SET last=excluded.last",
            (run, last, time),
        )
        for record in records:
            if columns := _columns(record):
                names = ", ".join(f"{name}=?" for name in columns)
                self._db.execute(
                    f"UPDATE runs SET {names} WHERE run=?",  # noqa: S608 - names are _columns' own
                    (*columns.values(), run),
                )

    def audited(self, run: str, seq: int, *, settle: bool = False) -> None:
        """Note that the audit log holds the run's records up to ``seq``.

        Written with the next record; at once with ``settle`` or when it was the run's last word.
        """
        with self._lock:
            self._marks[run] = max(seq, self._marks.get(run, 0))
            with self._translating("write"):
                row = self._db.execute(
                    "SELECT 1 FROM runs WHERE run=? AND last<=? AND status<>''", (run, seq)
                ).fetchone()
                if row or settle:
                    with self._transaction():
                        self._flush_marks()

    def _flush_marks(self) -> None:
        self._db.executemany(
            "UPDATE runs SET audited=max(audited, ?) WHERE run=?",
            [(seq, run) for run, seq in self._marks.items()],
        )
        self._marks.clear()

    # --- reading --------------------------------------------------------------------------

    def load(self, run: str, *, after: int = 0, limit: int = -1) -> list[Record]:
        """The records of a run with ``seq`` greater than ``after``, in order; ``limit`` of them."""
        with self._lock, self._translating("read"):
            rows = self._db.execute(
                "SELECT run, seq, time, key, data FROM facts WHERE run=? AND seq>?"
                " ORDER BY seq LIMIT ?",
                (run, after, limit),
            ).fetchall()
        return [_record(row) for row in rows]

    def runs(
        self, *, limit: int = 0, status: str | None = None, workflow: str = ""
    ) -> list[Summary]:
        """The runs, newest first. ``status``: only those; empty text: those still open."""
        with self._lock, self._translating("read"):
            rows = self._db.execute(
                "SELECT run, last, audited, workflow, version, title, actor, ticket, targets,"
                " status, exit, started, ended FROM runs"
                " WHERE (:status IS NULL OR status=:status)"
                " AND (:workflow='' OR workflow=:workflow)"
                " ORDER BY started DESC, rowid DESC LIMIT :limit",
                {"status": status, "workflow": workflow, "limit": limit or -1},
            ).fetchall()
        return [Summary(*row) for row in rows]

    def unaudited(self) -> list[tuple[str, int]]:
        """Runs with records that may not be in the audit log, and up to which one they are."""
        with self._lock, self._translating("read"):
            return self._db.execute(
                "SELECT run, audited FROM runs WHERE audited < last ORDER BY rowid"
            ).fetchall()

    def heads(self) -> list[tuple[str, int, int]]:
        """Every run, its last record, and the last one that is known to be in the audit log."""
        with self._lock, self._translating("read"):
            return self._db.execute("SELECT run, last, audited FROM runs").fetchall()

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            if self._marks:
                lenient = contextlib.suppress(JournalError)
                with lenient, self._translating("write"), self._transaction():
                    self._flush_marks()
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the door to SQLite ---------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translating(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, OSError) as error:
            raise JournalError(
                f"cannot {what} the journal {self.path}: {error}", cure=_cure(error)
            ) from error


def _prepare(path: Path) -> None:
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
            f"cannot open the journal {path}: {error.strerror}", cure=_cure(error)
        ) from error


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


def _cure(error: Exception) -> str:
    said = str(error)
    return next((cure for sign, cure in _CURES if sign in said), "")


def _record(row: tuple[str, int, str, str, str]) -> Record:
    run, seq, time, key, data = row
    return Record(run, seq, time, Event(key, json.loads(data)))


def _columns(record: Record) -> dict[str, str | int | None]:
    """What a record changes in its run's summary."""
    data = record.event.data
    match record.event.type:
        case "opened":
            workflow, actor = _mapping(data.get("workflow")), _mapping(data.get("actor"))
            targets = data.get("targets")
            return {
                "workflow": str(workflow.get("name", "")),
                "version": str(workflow.get("version", "")),
                "title": str(workflow.get("title", "")),
                "actor": str(actor.get("name", "")),
                "ticket": str(data.get("ticket") or ""),
                "targets": len(targets) if isinstance(targets, Sequence | Mapping) else 0,
                "started": record.time,
            }
        case "closed":
            code = _mapping(data.get("exit")).get("code")
            return {
                "status": str(data.get("status") or "closed"),
                "exit": code if isinstance(code, int) else None,
                "ended": record.time,
            }
        case _:
            return {}


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
