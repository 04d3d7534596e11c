"""P7: memory is bounded, whatever a target prints."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspaces import Workspace

MANIFEST = """\
wtsflow: 1
name: %(name)s
version: 1.0.0
title: Flood
owner: ops
steps:
  - script: %(name)s.sh@1.0.0
"""
SCRIPT = """\
#!/bin/sh
line=$(printf '%%01000d' 7)
yes "$line" | head -c %d000000
"""
SIZES = {"little": 1, "much": 60}
"""Megabytes that each script prints."""
MEASURED = """\
import sys
from pathlib import Path
from wtsflow.cli.main import main
code = main(["--quiet", "run", sys.argv[1]])
status = Path("/proc/self/status").read_text()
print(code, status.partition("VmHWM:")[2].split()[0])
"""


def peak(space: Workspace, manifest: str) -> int:
    """The most memory that the whole process ever had, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, manifest],
        cwd=space.root,
        env=space.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    code, kilobytes = done.stdout.split()[-2:]
    assert code == "0", done.stderr
    return int(kilobytes) // 1000


def test_a_run_that_prints_without_end_keeps_a_small_memory(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to measure itself")
    scripts = {f"{name}.sh": SCRIPT % size for name, size in SIZES.items()}
    manifests = {f"{name}.yaml": MANIFEST % {"name": name} for name in SIZES}
    space = Workspace.make(tmp_path, scripts, manifests)
    little, much = peak(space, "little"), peak(space, "much")
    assert much - little < 30
