"""A journal with very many runs, written at once: what a state folder is like after years."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.journals.summary import CHECK

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
STATUSES = ("success",) * 7 + ("failed", "partial", "unknown")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def stamp(number: int) -> str:
    """When run ``number`` was begun: ten minutes after the one before."""
    moment = FIRST + timedelta(minutes=10 * number)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def name(number: int) -> str:
    """Its id: ULIDs sort by time."""
    millis = int((FIRST + timedelta(minutes=10 * number)).timestamp() * 1000)
    whole = (millis << 80) | (number * 0x9E3779B97F4A7C15 % (1 << 80))
    return "".join(ALPHABET[(whole >> shift) & 31] for shift in range(125, -1, -5))


def fill(path: Path, runs: int, *, parked: int = 0, targets: int = 3) -> None:
    """A journal at ``path`` with ``runs`` runs, the newest ``parked`` of which are parked.

    Through the tables, not through :meth:`SqliteJournal.record`: 100,000 take some seconds.
    """
    with SqliteJournal(path) as journal, journal._transaction():
        db = journal._db
        for number in range(runs):
            _add(db, number, waits=number >= runs - parked, targets=targets)


def _add(db, number: int, *, waits: bool, targets: int) -> None:
    run, started = name(number), stamp(number)
    status = "" if waits else STATUSES[number // 7 % len(STATUSES)]
    places = [f"web{(number * 7 + i) % 500:03}" for i in range(targets)]
    opened: dict[str, object] = {
        "workflow": {"name": f"flow/{number % 40}", "version": "1.2.0", "title": "A title"},
        "actor": {"name": f"person{number % 25}", "uid": "1000", "host": "control01"},
        "ticket": f"INC{number // 3:07}",
        "targets": places,
        "inputs": {},
    }
    facts: list[tuple[str, dict[str, object]]] = [("opened", opened)]
    due = None
    if waits:
        due = int((FIRST + timedelta(days=4000, seconds=number * 7 % 100_000)).timestamp() * 1000)
        facts.append(("parked/1", {"until_ms": due, "paths": ["window"]}))
    else:
        facts.append(("closed", {"status": status, "exit": {"code": 0, "name": "success"}}))
    db.executemany(
        "INSERT INTO facts (run, seq, key, time, data) VALUES (?,?,?,?,?)",
        [(run, seq, key, started, json.dumps(data)) for seq, (key, data) in enumerate(facts, 1)],
    )
    db.execute(
        "INSERT INTO runs (run, last, audited, workflow, version, title, actor, ticket, targets,"
        " status, exit, started, ended, due, standing, waits, environment, mode)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            *(run, 2, 2, f"flow/{number % 40}", "1.2.0", "A title", f"person{number % 25}"),
            *(f"INC{number // 3:07}", targets, status, None if waits else 0, started),
            *("" if waits else started, due, "parked" if waits else "", "window" if waits else ""),
            *(("", "qa", "prod")[number % 3], CHECK if number % 50 == 0 else ""),
        ),
    )
    db.executemany(
        "INSERT INTO run_targets (target, started, run) VALUES (?,?,?)",
        [(place, started, run) for place in places],
    )
