"""The tables of the journal, and how a file of an older release becomes one of this release.

A file of any version is brought up by the steps that it has not had, all in one transaction: who
is killed half-way leaves the old file. A step is never changed once it was released.
"""

import json
import sqlite3
from collections.abc import Callable

from wtsflow.journals.summary import changes, scripts, targets
from wtsflow.model.record import Event

_FIRST = """
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

_SECOND = """
ALTER TABLE runs ADD COLUMN due INTEGER;
ALTER TABLE runs ADD COLUMN standing TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN waits TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN environment TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN mode TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN origin_of TEXT NOT NULL DEFAULT '';
CREATE TABLE run_targets (
    target TEXT NOT NULL,
    started TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (target, started, run)
) WITHOUT ROWID;
CREATE TABLE run_scripts (
    sha256 TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (sha256, run)
) WITHOUT ROWID;
CREATE INDEX runs_by_status ON runs (status, started);
CREATE INDEX runs_by_workflow ON runs (workflow, started);
CREATE INDEX runs_by_actor ON runs (actor, started);
CREATE INDEX runs_by_ticket ON runs (ticket, started) WHERE ticket<>'';
CREATE INDEX runs_by_environment ON runs (environment, started) WHERE environment<>'';
CREATE INDEX runs_by_standing ON runs (standing, started) WHERE standing<>'';
CREATE INDEX runs_by_due ON runs (standing, due) WHERE standing<>'';
CREATE INDEX runs_by_mode ON runs (mode, started) WHERE mode<>'';
"""


def _first(db: sqlite3.Connection) -> None:
    _execute(db, _FIRST)


def _second(db: sqlite3.Connection) -> None:
    """What runs are looked for by: read out of what was recorded when they were opened."""
    _execute(db, _SECOND)
    opened = db.execute("SELECT run, time, data FROM facts WHERE key='opened' ORDER BY id")
    for run, time, text in opened:
        event = Event("opened", json.loads(text))
        found = changes(event, time)
        db.execute(
            "UPDATE runs SET environment=?, mode=?, origin=?, origin_of=? WHERE run=?",
            (*(found[name] for name in ("environment", "mode", "origin", "origin_of")), run),
        )
        index(db, run, time, targets(event), scripts(event))


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _second)
"""Step ``n`` makes a file of version ``n`` one of version ``n + 1``; 0 is an empty file."""

VERSION = len(STEPS)


def version(db: sqlite3.Connection) -> int:
    """The version of an open file; 0 where nothing is in it yet."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file up to :data:`VERSION`, within the transaction that is open."""
    for step in STEPS[version(db) :]:
        step(db)
    db.execute(f"PRAGMA user_version={VERSION}")


def index(
    db: sqlite3.Connection, run: str, started: str, targets: list[str], scripts: list[str]
) -> None:
    """Let a run be found by its targets, and its scripts be known to be needed."""
    if targets:
        db.executemany(
            "INSERT OR IGNORE INTO run_targets (target, started, run) VALUES (?,?,?)",
            [(target, started, run) for target in targets],
        )
    if scripts:
        db.executemany(
            "INSERT OR IGNORE INTO run_scripts (sha256, run) VALUES (?,?)",
            [(sha256, run) for sha256 in scripts],
        )


def _execute(db: sqlite3.Connection, script: str) -> None:
    """Statement by statement: ``executescript`` would commit first."""
    for statement in script.split(";"):
        db.execute(statement)
