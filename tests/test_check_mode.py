"""Check mode by the command line: nothing is changed, and what is not known is not called good."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.sshd import Sshd
from tests.workspaces import Workspace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the scripts are for POSIX systems")

CLEAN = """\
#!/bin/sh
# usage: clean.sh [--check] --area AREA
check=
while [ $# -gt 0 ]; do
  case $1 in --check) check=1 ;; --area) area=$2; shift ;; esac
  shift
done
for file in a b; do
  echo "CHANGE remove $area/$file"
  [ "$check" ] || echo "$file" >> "$CANARIES/removed"
done
printf '{"freed": 2}\\n' > "$WTS_OUTPUT"
"""
CONFIGURE = """\
import json, os

old, new = "a = 1\\nb = 2\\n", "a = 1\\nb = 3\\n"
changes = [{"what": "write app.conf", "before": old, "after": new}]
if os.environ.get("WTS_CHECK") != "1":
    with open(os.environ["CANARIES"] + "/configured", "a") as file:
        file.write("x")
with open(os.environ["WTS_OUTPUT"], "w") as file:
    json.dump({"changes": changes, "port": 80}, file)
"""
RESTART = """\
#!/bin/sh
echo ran >> "$CANARIES/restarted"
printf '{"pid": 7}\\n' > "$WTS_OUTPUT"
"""
UNLOCK = """\
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Low')]
param([Parameter(Mandatory)][string]$Name)
"""
PWSH = """\
#!/bin/sh
# Stands for PowerShell: it says -WhatIf's line, or acts.
echo "$@" >> "$CANARIES/invocations"
case " $* " in
  *" -WhatIf "*) echo 'What if: Performing the operation "Unlock" on target "kim".' ;;
  *) echo unlocked >> "$CANARIES/unlocked" ;;
esac
"""
SCRIPTS = {
    "clean.sh": CLEAN,
    "clean.sh.yaml": "check: --check\nparameters: { area: string }\noutputs: { freed: number }\n",
    "configure.py": CONFIGURE,
    "configure.py.yaml": "check: env\noutputs: { port: number }\n",
    "restart.sh": RESTART,
    "restart.sh.yaml": "outputs: { pid: number }\n",
    "same.sh": "#!/bin/sh\necho UNCHANGED\n",
    "same.sh.yaml": "check: env\n",
    "mute.sh": "#!/bin/sh\necho nothing to say\n",
    "mute.sh.yaml": "check: env\n",
    "fail.sh": "#!/bin/sh\necho CHANGE this\nexit 3\n",
    "fail.sh.yaml": "check: env\n",
    "unlock.ps1": UNLOCK,
}
HEAD = "wtsflow: 1\nversion: 1.0.0\nowner: ops\n"
ALL = """\
name: all
title: All kinds
targets: { hosts: { hosts: [one, two] } }
steps:
  - { id: clean, script: clean.sh@1.0.0, target: hosts, with: { area: /var/log } }
  - { id: configure, script: configure.py@1.0.0, target: hosts }
  - wait: 1h
  - { id: restart, script: restart.sh@1.0.0, target: hosts, on_failure: [{ script: restart.sh@1.0.0 }] }
  - { id: same, script: same.sh@1.0.0, target: hosts }
  - { id: mute, script: mute.sh@1.0.0, target: hosts }
  - { id: known, when: steps.clean.outputs.freed == 2, script: same.sh@1.0.0, target: hosts }
  - { id: later, when: steps.restart.outputs.pid > 3, script: same.sh@1.0.0, target: hosts }
  - { id: fed, script: clean.sh@1.0.0, target: hosts, with: { area: "$(string(steps.restart.outputs.pid))" } }
  - { id: said, when: "default(steps.restart.outcome, 'success') == 'success'", script: same.sh@1.0.0, target: hosts }
finally:
  - { id: tell, when: run.success, script: same.sh@1.0.0 }
"""
PAIR = """\
name: pair
title: Two that can be checked
targets: { hosts: { hosts: [one] } }
steps:
  - { id: clean, script: clean.sh@1.0.0, target: hosts, with: { area: /var/log } }
  - { id: configure, script: configure.py@1.0.0, target: hosts }
