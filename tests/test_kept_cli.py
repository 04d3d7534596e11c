"""Looking back at the command line: runs, their output, the audit log; and no secret anywhere."""

import csv
import io
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.keeping import posix
from tests.workspaces import Workspace
from wtsflow.audit.reading import harmless
from wtsflow.engine.needles import DROPPED, needles
from wtsflow.errors import Exit

pytestmark = [posix]
SECRET = "kq7zWv-31x9"

LEAK = """\
#!/bin/sh
read -r line
token=$(printf %s "$line" | sed 's/.*"token": *"\\([^"]*\\)".*/\\1/')
printf 'clear \\033[31m%s\\033[0m\\n' "$token"
printf %s "$token" | base64
printf %s "$token" | od -An -tx1
printf '%s' "$token" | cut -c1-5 | tr -d '\\n'; sleep 0.2; printf '%s' "$token" | cut -c6-
printf '\\377\\033]0;title\\007 danger\\n'
echo "error $token" >&2
printf '{"said": "is %s"}' "$token" > "$WTS_OUTPUT"
exit 3
"""
SIDECAR = """\
title: Leak
input: json
parameters: { token: { type: secret } }
outputs: { said: string }
"""
MANIFEST = """\
wtsflow: 1
name: leak
version: 1.0.0
title: Leak a secret in every way
owner: sme@corp.example
inputs:
  token: { type: secret }
steps:
  - id: leak
    title: Leak
    script: leak.sh@1.0.0
    with: { token: $(inputs.token) }
"""
SLOW = """\
wtsflow: 1
name: slow
version: 1.0.0
title: Take a while
owner: sme@corp.example
steps:
  - { id: slow, title: Take a while, script: slow.sh@1.0.0 }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace.make(
        tmp_path_factory.mktemp("kept"),
        {"leak.sh": LEAK, "leak.sh.yaml": SIDECAR, "slow.sh": "#!/bin/sh\nsleep 2\n"}
        | {"long.sh": "#!/bin/sh\nsleep 60\n"},
        {"leak.yaml": MANIFEST, "slow.yaml": SLOW, "long.yaml": SLOW.replace("slow", "long")},
    )
    made.environ["WTSFLOW_INPUT_TOKEN"] = SECRET
    done = made.cli("run", "manifests/leak.yaml", "-vvv")
    assert done.returncode == 1, done.stderr
    made.write("seen.txt", done.stdout + done.stderr)
    return made


def shown(place: Workspace, *args: str) -> Any:
    done = place.cli(*args, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def assert_no_secret(data: bytes, where: object) -> None:
    plain = data.translate(None, DROPPED)
    assert not [needle for needle in needles(SECRET) if needle in plain], where


def test_T38_no_file_that_is_kept_holds_the_secret_in_any_form(place: Workspace) -> None:
    files = [path for path in place.state.rglob("*") if path.is_file()]
    assert {"journal.sqlite", "audit-000000000001.jsonl"} <= {path.name for path in files}
    assert any(path.suffix == ".log" for path in files)
    for path in files:
        assert_no_secret(path.read_bytes(), path)


def test_T48_the_loudest_output_does_not_show_the_secret(place: Workspace) -> None:
    said = (place.root / "seen.txt").read_bytes()
    assert said.count(b"********") >= 4
    assert_no_secret(said, "the terminal")


@pytest.mark.parametrize(
    "args",
    [
        ["runs", "list"],
        ["runs", "show", "latest"],
        ["runs", "show", "latest", "--output", "local"],
        ["runs", "show", "latest", "--format", "json"],
        ["runs", "watch", "latest", "--format", "jsonl"],
        ["audit", "show", "--last", "0"],
        ["audit", "export"],
        ["audit", "export", "--format", "csv"],
    ],
)
def test_T38_no_command_that_looks_back_shows_the_secret(place: Workspace, args: list[str]) -> None:
    done = place.cli(*args)
    assert len(done.stdout) > 100
    assert_no_secret((done.stdout + done.stderr).encode(), args)


def test_T39_kept_output_is_printed_safe_for_a_terminal(place: Workspace) -> None:
    done = place.cli("runs", "show", "latest", "--output", "local", "--step", "leak")
    assert done.returncode == 0
    assert "\\x1b[31m********\\x1b[0m" in done.stdout
    assert "\\xff\\x1b]0;title\\x07 danger" in done.stdout
    assert not any(ord(sign) < 32 and sign not in "\n\t" for sign in done.stdout)


def test_runs_are_listed_and_shown(place: Workspace) -> None:
    runs = shown(place, "runs", "list", "--workflow", "leak")
    assert runs["schema"] == "wtsflow.runs/1"
    assert [run["status"] for run in runs["runs"]] == ["failed"]
    run = runs["runs"][0]["run"]
    document = shown(place, "runs", "show", run[:20].lower())
    assert document["run"] == run
    assert document["steps"][0]["exit_code"] == 3
    assert Path(document["output"]).is_dir()
    text = place.cli("runs", "show", run).stdout
    assert "leak on local" in text
    assert "failed" in text
    assert "leak 1.0.0" in place.cli("runs", "list").stdout


def test_a_run_that_is_not_there_is_said_with_its_cure(place: Workspace) -> None:
    done = place.cli("runs", "show", "01NOTHERE")
    assert done.returncode == 2
    assert "there is no run '01NOTHERE'" in done.stderr
    assert "wtsflow runs list" in done.stderr
    done = place.cli("runs", "show", "latest", "--output", "web99")
    assert done.returncode == 2
    assert "no output of 'web99'" in done.stderr


def test_before_the_first_run_the_commands_say_so(place: Workspace, tmp_path: Path) -> None:
    place.environ["WTSFLOW_STATE"] = str(tmp_path / "none")
    try:
        listed, proven = place.cli("runs", "list"), place.cli("audit", "verify")
    finally:
        del place.environ["WTSFLOW_STATE"]
    assert listed.returncode == 2
    assert "nothing was run yet" in listed.stderr
    assert proven.returncode == 74
    assert "no audit log" in proven.stderr
    assert not (tmp_path / "none").exists()


def test_the_audit_log_is_proven_shown_and_exported(place: Workspace, tmp_path: Path) -> None:
    verdict = shown(place, "audit", "verify")
    assert verdict["schema"] == "wtsflow.verified/1"
    assert verdict["intact"] is True
    assert verdict["journal"] is True
    assert len(verdict["not_proven"]) == 2
    latest = shown(place, "runs", "list", "--workflow", "leak")["runs"][0]["run"]
    events = [
        one["body"]["event"] for one in shown(place, "audit", "show", "--run", latest)["records"]
    ]
    assert events == ["opened", "started", "finished", "closed"]
    assert shown(place, "audit", "show", "--event", "log")["records"]
    assert shown(place, "audit", "show", "--actor", "nobody-such")["records"] == []
    assert shown(place, "audit", "show", "--since", "1h")["records"]
    assert shown(place, "audit", "show", "--since", "2999-01-01")["records"] == []
    assert place.cli("audit", "show", "--since", "soon").returncode == 2
    lines = place.cli("audit", "export", "--run", latest).stdout.splitlines()
    whole = next((place.state / "audit").glob("audit-*.jsonl")).read_text().splitlines()
    assert len(lines) == 4
    assert set(lines) <= set(whole)
    file = tmp_path / "out.csv"
    assert place.cli("audit", "export", "--format", "csv", "-o", str(file)).returncode == 0
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["seq"] for row in rows][:2] == ["1", "2"]
    assert place.cli("audit", "export", "-o", str(file)).returncode == 2


@given(st.text())
def test_T11_no_exported_cell_is_a_formula(text: str) -> None:
    cell = harmless(text)
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n", "\0"}
    assert cell in {text, f"'{text}"}


def test_a_run_is_followed_from_another_terminal(place: Workspace) -> None:
    running = place.start("run", "manifests/slow.yaml")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        opened = shown(place, "runs", "list", "--status", "open", "--workflow", "slow")["runs"]
        if opened:
            break
    watched = place.cli("runs", "watch", opened[0]["run"], "--format", "jsonl")
    running.communicate(timeout=60)
    events = [json.loads(line)["event"] for line in watched.stdout.splitlines()]
    assert events[0] == "opened"
    assert events[-1] == "closed"
    assert watched.returncode == running.returncode == 0


def test_a_run_whose_process_was_killed_is_said_to_be_cut_off(place: Workspace) -> None:
    running = place.start("run", "manifests/long.yaml", start_new_session=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = shown(place, "runs", "list", "--status", "open")["runs"]
        if found:
            break
    assert [run["alive"] for run in found] == [True]
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    run = found[0]["run"]
    assert "cut off" in place.cli("runs", "list").stdout
    assert shown(place, "runs", "list", "--status", "open")["runs"][0]["alive"] is False
    seen = place.cli("runs", "show", run)
    assert "running" not in seen.stdout
    assert "cut off: begun" in seen.stdout
    watched = place.cli("runs", "watch", run)
    assert watched.returncode == Exit.UNKNOWN
    for done in (seen, watched):
        assert f"wtsflow resume {run}" in done.stderr
    assert place.cli("run", "manifests/slow.yaml", "-q").returncode == 0
    assert [path.stem for path in (place.state / "locks").iterdir()] == [run]


def test_a_run_that_waits_for_a_time_is_parked_wherever_it_is_looked_at(place: Workspace) -> None:
    place.write(
        "manifests/later.yaml",
        SLOW.replace("name: slow", "name: later").replace(
            "steps:", "steps:\n  - { id: window, wait: 2h }"
        ),
    )
    parked = place.cli("run", "manifests/later.yaml", "-q")
    assert parked.returncode == Exit.WAITING, parked.stdout + parked.stderr
    (run,) = shown(place, "runs", "list", "--waiting")["runs"]
    assert (run["workflow"], run["standing"], run["waits"]) == ("later", "parked", "window")
    assert (run["status"], run["alive"]) == ("open", False)
    assert "parked until" in place.cli("runs", "list").stdout
    assert place.cli("runs", "list", "--status", "cut-off,running").stdout.count("later") == 0
    seen = place.cli("runs", "show", run["run"])
    assert "parked: begun" in seen.stdout
    assert f"wtsflow resume {run['run']}" in seen.stderr
    assert place.cli("runs", "watch", run["run"]).returncode == Exit.WAITING
    pruned = place.cli("state", "prune", "--older-than", "0m", "--dry-run", "--format", "json")
    assert run["run"] not in json.loads(pruned.stdout)["runs"]
    copied = place.cli("state", "backup", str(place.root / "copy.tar.gz"), "--spool")
    assert copied.returncode == 0, copied.stderr
    place.environ["WTSFLOW_STATE"] = str(place.root / "there")
    try:
        assert place.cli("state", "restore", "copy.tar.gz").returncode == 0
        assert [one["run"] for one in shown(place, "runs", "list", "--waiting")["runs"]] == [
            run["run"]
        ]
        assert place.cli("doctor").returncode == 0
    finally:
        del place.environ["WTSFLOW_STATE"]


def test_T41_a_killed_run_leaves_an_intact_log_and_an_edit_is_found(place: Workspace) -> None:
    running = place.start("run", "manifests/long.yaml", start_new_session=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(run["alive"] for run in shown(place, "runs", "list")["runs"]):
            break
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    assert place.cli("audit", "verify").returncode == 0
    path = next((place.state / "audit").glob("audit-*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1200])
    gone = place.cli("audit", "verify")
    assert gone.returncode == 6
    path.write_bytes(whole.replace(b'"failed"', b'"succes"', 1))
    edited = place.cli("audit", "verify")
    assert edited.returncode == 6
    assert "TAMPERED" in edited.stdout
    document = json.loads(place.cli("audit", "verify", "--format", "json").stdout)
    assert document["problems"][0]["kind"] == "changed"
    path.write_bytes(whole)
    assert place.cli("audit", "verify", "--alone").returncode == 0


def test_every_line_of_real_and_frozen_logs_fits_the_schema(place: Workspace) -> None:
    from jsonschema import Draft202012Validator

    root = Path(__file__).parents[1]
    schema = json.loads((root / "schemas/record-1.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    frozen = (root / "tests/audit/v1").glob("*/audit-*.jsonl")
    events = set()
    for path in [*(place.state / "audit").glob("audit-*.jsonl"), *frozen]:
        for line in path.read_text().splitlines():
            said = json.loads(line)
            assert not list(check.iter_errors(said)), line
            events.add(said["body"]["event"])
            said["body"]["ratio"] = 0.5
            assert list(check.iter_errors(said))
    assert {"opened", "finished", "closed", "log.open", "log.close", "log.torn_tail"} <= events
