"""Ten steps on five real sshd targets, killed with -9 at fifty moments: each step is done once.

The moments are spread over the whole run: by how much of it is done, and some milliseconds more.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.crash.matrix import Case, Zygote
from tests.peers.sshd import Sshd
from tests.workspaces import Workspace

pytestmark = pytest.mark.peer("sshd")
STEPS, TARGETS, RUNS, KILLS = 10, 5, 10, 5
HEAD = """wtsflow: 1
name: case/kill
version: 1.0.0
title: A case
owner: tests
access: { execute: [everyone] }
targets: { web: { group: web } }
steps:
"""
STEP = "  - { id: %s, script: count.sh@1.0.0, target: web, with: { step: %s } }\n"
SCRIPT = """#!/bin/sh
echo "$WTS_RUN $WTS_PARAM_STEP $WTS_TARGET" >>"%s"
sleep 0.02
echo "did $WTS_PARAM_STEP"
"""
SIDECAR = """wtsflow: 1
title: Counts what it does
os: [linux]
parameters: { step: string }
input: env
"""


def site(sshd: Sshd, folder: Path, counted: Path) -> Workspace:
    names = [f"web{n}" for n in range(1, TARGETS + 1)]
    hosts = {
        name: {"host": f"127.0.1.{n}", "port": sshd.port, "os": "linux"}
        for n, name in enumerate(names, 1)
    }
    inventory = {
        "defaults": {"user": sshd.user, "ssh": {**sshd.settings, "connect_timeout": "10s"}},
        "hosts": hosts,
        "groups": {"web": {"hosts": names}},
    }
    steps = "".join(STEP % (f"s{n}", f"s{n}") for n in range(1, STEPS + 1))
    scripts = {"count.sh": SCRIPT % counted, "count.sh.yaml": SIDECAR}
    return Workspace.make(folder, scripts, {"case.yaml": HEAD + steps}, json.dumps(inventory))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counted") / "lines"


@pytest.fixture(scope="module")
def zygote(sshd: Sshd, counted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(site(sshd, tmp_path_factory.mktemp("site"), counted))
    yield made
    made.close()


@pytest.mark.parametrize("number", range(RUNS))
def test_P4_P5_killed_at_fifty_moments_each_step_is_done_once_on_each_target(
    number: int,
    zygote: Zygote,
    counted: Path,
    tmp_path: Path,
    count: Callable[[str, Mapping[str, int]], None],
) -> None:
    chance = random.Random(number)
    case = Case(zygote, tmp_path / "case")
    case.counted = counted
    moments = sorted(chance.uniform(0, STEPS * TARGETS) for _ in range(KILLS))
    kills = 0
    argv = ["run", "manifests/case.yaml", "--yes"]
    for moment in moments:
        process = case.process(*argv)
        wait_for_progress(case, process, moment)
        time.sleep(chance.random() * 0.06)
        os.kill(process, signal.SIGKILL)
        kills += case.end(process) == -signal.SIGKILL
        if case.records():
            argv = ["resume", "latest", "--on-unknown", "stop"]
    code = case.end(case.process(*argv))
    said = case.said.read_text()
    assert code == 0 or (code == 2 and "is over (success)" in said), said
    lines = Counter(line.split(" ", 1)[1] for line in done(case))
    expected = {f"s{s} web{t}" for s in range(1, STEPS + 1) for t in range(1, TARGETS + 1)}
    assert lines == Counter(expected), said
    assert case.end(case.process("audit", "verify")) == 0, case.said.read_text()
    count("kill and resume on sshd", {"runs": 1, "kills": kills, "executions": lines.total()})


def done(case: Case) -> list[str]:
    """What the run has done so far."""
    text = case.counted.read_text() if case.counted.exists() else ""
    return [line for line in text.splitlines() if line.startswith(case.run)]


def wait_for_progress(case: Case, process: int, moment: float) -> None:
    """Wait until so many executions are done, or the process is at its end."""
    end = time.monotonic() + 60
    while len(done(case)) < moment and not _is_over(process):
        assert time.monotonic() < end, case.said.read_text()
        time.sleep(0.01)


def _is_over(process: int) -> bool:
    return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()