"""
MANIFESTS = {
    "all.yaml": HEAD + ALL,
    "pair.yaml": HEAD + PAIR,
    "fail.yaml": HEAD + "name: fail\ntitle: Fails\nsteps:\n  - { id: fail, script: fail.sh@1.0.0,"
    " on_failure: [{ script: restart.sh@1.0.0 }] }\n",
    "unlock.yaml": HEAD
    + "name: unlock\ntitle: Unlock\ninputs: { name: { type: string } }\nsteps:\n"
    "  - { id: unlock, script: unlock.ps1@1.0.0, with: { Name: $(inputs.name) } }\n",
}
INVENTORY = (
    "wtsflow: 1\nhosts:\n  one: { transport: local, os: linux }\n"
    "  two: { transport: local, os: linux }\n"
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace.make(tmp_path_factory.mktemp("check"), SCRIPTS, MANIFESTS, INVENTORY)
    pwsh = made.write("../bin/pwsh", PWSH)
    pwsh.chmod(0o755)
    made.environ["PATH"] = f"{pwsh.parent.resolve()}:{os.environ['PATH']}"
    return made


@pytest.fixture
def canaries(workspace: Workspace, tmp_path: Path) -> Path:
    """The folder in which whatever really runs leaves a file."""
    workspace.environ["CANARIES"] = str(tmp_path)
    return tmp_path


def left(canaries: Path) -> list[str]:
    return sorted(path.name for path in canaries.iterdir())


@pytest.fixture(scope="module")
def checked(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """What the check of everything found, and what it left behind."""
    folder = tmp_path_factory.mktemp("canaries")
    workspace.environ["CANARIES"] = str(folder)
    return workspace.run("all.yaml", "--check"), folder


def test_a_check_changes_nothing_that_the_run_changes(
    checked: tuple[dict, Path], workspace: Workspace, canaries: Path
) -> None:
    document, folder = checked
    assert (document["check"], document["exit"]["code"]) == (True, 0)
    assert left(folder) == []
    assert document["duration_ms"] < 60_000  # its wait of an hour was passed over


def test_a_real_run_does_what_its_check_announced(workspace: Workspace, canaries: Path) -> None:
    looked = workspace.run("pair.yaml", "--check")
    assert left(canaries) == []
    done = workspace.run("pair.yaml")
    assert left(canaries) == ["configured", "removed"]
    assert (done["check"], done["changes"]) == (False, None)
    assert [s["changes"]["list"] for s in done["steps"]] == [
        s["changes"]["list"] for s in looked["steps"]
    ]


def test_what_would_change_is_told_for_each_target(checked: tuple[dict, Path]) -> None:
    document, _ = checked
    for target in ("one", "two"):
        steps = {s["path"]: s["changes"] for s in document["steps"] if s["target"] == target}
        assert steps == {
            "clean": {
                "state": "change",
                "count": 2,
                "list": [{"what": "remove /var/log/a"}, {"what": "remove /var/log/b"}],
            },
            "configure": {
                "state": "change",
                "count": 1,
                "list": [
                    {
                        "what": "write app.conf",
                        "before": "a = 1\nb = 2\n",
                        "after": "a = 1\nb = 3\n",
                    }
                ],
            },
            "same": {"state": "same", "count": 0},
            "known": {"state": "same", "count": 0},
            "mute": {
                "state": "unknown",
                "count": 0,
                "reason": "its check did not say what would change",
            },
        }


def test_what_cannot_be_told_is_unknown_never_good_and_never_failed(
    checked: tuple[dict, Path],
) -> None:
    document, _ = checked
    skipped = {one["path"]: one for one in document["skipped"]}
    assert skipped["step3"] == {"path": "step3", "reason": "check: nothing is waited for"}
    for target in ("one", "two"):
        assert skipped[f"restart@{target}"] == {
            "path": f"restart@{target}",
            "reason": "cannot tell: the script has no check",
            "change": "unknown",
            "targets": [target],
        }
        for step, where in (("later", "when"), ("fed", "with"), ("said", "when")):
            reason = skipped[f"{step}@{target}"]["reason"]
            assert reason == f"cannot tell: {where}: only a real run knows 'steps.restart'"
    assert skipped["finally/tell@local"]["reason"].endswith("only a real run knows 'run.success'")
    counted = {one["name"]: one for one in document["changes"]["targets"]}
    assert counted["one"] == {"name": "one", "change": 3, "same": 2, "unknown": 5}
    assert counted["local"] == {"name": "local", "change": 0, "same": 0, "unknown": 1}
    assert {key: document["changes"][key] for key in ("change", "same", "unknown")} == {
        "change": 6,
        "same": 4,
        "unknown": 11,
    }


def test_a_person_sees_what_would_change_and_last_what_is_unknown(
    workspace: Workspace, canaries: Path
) -> None:
    done = workspace.cli("run", "manifests/all.yaml", "--dry-run", "--diff")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "check: nothing is changed" in lines
    assert lines[-1] == "nothing was changed; 3 targets: 6 would change, 11 unknown"
    assert "  one, two: 3 would change, 5 unknown" in lines
    assert "  ? restart: cannot tell: the script has no check (2 targets)" in lines
    about = [line[3:].strip() for line in lines if line.startswith("one ")]
    at = about.index("• write app.conf")
    assert re.fullmatch(r"~ configure would change: 1 change in [0-9.]+s", about[at - 1])
    assert about[at + 1 : at + 5] == ["@@ -1,2 +1,2 @@", "a = 1", "-b = 2", "+b = 3"]
    assert left(canaries) == []
    seen = workspace.cli("runs", "show", "--diff").stdout
    assert "+b = 3" in seen
    assert "2 would change" in seen
    assert "(check)" in workspace.cli("runs", "list", "-n", "1").stdout
    quiet = workspace.cli("--quiet", "run", "manifests/all.yaml", "--check").stdout
    assert quiet.splitlines()[-1] == lines[-1]


def test_a_check_that_fails_is_no_success_and_no_handler_runs(
    workspace: Workspace, canaries: Path
) -> None:
    document = workspace.run("fail.yaml", "--check")
    (step,) = document["steps"]
    assert (document["exit"]["name"], step["outcome"]) == ("failed", "failed")
    assert step["changes"]["state"] == "unknown"
    assert document["changes"]["unknown"] == 1
    assert left(canaries) == []


def test_powershell_is_asked_what_if(workspace: Workspace, canaries: Path) -> None:
    arguments = ("unlock.yaml", "--input", "name=kim")
    document = workspace.run(*arguments, "--check")
    (step,) = document["steps"]
    assert step["changes"] == {
        "state": "change",
        "count": 1,
        "list": [{"what": 'Performing the operation "Unlock" on target "kim".'}],
    }
    assert left(canaries) == ["invocations"]
    assert workspace.run(*arguments)["status"] == "success"
    looked, done = (canaries / "invocations").read_text().splitlines()
    assert looked.endswith(".ps1 -WhatIf -Name kim")
    assert done.endswith(".ps1 -Name kim")
    assert left(canaries) == ["invocations", "unlocked"]


def test_a_plan_that_only_checks_does_so_when_it_is_applied(
    workspace: Workspace, canaries: Path
) -> None:
    file = workspace.root.parent / "check.plan"
    shown = workspace.cli("plan", "manifests/all.yaml", "--check", "-o", str(file))
    assert "check: nothing will be changed" in shown.stdout
    assert "none: unknown" in shown.stdout
    other = workspace.cli("plan", "manifests/all.yaml", "--format", "json")
    assert json.loads(file.read_text())["digest"] != json.loads(other.stdout)["digest"]
    done = workspace.cli("apply", str(file), "--format", "json")
    document = json.loads(done.stdout)
    assert (document["check"], document["changes"]["change"]) == (True, 6)
    assert left(canaries) == []


def test_a_target_that_says_check_does_not_turn_a_run_into_one(
    workspace: Workspace, canaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(workspace.environ, "WTS_CHECK", "1")
    manifest = HEAD + "name: c\ntitle: C\nsteps:\n  - script: configure.py@1.0.0\n"
    workspace.write("manifests/c.yaml", manifest)
    document = workspace.run("c.yaml")
    assert (document["status"], left(canaries)) == ("success", ["configured"])
    (step,) = document["steps"]
    assert step["changes"]["list"][0]["what"] == "write app.conf"
    assert step["outputs"] == {"port": 80}


HOSTILE = """\
import json, os

