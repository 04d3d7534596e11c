"""The whole way on real OpenSSH hosts: text, plan, fleet, journal, audit log, exit code."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.peers.sshd import Sshd
from tests.workspaces import Workspace

pytestmark = pytest.mark.peer("sshd")

HEAD = "wtsflow: 1\nname: fleet/{name}\nversion: 1.0.0\ntitle: T\nowner: ops\n"
SCRIPTS = {
    "a/work.sh": '#!/bin/sh\nset -eu\necho "$WTS_TARGET at ${1:-} ${2:-}"\n',
    "a/trouble.sh": """#!/bin/sh
case $WTS_TARGET in
  web07) echo "about to hang"; sleep 300 ;;
  web13) echo "disk is full" >&2; exit 3 ;;
esac
echo fine
""",
    "a/forks.sh": """#!/bin/sh
trap '' TERM
(trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 0.1; done' &)
(trap '' TERM; while :; do sleep 0.1; done) &
echo "$WTS_MARK" > "$1"
while :; do sleep 0.1; done
""",
    "a/slow.sh": '#!/bin/sh\necho begun\nsleep "${2:-5}"\necho over\n',
}
FIVE = (
    HEAD.format(name="five")
    + """targets: { web: { group: web } }
steps:
  - { id: one, script: a/work.sh@1.0.0, target: web, with: { step: one } }
  - { id: two, script: a/work.sh@1.0.0, target: web, with: { step: two } }
  - { id: three, script: a/trouble.sh@1.0.0, target: web, timeout: 2s }
  - { id: four, script: a/work.sh@1.0.0, target: web, with: { step: four } }
  - { id: five, script: a/work.sh@1.0.0, target: web, with: { step: five } }
"""
)


def fleet(sshd: Sshd, folder: Path, manifests: dict[str, str], count: int = 20) -> Workspace:
    settings = dict(sshd.settings)
    hosts = {
        f"web{n:02}": {"host": f"127.0.1.{n}", "port": sshd.port, "os": "linux"}
        for n in range(1, count + 1)
    }
    inventory = {
        "defaults": {"user": sshd.user, "ssh": {**settings, "connect_timeout": "5s"}},
        "hosts": hosts,
        "groups": {"web": {"hosts": list(hosts)}},
    }
    return Workspace.make(folder, SCRIPTS, manifests, json.dumps(inventory, indent=1))


def test_20_hosts_5_steps_one_down_one_hanging_one_failing(sshd: Sshd, tmp_path: Path):
    made = fleet(sshd, tmp_path, {"five.yaml": FIVE})
    text = (made.root / "inventory.yaml").read_text()
    down = text.replace('"host": "127.0.1.3"', '"host": "127.0.1.3", "ssh": {}').replace(
        f'"host": "127.0.1.3", "ssh": {{}},\n   "port": {sshd.port}',
        '"host": "127.0.1.3",\n   "port": 9',
    )
    assert down != text
    made.write("inventory.yaml", down)
    done = made.cli("run", "manifests/five.yaml")
    assert done.returncode == 9, done.stdout + done.stderr
    end = done.stdout[done.stdout.index("partial") :]
    for name, outcome in (("web03", "unreachable"), ("web07", "timeout"), ("web13", "failed")):
        assert f"{outcome}  {name}" in end
    shown = json.loads(made.cli("runs", "show", "latest", "--format", "json").stdout)
    ends = {target["name"]: target["outcome"] for target in shown["targets"]}
    assert ends == {
        f"web{n:02}": {3: "unreachable", 7: "timeout", 13: "failed"}.get(n, "success")
        for n in range(1, 21)
    }
    finals = [s for s in shown["steps"] if s["path"] == "five"]
    assert sorted(s["target"] for s in finals) == [
        f"web{n:02}" for n in range(1, 21) if n not in (3, 7, 13)
    ]
    hung = next(s for s in shown["steps"] if s["path"] == "three" and s["target"] == "web07")
    assert hung["stop"] == "confirmed"
    assert made.cli("audit", "verify").returncode == 0


def _marked(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"WTS_RUN={mark}".encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_grandchildren_that_ignore_term_are_gone_within_the_grace(sshd: Sshd, tmp_path: Path):
    file = tmp_path / "mark"
    text = (
        HEAD.format(name="forks")
        + f"""targets: {{ web: {{ hosts: [web01] }} }}
steps:
  - {{ id: forks, script: a/forks.sh@1.0.0, target: web, timeout: 3s, with: {{ file: {file} }} }}
"""
    )
    made = fleet(sshd, tmp_path, {"forks.yaml": text}, count=1)
    made.write(
        "wtsflow.yaml", (made.root / "wtsflow.yaml").read_text() + "settings: { grace: 1s }\n"
    )
    began = time.monotonic()
    result = made.run("forks.yaml")
    assert time.monotonic() - began < 3 + 1 + 15
    (step,) = result["steps"]
    assert step["outcome"] == "timeout"
    assert step["stop"] == "confirmed"
    assert result["exit"] == {"code": 7, "name": "timeout"}
    assert _marked(result["run"]) == []


def forking(sshd: Sshd, folder: Path) -> tuple[Workspace, subprocess.Popen[str], str]:
    """A run on three hosts whose script has children that ignore TERM and leave its session."""
    text = (
        HEAD.format(name="forks")
        + """targets: { web: { group: web } }
steps:
  - { id: forks, script: a/forks.sh@1.0.0, target: web, with: { file: /dev/null } }
"""
    )
    made = fleet(sshd, folder, {"forks.yaml": text}, count=3)
    made.write(
        "wtsflow.yaml", (made.root / "wtsflow.yaml").read_text() + "settings: { grace: 1s }\n"
    )
    process = made.start("run", "manifests/forks.yaml", "--format", "jsonl")
    assert process.stdout
    run, started = "", 0
    for line in process.stdout:
        seen = json.loads(line)
        run = seen["run"]
        started += seen.get("event") == "started"
        if started == 3:
            break
    deadline = time.monotonic() + 20
    while len(_marked(run)) < 9 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _marked(run)
    return made, process, run


def test_ctrl_c_twice_ends_the_remote_tree_and_says_so(sshd: Sshd, tmp_path: Path):
    _, process, run = forking(sshd, tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    ends = [json.loads(line) for line in out.splitlines()]
    stops = [e["data"]["stop"] for e in ends if e.get("event") == "finished"]
    assert stops == ["confirmed"] * 3
    assert _marked(run) == []


@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed"])
def test_no_grandchild_survives_a_cancel(sshd: Sshd, tmp_path: Path, killed: bool):
    """Whether the run's own process does it, or cancel takes the place of a killed one."""
    made, process, run = forking(sshd, tmp_path)
    if killed:
        process.kill()
        process.communicate()
    done = made.cli("cancel", run, "--format", "json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["status"], said["confirmed"], said["unconfirmed"]) == ("cancelled", True, [])
    assert _marked(run) == []
    if not killed:
        process.communicate(timeout=60)
        assert process.returncode == 8


@pytest.mark.parametrize("after", [0.0, 0.4, 0.8, 1.3])
def test_a_run_that_was_killed_leaves_an_audit_log_that_verifies(
    sshd: Sshd, tmp_path: Path, after: float
):
    text = (
        HEAD.format(name="slow")
        + """targets: { web: { group: web } }
steps:
  - { id: one, script: a/slow.sh@1.0.0, target: web, with: { s: 0.2 } }
  - { id: two, script: a/slow.sh@1.0.0, target: web, with: { s: 2 } }
"""
    )
    made = fleet(sshd, tmp_path, {"slow.yaml": text}, count=4)
    process = made.start("run", "manifests/slow.yaml", "--format", "jsonl")
    assert process.stdout
    process.stdout.readline()
    time.sleep(after)
    process.kill()
    process.communicate()
    verified = made.cli("audit", "verify", "--format", "json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    again = made.run("slow.yaml")
    assert again["exit"]["name"] == "success"
    assert made.cli("audit", "verify").returncode == 0


def test_a_moved_tag_and_a_missing_blob_stop_before_any_connection(sshd: Sshd, tmp_path: Path):
    made = fleet(sshd, tmp_path, {"five.yaml": FIVE}, count=2)
    made.write("a/work.sh", "#!/bin/sh\necho changed\n")
    made.git("commit", "-qam", "evil")
    made.git("tag", "-f", "a/work.sh@1.0.0")
    ran = made.cli("run", "manifests/five.yaml")
    assert ran.returncode == 9 or "changed" not in ran.stdout
    checked = made.cli("lock", "--check")
    assert checked.returncode == 6, checked.stdout + checked.stderr


def test_the_journal_and_the_state_folder_are_the_owners_alone(sshd: Sshd, tmp_path: Path):
    made = fleet(sshd, tmp_path, {"five.yaml": FIVE}, count=1)
    made.cli("run", "manifests/five.yaml")
    for path in [made.state, *made.state.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert os.listdir(made.state)
