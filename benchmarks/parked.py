"""What a wait costs: many parked runs listed, looked through by cron, and one of them resumed."""

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measure import Contestant, Goal, interleave, note, table
from benchmarks.workspace import WTSFLOW, Room

RUNS = 10_000
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MANIFEST = """\
wtsflow: 1
name: bench/parked
version: 1.0.0
title: Look at one machine, later
owner: benchmarks
steps:
  - wait: 3s
  - script: noop.sh@1.0.0
    timeout: 1m
"""


def build(folder: Path) -> Room:
    """A workspace with one run that was parked, as the command line does it."""
    room = Room(folder)
    room.build({"manifests/parked.yaml": MANIFEST}, {"noop.sh": "#!/bin/sh\n:\n"})
    room.run("run", "manifests/parked.yaml", code=10, WTSFLOW_PARK="1s")
    time.sleep(3)
    return room


def multiply(journal: Path, runs: int) -> list[str]:
    """Copy the one run in the journal until there are ``runs``; the ids of the copies.

    Cron is told that they wait for a year; what is recorded of them says that their time has come.
    """
    with sqlite3.connect(journal) as db:
        (one,) = db.execute("SELECT run FROM runs").fetchone()
        copies = [one[:21] + _five(number) for number in range(runs - 1)]
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
            _copy(db, name, one, copies)
        db.execute("UPDATE runs SET due = due + 365 * 86400000")
    db.close()
    return copies


def _five(number: int) -> str:
    return "".join(ALPHABET[(number >> shift) & 31] for shift in (20, 15, 10, 5, 0))


def _copy(db: sqlite3.Connection, name: str, one: str, copies: list[str]) -> None:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})") if row[1] != "id"]
    if "run" not in columns:
        return
    kept = ", ".join(columns)
    taken = ", ".join("?" if column == "run" else column for column in columns)
    db.executemany(
        f"INSERT INTO {name} ({kept}) SELECT {taken} FROM {name} WHERE run=?",
        [(copy, one) for copy in copies],
    )


def contestants(room: Room, copies: Iterator[str]) -> list[Contestant]:
    """The commands, and what no command can be faster than."""

    def parked() -> Mapping[str, str]:
        return {**room.environment, "RUN": next(copies)}

    def ours(name: str, *words: str) -> Contestant:
        command = [str(WTSFLOW), *words]
        return Contestant(name, command, before=lambda: room.environment, folder=room.folder)

    return [
        Contestant("python -c pass", [sys.executable, "-c", "pass"]),
        ours("wtsflow --version", "--version"),
        ours("wtsflow runs list --waiting, the next 20", "runs", "list", "--waiting"),
        ours("wtsflow runs list --waiting, all", "runs", "list", "--waiting", "--last", "0"),
        ours("wtsflow resume --due, nothing due", "--quiet", "resume", "--due"),
        Contestant(
            "wtsflow resume RUN, to its end",
            ["/bin/sh", "-c", f'exec "{WTSFLOW}" --quiet resume "$RUN"'],
            before=parked,
            folder=room.folder,
        ),
    ]


def measure(rounds: int) -> tuple[str, list[Goal]]:
    """The table, and how far the goals are reached."""
    with tempfile.TemporaryDirectory(prefix="wtsflow-parked-") as name:
        room = build(Path(name) / "room")
        copies = multiply(room.folder / "state" / "journal.sqlite", RUNS)
        note(f"  {len(copies) + 1} parked runs")
        timings = interleave(contestants(room, iter(copies)), rounds)
        size = sum(path.stat().st_size for path in (room.folder / "state").glob("journal.*"))
        shutil.rmtree(room.folder, ignore_errors=True)
    rows = [
        (
            name,
            f"{1000 * one.median:.0f}",
            f"{1000 * min(one.wall):.0f}",
            f"{1000 * one.median_cpu:.0f}",
        )
        for name, one in timings.items()
    ]
    rows.append(("a parked run in the journal, bytes", f"{size / RUNS:.0f}", "", ""))
    listing = timings["wtsflow runs list --waiting, all"].median
    resume = timings["wtsflow resume RUN, to its end"].median
    return table((f"{RUNS:,} parked runs", "wall, ms", "best, ms", "CPU, ms"), rows), [
        Goal("list 10,000 parked runs", listing, 1, "s"),
        Goal("resume one of them, the whole process", 1000 * resume, 300, "ms"),
    ]


if __name__ == "__main__":
    os.environ.pop("WTSFLOW_STATE", None)
    print(measure(5)[0])
