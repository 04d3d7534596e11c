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


STRICT = """\
wtsflow: 1
name: strict
version: 1.0.0
title: What a step left is held against what the next one takes
owner: tests
steps:
  - id: first
    script: loose.sh@1.0.0
    outputs: { word: string, many: any }
  - id: pattern
    script: pattern.sh@1.0.0
    needs: [first]
    with: { word: $(steps.first.outputs.word) }
    on_failure: continue
  - id: number
    script: number.sh@1.0.0
    needs: [first]
    with: { many: $(steps.first.outputs.many) }
    on_failure: continue
  - id: choice
    script: choice.sh@1.0.0
    needs: [first]
    with: { word: $(steps.first.outputs.word) }
    on_failure: continue
"""
TOUCH = '#!/bin/sh\ntouch "$WTS_CANARY_FOLDER/canary"\n'
STRICT_SCRIPTS = {
    "loose.sh": """#!/bin/sh\necho '{"word": "$(id); --rm", "many": "5; reboot"}'\n""",
    "pattern.sh": TOUCH,
    "pattern.sh.yaml": 'parameters: { word: { type: string, pattern: "[a-z]+" } }\n',
    "number.sh": TOUCH,
    "number.sh.yaml": "parameters: { many: number }\n",
    "choice.sh": TOUCH,
    "choice.sh.yaml": "parameters: { word: { type: string, choices: [on, off] } }\n",
}


def test_T07_an_output_that_the_next_script_does_not_take_is_not_given_to_it(
    tmp_path: Path,
) -> None:
    workspace = Workspace.make(tmp_path, STRICT_SCRIPTS, {"strict.yaml": STRICT})
    workspace.environ["WTS_CANARY_FOLDER"] = str(tmp_path)
    done = workspace.cli("run", "strict", "--format", "json")
    steps = {step["path"]: step for step in json.loads(done.stdout)["steps"]}
    assert steps["first"]["outcome"] == "success", done.stderr
    assert "does not match" in steps["pattern"]["message"]
    assert "not a number" in steps["number"]["message"]
    assert "not one of its choices" in steps["choice"]["message"]
    assert {steps[name]["outcome"] for name in ("pattern", "number", "choice")} == {"failed"}
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
