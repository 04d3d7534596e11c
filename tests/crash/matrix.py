"""Cases of the kill matrix: where a run is killed, and what has to be so when it was resumed."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.workspaces import Workspace
from wtsflow.audit import Log
from wtsflow.audit.verify import verify
from wtsflow.clock import SystemClock
from wtsflow.engine.spool import file_name
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.who import new_run_id

ROOT = Path(__file__).parents[2]
MANIFEST = """wtsflow: 1
name: case/kill
version: 1.0.0
title: A case
owner: tests
access: { execute: [everyone] }
targets: { fleet: { group: fleet } }
steps:
  - { id: one, script: count.sh@1.0.0, target: fleet, with: { step: one } }
  - { id: two, script: count.sh@1.0.0, target: fleet, with: { step: two } }
finally:
  - { id: last, script: count.sh@1.0.0, with: { step: last } }
"""
SCRIPT = """#!/bin/sh
echo "$WTS_PARAM_STEP $WTS_TARGET" >>"$COUNTED"
echo "did $WTS_PARAM_STEP"
"""
BEGIN = ("run", "manifests/case.yaml", "--yes")
RESUME = ("resume", "latest", "--on-unknown", "stop")
INVENTORY = """wtsflow: 1
hosts:
  a: { transport: local, os: linux }
  b: { transport: local, os: linux }
groups:
  fleet: { hosts: [a, b] }
"""
EXPECTED = ("one a", "one b", "two a", "two b", "last local")
TASKS = ("one@a/1", "one@b/1", "two@a/1", "two@b/1", "finally/last@local/1")

WHOLE = ("write", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "rename", "mkdir")
"""Calls at each of which a run is killed; of the others, at some."""
SOME = ("openat", "fcntl", "flock", "close", "pread64", "lseek", "newfstatat")


@dataclass(frozen=True)
class Point:
    """The ``number``-th ``call`` on the files of ``group``; or a transaction (``call`` a place)."""

    group: str
    call: str
    number: int


@dataclass
class Zygote:
    """A process that forks the command line off; see :mod:`tests.crash.zygote`."""

    site: Workspace
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            cwd=self.site.root,
            env={**self.site.environment(), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, asked: dict[str, Any]) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        came, _, _ = select.select([self.process.stdout], [], [], 120)
        assert came, f"no answer to {asked}"
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@dataclass
class Case:
    """One run with a state folder of its own."""

    zygote: Zygote
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.state = self.folder / "state"
        self.counted = self.folder / "counted"
        self.said = self.folder / "said"
        self.run = new_run_id(time.time())

    def paths(self, group: str) -> Iterator[Path]:
        """The files of a group, under the names that they will get."""
        match group:
            case "journal":
                yield from (self.state / f"journal.sqlite{end}" for end in ("", "-wal", "-shm"))
            case "audit":
                yield self.state / "audit"
                yield self.state / "audit" / "audit-000000000001.jsonl"
                yield self.state / "audit" / ".lock"
            case "spool":
                yield self.state / "spool" / self.run
                yield from (self.state / "spool" / self.run / file_name(task) for task in TASKS)
            case "locks":
                yield self.state / "locks" / f"{self.run}.lock"
                yield from (self.state / f"locks.sqlite{end}" for end in ("", "-wal", "-shm"))

    def process(self, *argv: str, **more: object) -> int:
        """Begin a process of the command line; its number."""
        env = {"WTSFLOW_STATE": str(self.state), "COUNTED": str(self.counted)}
        env["TMPDIR"] = str(self.folder)
        asked = {"argv": argv, "cwd": str(self.zygote.site.root), "env": env, "run": self.run}
        return self.zygote.ask({**asked, "out": str(self.said), **more})

    def end(self, number: int) -> int:
        """Wait for a process; its exit code, or the signal that ended it, negative."""
        return self.zygote.ask({"wait": number})

    def traced(self, argv: Sequence[str], group: str, out: Path, *options: str) -> int:
        """A process under strace, which sees only what is done with the files of a group."""
        number = self.process(*argv, hold=True)
        words = ["strace", "-f", "-qq", "-o", str(out), "-p", str(number)]
        words += [word for path in self.paths(group) for word in ("-P", str(path))]
        tracer = subprocess.Popen([*words, *options], stderr=subprocess.DEVNULL)
        try:
            return self.end(number)
        finally:
            stop(tracer)

    def killed_at(self, point: Point, argv: Sequence[str]) -> int:
        """Begin a process that is killed there; its end: its own, if it came before that."""
        if point.group == "commit":
            return self.end(self.process(*argv, commit=point.number, where=point.call))
        inject = f"inject={point.call}:signal=KILL:when={point.number}"
        options = ("-e", f"trace={point.call}", "-e", inject)
        return self.traced(argv, point.group, Path(os.devnull), *options)

    def records(self) -> int:
        """How much of the run is written down."""
        if not (self.state / "journal.sqlite").exists():
            return 0
        with SqliteJournal(self.state / "journal.sqlite") as journal:
            return len(journal.load(self.run))

    def done(self) -> Counter[str]:
        """How often each step was executed on each target."""
        text = self.counted.read_text() if self.counted.exists() else ""
        return Counter(text.splitlines())

    def over(self) -> bool:
        """Whether the run's end is written down."""
        with SqliteJournal(self.state / "journal.sqlite") as journal:
            return any(one.event.key == "closed" for one in journal.load(self.run))

    def check(self) -> str:
        """What became of it: ``nothing`` ran, all was ``done``, or something is ``unknown``."""
        done = self.done()
        where = f"{self.said.read_text()}\n{done}"
        assert all(count == 1 for count in done.values()), where
        if not self.records():
            assert not done, where
            return "nothing"
        with SqliteJournal(self.state / "journal.sqlite") as journal:
            Log(self.state / "audit", clock=SystemClock(), truth=journal).close()
            found = verify(self.state / "audit", journal)
            records = journal.load(self.run)
        assert found.intact, f"{found.problems}\n{where}"
        assert found.runs[self.run][0] == len(records), where
        closed = records[-1].event
        assert closed.key == "closed", where
        if closed.data["status"] == "success":
            assert done == Counter(EXPECTED), where
            return "done"
        assert any(one.event.type == "lost" for one in records), where
        assert closed.data["exit"] == {"code": 11, "name": "unknown"}, where
        return "unknown"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def made(folder: Path) -> Workspace:
    """The workspace that all cases share: only what they keep is their own."""
    scripts = {"count.sh": SCRIPT, "count.sh.yaml": SIDECAR}
    return Workspace.make(folder, scripts, {"case.yaml": MANIFEST}, INVENTORY)


