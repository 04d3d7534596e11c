"""``wtsflow validate``, ``schema`` and ``explain`` as people and programs call them."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from tests import sarif
from tests.scriptrepo import ScriptRepo, made
from wtsflow.cli.main import main
from wtsflow.source import schema_text
from wtsflow.source.rules import RULES

GOOD = """\
wtsflow: 1
name: disk/clean
version: 1.0.0
title: Clean
owner: ops
inputs: { days: { type: number, default: 5 } }
steps:
  - id: clean
    script: disk/clean.sh@1.0.0
    with: { days: $(inputs.days) }
"""
BAD = GOOD.replace("title: Clean\n", "titel: Clean\n").replace("inputs.days)", "inputs.dayz)")
WARNED = GOOD.replace("owner: ops\n", "owner: ops\ntimeout: 1m\n").replace(
    "    with", "    timeout: 2m\n    with"
)
SIDECAR = "title: Clean\nparameters: { days: { type: number } }\noutputs: { freed: number }\n"

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """One command line in this process, in an empty folder; code, output and messages."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WTSFLOW_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("WTSFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def put(name: str, text: str | bytes = GOOD) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def files(cli: Cli, *paths: str) -> list[str]:
    _, out, _ = cli("validate", "--offline", "--format", "json", *paths)
    return [each["file"].replace("\\", "/") for each in json.loads(out)["manifests"]]


# --- which files --------------------------------------------------------------------------------


def test_a_folder_is_searched_for_manifests_and_nothing_else(cli: Cli) -> None:
    for name in ("m/b.yaml", "m/a.yml", "m/deep/er/c.yaml", "m/.hidden/d.yaml", "m/x.txt"):
        put(name)
    put("m/wtsflow.yaml", "wtsflow: 1\n")
    put("m/values.yaml", "a: 1\n")
    put("m/inventory.yaml", "groups: {}\n")
    put("m/utf16.yaml", GOOD.encode("utf-16"))
    assert files(cli, "m") == ["m/a.yml", "m/b.yaml", "m/deep/er/c.yaml", "m/utf16.yaml"]


