"""``wtsflow resume`` and ``wtsflow cancel``, as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.scripted import wait_for
from tests.workspaces import Workspace
from wtsflow.journals.sqlite import SqliteJournal

HEAD = """wtsflow: 1
name: case/{name}
version: 1.0.0
title: A case
owner: tests
access: {{ execute: [everyone] }}
"""
SLOW = """#!/bin/sh
echo begun-"$WTS_STEP" >>"$LOG"
while [ ! -e "$GO" ]; do sleep 0.05; done
echo said
echo ended >>"$LOG"
"""
TWO = """steps:
  - { id: one, script: slow.sh@1.0.0 }
  - { id: two, script: quick.sh@1.0.0 }
finally:
  - { id: last, script: quick.sh@1.0.0 }
"""
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes and signals")


class Case:
    """A workspace with a script that runs until it is let go on, and what it wrote."""

    def __init__(self, folder: Path, text: str = TWO) -> None:
        self.go = folder / "go"
        self.log = folder / "log"
        scripts = {
            "slow.sh": SLOW.replace("$GO", str(self.go)).replace("$LOG", str(self.log)),
            "quick.sh": f'#!/bin/sh\necho quick >>"{self.log}"\n',
        }
        self.site = Workspace.make(folder, scripts, {"case.yaml": HEAD.format(name="case") + text})

    def begin(self, *options: str) -> subprocess.Popen[str]:
        """A run, begun and running its first step."""
        process = subprocess.Popen(
            [sys.executable, "-m", "wtsflow", "run", "manifests/case.yaml", *options],
            cwd=self.site.root,
            env=self.site.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: "begun" in self.written(), 30)
        return process

    def killed(self) -> None:
        process = self.begin()
        process.kill()
        process.communicate()

    def written(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def listed(self) -> dict:
        found = json.loads(self.site.cli("runs", "list", "--format", "json").stdout)
        return dict(found["runs"][0])

    def recorded(self) -> list[str]:
        with SqliteJournal(self.site.state / "journal.sqlite") as journal:
            return [one.event.key for run in journal.runs() for one in journal.load(run.run)]


@pytest.fixture
def case(tmp_path):
    made = Case(tmp_path)
    yield made
    made.go.touch()


@POSIX
def test_a_killed_run_is_gone_on_with_and_its_script_ran_once(case):
    case.killed()
    case.go.touch()
    done = case.site.cli("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert case.written().splitlines() == ["begun-", "ended", "quick", "quick"]
    assert "said" in done.stdout
    assert case.site.cli("audit", "verify").returncode == 0


WAVES = """steps:
  - id: each
    for_each: split('a b c d', ' ')
    rolling: { batch: 2, canary: 1 }
    steps:
      - { script: quick.sh@1.0.0 }
      - { script: slow.sh@1.0.0, when: item == 'c' }
