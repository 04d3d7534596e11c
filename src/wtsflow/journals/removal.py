"""Taking runs out of the journal for good, and knowing afterwards which were."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wtsflow.journals.summary import PRUNE, scripts, targets
from wtsflow.model.record import Event

OVER = "status<>'' AND mode<>'" + PRUNE + "'"

_LOST = """
SELECT 1 FROM facts AS lost WHERE run=? AND key>='lost/' AND key<'lost0'
AND NOT EXISTS (SELECT 1 FROM facts WHERE run=lost.run AND key='finished/'||substr(lost.key, 6))
AND NOT EXISTS (SELECT 1 FROM facts WHERE run=lost.run AND key='again/'||substr(lost.key, 6))
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, in as few words as deciding about it takes; ``mode``: as in summaries."""

    run: str
    mode: str
    last: int
    status: str
    exit: int | None
    started: str
    ended: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """Where it stands that a run was removed, and what the audit log has of it.

    ``by`` is the run whose record ``seq`` says so; ``last`` and ``hash`` are the number and the
    hash of the removed run's last record.
    """

    by: str
    seq: int
    last: int
    hash: str


def ended(db: sqlite3.Connection, before: str) -> list[Ended]:
    """The runs that had ended before a time (RFC 3339, UTC), oldest first."""
    rows = db.execute(
        "SELECT run, mode, last, status, exit, started, ended FROM runs"  # noqa: S608 - a constant
        f" WHERE {OVER} AND ended<? ORDER BY started",
        (before,),
    )
    return [Ended(*row) for row in rows]


def unsettled(db: sqlite3.Connection, run: str) -> bool:
    """Whether an attempt of the run was lost of which nothing was heard since."""
    return db.execute(_LOST, (run,)).fetchone() is not None


def remove(db: sqlite3.Connection, heads: Mapping[str, int]) -> list[str]:
    """Remove runs whose last record still has the number given for them; return those."""
    done = []
    for run, last in heads.items():
        gone = db.execute(f"DELETE FROM runs WHERE run=? AND last=? AND {OVER}", (run, last))  # noqa: S608 - a constant
        if not gone.rowcount:
            continue
        row = db.execute("SELECT time, data FROM facts WHERE run=? AND key='opened'", (run,))
        for time, text in row.fetchall():
            opened = Event("opened", json.loads(text))
            db.executemany(
                "DELETE FROM run_targets WHERE target=? AND started=? AND run=?",
                [(target, time, run) for target in targets(opened)],
            )
            db.executemany(
                "DELETE FROM run_scripts WHERE sha256=? AND run=?",
                [(sha256, run) for sha256 in scripts(opened)],
            )
        db.execute("DELETE FROM facts WHERE run=?", (run,))
        done.append(run)
    return done


def pruned(db: sqlite3.Connection) -> Iterator[tuple[str, Pruned]]:
    """Every run that a record says was removed, oldest record first."""
    rows = db.execute(
        "SELECT facts.run, seq, data FROM runs JOIN facts ON facts.run=runs.run"
        " WHERE runs.mode<>'' AND runs.mode=? AND facts.key LIKE 'pruned/%' ORDER BY facts.id",
        (PRUNE,),
    )
    for by, seq, text in rows:
        for one in json.loads(text)["runs"]:
            yield one["run"], Pruned(by, seq, one["last"], one["hash"])


def needed(db: sqlite3.Connection, sha256: str) -> bool:
    """Whether a run that is still here names a script of this content."""
    found = db.execute("SELECT 1 FROM run_scripts WHERE sha256=? LIMIT 1", (sha256,)).fetchone()
    return found is not None
