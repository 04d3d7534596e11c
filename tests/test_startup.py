"""What is imported when: a command pays only for what it uses."""

import json
import subprocess
import sys

import pytest

HEAVY = {"paramiko", "git", "jsonschema", "keyring", "rich", "typer", "ruamel", "asyncio", "invoke"}


def imported(program: str) -> set[str]:
    """Which heavy libraries a process has after running ``program``."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport json, sys\nprint(json.dumps(list(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_the_version_is_told_without_any_library() -> None:
    program = "import sys; sys.argv[1:] = ['--version']\nfrom wtsflow.__main__ import main; main()"
    assert imported(program) == set()


def test_help_is_told_without_any_library() -> None:
    program = "import sys; sys.argv[1:] = ['--help']\nfrom wtsflow.__main__ import main; main()"
    assert imported(program) == set()


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("wtsflow", set()),
        ("wtsflow.errors", set()),
        ("wtsflow.ports", set()),
        ("wtsflow.engine.runner", set()),
        ("wtsflow.transports", set()),
        ("wtsflow.scripts", set()),
        ("wtsflow.app", set()),
        ("wtsflow.cli.validate", {"typer"}),
        ("wtsflow.cli.run", {"typer"}),
    ],
)
def test_a_module_brings_no_heavy_library_along(module: str, allowed: set[str]) -> None:
    assert imported(f"import {module}") <= allowed


def test_paramiko_comes_without_invoke_and_asyncio() -> None:
    assert imported("import wtsflow.transports.lean, wtsflow.transports.ssh_link") == {"paramiko"}


def test_invoke_can_be_imported_afterwards() -> None:
    program = "import wtsflow.transports.lean, sys\nassert 'invoke' not in sys.modules"
    assert imported(f"{program}\nimport invoke") >= {"paramiko", "invoke"}