"""


@POSIX
def test_waves_that_are_over_are_not_done_again(tmp_path):
    case = Case(tmp_path, WAVES)
    case.killed()
    case.go.touch()
    done = case.site.cli("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert sorted(case.written().splitlines()) == ["begun-", "ended", *["quick"] * 4]


@POSIX
def test_a_run_cannot_be_resumed_while_its_process_lives(case):
    process = case.begin()
    done = case.site.cli("resume", "latest")
    assert done.returncode == 75
    assert "wtsflow cancel" in done.stderr
    case.go.touch()
    assert process.wait(30) == 0
    process.communicate()


@POSIX
def test_of_two_that_resume_a_run_one_wins(case):
    case.killed()
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "wtsflow", "resume", "latest"],
            cwd=case.site.root,
            env=case.site.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    wait_for(lambda: sum(racer.poll() is not None for racer in racers) == 2, 60)
    case.go.touch()
    assert sorted(racer.wait(60) for racer in racers) == [0, 75, 75]
    assert case.written().splitlines() == ["begun-", "ended", "quick", "quick"]


@POSIX
def test_a_run_that_is_over_is_not_resumed_and_the_message_says_what_to_do(case):
    case.go.touch()
    assert case.site.cli("run", "manifests/case.yaml").returncode == 0
    done = case.site.cli("resume", "latest")
    assert done.returncode == 2
    assert "is over (success)" in done.stderr


@POSIX
def test_a_changed_manifest_is_refused_with_the_difference_and_goes_on_as_planned(case):
    case.killed()
    manifest = case.site.root / "manifests/case.yaml"
    manifest.write_text(manifest.read_text() + "timeout: 2h\n")
    case.go.touch()
    refused = case.site.cli("resume", "latest")
    assert refused.returncode == 6
    assert "the manifest manifests/case.yaml changed" in refused.stderr
    assert "quick" not in case.written()
    assert case.site.cli("resume", "latest", "--as-planned").returncode == 0
    assert case.written().splitlines() == ["begun-", "ended", "quick", "quick"]


@POSIX
def test_the_pinned_bytes_outlive_a_rewritten_repository(case):
    case.killed()
    case.go.touch()
    root = case.site.root
    (root / "quick.sh").write_text("#!/bin/sh\nexit 9\n")
    subprocess.run(["rm", "-rf", root / ".git"], check=True)
    case.site.git("init", "-q")
    case.site.git("add", "-A")
    case.site.git("commit", "-qm", "another history")
    done = case.site.cli("resume", "latest", "--as-planned")
    assert done.returncode == 0, done.stderr
    assert case.written().splitlines() == ["begun-", "ended", "quick", "quick"]


@POSIX
def test_a_cancel_stops_the_script_and_does_finally(case):
    process = case.begin()
    done = case.site.cli("cancel", "latest", "--reason", "wrong \x1b[31mticket")
    assert done.returncode == 0, done.stderr
    assert "nothing of it is left" in done.stdout
    assert process.wait(30) == 8
    process.communicate()
    assert case.listed()["status"] == "cancelled"
    case.go.touch()
    time.sleep(0.3)
    assert case.written().splitlines() == ["begun-", "quick"]


@POSIX
def test_a_cancel_takes_the_place_of_a_process_that_was_killed(case):
    case.killed()
    done = case.site.cli("cancel", "latest", "--format", "json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["status"], said["confirmed"]) == ("cancelled", True)
    case.go.touch()
    time.sleep(0.3)
    assert case.written().splitlines() == ["begun-", "quick"]


@POSIX
def test_a_gentle_cancel_lets_the_step_finish(case):
    process = case.begin()
    assert case.site.cli("cancel", "latest", "--after-step", "--no-wait").returncode == 0
    wait_for(lambda: "stopping/1" in case.recorded())
    case.go.touch()
    assert process.wait(30) == 8
    process.communicate()
    assert case.written().splitlines() == ["begun-", "ended", "quick"]


@POSIX
def test_a_cancel_of_what_is_over_is_refused(case):
    case.go.touch()
    assert case.site.cli("run", "manifests/case.yaml").returncode == 0
    done = case.site.cli("cancel", "latest")
    assert done.returncode == 2
    assert "is over" in done.stderr


@POSIX
def test_three_times_ctrl_c_lets_go_and_the_hint_resumes_it(case):
    process = case.begin()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert case.listed()["standing"] == "detached"
    case.go.touch()
    done = case.site.cli("resume", "latest")
    assert done.returncode == 0, done.stderr
    assert case.written().splitlines() == ["begun-", "ended", "quick", "quick"]


@POSIX
def test_ctrl_c_once_finishes_what_runs_and_starts_nothing(case):
    process = case.begin()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    case.go.touch()
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert case.written().splitlines() == ["begun-", "ended", "quick"]


@POSIX
def test_sigterm_stops_the_script_verified(case):
    process = case.begin()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    case.go.touch()
    time.sleep(0.3)
    assert case.written().splitlines() == ["begun-", "quick"]


SECRET = """inputs: { password: secret }
steps:
  - { id: one, script: slow.sh@1.0.0 }
finally:
  - { id: last, script: quick.sh@1.0.0 }
"""


@POSIX
def test_a_cancel_without_the_secrets_keeps_no_output_that_may_hold_them(tmp_path):
    case = Case(tmp_path, SECRET)
    case.site.environ["WTSFLOW_INPUT_PASSWORD"] = "hunter2-and-more"
    case.killed()
    del case.site.environ["WTSFLOW_INPUT_PASSWORD"]
    case.go.touch()
    wait_for(lambda: "ended" in case.written())
    done = case.site.cli("cancel", "latest")
    assert done.returncode == 0, done.stderr
    assert "said" not in done.stdout
    kept = (case.site.state / "spool").rglob("*.log")
    assert not any(b"said" in path.read_bytes() for path in kept)


def test_a_parked_run_is_listed_as_waiting_and_goes_on_when_due(tmp_path):
    text = "steps:\n  - wait: 8s\n  - { id: one, script: quick.sh@1.0.0 }\n"
    case = Case(tmp_path, text)
    case.site.environ["WTSFLOW_PARK"] = "1s"
    done = case.site.cli("run", "manifests/case.yaml")
    assert done.returncode == 10, done.stderr
    assert "resume --due" in done.stdout
    assert "step1" in case.site.cli("runs", "list", "--waiting").stdout
    until = datetime.fromisoformat(case.listed()["due"]).timestamp()
    early = case.site.cli("resume", "--due")
    assert early.stdout == "" or time.time() > until
    time.sleep(max(0.0, until - time.time()) + 0.1)
    assert case.site.cli("resume", "--due").returncode == 0
    assert case.written() == "quick\n"
    assert case.site.cli("resume", "--due").stdout == ""
    assert case.listed()["status"] == "success"
