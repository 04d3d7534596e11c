"""``wtsflow plan`` and ``wtsflow apply`` on a real workspace with a real script repository."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.scriptrepo import made
from wtsflow.cli.main import main
from wtsflow.model.terminal import width

MANIFEST = """\
wtsflow: 1
name: disk/clean
version: 1.2.0
title: Clean the disks of a group
owner: ops
inputs:
  group: { choices: [web, db], title: Server group }
  days: { type: number, default: 7, min: 1, max: 30 }
  token: { type: secret, optional: true }
targets: { fleet: { group: $(inputs.group) } }
steps:
  - { id: look, title: Look first, script: disk/look.sh@1.0.0, target: fleet }
  - { id: logs, script: disk/clean.sh@1.0.0, target: fleet, with: { days: $(inputs.days) } }
  - { id: tmp, title: Clean /tmp, script: disk/look.sh@1.0.0, target: fleet, needs: [look] }
  - id: each
    title: One after the other
    for_each: targets.fleet
    rolling: { canary: 1, batch: 2, max_failed: 10% }
    steps: [{ script: disk/look.sh@1.0.0, on_failure: [{ title: Undo, wait: 1s }] }]
finally: [{ title: Tell, script: disk/look.sh@1.0.0, target: local }]
"""
HERE = """\
wtsflow: 1
name: here/look
version: 1.0.0
title: Look here
owner: ops
access: { execute: [ops] }
inputs: { word: string, token: { type: secret, optional: true } }
steps: [{ script: disk/look.sh@1.0.0, with: { word: $(inputs.word) } }]
"""
INVENTORY = """\
groups:
  web: { hosts: ["web[01:05]"], os: linux, vars: { site: paris } }
  db: { hosts: [db1], os: linux }
"""
LOOK = "title: Look\nparameters: { word: { type: string, optional: true } }\n"
CLEAN = "title: Clean the logs\nparameters: { days: number }\n"


@dataclass
class Place:
    """A workspace; ``cli`` runs one command line in this process."""

    root: Path
    cli: Callable[..., tuple[int, str, str]]

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def json(self, *words: str) -> Any:
        code, out, err = self.cli(*words, "--format", "json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace with its repository and lock, made once."""
    folder = tmp_path_factory.mktemp("template")
    with made(folder) as repo:
        repo.release("disk/look.sh@1.0.0", '#!/bin/sh\necho look "$@"\n', LOOK)
        repo.release("disk/clean.sh@1.0.0", "#!/bin/sh\necho clean\n", CLEAN)
        repo.lock(["disk/look.sh@1.0.0", "disk/clean.sh@1.0.0"])
    home = folder / "home"
    (home / "manifests").mkdir()
    (home / "manifests" / "disk.yaml").write_text(MANIFEST, encoding="utf-8")
    (home / "manifests" / "here.yaml").write_text(HERE, encoding="utf-8")
    (home / "wtsflow.yaml").write_text("wtsflow: 1\nscripts: ../scripts\n", encoding="utf-8")
    (home / "inventory.yaml").write_text(INVENTORY, encoding="utf-8")
    return folder


