"""The same manifest in several environments, by the command line."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.workspaces import Workspace
from wtsflow.cli.main import main
from wtsflow.lab import Hosts
from wtsflow.lab.machine import Machine

pytestmark = pytest.mark.skipif(os.name != "posix", reason="practice hosts need a POSIX shell")

HEAD = "wtsflow: 1\nname: {0}\nversion: 1.0.0\ntitle: A case\nowner: tests\n"
SAY = (
    HEAD.format("say")
    + """\
inputs:
  greeting: { type: string }
  count: { type: number, default: 1 }
targets: { all: { group: lab } }
steps:
  - { id: do, script: say.sh@1.0.0, target: all, with: { greeting: $(inputs.greeting) } }
"""
)
HERE = HEAD.format("here") + "steps: [{ id: do, script: say.sh@1.0.0, with: { greeting: hi } }]\n"
TOKEN = (
    HEAD.format("token")
    + """\
inputs: { token: { type: secret } }
steps: [{ id: do, script: say.sh@1.0.0, with: { greeting: hi } }]
"""
)
PLACES = """\
wtsflow: 1
scripts: .
inventory: inventory.yaml
settings: { parallel: 7 }
environments:
  qa:
    title: Quality
    inventory: qa.yaml
    variables: { greeting: hello from qa, not_of_this_manifest: 1 }
  prod:
    production: true
    inventory: prod.yaml
    variables: { greeting: hello from prod }
    settings: { parallel: 3 }
    ssh: { sudo_password: sudo }
    credentials: prod
    access: access/prod.yaml
"""


class Site:
    def __init__(self, folder: Path, hosts: Hosts) -> None:
        scripts = {"say.sh": '#!/bin/sh\necho "$WTS_TARGET says $2"\n'}
        manifests = {"say.yaml": SAY, "here.yaml": HERE, "token.yaml": TOKEN}
        self.workspace = Workspace.make(folder, scripts, manifests)
        self.workspace.write("wtsflow.yaml", PLACES)
        listed = hosts.inventory.read_text()
        lines = listed.replace(', "prod1"', "").splitlines(keepends=True)
        self.workspace.write("qa.yaml", "".join(line for line in lines if "prod1" not in line))
        self.workspace.write("prod.yaml", listed)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line, in a process of its own only where something is run."""
        if words[0] in ("run", "apply", "resume", "cancel", "schedules"):
            return self.workspace.cli(*words)
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.workspace.environment(), clear=True),
            contextlib.chdir(self.workspace.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(words)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def document(self, *words: str) -> dict[str, Any]:
        done = self.cli(*words, "--format", "json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("environments")
    machines = (Machine("lab1", ("lab",)), Machine("prod1", ("lab",)))
    with Hosts(machines=machines, folder=folder / "lab") as hosts:
        yield Site(folder, hosts)


# --- which one --------------------------------------------------------------------------------


def test_where_there_are_several_one_has_to_be_said(site: Site) -> None:
    for words in (("run", "say"), ("plan", "say"), ("inventory", "list")):
        refused = site.cli(*words)
        assert refused.returncode == 2
        assert "in which environment? This workspace has qa, prod" in refused.stderr
        assert "--env qa" in refused.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("prd", "there is no environment 'prd'\n  cure: did you mean 'prod'?"), ("x", "there are qa")],
)
def test_one_that_there_is_not_is_refused(site: Site, name: str, said: str) -> None:
    refused = site.cli("plan", "say", "--env", name)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_workspace_without_environments_knows_none(tmp_path: Path) -> None:
    plain = Workspace.make(tmp_path, {"say.sh": "#!/bin/sh\n: $2\n"}, {"here.yaml": HERE})
    refused = plain.cli("plan", "here", "--env", "qa")
    assert refused.returncode == 2
    assert "this workspace has no environments" in refused.stderr
    assert plain.cli("plan", "here").returncode == 0


