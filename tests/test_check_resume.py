"""A check whose process was killed goes on as a check."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.workspaces import Workspace

SLOW = """\
#!/bin/sh
echo started >> "$HOME/started"
until [ -e "$HOME/go" ]; do sleep 0.1; done
if [ "$WTS_CHECK" = 1 ]; then echo CHANGE it; else echo ran > "$HOME/changed"; fi
"""
PLAIN = '#!/bin/sh\necho ran > "$HOME/changed"\n'
MANIFEST = """\
wtsflow: 1
name: slow
version: 1.0.0
title: Slow
owner: ops
steps:
  - { id: slow, script: slow.sh@1.0.0 }
  - { id: plain, script: plain.sh@1.0.0 }
"""


@pytest.mark.skipif(os.name != "posix", reason="the scripts are for POSIX systems")
def test_a_check_that_was_killed_is_gone_on_with_as_a_check(tmp_path: Path) -> None:
    scripts = {"slow.sh": SLOW, "slow.sh.yaml": "check: env\n", "plain.sh": PLAIN}
    made = Workspace.make(tmp_path, scripts, {"slow.yaml": MANIFEST})
    home = tmp_path / "home"
    process = made.start("run", "manifests/slow.yaml", "--check", "--format", "jsonl")
    until = time.monotonic() + 60
    while not (home / "started").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    (home / "go").touch()
    done = made.cli("resume", "latest", "--format", "json")
    document = json.loads(done.stdout)
    assert (document["check"], document["exit"]["code"]) == (True, 0), done.stderr
    steps = [step for step in document["steps"] if step["again"] is None]
    assert [(step["path"], step["changes"]["state"]) for step in steps] == [("slow", "change")]
    assert [one["change"] for one in document["skipped"]] == ["unknown"]
    assert not (home / "changed").exists()