@pytest.fixture
def place(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    copy = tmp_path / "copy"
    shutil.copytree(template, copy)
    root = copy / "home"
    monkeypatch.chdir(root)
    monkeypatch.setenv("WTSFLOW_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("WTSFLOW_CACHE", str(root / "cache"))
    monkeypatch.setenv("WTSFLOW_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def cli(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return Place(root, cli)


# --- plan -------------------------------------------------------------------------------------


def test_a_plan_shows_what_runs_where_in_which_order(place: Place) -> None:
    code, out, err = place.cli("plan", "disk", "--input", "group=web")
    assert (code, err) == (0, "")
    assert "disk/clean 1.2.0  Clean the disks of a group" in out
    assert "  fleet  5" in " ".join(out.split("\n")).replace("  fleet      5", "  fleet  5")
    digest = json.loads(json.dumps(place.json("plan", "disk", "-e", "group=web")))["digest"]
    assert f"plan {digest[:12]}" in out
    order = out[out.index("order\n") :]
    assert order == (
        "order\n"
        "  1 ─ Look first  [look]\n"
        "  2 ┬ Clean the logs  [logs]\n"
        "    └ Clean /tmp  [tmp]  after look\n"
        "  3 ─ One after the other  [each]\n"
        "      for each of targets.fleet: 5 in 3 waves: 1, 2 x 2\n"
        "      canary 1, stops when more than 10% failed\n"
        "      1 ─ Look\n"
        "          on failure\n"
        "            1 ─ Undo\n"
        "  in the end, always\n"
        "  1 ─ Tell\n"
    )


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(
    place: Place, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = MANIFEST.replace("Look first", "Look at everything there is first " * 6)
    place.write("manifests/disk.yaml", long)
    _code, out, _err = place.cli("plan", "disk", "-e", "group=web")
    assert max(map(width, out.splitlines())) <= columns


def test_a_plan_is_readable_where_there_is_no_utf8(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["plan", "disk", "-e", "group=web"]) == 0
    assert "2 + Clean the logs  [logs]\n    ` Clean /tmp" in raw.getvalue().decode("ascii")


def test_the_document_says_the_same_to_machines(place: Place) -> None:
    said = place.json("plan", "disk", "-e", "group=web", "--ticket", "INC1")
    assert said["schema"] == "wtsflow.planned/1"
    assert said["ticket"] == "INC1"
    assert said["inputs"] == {"group": "web", "days": 7, "token": None}
    assert [m["name"] for m in said["targets"]["fleet"]] == [f"web0{n}" for n in range(1, 6)]
    look = said["scripts"]["disk/look.sh@1.0.0"]
    assert (look["version"], len(look["sha256"]), len(look["commit"])) == ("1.0.0", 64, 40)
    by_path = {step["path"]: step for step in said["steps"]}
    assert [by_path[path]["level"] for path in ("look", "logs", "tmp", "each")] == [1, 2, 2, 3]
    assert by_path["each"]["waves"] == [1, 2, 2]
    assert by_path["look"]["scripts"][0]["targets"] == [f"web0{n}" for n in range(1, 6)]


def test_a_manifest_is_a_file_a_name_or_standard_input(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = place.json("plan", "disk", "-e", "group=db")["digest"]
    assert place.json("plan", "manifests/disk.yaml", "-e", "group=db")["digest"] == digest
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MANIFEST.encode())))
    assert place.json("plan", "-", "-e", "group=db")["digest"] == digest


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("plan", "none"), 2, "there is no manifest 'none'"),
        (("plan", "disk"), 3, "input 'group' (Server group) is missing"),
        (("plan", "disk", "-e", "group"), 2, "--input group: a '=' is missing"),
        (("plan", "disk", "-e", "group=web", "-e", "group=db"), 2, "is there twice"),
        (("plan", "disk", "-e", "group=wbe"), 3, "did you mean 'web'?"),
        (("plan", "disk", "-e", "group=web", "-e", "day=1"), 3, "did you mean 'days'?"),
        (("plan", "disk", "-e", "group=web", "-l", "web99"), 3, "there is no host or group"),
        (
            ("plan", "disk", "-e", "group=web", "--parallel", "0"),
            2,
            "'--parallel' / '-f': 0 is less than 1",
        ),
        (("plan", "disk", "-e", "group=web", "--timeout", "5"), 2, "--timeout '5' is not"),
        (("plan", "disk", "--inputs", "@nothing.yaml"), 2, "No such file"),
        (("plan", "disk", "-e", "group=web", "-i", "no.yaml"), 3, "no.yaml cannot be read"),
        (("plan", "disk", "-e", "group=web", "-o", "no/such/folder"), 2, "cannot be written"),
        (("apply", "none.plan"), 2, "No such file"),
        (("apply", "wtsflow.yaml"), 3, "is not a plan"),
    ],
)
def test_a_mistake_gives_one_message_and_its_exit_code(
    place: Place, words: tuple[str, ...], code: int, said: str
) -> None:
    got, out, err = place.cli(*words)
    assert (got, out) == (code, "")
    assert said in err


