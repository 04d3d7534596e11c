"""What one call asks to be written: made ready by its own thread, written by whichever writes."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from wtsflow.journals.schema import index
from wtsflow.journals.summary import changes, scripts, targets
from wtsflow.model.record import Event
from wtsflow.model.values import MASK, Json, Secret


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it is written: its data as JSON, and what it changes in its run's summary."""

    event: Event
    text: str
    changes: Mapping[str, str | int | None]
    targets: list[str]
    scripts: list[str]

    @classmethod
    def of(cls, event: Event, time: str) -> Self:
        """Raises ValueError, TypeError: its data are not JSON."""
        text = _JSON.encode(event.data)
        plain = Event(event.key, json.loads(text))
        return cls(plain, text, changes(plain, time), targets(plain), scripts(plain))


def _data(value: Json) -> Json:
    """What the encoder does not know by itself."""
    match value:
        case Secret():
            return MASK
        case Mapping():
            return dict(value)
        case _:
            return list(value)  # type: ignore[arg-type]


_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_data)


@dataclass(slots=True)
class Wish:
    """The events of one call. ``stuck``: those whose key was new, with their numbers.

    Without a run it asks for nothing but what waits to be written beside records.
    """

    run: str = ""
    time: str = ""
    rows: Sequence[Row] = ()
    stuck: list[tuple[int, Row]] = field(default_factory=list)
    error: Exception | None = None
    done: bool = False
    again: bool = False
    """It was tried before, and nobody knows whether that was committed."""
    _asleep: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._asleep.acquire()

    def wait(self) -> None:
        """Sleep until it is done, or this thread's turn to write."""
        self._asleep.acquire()

    def wake(self) -> None:
        """End :meth:`wait`; any number of times."""
        with contextlib.suppress(RuntimeError):
            self._asleep.release()

    def fail(self, error: Exception) -> None:
        """Nothing of it was written."""
        self.stuck.clear()
        self.error, self.done = error, True

    def write(self, db: sqlite3.Connection) -> None:
        """Write within the open transaction; may be called again after a rollback."""
        self.stuck.clear()
        if not self.run:
            return
        row = db.execute("SELECT last FROM runs WHERE run=?", (self.run,)).fetchone()
        last = row[0] if row else 0
        for one in self.rows:
            inserted = db.execute(
                "INSERT OR IGNORE INTO facts (run, seq, key, time, data) VALUES (?,?,?,?,?)",
                (self.run, last + 1, one.event.key, self.time, one.text),
            )
            if inserted.rowcount:
                last += 1
                self.stuck.append((last, one))
            elif self.again and (seq := self._mine(db, one)):
                self.stuck.append((seq, one))
        db.execute(
            "INSERT INTO runs (run, last, started) VALUES (?,?,?)"
            " ON CONFLICT (run) DO UPDATE SET last=excluded.last",
            (self.run, last, self.time),
        )
        for _, one in self.stuck:
            self._summarise(db, one)

    def _mine(self, db: sqlite3.Connection, row: Row) -> int:
        """The number of this very event, written a moment ago by the try that broke off; or 0."""
        found = db.execute(
            "SELECT seq FROM facts WHERE run=? AND key=? AND time=? AND data=?",
            (self.run, row.event.key, self.time, row.text),
        ).fetchone()
        return int(found[0]) if found else 0

    def _summarise(self, db: sqlite3.Connection, row: Row) -> None:
        if row.changes:
            names = ", ".join(f"{name}=?" for name in row.changes)
            db.execute(
                f"UPDATE runs SET {names} WHERE run=?",  # noqa: S608 - names are columns
                (*row.changes.values(), self.run),
            )
        index(db, self.run, self.time, row.targets, row.scripts)
