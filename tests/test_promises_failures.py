"""P10: every failure has a code, a cause and a next step."""

import os
import re
from pathlib import Path

import pytest

from tests.workspaces import Workspace
from wtsflow import errors
from wtsflow.cli.main import main
from wtsflow.errors import Exit, WtsflowError

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "exit-codes.md"
MANIFEST = """\
wtsflow: 1
name: disk
version: 1.0.0
title: Disk
owner: ops
inputs: { days: number }
targets: { web: { group: web } }
steps:
  - { script: a.sh@1.0.0, target: web }
"""


def tree(kind: type[WtsflowError]) -> list[type[WtsflowError]]:
    return [kind, *(found for each in kind.__subclasses__() for found in tree(each))]


def test_every_error_has_an_exit_code_that_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    kinds = [kind for kind in tree(WtsflowError) if kind.__module__ == errors.__name__]
    assert len(kinds) > 15
    for kind in kinds:
        assert isinstance(kind.exit, Exit)
        assert f"`{kind.exit.label}`" in page or f"| {kind.exit.label} " in page, kind
        assert kind.__name__ in str(errors.__doc__)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("failures")
    made = Workspace.make(
        folder, {"a.sh": "#!/bin/sh\n"}, {"disk.yaml": MANIFEST}, "hosts: { web01: {} }\n"
    )
    made.write("manifests/broken.yaml", MANIFEST.replace("script:", "scirpt:"))
    made.write("manifests/unlocked.yaml", MANIFEST.replace("a.sh", "b.sh"))
    made.write("inputs.yaml", "[1, 2]\n")
    return made


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("rnu disk", Exit.USAGE),
        ("run nothing", Exit.USAGE),
        ("run disk --inptu days=1", Exit.USAGE),
        ("run disk --inputs @gone.yaml", Exit.USAGE),
        ("run disk --inputs @inputs.yaml", Exit.USAGE),
        ("run disk", Exit.INVALID),
        ("run disk --input dayz=1", Exit.INVALID),
        ("run disk --input days=many", Exit.INVALID),
        ("run disk --input days=1", Exit.INVALID),
        ("run broken --input days=1", Exit.INVALID),
        ("run unlocked --input days=1", Exit.INVALID),
        ("runs show 01ABC", Exit.USAGE),
        ("runs list --since soon", Exit.USAGE),
        ("resume", Exit.USAGE),
        ("explain wts999", Exit.USAGE),
        ("schedules run", Exit.USAGE),
        ("schedules show nightly", Exit.USAGE),
        ("schedules run --due --at soon", Exit.USAGE),
        ("apply gone.plan", Exit.USAGE),
        ("--workspace / run disk", Exit.INVALID),
    ],
)  # fmt: skip
def test_what_the_command_line_raises_says_what_to_do(
    space: Workspace,
    line: str,
    code: Exit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(space.root)
    for name in [one for one in os.environ if one.startswith("WTSFLOW_")]:
        monkeypatch.delenv(name)
    for name, value in space.environment().items():
        monkeypatch.setenv(name, value)
    assert main(line.split()) == code
    said = capsys.readouterr().err
    assert "error: " in said
    assert re.search(r"\n +cure: \S|did you mean '", said)
    assert "Traceback" not in said
