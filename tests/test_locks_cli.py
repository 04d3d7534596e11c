"""Targets that are locked, waited for and taken over, by processes of the command line."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.sshd import Sshd
from tests.scripted import wait_for
from tests.workspaces import Workspace
from wtsflow.files import held
from wtsflow.lab import Hosts
from wtsflow.locks import Locked, Locks
from wtsflow.runs import driver

pytestmark = pytest.mark.skipif(os.name != "posix", reason="practice hosts need a POSIX shell")

HEAD = "wtsflow: 1\nname: {name}\nversion: 1.0.0\ntitle: A case\nowner: tests\n"
STEPS = "targets: {{ lab: {{ group: lab }} }}\nsteps: [{{ id: do, script: {0}.sh@1.0.0, target: lab }}]\n"
BODY = """#!/bin/sh
echo "begun $WTS_TARGET" >>"$LOG"
while [ ! -e "$GO" ]; do sleep 0.05; done
echo "ended $WTS_TARGET" >>"$LOG"
"""


class Site:
    """Practice hosts, and two manifests for all of them: one that must be alone, one that not."""

    def __init__(self, folder: Path, inventory: str) -> None:
        self.go, self.log = folder / "go", folder / "log"
        body = BODY.replace("$GO", str(self.go)).replace("$LOG", str(self.log))
        scripts = {
            "alone.sh": body,
            "alone.sh.yaml": "title: Alone\nexclusive: true\n",
            "shared.sh": body,
        }
        names = ("alone", "shared")
        manifests = {f"{name}.yaml": HEAD.format(name=name) + STEPS.format(name) for name in names}
        self.workspace = Workspace.make(folder, scripts, manifests, inventory)

    def begin(self, name: str, *options: str, lines: int = 1) -> subprocess.Popen[str]:
        """A run whose script runs on (another) ``lines`` hosts."""
        before = self.written.count("begun")
        process = self.workspace.start("run", name, *options)
        wait_for(lambda: self.written.count("begun") == before + lines, 30)
        return process

    @property
    def written(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def locks(self) -> list[Locked]:
        """What ``wtsflow locks`` shows, without a process for each look."""
        state = self.workspace.state
        with Locks(state / "locks.sqlite", lambda run: held(driver(state, run))) as locks:
            return locks.listed()

    def waiting(self) -> bool:
        return any(one.waiting for one in self.locks)

    def let_go(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        """Let the scripts go on, and wait for a run; what it wrote."""
        self.go.touch()
        return process.communicate(timeout=60)

    def ended(self, *processes: subprocess.Popen[str]) -> list[int]:
        """Let the scripts go on; the exit codes."""
        self.go.touch()
        return [code(process) for process in processes]


def code(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=60)
    return process.returncode


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Hosts(2, folder=tmp_path / "lab") as hosts:
        made = Site(tmp_path, hosts.inventory.read_text())
        yield made
        made.go.touch()


def test_a_run_that_needs_a_locked_target_ends_with_75_and_says_who_has_it(site: Site) -> None:
    holder = site.begin("alone", "--ticket", "INC1", lines=2)
    refused = site.workspace.cli("run", "shared", "--format", "json")
    said = json.loads(refused.stdout)
    assert refused.returncode == said["exit"]["code"] == 75
    listed = json.loads(site.workspace.cli("locks", "--format", "json").stdout)["locks"]
    first = listed[0]
    assert [(one["target"], one["mode"], one["alive"]) for one in listed] == [
        ("lab1", "exclusive", True),
        ("lab2", "exclusive", True),
    ]
    message = said["error"]["message"]
    assert f"lab1 (and 1 more) is locked by run {first['run']} of {first['actor']}" in message
    assert "(alone, INC1), for " in message
    assert "--wait 5m" in said["error"]["cure"]
    assert f"wtsflow cancel {first['run']}" in said["error"]["cure"]
    assert "begun lab1\nbegun lab1" not in site.written
    assert site.ended(holder) == [0]
    assert site.locks == []
    assert site.workspace.cli("locks").stderr == "no target is locked\n"
    assert site.workspace.cli("run", "shared").returncode == 0


def test_runs_that_share_go_together_and_who_must_be_alone_waits_for_them(site: Site) -> None:
    sharing = [site.begin("shared", lines=2), site.begin("shared", lines=2)]
    assert site.workspace.cli("run", "alone").returncode == 75
    waiting = site.workspace.start("run", "alone", "--wait", "1m")
    wait_for(site.waiting, 30)
    late = site.workspace.cli("run", "shared")
    assert late.returncode == 75
    assert "lab1 (and 1 more) is waited for, in front of us, by run" in late.stderr
    shown = site.workspace.cli("locks", "lab1")
    assert shown.stdout.count("  shared  ") == 2
    assert shown.stdout.count("waits") == 1
    assert "lab2" not in shown.stdout
    assert site.ended(*sharing, waiting) == [0, 0, 0]
    assert site.written.count("ended") == 6


def test_waiting_says_for_whom_and_ends_with_75_when_the_time_is_over(site: Site) -> None:
    holder = site.begin("alone", lines=2)
    late = site.workspace.cli("run", "alone", "--wait", "300ms")
    assert late.returncode == 75
    assert "waiting for lab1 and 1 more, " in late.stderr
    assert "(waited 0s)" in late.stderr
    assert [one.waiting for one in site.locks] == [False, False]
    assert site.ended(holder) == [0]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_waiting_and_nothing_ran(
    site: Site, number: signal.Signals, expected: int
) -> None:
    holder = site.begin("alone", lines=2)
    waiting = site.workspace.start("run", "alone", "--wait", "1m")
    wait_for(site.waiting, 30)
    waiting.send_signal(number)
    _out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == expected
    assert "stopped while it waited for its targets: nothing ran" in err
    assert not site.waiting()
    assert site.ended(holder) == [0]
    assert site.written.count("begun") == 2
    listed = json.loads(site.workspace.cli("runs", "list", "--format", "json").stdout)["runs"]
    assert len(listed) == 1


def test_targets_of_a_killed_run_are_taken_over_and_what_may_still_run_there_is_said(
    site: Site,
) -> None:
    killed = site.begin("alone", lines=2)
    killed.kill()
    killed.communicate()
    gone = site.locks
    assert [(one.claim.name, one.alive) for one in gone] == [("lab1", False), ("lab2", False)]
    assert "gone" in site.workspace.cli("locks").stdout
    site.go.touch()
    next_ = site.workspace.cli("run", "alone")
    assert next_.returncode == 0
    run = gone[0].holder.run
    assert f"took over lab1, lab2 from run {run} of " in next_.stderr
    warnings = [line for line in next_.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert f"run {run} was cut off during 'do' on lab1" in warnings[0]
    assert f"wtsflow resume {run}" in warnings[0]


def test_a_killed_run_has_to_lock_its_targets_anew_to_be_resumed(site: Site) -> None:
    killed = site.begin("alone", lines=2)
    killed.kill()
    killed.communicate()
    run = site.locks[0].holder.run
    other = site.begin("alone", lines=2)
    refused = site.workspace.cli("resume", run)
    assert refused.returncode == 75
    assert "is locked by run" in refused.stderr
    resumed = site.workspace.start("resume", run, "--wait", "1m")
    wait_for(site.waiting, 30)
    assert site.ended(other, resumed) == [0, 0]
    assert site.written.count("ended lab1") == 2


def test_one_machine_in_two_inventories_is_one_machine(site: Site) -> None:
    listed = (site.workspace.root / "inventory.yaml").read_text()
    text = listed.replace('"lab1"', '"other"').replace("lab1", "other")
    alias = site.workspace.write("other.yaml", text)
    holder = site.begin("alone", lines=2)
    refused = site.workspace.cli("run", "alone", "-i", str(alias), "--limit", "other")
    assert refused.returncode == 75
    assert "other is locked by run" in refused.stderr
    assert site.ended(holder) == [0]


def test_a_run_with_other_targets_is_not_in_the_way(site: Site) -> None:
    first = site.begin("alone", "--limit", "lab1")
    second = site.begin("alone", "--limit", "lab2")
    assert site.ended(first, second) == [0, 0]


def test_checks_do_not_keep_each_other_off(site: Site) -> None:
    sharing = site.begin("shared", lines=2)
    assert site.workspace.cli("run", "alone", "--check").returncode == 0
    assert site.ended(sharing) == [0]


def test_a_run_that_waits_for_a_time_without_a_process_locks_nothing(site: Site) -> None:
    parked = STEPS.format("alone").replace("steps: [", "steps: [{ wait: 1h }, ")
    site.workspace.write("manifests/parked.yaml", HEAD.format(name="parked") + parked)
    assert site.workspace.cli("run", "parked").returncode == 10
    assert site.locks == []


@pytest.mark.parametrize("many", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_of_many_processes_exactly_one_gets_the_target(site: Site, many: int) -> None:
    site.workspace.environ["WTSFLOW_WAIT"] = "0s"
    racing = [site.workspace.start("run", "alone") for _ in range(many)]
    wait_for(lambda: sum(one.poll() is None for one in racing) == 1, 90)
    codes = sorted(code(one) for one in racing if one.poll() is not None)
    assert codes == [75] * (many - 1)
    wait_for(lambda: site.written.count("begun") == 2, 30)
    assert site.ended(*(one for one in racing if one.poll() is None)) == [0]
    assert site.written.count("ended") == 2


def test_the_workspace_may_say_how_long_is_waited(site: Site) -> None:
    site.workspace.write(
        "wtsflow.yaml", "wtsflow: 1\ninventory: inventory.yaml\nsettings: { wait: 1m }\n"
    )
    holder = site.begin("alone", lines=2)
    waiting = site.workspace.start("run", "alone")
    wait_for(site.waiting, 30)
    assert site.ended(holder, waiting) == [0, 0]


@pytest.mark.peer("sshd")
def test_a_killed_run_whose_target_was_taken_over_is_still_gone_on_with(
    tmp_path: Path, sshd: Sshd
) -> None:
    """On OpenSSH: the script goes on under its supervisor, and ran once when all is over."""
    hosts = {
        name: {"host": f"127.0.1.{number}", "port": sshd.port, "os": "linux"}
        for number, name in enumerate(("lab1", "lab2"), 1)
    }
    inventory = {
        "defaults": {"user": sshd.user, "ssh": sshd.settings},
        "hosts": hosts,
        "groups": {"lab": {"hosts": list(hosts)}},
    }
    site = Site(tmp_path, json.dumps(inventory))
    killed = site.begin("alone", lines=2)
    killed.kill()
    killed.communicate()
    [run] = {one.holder.run for one in site.locks}
    other = site.workspace.start("run", "shared")
    wait_for(lambda: site.written.count("begun") == 4, 30)
    assert site.workspace.cli("resume", run).returncode == 75
    _out, err = site.let_go(other)
    assert other.returncode == 0
    assert f"run {run} was cut off during 'do' on lab1, which may still go on there" in err
    resumed = site.workspace.cli("resume", run)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert site.written.count("begun") == site.written.count("ended") == 4
    assert site.workspace.cli("audit", "verify").returncode == 0
