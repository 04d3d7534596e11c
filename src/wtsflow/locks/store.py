"""The table of claims: one SQLite file of one state folder.

Rule 1: a run gets all that it claims in one transaction, or nothing. Who holds never waits for
more, so nobody waits in a circle.
Rule 2: a claim counts only while a process performs its run. A killed one leaves rows that count
for nothing; whoever needs the machine next removes them.
Rule 3: who waits stands in line: what came later and does not go together with it waits too.

Nothing here has to outlive a power loss: then no run goes on either.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wtsflow.errors import RecordError
from wtsflow.files import check_private, network_file_system, private_file, private_folder
from wtsflow.model.claim import Claim, Mode

VERSION = 1
BUSY = 10.0
"""Seconds to wait for another process's transaction."""
GLANCE = 0.002
"""Seconds: who looks whether a run is performed may seem, for less than this, to perform it."""
KEPT = 24 * 3600.0
"""Seconds after which the rows of a killed run are removed though nobody needs its machines."""
SWEPT = 16
"""Old runs that one transaction looks at."""

_SCHEMA = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL UNIQUE,
    waiting INTEGER NOT NULL,
    since REAL NOT NULL,
    actor TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    ticket TEXT NOT NULL
);
CREATE TABLE claims (
    run TEXT NOT NULL,
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    exclusive INTEGER NOT NULL,
    PRIMARY KEY (target, run)
) WITHOUT ROWID;
CREATE INDEX claims_of_run ON claims (run);
"""

_OBSTACLES = """
SELECT h.run, h.since, h.actor, h.host, h.pid, h.workflow, h.ticket, h.waiting,
       count(*), min(mine.name), max(theirs.exclusive)
FROM claims mine
JOIN claims theirs ON theirs.target = mine.target AND theirs.run <> mine.run
JOIN runs h ON h.run = theirs.run
WHERE mine.run = :run AND (mine.exclusive OR theirs.exclusive)
  AND (NOT h.waiting OR h.number < (SELECT number FROM runs WHERE run = :run))
GROUP BY h.run ORDER BY h.waiting, h.number
"""

_ROWS = """
SELECT h.run, h.since, h.actor, h.host, h.pid, h.workflow, h.ticket,
       c.target, c.name, c.exclusive, h.waiting