def test_a_link_in_a_circle_is_not_followed(cli: Cli) -> None:
    put("m/a.yaml")
    try:
        Path("m/again").symlink_to(Path("m").absolute(), target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links here")
    assert files(cli, "m") == ["m/a.yaml"]


def test_files_patterns_and_folders_are_taken_together_and_each_once(cli: Cli) -> None:
    for name in ("a.yaml", "b.yaml", "x/c.yaml"):
        put(name)
    assert files(cli, "b.yaml", "*.yaml", "x", "x/c.yaml") == ["b.yaml", "a.yaml", "x/c.yaml"]
    assert files(cli, "**/*.yaml") == ["a.yaml", "b.yaml", "x/c.yaml"]


def test_a_named_file_is_checked_whatever_it_is(cli: Cli) -> None:
    put("notes.txt", "hello\n")
    code, out, _ = cli("validate", "--offline", "notes.txt")
    assert code == 3
    assert "notes.txt:1:1: error: this is a text, but must be a map [wts103]" in out


def test_standard_input_is_a_file_called_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    code, out, _ = cli("validate", "--offline", "-")
    assert code == 3
    assert out.startswith("stdin:1:1: error: 'title' is missing [wts102]")


@pytest.mark.parametrize("path", ["nope", "nope.yaml", "no*pe", "empty"])
def test_a_path_without_a_manifest_is_a_usage_error(cli: Cli, path: str) -> None:
    Path("empty").mkdir()
    code, out, err = cli("validate", path)
    assert (code, out) == (2, "")
    assert path in err


def test_without_a_path_the_workspaces_manifests_are_checked(cli: Cli) -> None:
    assert cli("validate")[0] == 3  # no workspace
    put("wtsflow.yaml", "wtsflow: 1\nmanifests: flows\n")
    put("flows/a.yaml")
    code, out, _ = cli("validate", "--offline", "--format", "json")
    assert code == 0
    assert [each["file"] for each in json.loads(out)["manifests"]] == [str(Path("flows/a.yaml"))]


def test_a_file_that_cannot_be_read_is_a_finding(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a.yaml")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    code, out, _ = cli("validate", "--offline", "a.yaml")
    assert code == 3
    assert "a.yaml:1:1: error: the file cannot be read: Permission denied [wts022]" in out


# --- what it says -------------------------------------------------------------------------------


def test_a_valid_manifest_prints_nothing_but_the_summary(cli: Cli) -> None:
    put("a.yaml")
    assert cli("validate", "--offline", "a.yaml") == (0, "", "1 manifest, no errors\n")


def test_every_error_of_every_file_is_shown_with_its_line(cli: Cli) -> None:
    put("a.yaml", BAD)
    put("b.yaml")
    put("c.yaml", "a: [\n")
    code, out, err = cli("validate", "--offline", ".")
    assert code == 3
    assert [line for line in out.splitlines() if ": error: " in line] == [
        "a.yaml:1:1: error: 'title' is missing [wts102]",
        "a.yaml:4:1: error: unknown key 'titel' (did you mean 'title'?) [wts101]",
        "a.yaml:10:28: error: inputs has no 'dayz' (did you mean 'days'?) [wts202]",
    ]
    assert (
        "    10 |     with: { days: $(inputs.dayz) }\n       |                            ^^^^\n"
        in out
    )
    last = out.splitlines()[-1]
    assert last.startswith("more: wtsflow explain wts102")
    assert all(rule in last for rule in ("wts101", "wts202"))
    assert err == "2 manifests, 3 errors in 1\n"


def test_a_warning_is_an_error_only_when_strict(cli: Cli) -> None:
    put("a.yaml", WARNED)
    code, out, err = cli("validate", "--offline", "a.yaml")
    assert (code, err) == (0, "1 manifest, no errors, 1 warning\n")
    assert ": warning: " in out
    code, out, err = cli("validate", "--offline", "--strict", "a.yaml")
    assert (code, err) == (3, "1 manifest, 1 error in 1\n")
    assert ": error: " in out


def test_control_characters_of_a_file_do_not_reach_the_terminal(cli: Cli) -> None:
    put("a.yaml", GOOD.replace("title: Clean", 'title: "\x1b]0;owned\x07"'))
    put("b.yaml", GOOD.replace("owner: ops", "owner: ops\n\x9b31m: x"))
    for format_ in ("text", "github", "json", "sarif", "junit"):
        code, out, err = cli("validate", "--offline", "--format", format_, ".")
        assert code == 3
        assert not {"\x1b", "\x07", "\x9b"} & set(out + err), format_


# --- for programs -------------------------------------------------------------------------------


def test_json_says_everything(cli: Cli) -> None:
    put("a.yaml", BAD)
    put("b.yaml", WARNED)
    code, out, _ = cli("validate", "--offline", "--format", "json", "a.yaml", "b.yaml")
    found = json.loads(out)
    assert found["schema"] == "wtsflow.validate/1"
    assert found["summary"] == {"manifests": 2, "invalid": 1, "errors": 3, "warnings": 1}
    assert found["exit"] == {"code": code, "name": "invalid"}
    bad, good = found["manifests"]
    assert (bad["valid"], bad["name"], bad["version"]) == (False, "", "")
    assert (good["valid"], good["name"], good["version"]) == (True, "disk/clean", "1.0.0")
    assert bad["diagnostics"][1] == {
        "rule": "wts101",
        "severity": "error",
        "message": "unknown key 'titel' (did you mean 'title'?)",
        "cure": "",
        "location": {"source": "a.yaml", "line": 4, "column": 1, "end_line": 4, "end_column": 6},
    }


def test_sarif_is_valid_and_points_at_the_characters(cli: Cli) -> None:
    put("a b.yaml", BAD)
    put("c.yaml", WARNED)
    put("d.yaml")
    code, out, _ = cli("validate", "--offline", "--format", "sarif", ".")
    found = json.loads(out)
    errors = [error.message for error in Draft202012Validator(sarif.SCHEMA).iter_errors(found)]
    assert errors == []
    (run,) = found["runs"]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": code}]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["wts101", "wts102", "wts202", "wts503"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    last = run["results"][2]
    place = last["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.yaml"
    assert place["region"] == {
        "startLine": 10,
        "startColumn": 28,
        "endLine": 10,
        "endColumn": 32,
        "snippet": {"text": "    with: { days: $(inputs.dayz) }"},
    }
    assert [result["level"] for result in run["results"]] == ["error", "error", "error", "warning"]


def test_the_sarif_schema_of_the_tests_finds_mistakes() -> None:
    check = Draft202012Validator(sarif.SCHEMA)
    Draft202012Validator.check_schema(sarif.SCHEMA)
    run: dict[str, Any] = {"tool": {"driver": {"name": "x"}}, "results": []}
    fine = {"version": "2.1.0", "runs": [run]}
    assert check.is_valid(fine)
    region = {"artifactLocation": {"uri": "a"}, "region": {"startLine": 0}}
    wrongs: list[dict[str, Any]] = [
        {"message": {}},
        {"message": {"text": "x"}, "level": "fatal"},
        {"message": {"text": "x"}, "locations": [{"physicalLocation": region}]},
        {"message": {"text": "x"}, "rule": "x"},
    ]
    for wrong in wrongs:
        assert not check.is_valid({"version": "2.1.0", "runs": [{**run, "results": [wrong]}]})


def test_junit_has_a_case_for_each_manifest(cli: Cli) -> None:
    put("a.yaml", BAD)
    put("b.yaml", WARNED)
    put("c.yaml")
    _, out, _ = cli("validate", "--offline", "--format", "junit", ".")
    suite = ET.fromstring(out)
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "3", "1")
    cases = list(suite)
    assert [case.get("name") for case in cases] == ["a.yaml", "b.yaml", "c.yaml"]
    failure = cases[0].find("failure")
    assert failure is not None
    assert failure.get("message") == "'title' is missing"
    assert "a.yaml:10:28: error:" in (failure.text or "")
    assert cases[1].find("failure") is None
    assert "warning" in (cases[1].findtext("system-out") or "")


def test_github_gets_an_annotation_for_each_finding(cli: Cli) -> None:
    put("a,b.yaml", BAD)
    _, out, _ = cli("validate", "--offline", "--format", "github", ".")
    assert out.splitlines()[1] == (
        "::error file=a%2Cb.yaml,line=4,endLine=4,col=1,endColumn=6,title=wts101"
        "::unknown key 'titel' (did you mean 'title'?)"
    )
    assert "%0Aadd 'title:', a sentence" in out.splitlines()[0]


# --- with scripts -------------------------------------------------------------------------------


@pytest.fixture
def workspace(cli: Cli, tmp_path: Path) -> Path:
    """The present folder as a workspace with one released and locked script."""
    with made(tmp_path) as repo:
        released(repo, Path.cwd())
    put("wtsflow.yaml", "wtsflow: 1\nscripts: ../scripts\n")
    put("manifests/disk.yaml")
    return Path.cwd()


def released(repo: ScriptRepo, home: Path) -> None:
    repo.release("disk/clean.sh@1.0.0", "#!/bin/sh\necho clean\n", SIDECAR)
    repo.lock(["disk/clean.sh@1.0.0"])
    shutil.copy(repo.home / "wtsflow.lock", home / "wtsflow.lock")


def test_in_a_workspace_scripts_are_looked_up(cli: Cli, workspace: Path) -> None:
    assert cli("validate") == (0, "", "1 manifest, no errors\n")
    wrong = GOOD.replace("days: $(inputs.days)", "dayz: 1") + (
        "  - { script: disk/none.sh@1.0.0 }\n"
        "  - { script: disk/clean.sh@1.0.0, with: { days: $(steps.clean.outputs.fred) } }\n"
    )
    put("manifests/wrong.yaml", wrong)
    code, out, _ = cli("validate", "--format", "json")
    assert code == 3
    found = json.loads(out)["manifests"][1]["diagnostics"]
    assert [each["rule"] for each in found] == ["wts405", "wts404", "wts401", "wts202"]
    assert all(each["cure"] or "did you mean" in each["message"] for each in found)
    assert cli("validate", "--offline")[0] == 0


def test_a_file_is_looked_up_in_the_workspace_that_it_is_in(
    cli: Cli, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put("here/manifests/wrong.yaml", GOOD.replace("days: $(inputs.days)", "dayz: 1"))
    code, out, err = cli("validate", "here/manifests")
    assert code == 3
    assert "wts404" in out
    assert "no wtsflow.yaml" not in err


def test_without_a_workspace_it_says_what_was_not_checked(cli: Cli) -> None:
    put("a.yaml")
    code, _, err = cli("validate", "a.yaml")
    assert code == 0
    assert "no wtsflow.yaml was found, so scripts and parameters were not checked" in err


def test_only_a_pin_that_does_not_match_has_a_code_of_its_own(cli: Cli, workspace: Path) -> None:
    lock = Path("wtsflow.lock")
    lock.write_text(re.sub(" sha256:[0-9a-f]{64}", f" sha256:{'0' * 64}", lock.read_text()))
    code, out, _ = cli("validate", "--format", "json")
    found = json.loads(out)
    assert [each["rule"] for each in found["manifests"][0]["diagnostics"]] == ["wts402"]
    assert (code, found["exit"]["name"]) == (6, "mismatch")
    put("manifests/wrong.yaml", BAD)
    assert cli("validate")[0] == 3


# --- progress and start-up ----------------------------------------------------------------------


def test_progress_is_shown_on_a_terminal_and_only_when_it_takes_long(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wtsflow.cli import validate

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for number in range(5):
        put(f"{number}.yaml")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    cli("validate", "--offline", ".")
    assert "checked" not in terminal.getvalue()
    monkeypatch.setattr(validate, "SLOW", -1.0)
    cli("validate", "--offline", ".")
    assert "\r\x1b[Kchecked 3 of 5" in terminal.getvalue()
    assert "\r\x1b[K5 manifests" in terminal.getvalue()


def test_a_valid_manifest_is_checked_without_heavy_libraries(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    code = (
        "import sys; from wtsflow.cli.main import main; "
        f"assert main(['validate', '--offline', {str(path)!r}]) == 0; "
        "print(*sorted({'jsonschema', 'git', 'paramiko', 'keyring', 're2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "\n"


# --- schema, explain ----------------------------------------------------------------------------


def test_the_schema_is_printed_as_it_is_shipped(cli: Cli) -> None:
    code, out, _ = cli("schema")
    assert code == 0
    assert out == schema_text("wtsflow-1")
    assert json.loads(cli("schema", "sidecar-1")[1])["$schema"].endswith("2020-12/schema")
    code, _, err = cli("schema", "nope")
    assert code == 2
    assert "there are: wtsflow-1, inventory-1" in err


def test_a_rule_is_explained(cli: Cli) -> None:
    code, out, _ = cli("explain", "WTS101")
    assert code == 0
    assert out.startswith("wts101: Unknown key\n\nThe key is not one of")
    assert cli("explain", "--list")[1].count("\n") == len(RULES)
    found = json.loads(cli("explain", "wts205", "--format", "json")[1])
    assert found["schema"] == "wtsflow.rules/1"
    assert found["rules"][0]["id"] == "wts205"
    assert "default(" in found["rules"][0]["page"]


@pytest.mark.parametrize("words", [("wts999",), (), ("wts101", "--list")])
def test_a_wrong_question_is_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    code, out, err = cli("explain", *words)
    assert (code, out) == (2, "")
    assert "wtsflow explain --list" in err
