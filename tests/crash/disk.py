"""A state folder on a disk of its own that is full, failing, read-only, or loses its power.

What is asked after each fault: nothing took effect without its record, nothing twice, and with the
disk back the next run works and the log verifies.
"""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.workspaces import Workspace
from wtsflow.audit.verify import verify
from wtsflow.errors import Exit
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.journals.still import still

STEPS = 3
MANIFEST = """\
wtsflow: 1
name: canary
version: 1.0.0
title: Leave a mark for each step
owner: sme@corp.example
steps:
  - { id: one, title: One, script: one.sh@1.0.0 }
  - { id: two, title: Two, script: two.sh@1.0.0 }
  - { id: three, title: Three, script: three.sh@1.0.0 }
"""
NAMES = ("one", "two", "three")


@dataclass
class Disk:
    """A workspace whose scripts write into ``canary``; its state is wherever a test puts it."""

    place: Workspace
    canary: Path

    @classmethod
    def make(cls, folder: Path) -> "Disk":
        canary = folder / "canary"
        scripts = {f"{name}.sh": f"#!/bin/sh\necho {name} >> {canary}\n" for name in NAMES}
        return cls(Workspace.make(folder, scripts, {"canary.yaml": MANIFEST}), canary)

    @property
    def effects(self) -> list[str]:
        """The steps that took effect, in order."""
        return self.canary.read_text().split() if self.canary.exists() else []

    def environment(self, state: Path) -> dict[str, str]:
        return {**self.place.environment(), "WTSFLOW_STATE": str(state)}

    def words(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "wtsflow", *args]

    def call(
        self, state: Path, *args: str, before: tuple[str, ...] = (), **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """The command line with its state there; ``before``: what it is started by."""
        return subprocess.run(
            [*before, *self.words(*args)],
            cwd=self.place.root,
            env=self.environment(state),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
            **more,
        )

    def run(self, state: Path, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.call(state, "run", "manifests/canary.yaml", **more)

    def check_fault(self, state: Path, done: subprocess.CompletedProcess[str]) -> None:
        """After a fault: refused before the effect, or recorded before it."""
        assert done.returncode in {0, Exit.AUDIT}, done.stderr
        assert "Traceback" not in done.stderr
        effects = self.effects
        assert effects == list(NAMES)[: len(effects)]
        assert set(effects) <= begun(state), (effects, done.stderr)
        if done.returncode == 0:
            assert effects == list(NAMES)
        else:
            assert "error:" in done.stderr

    def check_recovered(self, state: Path) -> None:
        """With the disk back: what was cut off is settled or goes on, a new run works, all proves."""
        for run in cut_off(state):
            self.call(state, "resume", run, "--yes")
        assert len(self.effects) == len(set(self.effects)), self.effects
        self.canary.unlink(missing_ok=True)
        again = self.run(state)
        assert again.returncode == 0, again.stderr
        assert self.effects == list(NAMES)
        whole = self.call(state, "state", "check")
        assert whole.returncode == 0, whole.stdout


def cut_off(state: Path) -> list[str]:
    """The runs that have not ended and have no process."""
    if not (state / "journal.sqlite").exists():
        return []
    with SqliteJournal(state / "journal.sqlite") as journal:
        return [run.run for run in journal.runs(status="active")]


def begun(state: Path) -> set[str]:
    """The steps whose start is in the journal and in the audit log."""
    file = state / "journal.sqlite"
    if not file.exists() or not file.stat().st_size:
        return set()
    with closing(still(file)) as journal:
        recorded = {
            str(record.event.data["path"])
            for run, _, _ in journal.heads()
            for record in journal.load(run)
            if record.event.type == "started"
        }
    text = "".join(path.read_text() for path in (state / "audit").glob("audit-*.jsonl"))
    if (state / "audit").exists():  # a file without its first record is begun again
        found = [one.message for one in verify(state / "audit").problems]
        assert [said for said in found if "no records" not in said] == []
    return {path for path in recorded if f'"key":"started/{path}@' in text}


def mounting() -> list[str]:
    """How a shell is started that may mount; the test is skipped where nobody may."""
    names = ["unshare", "-m"] if os.name == "posix" and os.geteuid() == 0 else ["unshare", "-Urm"]
    if not shutil.which("unshare") or subprocess.run([*names, "true"], check=False).returncode:
        pytest.skip("needs unshare, and to be allowed to mount")
    return names