evil = "x\\x1b]0;owned\\x07\\x1b[2J\\u202e"
changes = [{"what": f"{n} {evil}\\nnext", "before": "y" * 9000, "after": evil} for n in range(20)]
changes += [f"{n} {evil}" for n in range(2980)]
print("CHANGE", evil)
with open(os.environ["WTS_OUTPUT"], "w") as file:
    json.dump({"changes": changes}, file)
"""
BROKEN = """\
#!/bin/sh
echo CHANGE something
printf '{"changes": [{"after": "no what"}]}\\n' > "$WTS_OUTPUT"
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    scripts = {
        "evil.py": HOSTILE,
        "evil.py.yaml": "check: env\n",
        "broken.sh": BROKEN,
        "broken.sh.yaml": "check: env\n",
    }
    steps = "name: evil\ntitle: E\nsteps:\n  - { id: evil, script: evil.py@1.0.0 }\n"
    broken = "name: broken\ntitle: B\nsteps:\n  - { id: broken, script: broken.sh@1.0.0 }\n"
    return Workspace.make(
        tmp_path_factory.mktemp("hostile"),
        scripts,
        {"evil.yaml": HEAD + steps, "broken.yaml": HEAD + broken},
    )


def test_T39_what_a_target_announces_is_bounded_and_does_nothing(hostile: Workspace) -> None:
    shown = hostile.cli("run", "manifests/evil.yaml", "--check", "--diff")
    assert shown.returncode == 0, shown.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.stdout)
    assert "\\x1b]0;owned" in shown.stdout
    assert len(shown.stdout) < 400_000
    document = json.loads(hostile.cli("runs", "show", "--format", "json").stdout)
    (step,) = document["steps"]
    changes = step["changes"]
    assert (changes["state"], changes["count"]) == ("change", 3000)
    assert 10 < len(changes["list"]) <= 1000
    assert sum(len(json.dumps(one)) for one in changes["list"]) < 400_000
    kept = [one["before"] for one in changes["list"] if "before" in one]
    assert {len(one.encode()) for one in kept} == {4099}