def test_several_bad_inputs_are_shown_together(place: Place) -> None:
    code, _out, err = place.cli("plan", "disk", "-e", "group=x", "-e", "days=99", "-e", "z=1")
    assert code == 3
    assert err.startswith("error: 3 values do not fit\n")
    assert err.count("\n  ") == 3


# --- inputs -----------------------------------------------------------------------------------


def test_an_option_wins_over_a_file_and_that_over_the_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WTSFLOW_INPUT_GROUP", "db")
    monkeypatch.setenv("WTSFLOW_INPUT_DAYS", "3")
    assert place.json("plan", "disk")["inputs"] == {"group": "db", "days": 3, "token": None}
    place.write("a.yaml", "group: web\n")
    said = place.json("plan", "disk", "--inputs", "@a.yaml")["inputs"]
    assert (said["group"], said["days"]) == ("web", 3)
    said = place.json("plan", "disk", "--inputs", "a.yaml", "-e", "group=db", "-e", "days=5")
    assert (said["inputs"]["group"], said["inputs"]["days"]) == ("db", 5)


def test_inputs_may_come_as_json_on_standard_input(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps({"group": "web", "days": 2}).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert place.json("plan", "disk", "--inputs", "-")["inputs"]["days"] == 2


def test_a_secret_is_refused_on_the_command_line(place: Place) -> None:
    code, _out, err = place.cli("plan", "disk", "-e", "group=web", "-e", "token=hunter2!")
    assert code == 2
    assert "WTSFLOW_INPUT_TOKEN" in err
    assert "hunter2" not in err


def test_a_secret_from_file_or_environment_is_never_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("s.yaml", "group: web\ntoken: hunter2!\n")
    _code, out, err = place.cli("plan", "disk", "--inputs", "@s.yaml", "-o", "p.plan")
    monkeypatch.setenv("WTSFLOW_INPUT_TOKEN", "hunter2!")
    document = place.json("plan", "disk", "-e", "group=web")
    shown = f"{out}{err}{json.dumps(document)}{(place.root / 'p.plan').read_text()}"
    assert "hunter2" not in shown
    assert document["inputs"]["token"] == "********"


def test_nothing_is_asked_without_a_terminal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("typer.prompt", never)
    assert place.cli("plan", "disk")[0] == 3


def test_nothing_is_asked_before_a_wrong_name_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> str:
        raise AssertionError

    monkeypatch.setattr("wtsflow.cli.request.terminal", lambda: True)
    monkeypatch.setattr("typer.prompt", never)
    code, _out, err = place.cli("plan", "disk", "--input", "dais=3")
    assert code == 3
    assert "has no input 'dais'" in err


def test_a_terminal_is_asked_for_what_is_missing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []

    def prompt(text: str, *, err: bool, hide_input: bool) -> str:
        assert err
        asked.append((text, hide_input))
        return "web"

    monkeypatch.setattr("wtsflow.cli.request.terminal", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    code, _out, err = place.cli("plan", "disk")
    assert (code, asked) == (0, [("Server group", False)])
    assert "one of: web, db" in err
    assert place.cli("plan", "disk", "--format", "json")[0] == 3  # machines are not asked


# --- limit ------------------------------------------------------------------------------------


def test_a_limit_comes_from_a_file_or_standard_input(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("hosts.txt", "# failed yesterday\nweb02\n\nweb04\n")
    said = place.json("plan", "disk", "-e", "group=web", "-l", "@hosts.txt")
    assert [m["name"] for m in said["targets"]["fleet"]] == ["web02", "web04"]
    assert said["limit"] == "web02,web04"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"web01\n")))
    said = place.json("plan", "disk", "-e", "group=web", "-l", "-")
    assert [m["name"] for m in said["targets"]["fleet"]] == ["web01"]
    place.write("empty.txt", "# nobody\n")
    assert place.cli("plan", "disk", "-e", "group=web", "-l", "@empty.txt")[0] == 2


# --- apply ------------------------------------------------------------------------------------


def plan_file(place: Place, *words: str) -> Path:
    path = place.root / "p.plan"
    code, _out, err = place.cli("plan", *(words or ("disk", "-e", "group=web")), "-o", str(path))
    assert code == 0, err
    return path


