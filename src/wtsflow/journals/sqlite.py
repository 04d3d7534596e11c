"""The embedded journal: one SQLite file, every event at most once per run and key.

Rule 1: what :meth:`SqliteJournal.record` returned is on the disk (WAL, ``synchronous=FULL``).
Rule 2: ``UNIQUE(run, key)`` decides races: whoever's insert stuck may act.
Rule 3: ``seq`` is contiguous per run and is the order of the commits.
Rule 4: who comes while another thread writes is written together with all who do: one flush.
"""

import contextlib
import json
import sqlite3
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from wtsflow.errors import JournalError
from wtsflow.journals import proof, query, removal, schema
from wtsflow.journals.batch import Row, Wish
from wtsflow.journals.door import BUSY, connect, cure, prepare, write_ahead
from wtsflow.journals.summary import Summary
from wtsflow.model.record import Event, Record

LAST_WORDS = frozenset({"closed", "settled", "parked", "left", "pruned"})
"""After these a run may be silent for long: that the audit log has them is written at once."""


class SqliteJournal:
    """Fulfils :class:`wtsflow.ports.Journal`; for any number of threads and processes.

    Opening makes the file (0600, in a folder 0700) or brings it up to the present schema. Raises
    JournalError: a network file system, a file that is not ours, a newer schema, a disk that
    cannot be written.
    """

    def __init__(self, path: Path, *, busy: float = BUSY) -> None:
        self.path = path
        prepare(path)
        with self._translating("open"):
            self._begin(connect(path, busy))
        try:
            with self._translating("open"):
                self._settle(busy)
        except BaseException:
            self._db.close()
            raise

    def _begin(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._lock = threading.RLock()
        self._wishes: deque[Wish] = deque()
        self._queueing = threading.Lock()
        self._led = False
        self._marking = threading.Lock()
        self._marks: dict[str, int] = {}
        self._last_words: dict[str, int] = {}
        self._seen = -1

    def _settle(self, busy: float) -> None:
        write_ahead(self._db, busy)
        self._db.execute("PRAGMA synchronous=FULL")
        found = schema.version(self._db)
        if found > schema.VERSION:
            raise JournalError(
                f"{self.path} was written by a newer wtsflow"
                f" (schema {found}, known: {schema.VERSION})",
                cure="install that version, or set WTSFLOW_STATE to another folder",
            )
        if found < schema.VERSION:
            with self._transaction():
                schema.migrate(self._db)
        self._seen = self._data_version()

    # --- writing --------------------------------------------------------------------------

    def record(self, run: str, events: Sequence[Event], *, time: str) -> list[Record]:
        """Durably write the events whose key is new, in one transaction; return their records."""
        with self._translating("write"):
            wish = Wish(run, time, [Row.of(event, time) for event in events])
            self._grant(wish)
        return [Record(run, seq, time, row.event) for seq, row in wish.stuck]

    def audited(self, run: str, seq: int, *, settle: bool = False) -> None:
        """Note that the audit log holds the run's records up to ``seq``.

        Written with the next record; at once with ``settle`` or when it was the run's last word.
        """
        with self._marking:
            self._marks[run] = max(seq, self._marks.get(run, 0))
            last = self._last_words.get(run)
            if said := last is not None and last <= seq:
                del self._last_words[run]
        if said or settle:
            with self._translating("write"):
                self._grant(Wish())

    def _grant(self, wish: Wish) -> None:
        """Have the wish written: by this thread, or by the one that writes just now."""
        with self._queueing:
            self._wishes.append(wish)
            leads, self._led = not self._led, True
        try:
            if not leads:
                wish.wait()
        finally:
            if not wish.done:
                self._lead()
        if wish.error is not None:
            raise wish.error

    def _lead(self) -> None:
        """Write for all who wait; then leave it to the first of those who came meanwhile.

        Who has been served is woken at once, and does not stand in the way of who has not.
        """
        try:
            with self._lock:
                self._write_all()
        finally:
            with self._queueing:
                after = self._wishes[0] if self._wishes else None
                self._led = after is not None
            if after is not None:
                after.wake()

    def _write_all(self) -> None:
        wishes = [self._wishes.popleft() for _ in range(len(self._wishes))]
        try:
            if wishes:
                self._write_together(wishes)
        finally:
            for wish in wishes:
                if not wish.done:
                    wish.fail(sqlite3.OperationalError("interrupted"))
                wish.wake()

    def _write_together(self, wishes: Sequence[Wish]) -> None:
        """Write what is asked for, in one transaction; after an error one by one.

        So the error is only theirs whose own it is. Not so where no transaction could be begun.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except Exception as error:  # noqa: BLE001 - it is raised again by each who asked
            for wish in wishes:
                wish.fail(error)
            return
        try:
            self._write(wishes)
        except Exception as error:  # noqa: BLE001 - the same
            if len(wishes) == 1:
                wishes[0].fail(error)
            for wish in wishes if len(wishes) > 1 else ():
                self._write_alone(wish)

    def _write_alone(self, wish: Wish) -> None:
        wish.again = True
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._write([wish])
        except Exception as error:  # noqa: BLE001 - the same
            wish.fail(error)

    def _write(self, wishes: Sequence[Wish]) -> None:
        """Write within the transaction that was begun, and end it."""
        try:
            for wish in wishes:
                wish.write(self._db)
            self._flush_marks()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        for wish in wishes:
            wish.done = True
            for seq, row in wish.stuck:
                if row.event.type in LAST_WORDS:
                    self._last_words[wish.run] = seq

    def _flush_marks(self) -> None:
        with self._marking:
            marks, self._marks = self._marks, {}
        if marks:
            self._db.executemany(
                "UPDATE runs SET audited=max(audited, ?) WHERE run=?",
                [(seq, run) for run, seq in marks.items()],
            )

    # --- reading --------------------------------------------------------------------------

    def load(self, run: str, *, after: int = 0, limit: int = -1) -> list[Record]:
        """The records of a run with ``seq`` greater than ``after``, in order; ``limit`` of them."""
        rows = self._all(
            "SELECT run, seq, time, key, data FROM facts WHERE run=? AND seq>?"
            " ORDER BY seq LIMIT ?",
            (run, after, limit),
        )
        return [
            Record(run, seq, time, Event(key, json.loads(data)))
            for run, seq, time, key, data in rows
        ]

    def runs(
        self,
        *,
        limit: int = 0,
        status: str | Collection[str] | None = None,
        since: str = "",
        until: str = "",
        ticket: str = "",
        actor: str = "",
        target: str = "",
        workflow: str = "",
        environment: str = "",
        origin: str = "",
        origin_of: str = "",
    ) -> list[Summary]:
        """The runs that fit all that is given, newest first.

        ``status``: one or several of those that :class:`wtsflow.journals.query.Wanted` takes;
        ``since`` and ``until``: RFC 3339, UTC, of the start.
        """
        statuses = (status,) if isinstance(status, str) else tuple(status or ())
        wanted = query.Wanted(
            statuses,
            since,
            until,
            ticket,
            actor,
            target,
            workflow,
            environment,
            origin,
            origin_of,
            limit,
        )
        return self._summaries(*wanted.sql())

    def waiting(self, *, limit: int = 0) -> list[Summary]:
        """The parked runs, soonest first; before them those that wait for no time."""
        return self._summaries(query.WAITING, (limit or -1,))

    def due(self, now: float, *, limit: int = 0) -> list[Summary]:
        """The parked runs whose time (``now``: seconds since the epoch) has come, oldest first."""
        return self._summaries(query.DUE, (int(now * 1000), limit or -1))

    def find(self, beginning: str, *, limit: int = 2) -> list[Summary]:
        """The runs whose ids begin so; the one whose whole id it is comes first."""
        end = beginning + query.LAST_CHARACTER
        return self._summaries(query.BEGINNING, (beginning, end, limit))

    def latest(self, beginning: str, *, end: str = "", limit: int = 1) -> list[str]:
        """The ids that begin so, of runs and of what is kept like one, greatest first.

        ``end``: none that is greater than this.
        """
        end = end or beginning + query.LAST_CHARACTER
        return [str(row[0]) for row in self._all(query.LATEST, (beginning, end, limit))]

    def unaudited(self) -> list[tuple[str, int]]:
        """Runs with records that may not be in the audit log, and up to which one they are."""
        return self._all("SELECT run, audited FROM runs WHERE audited < last ORDER BY rowid")

    def heads(self) -> list[tuple[str, int, int]]:
        """Every run, its last record, and the last one that is known to be in the audit log."""
        return self._all("SELECT run, last, audited FROM runs")

    # --- removing -------------------------------------------------------------------------

    def ended(self, before: str) -> list[removal.Ended]:
        """The runs that had ended before a time (RFC 3339, UTC), oldest first."""
        with self._lock, self._translating("read"):
            return removal.ended(self._db, before)

    def unsettled(self, run: str) -> bool:
        """Whether an attempt of the run was lost of which nothing was heard since."""
        with self._lock, self._translating("read"):
            return removal.unsettled(self._db, run)

    def remove(self, heads: Mapping[str, int]) -> list[str]:
        """Remove all that is kept of runs that are over, in one transaction; return those.

        ``heads`` maps a run to the number of its last record: one that has another by now stays.
        """
        with self._translating("write"), self._transaction():
            return removal.remove(self._db, heads)

    def pruned(self) -> dict[str, removal.Pruned]:
        """The runs that records say were removed, and what the audit log has of them.

        Those of the last record come last.
        """
        found: dict[str, removal.Pruned] = {}
        with self._lock, self._translating("read"):
            for run, said in removal.pruned(self._db):
                found.pop(run, None)
                found[run] = said
        return found

    def needed(self, sha256: str) -> bool:
        """Whether a run that is still here names a script of this content."""
        with self._lock, self._translating("read"):
            return removal.needed(self._db, sha256)

    # --- looking at the file --------------------------------------------------------------

    def faults(self, *, quick: bool = False) -> list[str]:
        """What is wrong with the file, in its pages and in its numbers; none, if all is well.

        ``quick`` leaves out whether the indexes agree with the tables.
        """
        with self._lock, self._translating("read"):
            return list(proof.faults(self._db, quick=quick))

    def changed(self) -> bool:
        """Whether another process has written since this was last asked (or since the opening).

        Takes microseconds: no row is read.
        """
        with self._lock, self._translating("read"):
            found = self._data_version()
            before, self._seen = self._seen, found
        return found != before

    def _data_version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def _summaries(self, sql: str, values: Sequence[str | int]) -> list[Summary]:
        return [Summary(*row) for row in self._all(sql, values)]

    def _all(self, sql: str, values: Sequence[str | int] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._translating("read"):
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        """Let go of the file; idempotent."""
        if self._marks:
            lenient = contextlib.suppress(JournalError)
            with lenient, self._translating("write"):
                self._grant(Wish())
        with self._lock:
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
                f"cannot {what} the journal {self.path}: {error}", cure=cure(error)
            ) from error