def test_an_announcement_that_cannot_be_read_is_a_failed_check(hostile: Workspace) -> None:
    document = hostile.run("broken.yaml", "--check")
    (step,) = document["steps"]
    assert (step["outcome"], step["message"]) == (
        "failed",
        "output 'changes': entry 1 does not say what",
    )
    assert document["changes"] == {
        "change": 0,
        "same": 0,
        "unknown": 1,
        "targets": [{"name": "local", "change": 0, "same": 0, "unknown": 1}],
    }
    assert hostile.run("broken.yaml")["status"] == "success"


@pytest.mark.peer("sshd")
def test_a_check_over_ssh_leaves_no_trace_of_what_may_not_run(
    make_sshd: Callable[..., Sshd], tmp_path: Path
) -> None:
    canaries = tmp_path / "there"
    canaries.mkdir()
    server = make_sshd(SetEnv=f"CANARIES={canaries}")
    hosts = {
        name: {
            "host": f"127.0.1.{number}",
            "port": server.port,
            "user": server.user,
            "os": "linux",
            "ssh": server.settings,
        }
        for number, name in enumerate(("one", "two"), 1)
    }
    names = ("all.yaml", "pair.yaml")
    made = Workspace.make(
        tmp_path,
        SCRIPTS,
        {name: MANIFESTS[name] for name in names},
        json.dumps({"wtsflow": 1, "hosts": hosts}),
    )
    document = made.run("all.yaml", "--check")
    assert (document["exit"]["code"], document["changes"]["change"]) == (0, 6)
    assert {one["target"] for one in document["steps"]} == {"one", "two"}
    assert left(canaries) == []
    made.run("pair.yaml")
    assert left(canaries) == ["configured", "removed"]