FROM claims c JOIN runs h ON h.run = c.run ORDER BY c.name, c.target, h.waiting, h.number
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A run and the process that performs it; ``since`` is seconds since the epoch."""

    run: str
    since: float
    actor: str
    host: str
    pid: int
    workflow: str
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """One claim of one run: held, or waited for. ``alive``: a process performs the run."""

    holder: Holder
    claim: Claim
    waiting: bool
    alive: bool


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A run in the way: it holds, or waits longer for, ``count`` of the machines claimed.

    ``name`` is one of them; ``exclusive`` whether it claims one for itself.
    """

    holder: Holder
    waiting: bool
    count: int
    name: str
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Takeover:
    """A killed run whose claims were removed.

    ``names`` are the machines that we claim now, ``called`` what they were called in its records.
    """

    holder: Holder
    names: tuple[str, ...]
    called: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of asking: all was got when there are no ``obstacles``."""

    obstacles: tuple[Obstacle, ...]
    taken: tuple[Takeover, ...]


class Locks:
    """The locks of one state folder; for any number of threads and processes.

    ``performed`` says whether a process performs a run. Raises RecordError for a file that is not
    ours, is on a network file system or cannot be written.
    """

    def __init__(self, path: Path, performed: Callable[[str], bool], *, busy: float = BUSY) -> None:
        self.path = path
        self._performed = performed
        self._lock = threading.RLock()
        self._prepare()
        with self._translating():
            self._db = sqlite3.connect(
                path, timeout=busy, isolation_level=None, check_same_thread=False
            )
        try:
            with self._translating():
                self._settle(busy)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        private_folder(self.path.parent)
        if kind := network_file_system(self.path.parent):
            raise RecordError(
                f"{self.path.parent} is on a network file system ({kind}), where locks do not hold",
                cure="set WTSFLOW_STATE to a folder on a local disk",
            )
        with self._translating():
            if not os.path.lexists(self.path):
                with contextlib.suppress(FileExistsError):
                    os.close(private_file(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
            check_private(self.path)

    def _settle(self, busy: float) -> None:
        """SQLite itself does not wait where two first openings switch to WAL at once."""
        end = time.monotonic() + busy
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                threading.Event().wait(0.01)
        self._db.execute("PRAGMA synchronous=NORMAL")
        if self._version() == 0:
            with self._transaction():
                if self._version() == 0:
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={VERSION}")
        if self._version() != VERSION:
            raise RecordError(
                f"{self.path} was written by another version of wtsflow",
                cure="when no run goes on, remove it: it holds nothing else",
            )

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    # --- asking ---------------------------------------------------------------------------

    def take(self, holder: Holder, claims: Sequence[Claim], *, wait: bool = False) -> Attempt:
        """Take all claims of a run, or none; ``holder.since`` is now.

        The caller performs the run (its driver's lock is held), so older rows of it count for
        nothing. Where somebody is in the way nothing is held; with ``wait`` the run then stands
        in line, and this is called again until it gets through or :meth:`release` is called.
        """
        taken: list[Takeover] = []
        with self._translating(), self._transaction() as undo:
            if not self._stands(holder):
                self._enlist(holder, claims)
            while obstacles := self._obstacles(holder.run):
                dead = [one for one in obstacles if not self._alive(one.holder.run)]
                if not dead:
                    break
                buried = [self._bury(one, holder.run) for one in dead]
                taken += [one for one, was in zip(buried, dead, strict=True) if not was.waiting]
            if not obstacles:
                self._db.execute(
                    "UPDATE runs SET waiting=0, since=? WHERE run=?", (holder.since, holder.run)
                )
                self._sweep(holder)
            elif not wait:
                undo()
        return Attempt(obstacles, () if obstacles and not wait else tuple(taken))

    def release(self, run: str) -> None:
        """Let go of all that a run holds or waits for."""
        with self._translating(), self._transaction():
            self._remove(run)

    def listed(self) -> list[Locked]:
        """Every claim by the machine's name: what is held before what is waited for."""
        with self._lock, self._translating():
            rows = self._db.execute(_ROWS).fetchall()
        alive = {run: self._alive(run) for run in {row[0] for row in rows}}
        return [
            Locked(
                Holder(*row[:7]),
                Claim(row[7], row[8], Mode.EXCLUSIVE if row[9] else Mode.SHARED),
                waiting=bool(row[10]),
                alive=alive[row[0]],
            )
            for row in rows
        ]

    def _stands(self, holder: Holder) -> bool:
        """Whether this very process already stands in line for the run."""
        row = self._db.execute(
            "SELECT 1 FROM runs WHERE run=? AND waiting AND pid=? AND host=?",
            (holder.run, holder.pid, holder.host),
        ).fetchone()
        return row is not None

    def _enlist(self, holder: Holder, claims: Sequence[Claim]) -> None:
        self._remove(holder.run)
        self._db.execute(
            "INSERT INTO runs (run, since, actor, host, pid, workflow, ticket, waiting)"
            " VALUES (?,?,?,?,?,?,?,1)",
            (
                holder.run,
                holder.since,
                holder.actor,
                holder.host,
                holder.pid,
                holder.workflow,
                holder.ticket,
            ),
        )
        self._db.executemany(
            "INSERT INTO claims (run, target, name, exclusive) VALUES (?,?,?,?)",
            [(holder.run, one.target, one.name, one.mode is Mode.EXCLUSIVE) for one in claims],
        )

    def _obstacles(self, run: str) -> tuple[Obstacle, ...]:
        return tuple(
            Obstacle(
                Holder(*row[:7]),
                waiting=bool(row[7]),
                count=row[8],
                name=row[9],
                exclusive=bool(row[10]),
            )
            for row in self._db.execute(_OBSTACLES, {"run": run})
        )

    def _bury(self, dead: Obstacle, run: str) -> Takeover:
        """Remove a killed run; say which of its machines ``run`` claims."""
        both = self._db.execute(
            "SELECT mine.name, theirs.name FROM claims mine"
            " JOIN claims theirs ON theirs.target = mine.target"
            " WHERE mine.run=? AND theirs.run=? ORDER BY mine.name",
            (run, dead.holder.run),
        ).fetchall()
        self._remove(dead.holder.run)
        return Takeover(dead.holder, tuple(row[0] for row in both), tuple(row[1] for row in both))

    def _sweep(self, holder: Holder) -> None:
        old = self._db.execute(
            "SELECT run FROM runs WHERE since<? AND run<>? ORDER BY number LIMIT ?",
            (holder.since - KEPT, holder.run, SWEPT),
        ).fetchall()
        for (run,) in old:
            if not self._alive(run):
                self._remove(run)

    def _remove(self, run: str) -> None:
        self._db.execute("DELETE FROM claims WHERE run=?", (run,))
        self._db.execute("DELETE FROM runs WHERE run=?", (run,))

    def _alive(self, run: str) -> bool:
        """Whether a process performs the run; two who look at once take each other for one."""
        if not self._performed(run):
            return False
        threading.Event().wait(GLANCE)
        return self._performed(run)

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the door to SQLite ---------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[[], None]]:
        """A transaction that no other process reads past; hands over what takes it back."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            ends = ["COMMIT"]
            try:
                yield lambda: ends.append("ROLLBACK")
                self._db.execute(ends[-1])
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RecordError(
                f"cannot lock targets in {self.path}: {error}",
                cure="make the folder writable and room on the disk; when no run goes on, the "
                "file can be removed: it holds nothing else",
            ) from error
