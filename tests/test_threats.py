"""Every threat that this version answers has a test that carries its number."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

THREATS = {
    "T01": "shell injection through a parameter",
    "T03": "option injection in a host or user name",
    "T04": "option or protocol injection in git",
    "T05": "batch files that re-read their arguments (Windows)",
    "T06": "template or expression injection",
    "T07": "an output of one step that attacks the next",
    "T11": "a formula in an exported table",
    "T12": "YAML: tags, alias bombs, duplicate keys, deep nesting",
    "T13": "patterns that never end (ReDoS)",
    "T14": "XML entity expansion",
    "T15": "JSON that two readers understand differently",
    "T16": "path traversal and symbolic links",
    "T17": "a file swapped between check and use",
    "T18": "a tag that moved, a forced push, a collected object",
    "T19": "two blobs with one object id (SHA-1 collision)",
    "T20": "an old version that was retracted, a list of retractions that is frozen",
    "T21": "a script that looks like another one (bidirectional and invisible characters)",
    "T33": "output or log that others on the machine can read",
    "T34": "a man in the middle, an unknown host key, a weak algorithm",
    "T37": "a secret that other users of a target can see",
    "T38": "a secret in output, log, error or traceback",
    "T39": "output that attacks the viewer's terminal",
    "T40": "output that forges a log line",
    "T41": "an audit log that was changed",
    "T42": "an audit log that cannot be written",
    "T43": "a flood of output, an endless line",
    "T44": "a target that is silent or drips",
    "T45": "a lock that is held for ever",
    "T47": "a local attacker who reads or redirects what is kept",
    "T48": "debug switches that leak",
}


def numbers() -> dict[str, list[str]]:
    """Threat → the names of its tests."""
    found: dict[str, list[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                numbered = re.match(r"test_(T\d\d)_\w", node.name)
                if numbered:
                    found.setdefault(numbered[1], []).append(f"{path.name}::{node.name}")
    return found


@pytest.mark.parametrize("threat", THREATS, ids=lambda number: f"{number}-{THREATS[number]}")
def test_the_threat_has_a_test_with_its_number(threat: str) -> None:
    assert numbers().get(threat)


def test_no_test_carries_a_number_that_is_not_listed() -> None:
    assert set(numbers()) <= set(THREATS)
