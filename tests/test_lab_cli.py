"""``wtsflow lab``: the range at the command line, and which hosts a manifest gets there."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.workspaces import Workspace
from wtsflow import inventory, manifest
from wtsflow.errors import PlanError
from wtsflow.lab.cast import cast

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these drive a POSIX shell")

HELLO = """\
#!/bin/sh
# usage: hello.sh
echo "hello from $WTS_TARGET in $HOME as $USER"
"""
HEAD = "wtsflow: 1\nname: x\nversion: 1.0.0\ntitle: X\nowner: me\n"
ON_WEB = (
    HEAD + "targets:\n  web: { group: web }\nsteps:\n"
    "  - { id: hello, script: hello.sh@1.0.0, target: web }\n"
)
ON_LOCAL = HEAD + "steps:\n  - { script: hello.sh@1.0.0 }\n"
INVENTORY = """\
groups:
  web: { hosts: [alpha, beta, gamma] }
  prod: { hosts: [alpha] }
hosts:
  alpha: { host: 203.0.113.1, vars: { role: front }, ssh: { jump: [bastion.example.net] } }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    manifests = {"web.yaml": ON_WEB, "local.yaml": ON_LOCAL}
    scripts = {"hello.sh": HELLO}
    return Workspace.make(tmp_path_factory.mktemp("lab"), scripts, manifests, INVENTORY)


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.stdout, done.stderr
    return {target["name"]: target["outcome"] for target in json.loads(done.stdout)["targets"]}


# --- run ------------------------------------------------------------------------------------


def test_a_manifest_runs_on_hosts_with_the_names_of_the_inventory_and_no_real_one(made):
    done = made.cli("lab", "run", "web")
    assert done.returncode == 0, done.stderr
    for name in ("alpha", "beta", "gamma"):
        assert f"hello from {name} in " in done.stdout
    assert "scripts really run, on this machine" in done.stderr


def test_the_size_of_a_group_may_be_said(made):
    few = made.cli("lab", "run", "web", "--hosts", "2", "--format", "json")
    assert outcomes(few) == {"alpha": "success", "beta": "success"}
    many = made.cli("lab", "run", "web", "-n", "5", "--format", "json")
    assert sorted(outcomes(many)) == ["alpha", "beta", "gamma", "web1", "web2"]


def test_troubles_are_met_and_named(made):
    troubles = ("--down", "alpha", "--refuse", "beta")
    done = made.cli("lab", "run", "web", *troubles, "--format", "json")
    assert done.returncode == 9
    assert outcomes(done) == {"alpha": "unreachable", "beta": "unreachable", "gamma": "success"}


def test_nothing_of_it_stays(made, tmp_path):
    made.environ["TMPDIR"] = str(tmp_path)
    try:
        done = made.cli("lab", "run", "web")
    finally:
        del made.environ["TMPDIR"]
    assert done.returncode == 0
    assert not made.state.exists()
    assert list(tmp_path.glob("wtsflow-*")) == []
    assert "The range is gone" in done.stderr


def test_what_is_kept_can_be_verified(made, tmp_path):
    folder = tmp_path / "kept"
    assert made.cli("lab", "run", "web", "--keep", str(folder)).returncode == 0
    assert (folder / "range" / "hosts" / "alpha").is_dir()
    made.environ["WTSFLOW_STATE"] = str(folder / "state")
    try:
        assert "intact" in made.cli("audit", "verify").stdout
    finally:
        del made.environ["WTSFLOW_STATE"]
    again = made.cli("lab", "run", "web", "--keep", str(folder))
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_a_workflow_without_targets_needs_no_range(made):
    done = made.cli("lab", "run", "local")
    assert done.returncode == 0, done.stderr
    assert "Practice range" not in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("--down", "delta"), "the practice range has no host 'delta'"),
        (("--down", "alpha", "--slow", "alpha"), "'alpha' is named for two troubles"),
        (("--hosts", "0"), "--hosts"),
    ],
)
def test_what_cannot_be_is_refused(made, line, said):
    done = made.cli("lab", "run", "web", *line)
    assert done.returncode == 2
    assert said in done.stderr


# --- up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_the_range_is_up_until_it_is_told_to_end(made, number):
    process = made.start("lab", "up", "--hosts", "2", "--down", "lab2")
    try:
        assert process.stdout
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(seen)
        (file,) = [Path(line.split()[1]) for line in seen if line.startswith("  inventory")]
        listed = json.loads(
            made.cli("inventory", "list", "-i", str(file), "--format", "json").stdout
        )
        assert "lab1" in json.dumps(listed)
        assert "(down)" in text
        process.send_signal(number)
        assert process.wait(30) == 0
        assert not file.exists()
    finally:
        process.kill()
        process.communicate()


def test_the_whole_group_answers_help(made):
    for command in ("up", "run", "demo"):
        done = made.cli("lab", command, "--help")
        assert done.returncode == 0
        assert f"wtsflow lab {command}" in done.stdout


# --- cast -----------------------------------------------------------------------------------


@pytest.fixture
def listing(tmp_path):
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    return inventory.load((tmp_path / "inventory.yaml",))


def of(targets: str, inputs: str = "{}"):
    text = f"{HEAD}inputs: {inputs}\ntargets: {targets}\nsteps: [{{ wait: 1s }}]\n"
    workflow, findings = manifest.read(text, "x.yaml", scripts=None)
    assert workflow, findings
    return workflow


def test_groups_and_variables_come_from_the_inventory(listing):
    alpha, *_ = cast(of("{ web: { group: web } }"), {}, listing)
    assert (alpha.name, alpha.groups, alpha.variables) == (
        "alpha",
        ("prod", "web"),
        {"role": "front"},
    )


def test_a_group_that_is_not_listed_gets_made_up_hosts(listing):
    machines = cast(of("{ db: { group: db } }"), {}, listing, 2)
    assert [(m.name, m.groups) for m in machines] == [("db1", ("db",)), ("db2", ("db",))]
    assert len(cast(of("{ db: { group: db } }"), {}, listing)) == 5


def test_inputs_choose_the_group_and_hosts_are_taken_once(listing):
    workflow = of("{ a: { group: $(inputs.g) }, b: { hosts: [alpha, extra1] } }", "{ g: string }")
    names = [machine.name for machine in cast(workflow, {"g": "prod"}, listing)]
    assert names == ["alpha", "extra1"]


def test_every_host_of_the_inventory_may_be_meant(listing):
    machines = cast(of("{ a: { group: all } }"), {}, listing, 4)
    assert [machine.name for machine in machines] == ["alpha", "beta", "gamma", "all1"]
    assert "all" not in {group for machine in machines for group in machine.groups}


def test_a_pattern_is_answered_by_the_inventory(listing):
    machines = cast(of('{ a: { hosts: ["*a:!beta"] } }'), {}, listing)
    assert [machine.name for machine in machines] == ["alpha", "gamma"]


def test_a_name_that_cannot_be_a_host_is_refused(listing):
    with pytest.raises(PlanError):
        cast(
            of("{ a: { hosts: [$(inputs.h)] } }", "{ h: string }"),
            {"h": "-oProxyCommand=x"},
            listing,
        )
