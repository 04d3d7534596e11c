"""Schedules end to end: real processes, real runs on this machine, killed and called at once."""

import contextlib
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.workspaces import Workspace
from wtsflow.cli.main import main

MANIFEST = """\
wtsflow: 1
name: {name}
version: 1.0.0
title: Clean
owner: ops
{inputs}triggers:
  - {{ schedule: "* * * * *", {more} }}
steps:
  - script: work.sh@1.0.0
"""
#: Each execution leaves a line; it goes on while there is a file `hold`, and fails if asked to.
SCRIPT = """\
#!/bin/sh
echo begun >> "$PLACE/executions"
echo $$ >> "$PLACE/pids"
while [ -e "$PLACE/hold" ]; do sleep 0.1; done
[ ! -e "$PLACE/fail" ]
"""
QUICK = "#!/bin/sh\necho quick\n"
NOW = datetime(2036, 11, 22, 12, 0, tzinfo=UTC)
"""In the future: slots that the machine's own clock never comes to."""


def at(minute: int) -> str:
    return f"{NOW + timedelta(minutes=minute):%Y-%m-%dT%H:%MZ}"


def manifest(more: str = "overlap: skip", name: str = "disk/clean-up", inputs: str = "") -> str:
    return MANIFEST.format(name=name, more=more, inputs=inputs)


def quick() -> str:
    return manifest(name="quick").replace("work.sh", "quick.sh")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two scripts, both locked; every test gets a copy."""
    manifests = {"clean.yaml": manifest(), "quick.yaml": quick()}
    folder = tmp_path_factory.mktemp("template")
    made = Workspace.make(folder, {"work.sh": SCRIPT, "quick.sh": QUICK}, manifests)
    (made.root / "manifests" / "quick.yaml").unlink()
    return made


@pytest.fixture
def space(tmp_path: Path, template: Workspace) -> Workspace:
    shutil.copytree(template.root, tmp_path / "workspace", symlinks=True)
    return Workspace(tmp_path / "workspace", {"PLACE": str(tmp_path)})


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def executions(space: Workspace) -> int:
    path = space.root.parent / "executions"
    return len(path.read_text().splitlines()) if path.exists() else 0


def cli(space: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in this process: what needs one of its own is started so."""
    said, told = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, space.environment(), clear=True),
        contextlib.chdir(space.root),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(told),
    ):
        code = main(words)
    return subprocess.CompletedProcess(words, code, said.getvalue(), told.getvalue())


def due(space: Workspace, minute: int, *more: str) -> subprocess.CompletedProcess[str]:
    return cli(space, "schedules", "run", "--due", "--at", at(minute), *more)