SIDECAR = """wtsflow: 1
title: Counts what it does
os: [linux]
parameters: { step: string }
input: env
"""


@dataclass
class Matrix:
    """All places where a run, and its resume, is killed; ``fresh``: with no journal before it."""

    zygote: Zygote
    folder: Path
    template: Path = field(init=False)
    """A state folder in which a run has ended: its journal is there and need not be made."""

    def __post_init__(self) -> None:
        before = Case(self.zygote, self.folder / "before")
        assert before.end(before.process(*BEGIN)) == 0, before.said.read_text()
        self.template = before.state

    def case(self, folder: Path, *, fresh: bool = False) -> Case:
        """A case, begun where another run has ended."""
        case = Case(self.zygote, folder)
        if not fresh:
            shutil.copytree(self.template, case.state)
        return case

    def points(self) -> list[Point]:
        """Every call that writes, every transaction, and some of the calls that do not."""
        found: list[Point] = []
        some: list[Point] = []
        for group in ("journal", "audit", "spool", "locks"):
            case, out = self.case(self.folder / group), self.folder / f"{group}.txt"
            code = case.traced(BEGIN, group, out, "-e", f"trace={','.join((*WHOLE, *SOME))}")
            assert code == 0, case.said.read_text()
            for call, count in sorted(_most_by_thread(out).items()):
                calls = [Point(group, call, number + 1) for number in range(count)]
                (found if call in WHOLE else some).extend(calls)
            case.remove()
        places = ("before", "inside", "after")
        found += [Point("commit", place, n + 1) for n in range(self._commits()) for place in places]
        return [*found, *some[::8]]

    def _commits(self) -> int:
        case = self.case(self.folder / "commits")
        assert case.end(case.process(*BEGIN)) == 0
        with SqliteJournal(case.state / "journal.sqlite") as journal:
            times = len({one.time for one in journal.load(case.run)})
        case.remove()
        return times


def stop(tracer: "subprocess.Popen[bytes]") -> None:
    """End a tracer, which would wait for scripts that go on without us. They are let go of."""
    tracer.terminate()
    try:
        tracer.wait(2)
    except subprocess.TimeoutExpired:  # it may hang on one that ends just then
        tracer.kill()
        tracer.wait()


def _most_by_thread(out: Path) -> Counter[str]:
    """How often one thread makes each call: strace counts by thread."""
    by_thread: Counter[tuple[str, str]] = Counter()
    for line in out.read_text().splitlines():
        thread, said = line.split(maxsplit=1)
        name, bracket, _ = said.partition("(")
        if bracket and name.isidentifier():
            by_thread[name, thread] += 1
    found: Counter[str] = Counter()
    for (name, _), count in by_thread.items():
        found[name] = max(count, found[name])
    return found
