"""The control node may be Windows: nothing on the way of validate, plan and run asks for POSIX.

A process without ``fcntl``, ``pwd`` and the like is as near to Windows as a test here comes; the
description of CI has a job on the real one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

POSIX_ONLY = ("fcntl", "pwd", "grp", "termios", "resource", "tty", "pty", "syslog", "readline")

PROGRAM = f"""\
import sys
for name in {POSIX_ONLY!r}:
    sys.modules[name] = None
from wtsflow.__main__ import main
sys.exit(main())
"""


def wtsflow(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process that has none of the modules."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "WTSFLOW_STATE": str(folder.parent / "state"),
            "WTSFLOW_CACHE": str(folder.parent / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace made without POSIX too."""
    folder = tmp_path_factory.mktemp("posix-free")
    made = wtsflow(folder, "new", "first")
    assert made.returncode == 0, made.stderr
    return folder / "first"


def manifest(workspace: Path) -> str:
    (found,) = (workspace / "manifests").glob("*.yaml")
    return str(found)


def test_the_block_blocks() -> None:
    program = PROGRAM.replace("from wtsflow", "import fcntl\nfrom wtsflow")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in done.stderr or "ImportError" in done.stderr


@pytest.mark.parametrize(
    "words",
    [["validate"], ["lock", "--check"], ["plan"], ["run"]],
    ids=lambda words: words[0],
)
def test_a_command_asks_for_nothing_of_posix(workspace: Path, words: list[str]) -> None:
    arguments = words if len(words) > 1 else [*words, manifest(workspace)]
    done = wtsflow(workspace, *arguments)
    assert (done.returncode, done.stderr if done.returncode else "") == (0, "")


def test_what_ran_is_in_the_journal_and_the_log_verifies(workspace: Path) -> None:
    assert wtsflow(workspace, "run", manifest(workspace)).returncode == 0
    listed = wtsflow(workspace, "runs", "list")
    verified = wtsflow(workspace, "audit", "verify")
    assert (listed.returncode, verified.returncode) == (0, 0), listed.stderr + verified.stderr
    assert "success" in listed.stdout
