"""A wtsflow workspace with the benchmark's scripts, released and locked as anybody's would be."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosts import Fleet
from benchmarks.workload import FACTS, REPORT, Work

WTSFLOW = Path(sys.executable).parent / "wtsflow"

SIDECARS = {
    FACTS: "title: What is this machine\nos: [linux]\n",
    REPORT: (
        "title: How full are the disks\nos: [linux]\n"
        "outputs:\n  used: number\n  python: string\n  user: number\n  marker: string\n"
    ),
}
MANIFEST = "manifests/one.yaml"
ONE = """\
wtsflow: 1
name: bench/one
version: 1.0.0
title: Look at one machine
owner: benchmarks
inputs:
  days: { type: number, default: 5, min: 1, max: 30 }
steps:
  - id: facts
    script: facts.sh@1.0.0
    timeout: 1m
  - id: report
    script: report.py@1.0.0
    when: inputs.days > 3
    timeout: 1m
"""


@dataclass(frozen=True, slots=True)
class Room:
    """A workspace in ``folder``, with state and cache of its own."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes wtsflow keep its state here."""
        return {
            "WTSFLOW_STATE": str(self.folder / "state"),
            "WTSFLOW_CACHE": str(self.folder / "cache"),
        }

    @property
    def manifest(self) -> Path:
        """A small manifest that runs on ``local``."""
        return self.folder / MANIFEST

    def build(
        self, files: Mapping[str, str] | None = None, scripts: Mapping[str, str] | None = None
    ) -> None:
        """Make the folder: scripts (``scripts`` too) released as 1.0.0, ``files``, the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._release(scripts or {})
        self._write("wtsflow.yaml", "wtsflow: 1\nscripts: scripts\n")
        for name, text in {MANIFEST: ONE, **(files or {})}.items():
            self._write(name, text)
        self.run("lock")

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run wtsflow here; its standard output. Raises CalledProcessError on another code."""
        done = subprocess.run(
            [str(WTSFLOW), *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment, **environment},
            check=False,
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode != code:
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout)
        return done.stdout

    def _release(self, more: Mapping[str, str]) -> None:
        folder = self.folder / "scripts"
        folder.mkdir()
        for script, sidecar in SIDECARS.items():
            shutil.copy(script, folder / script.name)
            (folder / f"{script.name}.yaml").write_text(sidecar, encoding="utf-8")
        for name, text in more.items():
            (folder / name).write_text(text, encoding="utf-8")
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", "First versions")
        for name in (*(script.name for script in SIDECARS), *more):
            git(folder, "tag", "--annotate", "--message", "1.0.0", f"{name}@1.0.0")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run git with a name of its own; its standard output."""
    settings = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    return subprocess.run(
        ["git", *settings, *arguments],
        cwd=folder,
        input=stdin,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def fleet_manifest(work: Work) -> str:
    """The benchmark's steps on the group ``fleet``."""
    steps = "".join(
        f"  - script: {step.name}@1.0.0\n    target: fleet\n    timeout: 5m\n"
        for step in work.steps
    )
    return (
        "wtsflow: 1\nname: bench/fleet\nversion: 1.0.0\ntitle: Look at a fleet\n"
        "owner: benchmarks\ntargets:\n  fleet: { group: fleet }\nsteps:\n" + steps
    )


def fleet_inventory(fleet: Fleet, hosts: Sequence[str]) -> str:
    """An inventory of the group ``fleet``; JSON is YAML."""
    settings = {"identity": str(fleet.key), "known_hosts": str(fleet.known_hosts), "config": False}
    return json.dumps(
        {
            "defaults": {"port": fleet.port, "user": fleet.user, "os": "linux", "ssh": settings},
            "groups": {"fleet": {"hosts": list(hosts)}},
        }
    )


def library(count: int) -> dict[str, str]:
    """``count`` manifests of 100 lines each, like those that people write."""
    return {f"manifests/many/m{number:04d}.yaml": _hundred(number) for number in range(count)}


def _hundred(number: int) -> str:
    head = f"""\
wtsflow: 1
name: bench/many-{number}
version: 1.{number}.0
title: Look after machines, case {number}
description: |
  What a technician does when the monitor says that something is full:
  look, clean, look again, and write down what was found.
owner: benchmarks
access:
  view: [everyone]
  execute: [l1, l2]
  edit: [sme]
inputs:
  days: {{ type: number, default: 5, min: 1, max: 30, title: Days to keep }}
  area: {{ type: string, choices: [tmp, logs, cache], default: tmp }}
  note:
    type: string
    optional: true
    pattern: "[a-z ]+"
require:
  - that: inputs.days > 1
    else: Keep at least two days.
timeout: 2h
steps:
"""
    step = """\
  - id: facts{n}
    title: Look, time {n}
    script: facts.sh@1.0.0
    when: inputs.days > {n} and inputs.area in ['tmp', 'logs']
    timeout: 2m
  - id: report{n}
    title: Report, time {n}
    script: report.py@1.0.0
    timeout: 5m
    retry: {{ times: 2, wait: 10s }}
    on_failure: continue
"""
    tail = """\
finally:
  - title: Look once more
    script: facts.sh@1.0.0
    on_failure: continue
"""
    lines = head.splitlines() + tail.splitlines()
    steps = [line for n in range(1, 6) for line in step.format(n=n).splitlines()]
    comments = [f"# note {line}" for line in range(100 - len(lines) - len(steps))]
    return "\n".join([*head.splitlines(), *steps, *tail.splitlines(), *comments]) + "\n"