def fired(space: Workspace, minute: int) -> dict[str, Any]:
    done = due(space, minute, "--format", "json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["schema"] == "wtsflow.fired/1"
    assert found["exit"]["code"] == done.returncode, done.stderr
    return found


def statuses(found: dict[str, Any]) -> list[str]:
    return [f"{one['slot'][14:16]} {one['status']}" for one in found["slots"]]


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


# --- once -----------------------------------------------------------------------------------------

CALLER = """\
import sys
from wtsflow.cli.main import main
for line in sys.stdin:
    code = main(["schedules", "run", "--due", "--at", line.strip()])
    print("done", code, flush=True)
"""


def test_two_processes_that_call_at_once_fire_each_of_twenty_slots_once(
    space: Workspace, children: list[subprocess.Popen[str]]
) -> None:
    children += [
        subprocess.Popen(
            [sys.executable, "-c", CALLER],
            cwd=space.root,
            env=space.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    lines: list[str] = []
    for minute in range(20):
        for child in children:
            assert child.stdin
            child.stdin.write(f"{at(minute)}\n")
            child.stdin.flush()
        for child in children:
            assert child.stdout
            while not (line := child.stdout.readline()).startswith("done"):
                lines.append(line)
            assert line == "done 0\n"
    assert executions(space) == 20
    assert len(lines) == 20
    runs = json.loads(cli(space, "runs", "list", "--format", "json").stdout)["runs"]
    assert len(runs) == 20
    assert {run["origin"] for run in runs} == {"schedule"}
    assert {run["origin_of"] for run in runs} == {"disk/clean-up#1"}


# --- crashes --------------------------------------------------------------------------------------

KILLED = """\
import os, signal, sys
from wtsflow import app
def killed(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)
app.App.{method} = killed
from wtsflow.cli.main import main
sys.exit(main(["schedules", "run", "--due", "--at", "{at}"]))
"""


@pytest.mark.parametrize("method", ["plan", "run", "driving"])
def test_a_process_killed_between_claim_and_opening_leaves_a_slot_that_fires_once(
    space: Workspace, method: str
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(method=method, at=at(0))],
        cwd=space.root,
        env=space.environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert executions(space) == 0
    assert statuses(fired(space, 0)) == ["00 success"]
    assert statuses(fired(space, 0)) == []
    assert executions(space) == 1
    assert cli(space, "audit", "verify").returncode == 0


def test_a_scheduled_run_whose_process_was_killed_is_gone_on_with_by_the_next_call(
    space: Workspace, children: list[subprocess.Popen[str]]
) -> None:
    hold = space.root.parent / "hold"
    hold.touch()
    children.append(space.start("schedules", "run", "--due", "--at", at(0)))
    wait_for(lambda: executions(space) == 1)
    children[0].kill()
    children[0].wait(30)
    hold.unlink()
    told = fired(space, 1)
    assert sorted(statuses(told)) == ["00 success", "01 skipped"]
    assert executions(space) == 1
    assert statuses(fired(space, 2)) == ["02 success"]


# --- overlap --------------------------------------------------------------------------------------


def test_skip_leaves_the_slot_out_while_the_run_before_goes_on(
    space: Workspace, children: list[subprocess.Popen[str]]
) -> None:
    hold = space.root.parent / "hold"
    hold.touch()
    children.append(space.start("schedules", "run", "--due", "--at", at(0)))
    wait_for(lambda: executions(space) == 1)
    skipped = fired(space, 1)
    assert statuses(skipped) == ["01 skipped"]
    assert skipped["slots"][0]["reason"] == "the last run still goes on"
    assert skipped["exit"]["code"] == 0
    hold.unlink()
    assert children[0].wait(60) == 0
    assert executions(space) == 1
    assert statuses(fired(space, 2)) == ["02 success"]


def test_queue_runs_the_slot_when_the_run_before_has_ended(
    space: Workspace, children: list[subprocess.Popen[str]]
) -> None:
    space.write("manifests/clean.yaml", manifest("overlap: queue"))
    hold = space.root.parent / "hold"
    hold.touch()
    children.append(space.start("schedules", "run", "--due", "--at", at(0)))
    wait_for(lambda: executions(space) == 1)
    assert statuses(fired(space, 1)) == []
    assert statuses(fired(space, 2)) == ["02 skipped"]
    hold.unlink()
    assert children[0].wait(60) == 0
    assert statuses(fired(space, 2)) == ["01 success"]
    assert executions(space) == 2


def test_replace_stops_what_runs_and_then_begins(
    space: Workspace, children: list[subprocess.Popen[str]]
) -> None:
    space.write("manifests/clean.yaml", manifest("overlap: replace"))
    hold = space.root.parent / "hold"
    hold.touch()
    children.append(space.start("schedules", "run", "--due", "--at", at(0)))
    wait_for(lambda: executions(space) == 1)
    children.append(space.start("schedules", "run", "--due", "--at", at(1)))
    wait_for(lambda: executions(space) == 2)
    first, _ = (int(pid) for pid in (space.root.parent / "pids").read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    hold.unlink()
    assert children[1].wait(60) == 0
    assert children[0].wait(60) == 8
    runs = json.loads(cli(space, "runs", "list", "--format", "json").stdout)["runs"]
    assert sorted(run["status"] for run in runs) == ["cancelled", "success"]


def test_a_schedule_that_hangs_does_not_hold_up_the_others(
    space: Workspace, children: list[subprocess.Popen[str]]
) -> None:
    """Also not those of its own call: ``--parallel`` is how many go on at once."""
    space.write("manifests/quick.yaml", quick())
    hold = space.root.parent / "hold"
    hold.touch()
    children.append(space.start("schedules", "run", "--due", "--at", at(0)))
    assert children[0].stdout
    assert children[0].stdout.readline().startswith("quick#1 of ")
    assert children[0].poll() is None
    hold.unlink()
    assert children[0].wait(60) == 0


# --- unattended -----------------------------------------------------------------------------------


def test_a_run_is_told_in_one_line_and_a_failure_on_standard_error(space: Workspace) -> None:
    good = due(space, 0)
    assert good.returncode == 0
    assert good.stderr == ""
    assert len(good.stdout.splitlines()) == 1
    assert "disk/clean-up#1 of " in good.stdout
    assert "success, 1 target" in good.stdout
    assert cli(space, "--quiet", "schedules", "run", "--due", "--at", at(1)).stdout == ""
    (space.root.parent / "fail").touch()
    bad = cli(space, "--quiet", "schedules", "run", "--due", "--at", at(2))
    assert bad.returncode == 1
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1
    assert "failed" in bad.stderr
    assert "wtsflow runs show " in bad.stderr


SECRET = "inputs:\n  token: secret\n"


def test_nobody_is_asked_even_where_there_is_a_terminal(space: Workspace) -> None:
    space.write("manifests/clean.yaml", manifest(inputs=SECRET))
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "wtsflow", "schedules", "run", "--due", "--at", at(0)],
            cwd=space.root,
            env=space.environment(),
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            start_new_session=True,
        )
        out, _ = process.communicate(timeout=60)
        said = os.read(master, 4096).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert process.returncode == 3, out
    assert "WTSFLOW_INPUT_TOKEN" in said
    assert executions(space) == 0


def test_a_secret_comes_from_the_environment_and_is_shown_nowhere(space: Workspace) -> None:
    space.write("manifests/clean.yaml", manifest(inputs=SECRET))
    space.environ["WTSFLOW_INPUT_TOKEN"] = "Zebra-Quartz-9071"
    assert statuses(fired(space, 0)) == ["00 success"]
    held = [path.read_bytes() for path in space.state.rglob("*") if path.is_file()]
    assert not any(b"Zebra-Quartz-9071" in each for each in held)


def test_a_manifest_that_cannot_be_read_is_told_once_an_hour_and_stops_no_other(
    space: Workspace,
) -> None:
    space.write("manifests/bad.yaml", manifest().replace("* * * * *", "* * * *"))
    first = due(space, 0)
    assert first.returncode == 3
    assert "bad.yaml:7:" in first.stderr
    assert "success" in first.stdout
    second = due(space, 1)
    assert (second.returncode, second.stderr) == (0, "")
    assert due(space, 60).returncode == 3
    assert cli(space, "schedules", "list").returncode == 3


def test_of_several_runs_the_worst_exit_code_is_the_calls(space: Workspace) -> None:
    text = manifest(name="lost").replace("work.sh@1.0.0", "work.sh@1.0.0\n    target: gone")
    gone = text.replace("triggers:", "targets: { gone: { group: nowhere } }\ntriggers:")
    space.write("manifests/lost.yaml", gone)
    found = fired(space, 0)
    assert sorted(one["status"] for one in found["slots"]) == ["refused", "success"]
    assert found["exit"]["name"] == "invalid"


PLACES = """\
wtsflow: 1
scripts: .
inventory: inventory.yaml
default_environment: prod
environments:
  qa: { variables: { days: 3 } }
  prod: { production: true }
"""


@pytest.mark.parametrize(
    ("more", "inputs", "said"),
    [
        ("env: qa", "inputs: { days: number }\n", ""),
        ("env: prod", "", ""),
        ("env: qaa", "", "there is no environment 'qaa'"),
        ("id: a", "", "environment 'prod' is production, and the schedule does not say so"),
        ("env: prod", "inputs: { days: number }\n", "days has no value in environment 'prod'"),
    ],
)
def test_a_schedule_runs_in_the_environment_that_it_names(
    space: Workspace, more: str, inputs: str, said: str
) -> None:
    space.write("wtsflow.yaml", PLACES)
    space.write("manifests/clean.yaml", manifest(more, inputs=inputs))
    done = due(space, 0)
    assert done.returncode == (3 if said else 0)
    assert said in done.stderr
    assert executions(space) == (0 if said else 1)


# --- looking --------------------------------------------------------------------------------------


def test_a_list_says_when_it_fires_next_and_what_became_of_it_last(space: Workspace) -> None:
    empty = json.loads(cli(space, "schedules", "list", "--format", "json").stdout)
    assert not (space.state / "journal.sqlite").exists()
    (one,) = empty["schedules"]
    assert one["id"] == "disk/clean-up#1"
    assert one["words"] == "Every minute"
    assert one["last"] is None
    soon = datetime.fromisoformat(one["next"]) - datetime.now(UTC)
    assert timedelta(minutes=-2) < soon <= timedelta(minutes=1)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"
    done = cli(space, "schedules", "run", "--due", "--at", now, "--format", "json")
    (slot,) = json.loads(done.stdout)["slots"]
    (one,) = json.loads(cli(space, "schedules", "list", "--format", "json").stdout)["schedules"]
    assert one["last"]["slot"] == slot["slot"]
    assert one["last"]["run"] == slot["run"]
    assert one["last"]["status"] == "success"
    space.environ["COLUMNS"] = "200"
    text = cli(space, "schedules", "list").stdout
    assert "Every minute" in text
    assert slot["run"] in text
    space.environ["COLUMNS"] = "80"
    narrow = cli(space, "schedules", "list").stdout.splitlines()
    assert "success" in narrow[1]
    assert max(map(len, narrow)) <= 80


def test_show_has_the_last_slots_and_the_next_ones(space: Workspace) -> None:
    now = datetime.now(UTC)
    for minute in (-1, 0):
        then = f"{now + timedelta(minutes=minute):%Y-%m-%dT%H:%MZ}"
        cli(space, "schedules", "run", "--due", "--at", then)
    found = json.loads(cli(space, "schedules", "show", "disk/clean-up", "--format", "json").stdout)
    assert [one["status"] for one in found["slots"]] == ["success"] * 2
    assert len(found["coming"]) == 3
    missing = cli(space, "schedules", "show", "disk/cleanup")
    assert missing.returncode == 2
    assert "did you mean" in missing.stderr


def test_a_paused_schedule_does_not_fire_until_it_is_resumed(space: Workspace) -> None:
    assert cli(space, "schedules", "pause", "disk/clean-up").returncode == 0
    assert statuses(fired(space, 0)) == []
    assert "paused by" in cli(space, "schedules", "list").stdout
    assert cli(space, "schedules", "resume", "disk/clean-up#1").returncode == 0
    assert statuses(fired(space, 1)) == ["01 success"]


# --- cron -----------------------------------------------------------------------------------------


def as_cron(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a crontab as cron does: by sh, at home, with next to nothing set."""
    assert line.startswith("* * * * * ")
    command = line.removeprefix("* * * * * ")
    assert "%" not in command.replace("\\%", "")
    return subprocess.run(
        ["env", "-i", "sh", "-c", command.replace("\\%", "%")],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_lines_for_cron_work_with_nothing_in_the_environment(space: Workspace) -> None:
    space.write("manifests/clean.yaml", quick())
    lines = cli(space, "schedules", "crontab").stdout.splitlines()
    calls = [line for line in lines if not line.startswith("#")]
    assert len(calls) == 2
    for line in calls:
        done = as_cron(line)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "success" in cli(space, "runs", "list").stdout


def test_the_lines_for_cron_bear_spaces_quotes_and_percent_signs(
    tmp_path: Path, template: Workspace
) -> None:
    odd = tmp_path / "it's 100% odd"
    shutil.copytree(template.root, odd / "workspace")
    space = Workspace(odd / "workspace")
    space.write("manifests/clean.yaml", quick())
    done = as_cron(cli(space, "schedules", "crontab").stdout.splitlines()[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert "success" in cli(space, "runs", "list").stdout


def test_units_for_systemd_are_printed_and_nothing_is_installed(space: Workspace) -> None:
    text = cli(space, "schedules", "crontab", "--systemd").stdout
    assert "OnCalendar=minutely" in text
    assert '"schedules" "run" "--due"' in text
    home = space.root.parent / "home"
    assert not (home / ".config" / "systemd").exists()


def test_run_without_due_says_what_is_missing(space: Workspace) -> None:
    done = cli(space, "schedules", "run")
    assert done.returncode == 2
    assert "--due" in done.stderr
