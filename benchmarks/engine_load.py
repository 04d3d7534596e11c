"""One load for the engine, in this process, on scripted targets: prints what it took as JSON.

Targets answer at once, so that what is measured is the engine with its durable writes. Right after
it the same writes are made again, bare, into files beside it: the same rows and lines, in as many
transactions and flushes, by a loop that does nothing else. That is the floor.
"""

import argparse
import hashlib
import json
import os
import resource
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wtsflow import manifest
from wtsflow.audit import Log
from wtsflow.clock import SystemClock
from wtsflow.engine.runner import Parts, Runner
from wtsflow.journals.batch import Wish
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import Actor, Plan, Target
from wtsflow.model.record import Event, Record
from wtsflow.model.script import Interface, Language, PinnedScript
from wtsflow.model.values import Secret
from wtsflow.ports import Execution, Exited, Invocation, Session, Signal
from wtsflow.verbs import VERBS

PIN = "noop.sh@1.0.0"
CONTENT = b":\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SCRIPT = PinnedScript(PIN, "noop.sh", "1.0.0", "c", "b", DIGEST, Language.SHELL, Interface())
HEAD = "wtsflow: 1\nname: bench/engine\nversion: 1.0.0\ntitle: Nothing\nowner: benchmarks\n"


class Noop:
    """An execution that has ended well before anybody looks."""

    def __iter__(self) -> Iterator[Signal]:
        yield Exited(0)

    def stop(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is held."""

    def recorded(self) -> None:
        """Nothing is kept."""


class Scripted:
    """Transport and session of targets that answer at once."""

    def connect(self, _target: Target, _credentials: object) -> Session:
        return self

    def start(self, _invocation: Invocation) -> Execution:
        return Noop()

    def attach(
        self, invocation: Invocation, *, age: float, stdout: int = 0, stderr: int = 0
    ) -> Execution:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class Scripts:
    """The one script."""

    def resolve(self, _pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        del subject, groups
        return SCRIPT

    def read(self, _script: PinnedScript) -> bytes:
        return CONTENT


class Nobody:
    """No credentials."""

    def secret(self, _name: str) -> Secret | None:
        return None


@dataclass
class Counted:
    """The journal, with what every call wrote: for one run alone, a transaction each."""

    journal: SqliteJournal
    calls: list[list[Record]] = field(default_factory=list)

    def record(self, run: str, events: Sequence[Event], *, time: str) -> list[Record]:
        records = self.journal.record(run, events, time=time)
        self.calls.append(records)
        return records

    def load(self, run: str, *, after: int = 0) -> list[Record]:
        return self.journal.load(run, after=after)


class SlowJournal(SqliteJournal):
    """A journal on a disk whose flush takes ``slow`` seconds longer."""

    slow = 0.0

    def _write(self, wishes: Sequence[Wish]) -> None:
        super()._write(wishes)
        time.sleep(self.slow)


class Flushes:
    """Counts ``os.fdatasync``, the audit log's flushes; each takes ``slow`` seconds longer."""

    def __init__(self, slow: float) -> None:
        self.count = 0
        self.slow = slow
        flush = os.fdatasync

        def counted(descriptor: int) -> None:
            self.count += 1
            flush(descriptor)
            if slow:
                time.sleep(slow)

        os.fdatasync = counted  # type: ignore[assignment]


def steps(count: int) -> Plan:
    """``count`` no-op steps, one after the other."""
    return _plan("steps:\n" + f"  - script: {PIN}\n" * count, 1)


def fanned(count: int) -> Plan:
    """One no-op step on ``count`` targets."""
    text = f"targets:\n  web: {{ group: web }}\nsteps:\n  - script: {PIN}\n    target: web\n"
    return _plan(text, count)


def _plan(text: str, machines: int) -> Plan:
    workflow = manifest.load(HEAD + text, "engine.yaml")
    targets = {
        "local": (Target("local", transport="scripted"),),
        "web": tuple(Target(f"web{n}", transport="scripted", os="linux") for n in range(machines)),
    }
    return Plan(workflow, {}, targets, {PIN: SCRIPT})


@dataclass
class House:
    """A state folder with journal and audit log, as every run has it."""

    folder: Path
    slow: float = 0.0

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.actor = Actor("bench", "0")
        journal = SqliteJournal(self.folder / "journal.sqlite")
        if self.slow:
            journal.close()
            journal = SlowJournal(self.folder / "journal.sqlite")
            journal.slow = self.slow
        self.journal = Counted(journal)
        self.audit = Log(
            self.folder / "audit", clock=self.clock, truth=journal, actor=self.actor, version="0"
        )

    def perform(self, run: str, plan: Plan) -> None:
        """A run from its beginning to its end."""
        parts = Parts(
            journal=self.journal,
            audit=self.audit,
            scripts=Scripts(),
            verbs=VERBS,
            transports={"scripted": Scripted},
            credentials=Nobody(),
            clock=self.clock,
            spool=self.folder / "spool" / run,
        )
        state = Runner(plan, run, parts, actor=self.actor, values={}).go({"plan": plan.digest})
        if state.closed is None or state.closed["status"] != "success":
            raise SystemExit(f"the run did not succeed: {state.closed}")

    def lines(self) -> list[bytes]:
        """The audit log's records of runs, in the order of their run and number."""
        found = [
            line
            for path in sorted((self.folder / "audit").glob("*.jsonl"))
            for line in path.read_bytes().splitlines(keepends=True)
        ]
        return [line for line in found if b'"run":' in line]

    def close(self) -> None:
        self.audit.close()
        self.journal.journal.close()


def together(house: House, runs: int, plan: Plan) -> None:
    """``runs`` runs at once, each with a thread of its own."""
    threads = [
        threading.Thread(target=house.perform, args=(f"RUN{number:03}", plan))
        for number in range(runs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def floor(
    folder: Path, calls: Sequence[Sequence[Record]], lines: Sequence[bytes], slow: float
) -> float:
    """Seconds that the durable writes alone take."""
    db = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE facts (run TEXT, seq INTEGER, key TEXT, time TEXT, data TEXT)")
    file = os.open(folder / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rest = iter(lines)
    work = [
        (
            [(r.run, r.seq, r.event.key, r.time, json.dumps(r.event.data)) for r in records],
            b"".join(next(rest) for _ in records),
        )
        for records in calls
    ]
    began = time.perf_counter()
    for rows, data in work:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO facts VALUES (?,?,?,?,?)", rows)
        db.execute("COMMIT")
        if slow:
            time.sleep(slow)
        os.write(file, data)
        os.fdatasync(file)
    took = time.perf_counter() - began
    db.close()
    os.close(file)
    return took


def measured(work: Callable[[House], None], house: House, flushes: Flushes) -> dict[str, float]:
    """What ``work`` took, and what its durable writes alone take."""
    before, rss = flushes.count, _memory()
    cpu, wall = time.process_time(), time.perf_counter()
    work(house)
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    took |= {"rss": _memory(), "rss_before": rss}
    took |= {"flushes": flushes.count - before, "calls": len(house.journal.calls)}
    took["floor"] = floor(house.folder, house.journal.calls, house.lines(), house.slow)
    return took


def _memory() -> float:
    """The most memory that this process ever had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def load(kind: str, count: int, each: int) -> Callable[[House], None]:
    """The work, with its plan ready."""
    if kind == "runs":
        plan = steps(each)
        return lambda house: together(house, count, plan)
    plan = steps(count) if kind == "steps" else fanned(count)
    return lambda house: house.perform("RUN", plan)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.engine_load", description=__doc__)
    parser.add_argument("load", choices=("steps", "fan", "runs"))
    parser.add_argument("count", type=int)
    parser.add_argument("each", type=int, nargs="?", default=1)
    parser.add_argument("--slow", type=float, default=0.0, help="seconds, for every flush")
    given = parser.parse_args()
    flushes = Flushes(given.slow)
    with tempfile.TemporaryDirectory(prefix="wtsflow-engine-") as name:
        warm = House(Path(name) / "warm")
        warm.perform("WARM", steps(20))
        warm.close()
        house = House(Path(name) / "state", given.slow)
        took = measured(load(given.load, given.count, given.each), house, flushes)
        house.close()
    json.dump(took, sys.stdout)


if __name__ == "__main__":
    main()
