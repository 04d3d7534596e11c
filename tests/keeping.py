"""A journal and an audit log in a folder, with a clock that ticks when it is asked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from wtsflow.audit import Log
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import Actor
from wtsflow.model.record import Event, Record

TIME = "2026-01-02T03:04:05.000006Z"
RUN = "01JZZZZZZZZZZZZZZZZZZZZZZZ"

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and signals")
unprivileged = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may do everything"
)


@dataclass
class Ticking:
    """Fulfils the clock port: every look is a millisecond later."""

    wall: float = 1_767_323_045.0
    mono: float = 100.0

    def now(self) -> float:
        self.wall += 0.001
        return self.wall

    def monotonic(self) -> float:
        self.mono += 0.001
        return self.mono


@contextmanager
def kept(folder: Path, **options: object) -> Iterator[tuple[SqliteJournal, Log]]:
    """Both, wired as the application does it."""
    clock = options.pop("clock", None) or Ticking()
    with SqliteJournal(folder / "journal.sqlite") as journal:
        log = Log(
            folder / "audit",
            clock=clock,  # type: ignore[arg-type]
            truth=journal,
            actor=Actor("alice", "1000", "control01"),
            version="0.1.0",
            **options,  # type: ignore[arg-type]
        )
        with log:
            yield journal, log


def opened(targets: int = 2) -> Event:
    return Event(
        "opened",
        {
            "workflow": {"name": "disk", "version": "1.2.0", "title": "Clean", "sha256": "0" * 64},
            "actor": {"name": "alice", "uid": "1000", "host": "control01"},
            "ticket": "INC1",
            "targets": [f"web{i:02}" for i in range(targets)],
            "inputs": {"Days": 30, "ratio": 0.5},
            "frozen": {"plan": ["x", 0.25]},
        },
    )


def step(number: int, message: str = "") -> tuple[Event, Event]:
    name = f"clean@web{number:02}/1"
    return (
        Event(f"started/{name}", {"path": "clean", "target": f"web{number:02}", "attempt": 1}),
        Event(f"finished/{name}", {"outcome": "success", "message": message, "outputs": {"n": 1}}),
    )


def closed() -> Event:
    return Event(
        "closed",
        {
            "status": "success",
            "exit": {"code": 0, "name": "success"},
            "targets": {"web00": {"outcome": "success", "step": "", "message": ""}},
            "duration_ms": 1234,
        },
    )


def write(
    journal: SqliteJournal, log: Log, *events: Event, run: str = RUN, time: str = TIME
) -> list[Record]:
    records = journal.record(run, events, time=time)
    log.append(records)
    return records


def a_run(folder: Path, run: str = RUN, steps: int = 5, **options: object) -> list[Record]:
    """A whole run, recorded in both as the engine does."""
    records = []
    with kept(folder, **options) as (journal, log):
        records += write(journal, log, opened(), run=run)
        for number in range(steps):
            for event in step(number):
                records += write(journal, log, event, run=run)
        records += write(journal, log, closed(), run=run)
    return records


def log_files(folder: Path) -> list[Path]:
    return sorted((folder / "audit").glob("audit-*.jsonl"))


def lines_of(folder: Path) -> list[bytes]:
    return [line for path in log_files(folder) for line in path.read_bytes().splitlines(True)]