def test_the_option_wins_over_the_variable_and_that_over_the_default(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site.workspace.root / "wtsflow.yaml"
    try:
        site.workspace.write("wtsflow.yaml", PLACES + "default_environment: qa\n")
        assert site.document("plan", "say")["environment"] == "qa"
        monkeypatch.setitem(site.workspace.environ, "WTSFLOW_ENV", "prod")
        assert site.document("plan", "say")["environment"] == "prod"
        assert site.document("plan", "say", "--env", "qa")["environment"] == "qa"
        site.workspace.write("wtsflow.yaml", PLACES + "default_environment: qq\n")
        refused = site.cli("plan", "say")
        assert refused.returncode == 3
        assert (
            f"{file}:18:22: error: default_environment: there is no environment" in refused.stderr
        )
    finally:
        site.workspace.write("wtsflow.yaml", PLACES)


# --- what it changes --------------------------------------------------------------------------


def test_targets_variables_settings_and_credentials_are_those_of_the_environment(
    site: Site,
) -> None:
    tested, live = (site.document("plan", "say", "--env", name) for name in ("qa", "prod"))
    assert [one["name"] for one in tested["targets"]["all"]] == ["lab1"]
    assert [one["name"] for one in live["targets"]["all"]] == ["lab1", "prod1"]
    assert tested["inputs"] == {"greeting": "hello from qa", "count": 1}
    assert live["inputs"] == {"greeting": "hello from prod", "count": 1}
    assert (tested["filled"], live["filled"]) == (["greeting"], ["greeting"])
    assert (tested["parallel"], live["parallel"]) == (7, 3)
    assert "sudo_password" not in tested["targets"]["all"][0]["settings"]
    assert live["targets"]["all"][0]["settings"]["sudo_password"] == "prod/sudo"
    assert tested["digest"] != live["digest"]


def test_what_the_user_gives_wins_over_a_variable(site: Site) -> None:
    said = site.document("plan", "say", "--env", "qa", "--input", "greeting=mine")
    assert (said["inputs"]["greeting"], said["filled"]) == ("mine", [])


def test_the_plan_says_which_answers_the_environment_gave(site: Site) -> None:
    text = site.cli("plan", "say", "--env", "qa").stdout
    assert "  environment qa  " in text.splitlines()[1]
    assert "  greeting  hello from qa  (environment qa)" in text
    assert "  count     1\n" in text


def test_a_variable_is_no_place_for_a_secret(site: Site) -> None:
    text = PLACES.replace("greeting: hello from qa", "token: hunter2hunter2")
    try:
        site.workspace.write("wtsflow.yaml", text)
        refused = site.cli("plan", "token", "--env", "qa")
    finally:
        site.workspace.write("wtsflow.yaml", PLACES)
    assert refused.returncode == 3
    assert "has a variable 'token', which is a secret input" in refused.stderr
    assert "hunter2" not in refused.stderr


def test_every_record_of_a_run_names_its_environment(site: Site) -> None:
    done = site.cli("run", "say", "--env", "qa")
    assert done.returncode == 0, done.stderr
    assert "environment qa" in done.stdout
    assert "lab1 says hello from qa" in done.stdout
    assert site.document("runs", "show", "latest")["environment"] == "qa"
    listed = site.document("runs", "list", "--env", "qa")["runs"]
    assert [run["environment"] for run in listed] == ["qa"]
    log = "".join(one.read_text() for one in (site.workspace.state / "audit").glob("*.jsonl"))
    assert '"environment":"qa"' in log
    assert site.cli("audit", "verify").returncode == 0


def test_a_repeated_run_stays_in_its_environment(site: Site) -> None:
    site.cli("run", "say", "--env", "qa", "--input", "greeting=x")
    run = site.document("runs", "list")["runs"][0]["run"]
    other = site.cli("run", "--rerun", "failed", run, "--env", "prod", "--yes")
    assert other.returncode == 2
    assert "it was planned in environment 'qa', not 'prod'" in other.stderr


def test_a_run_goes_on_in_its_environment(site: Site) -> None:
    parked = SAY.replace("steps:\n", "steps:\n  - { wait: 1h }\n")
    file = site.workspace.write("manifests/parked.yaml", parked)
    try:
        assert site.cli("run", "parked", "--env", "qa").returncode == 10
        done = site.cli("resume", "latest")
        assert done.returncode == 10, done.stderr
        ended = site.cli("cancel", "latest")
        assert ended.returncode == 0, ended.stderr
    finally:
        file.unlink()


def test_a_schedule_fires_in_its_environment(site: Site) -> None:
    text = SAY.replace("name: say", "name: nightly").replace(
        "greeting: {", "greeting: { default: x,"
    )
    text += "triggers:\n  - { schedule: '* * * * *', env: qa }\n"
    file = site.workspace.write("manifests/nightly.yaml", text)
    try:
        done = site.cli("schedules", "run", "--due", "--at", "2030-01-01T00:00Z")
        assert done.returncode == 0, done.stderr
    finally:
        file.unlink()
    run = site.document("runs", "list", "--workflow", "nightly")["runs"][0]
    assert (run["environment"], run["status"]) == ("qa", "success")
    assert "lab1 says hello from qa" in site.cli("runs", "show", run["run"]).stdout


# --- production -------------------------------------------------------------------------------


def test_production_is_not_touched_unattended_without_yes(site: Site) -> None:
    refused = site.cli("run", "say", "--env", "prod")
    assert refused.returncode == 2
    assert "environment 'prod' is production" in refused.stderr
    assert "then: --yes" in refused.stderr
    done = site.cli("run", "say", "--env", "prod", "--yes")
    assert done.returncode == 0, done.stderr
    assert "prod1 says hello from prod" in done.stdout
    assert site.cli("run", "say", "--env", "prod", "--check").returncode == 0


@pytest.mark.parametrize(("typed", "code"), [("prod", 0), ("yes", 2)])
def test_at_a_terminal_production_is_confirmed_by_its_name(
    site: Site, typed: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wtsflow", "run", "here", "--env", "prod"],
        cwd=site.workspace.root,
        env=site.workspace.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen, end = b"", time.monotonic() + 30
    while b"Its name" not in seen and time.monotonic() < end:
        seen += os.read(ours, 4096)
    os.write(ours, f"{typed}\n".encode())
    out = process.communicate(timeout=60)[0]
    os.close(ours)
    assert b"here 1.0.0 is to run on this machine in prod, which is production." in seen
    assert process.returncode == code
    assert (b"says hi" in out) is (code == 0)


def test_a_plan_is_applied_in_the_environment_that_it_was_made_in(site: Site) -> None:
    file = site.workspace.root / "prod.plan"
    assert site.cli("plan", "say", "--env", "prod", "-o", str(file)).returncode == 0
    assert site.cli("apply", str(file), "--check").returncode == 0
    assert site.cli("apply", str(file), "--env", "qa", "--yes").returncode == 2
    assert site.cli("apply", str(file)).returncode == 2
    done = site.cli("apply", str(file), "--yes")
    assert done.returncode == 0
    assert "prod1 says hello from prod" in done.stdout


# --- env --------------------------------------------------------------------------------------


def test_environments_are_listed(site: Site) -> None:
    text = site.cli("env", "list").stdout
    assert text.splitlines()[0].split() == [
        *("name", "title", "is", "inventory", "variables", "credentials", "access")
    ]
    assert "production" in text
    said = site.document("env", "list")
    assert [one["name"] for one in said["environments"]] == ["qa", "prod"]
    assert said["environments"][1]["access"] == "access/prod.yaml"
    assert said["default"] is None


def test_promoting_is_a_difference(site: Site) -> None:
    said = site.document("env", "diff", "qa", "prod", "say")
    found = {(one["kind"], one["name"]): (one["from"], one["to"]) for one in said["differences"]}
    assert found == {
        ("inputs", "greeting"): ("hello from qa", "hello from prod"),
        ("targets", "all"): (["lab1"], ["lab1", "prod1"]),
        ("machines", "lab1 settings.sudo_password"): (None, "prod/sudo"),
        ("settings", "parallel"): (7, 3),
        ("ssh", "sudo_password"): (None, "prod/sudo"),
        ("credentials", ""): (None, "prod"),
        ("access", ""): (None, "access/prod.yaml"),
        ("production", ""): (None, True),
    }
    assert said["from"]["environment"] == "qa"
    assert not said["same"]
    text = site.cli("env", "diff", "qa", "prod", "say", "--input", "greeting=x").stdout
    assert "say 1.0.0  from qa to prod" in text
    assert "  all " in text
    assert "2: 1 in both, + prod1" in text
    assert text.endswith("the same: inputs, scripts\n")


def test_a_difference_has_an_exit_code_when_asked_for(site: Site) -> None:
    assert site.cli("env", "diff", "qa", "prod", "say", "--exit-code").returncode == 6
    same = site.cli("env", "diff", "qa", "qa", "say", "--exit-code")
    assert same.returncode == 0
    assert same.stdout.startswith("say 1.0.0  from qa to qa\n\nthe same: inputs, targets, ")


def test_secrets_need_not_be_given_to_compare(site: Site) -> None:
    done = site.cli("env", "diff", "qa", "prod", "token")
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_planned_somewhere_says_where(site: Site) -> None:
    text = PLACES.replace("variables: { greeting: hello from prod }", "variables: {}")
    try:
        site.workspace.write("wtsflow.yaml", text)
        refused = site.cli("env", "diff", "qa", "prod", "say")
    finally:
        site.workspace.write("wtsflow.yaml", PLACES)
    assert refused.returncode == 3
    assert "in prod: input 'greeting' is missing" in refused.stderr
