"""A secret in every encoding, in every piece, through the real program: nothing keeps or shows it."""

import json
import os
from pathlib import Path

import pytest

from tests.keeping import posix
from tests.test_redact import FORMS, readable
from tests.workspaces import Workspace

pytestmark = [posix]

SECRET = "pA5/w0'+&=ß§x"
"""15 bytes: a line of xxd holds it."""
FOUND = 6
"""As many characters of a secret as may be found by chance: less than the shortest secret."""

LEAK = """\
#!/usr/bin/env python3
import json, os, pathlib, sys, time
token = json.load(sys.stdin)["token"]
forms = [bytes.fromhex(line) for line in pathlib.Path(os.environ["LEAKED_FORMS"]).read_text().split()]
for number, form in enumerate(forms):
    os.write(1, b"whole %d ~~~ " % number + form + b" ~~~\\n")
    os.write(2, b"error %d ~~~ " % number + form + b" ~~~\\n")
for number, form in enumerate(forms):
    for byte in b"piece %d ~~~ " % number + form + b" ~~~\\n":
        os.write(1, bytes([byte]))
        time.sleep(0.0003)
pathlib.Path(os.environ["WTS_OUTPUT"]).write_text(json.dumps({"said": token, "names": [token]}))
if os.environ["WTS_ATTEMPT"] == "1":
    os.write(2, b"cannot log in with " + token.encode() + b"\\n")
    os.write(1, b"and not even with a line end " + token.encode())
    sys.exit(3)
"""
MANIFEST = """\
wtsflow: 1
name: leak
version: 1.0.0
title: Leak a secret in every way
owner: tests
inputs: { token: { type: secret } }
steps:
  - id: leak
    script: leak.py@1.0.0
    with: { token: $(inputs.token) }
    retry: 1
  - id: each
    for_each: steps.leak.outputs.names
    on_failure: continue
    steps:
      - { id: say, script: say.sh@1.0.0, with: { text: $(item) } }
  - id: last
    script: say.sh@1.0.0
    with: { text: "it is $(steps.leak.outputs.said)" }
    on_failure: [ { script: say.sh@1.0.0, with: { text: $(failure.message) } } ]
outputs: { said: $(steps.leak.outputs.said) }
"""
SCRIPTS = {
    "leak.py": LEAK,
    "leak.py.yaml": "input: json\nparameters: { token: { type: secret } }\n"
    "outputs: { said: string, names: list }\n",
    "say.sh": '#!/bin/sh\necho "told: $WTS_PARAM_TEXT" >&2\nexit 1\n',
    "say.sh.yaml": "input: env\nparameters: { text: string }\n",
}


@pytest.fixture(scope="module", params=["text", "json", "jsonl"])
def leaked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the run has been; what it said is in ``said.txt``."""
    made = Workspace.make(tmp_path_factory.mktemp("leak"), SCRIPTS, {"leak.yaml": MANIFEST})
    forms = made.write("forms.txt", "\n".join(encode(SECRET).hex() for encode in FORMS.values()))
    made.environ |= {"LEAKED_FORMS": str(forms), "WTSFLOW_DEBUG": "1"}
    made.environ |= {"WTSFLOW_INPUT_TOKEN": SECRET}
    done = made.cli("-vv", "run", "leak", "--format", request.param)
    assert done.returncode == 1, done.stderr
    made.write("said.txt", done.stdout + done.stderr)
    del made.environ["WTSFLOW_INPUT_TOKEN"]
    return made


def assert_nothing(data: bytes, where: object) -> None:
    for name, encode in FORMS.items():
        encoded = encode(SECRET)
        assert readable(SECRET, encoded, data) <= FOUND, (name, where)


def test_T38_the_program_says_no_secret_in_any_encoding_or_piece(leaked: Workspace) -> None:
    said = (leaked.root / "said.txt").read_bytes()
    assert said
    assert_nothing(said, "the terminal")


def test_T38_no_file_and_no_file_name_keeps_it(leaked: Workspace) -> None:
    files = [path for path in leaked.state.rglob("*") if path.is_file()]
    spools = [path for path in files if path.suffix == ".log"]
    assert len(spools) >= 4
    assert sum(path.read_bytes().count(b"********") for path in spools) > 3 * len(FORMS)
    for path in files:
        assert_nothing(os.fsencode(path.name), path)
        assert_nothing(path.read_bytes(), path)


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "show", "latest"],
        ["runs", "show", "latest", "--format", "json"],
        ["runs", "show", "latest", "--output", "local"],
        ["audit", "export"],
        ["-vv", "audit", "show", "--last", "0"],
    ],
    ids=" ".join,
)
def test_T48_no_command_that_looks_back_says_it(leaked: Workspace, words: list[str]) -> None:
    done = leaked.cli(*words)
    assert done.stdout, done.stderr
    assert_nothing((done.stdout + done.stderr).encode(), words)


@pytest.mark.parametrize("weak", ["abc", "password"])
def test_T38_a_secret_too_weak_to_be_masked_runs_nothing_and_is_not_said(
    tmp_path: Path, weak: str
) -> None:
    made = Workspace.make(tmp_path, SCRIPTS, {"leak.yaml": MANIFEST})
    made.environ |= {"WTSFLOW_INPUT_TOKEN": f"{weak}"}
    done = made.cli("run", "leak", "--format", "json")
    assert done.returncode == 3
    message = json.loads(done.stdout)["error"]["message"]
    assert "cannot be masked" in message
    assert weak not in message
    assert list(made.state.rglob("*.log")) == []