def test_a_plan_that_still_fits_passes_the_check(place: Place) -> None:
    path = plan_file(place)
    code, out, err = place.cli("apply", str(path), "--check")
    assert (code, err) == (0, "")
    assert "still fits" in out
    code, out, err = place.cli("apply", str(path), "--check", "--format", "json")
    digest = json.loads(path.read_text())["digest"]
    assert (code, err) == (0, "")
    assert json.loads(out) == {"schema": "wtsflow.checked/1", "fits": True, "plan": digest}


def test_a_plan_file_has_a_name_and_no_half(place: Place) -> None:
    path = plan_file(place)
    assert json.loads(path.read_text())["schema"] == "wtsflow.plan/1"
    assert [p.name for p in place.root.iterdir() if ".part" in p.name] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda place: place.write("inventory.yaml", INVENTORY.replace("05", "06")),
            "target 'fleet' gained web06",
        ),
        (
            lambda place: place.write("inventory.yaml", INVENTORY.replace("paris", "rome")),
            "web01, web02, web03, web04, web05: variables was",
        ),
    ],
)
def test_a_present_that_differs_is_refused_with_the_difference(
    place: Place, change: Callable[[Place], object], said: str
) -> None:
    path = plan_file(place)
    change(place)
    code, _out, err = place.cli("apply", str(path))
    assert code == 6
    assert said in err


def test_a_lock_that_names_other_bytes_is_refused(place: Place) -> None:
    path = plan_file(place)
    lock = place.root / "wtsflow.lock"
    look, clean = (
        next(line for line in lock.read_text().splitlines() if line.startswith(f"disk/{name}"))
        for name in ("look", "clean")
    )
    moved = look.split(" ")[0] + clean[len("disk/clean.sh@1.0.0") :]
    lock.write_text(lock.read_text().replace(look, moved), encoding="utf-8")
    code, _out, err = place.cli("apply", str(path), "--check")
    assert code in (3, 6)
    assert "disk/look.sh" in err


@pytest.mark.parametrize("words", [("plan", "disk", "-e", "group=web"), ("validate",)])
def test_a_digest_that_does_not_fit_ends_with_mismatch(
    place: Place, words: tuple[str, ...]
) -> None:
    lock = place.root / "wtsflow.lock"
    lock.write_text(re.sub("sha256:.{8}", "sha256:00000000", lock.read_text()), encoding="utf-8")
    shutil.rmtree(place.root / "cache", ignore_errors=True)
    code, out, err = place.cli(*words)
    assert code == 6
    assert "locked as sha256:00000000" in out + err


def test_a_plan_file_that_was_edited_is_refused(place: Place) -> None:
    path = plan_file(place)
    path.write_text(path.read_text().replace('"days": 7', '"days": 30'), encoding="utf-8")
    code, _out, err = place.cli("apply", str(path))
    assert code == 6
    assert "it was changed after it was written down" in err


def test_the_manifest_in_the_plan_is_what_runs_whatever_the_file_says_now(place: Place) -> None:
    path = plan_file(place)
    place.write("manifests/disk.yaml", "not: a manifest\n")
    assert place.cli("apply", str(path), "--check")[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the script is a shell script")
def test_apply_performs_exactly_what_was_planned(place: Place) -> None:
    path = plan_file(place, "here", "-e", "word=hello")
    planned = json.loads(path.read_text())["digest"]
    code, out, err = place.cli("apply", str(path), "--format", "json")
    assert code == 0, err
    assert json.loads(out)["exit"] == {"code": 0, "name": "success"}
    code, out, _err = place.cli("apply", str(path), "--format", "jsonl")
    assert code == 0
    opened = json.loads(out.splitlines()[0])
    assert planned in json.dumps(opened)


def test_a_secret_is_given_again_to_apply(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTSFLOW_INPUT_TOKEN", "hunter2!")
    path = plan_file(place)
    assert place.cli("apply", str(path), "--check")[0] == 0
    monkeypatch.delenv("WTSFLOW_INPUT_TOKEN")
    assert place.cli("apply", str(path), "--check")[0] == 0
    code, _out, err = place.cli("apply", str(path), "--yes")
    assert code == 6
    assert "input 'token' was '********', is None" in err
