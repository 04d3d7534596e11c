"""Data from outside that looks like something else stays data, from end to end."""

import ast
import json
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.workspaces import Workspace

SOURCES = sorted((Path(__file__).parent.parent / "src").rglob("*.py"))

XML = {"xml", "lxml", "defusedxml", "pyexpat", "xmltodict", "bs4"}
READERS = {"parse", "fromstring", "fromstringlist", "iterparse", "XML", "XMLID", "XMLParser"}
HOSTILE = (
    "'; touch canary; '\" `touch canary` $(touch canary) $((1/0)) ${HOME} "
    "$(steps.first.outputs.said) $(inputs.secret) {{ 7*7 }} ${{ 7*7 }} {% raw %} %s %(x)s {0} "
    "-rf --help @/etc/passwd \\n \\x00 \t <b>&amp;</b> \u202e\u2028 ünï"
)
FIRST = f"import json\nprint(json.dumps({{'said': {HOSTILE!r}}}))\n"
SECOND = """\
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--text", required=True)
print(json.dumps({"got": parser.parse_args().text}))
"""
THIRD = """\
#!/bin/sh
printf '%s' "$WTS_PARAM_TEXT" | od -An -v -tx1 | tr -d ' \\n' | sed 's/.*/{"hex": "&"}/' > "$WTS_OUTPUT"
"""
MANIFEST = """\
wtsflow: 1
name: hostile
version: 1.0.0
title: A step that attacks the next ones
owner: tests
steps:
  - id: first
    script: first.py@1.0.0
  - id: second
    script: second.py@1.0.0
    with: { text: $(steps.first.outputs.said) }
  - id: third
    script: third.sh@1.0.0
    with: { text: "<$(steps.first.outputs.said)>" }
outputs: { got: $(steps.second.outputs.got), hex: $(steps.third.outputs.hex) }
"""
SCRIPTS = {
    "first.py": FIRST,
    "first.py.yaml": "parameters: {}\noutputs: { said: string }\n",
    "second.py": SECOND,
    "second.py.yaml": "parameters: { text: string }\noutputs: { got: string }\n",
    "third.sh": THIRD,
    "third.sh.yaml": "input: env\nparameters: { text: string }\noutputs: { hex: string }\n",
}


def test_T07_a_hostile_output_reaches_the_next_step_byte_by_byte(tmp_path: Path) -> None:
    workspace = Workspace.make(tmp_path, SCRIPTS, {"hostile.yaml": MANIFEST})
    done = workspace.cli("run", "hostile", "--format", "json")
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)["outputs"]
    assert outputs["got"] == HOSTILE
    assert bytes.fromhex(outputs["hex"]).decode() == f"<{HOSTILE}>"
    assert list(tmp_path.rglob("canary")) == []


def test_T14_no_xml_is_ever_read() -> None:
    imported, read = [], []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported += [(path.name, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported += [(path.name, f"{node.module}.{alias.name}") for alias in node.names]
            elif isinstance(node, ast.Attribute) and node.attr in READERS:
                read.append(f"{path.name}: {ast.unparse(node)}")
    xml = [(file, name) for file, name in imported if name.split(".")[0] in XML]
    assert xml == [("validate_formats.py", "xml.etree.ElementTree")]
    assert [place for place in read if place.startswith("validate_formats.py")] == []


def test_T14_what_looks_like_xml_is_escaped_in_the_junit_report(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>'
    text = MANIFEST.replace("name: hostile", f"name: '{bomb}'")
    workspace = Workspace.make(tmp_path, SCRIPTS, {"hostile.yaml": MANIFEST})
    workspace.write("manifests/hostile.yaml", text)
    done = workspace.cli("validate", "--format", "junit")
    assert done.returncode == 3
    assert "<!DOCTYPE" not in done.stdout
    assert bomb in "".join(ET.fromstring(done.stdout).itertext())
