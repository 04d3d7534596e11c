"""The documentation is complete, fresh, and what it says can be typed works."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs import generate
from docs.records import KINDS
from docs.tables import SchemaPages, anchor

from wtsflow import manifest, source
from wtsflow.cli.main import COMMANDS
from wtsflow.errors import Exit
from wtsflow.model.record import Event
from wtsflow.source import schema_text

ROOT = Path(__file__).parent.parent
PROSE = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
HAND_WRITTEN = [path for path in PROSE if path.parent != generate.FOLDER]
SCHEMAS = {
    "inventory.md": "inventory-1",
    "manifest.md": "wtsflow-1",
    "rollouts.md": "rollouts-1",
    "sidecar.md": "sidecar-1",
    "workspace.md": "workspace-1",
}
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (generate.FOLDER / name).read_text(encoding="utf-8")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- the reference --------------------------------------------------------------------------


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    assert page(name) == generate.text(name), "run `make docs` and commit what it writes"


def test_there_is_no_reference_page_that_nobody_writes() -> None:
    assert {path.name for path in generate.FOLDER.glob("*.md")} == set(generate.PAGES)


def test_every_exit_code_is_documented() -> None:
    assert re.findall(r"(?m)^\| (\d+) \| `(\w+)`", page("exit-codes.md")) == [
        (str(code.value), code.label) for code in Exit
    ]


def test_every_command_is_documented_with_an_example() -> None:
    text = page("commands.md")
    helps = dict(re.findall(r"(?ms)^## wtsflow ([^\n]+)\n\n```text\n(.*?)^```", text))
    assert {name.split()[0] for name in helps} == set(COMMANDS)
    leaves = [one for one in helps if not any(other.startswith(f"{one} ") for other in helps)]
    assert [name for name in leaves if f"wtsflow {name}" not in helps[name]] == []


def test_every_rule_is_documented() -> None:
    from wtsflow.source.rules import RULES

    text = page("rules.md")
    assert RULES
    assert [rule for rule in RULES if f"## {rule}\n" not in text] == []


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items(), ids=list(SCHEMAS))
def test_every_key_is_documented_with_a_meaning(name: str, schema: str) -> None:
    keys = SchemaPages(json.loads(schema_text(schema))).keys()
    rows = re.findall(r"(?m)^\| `([^`]+)` \| .*? \| (?:yes)? *\| (.*?) \|$", page(name))
    assert keys
    reserved = re.findall(r"(?m)^- `([^`]+)`: .", page(name))
    assert keys <= {key for key, _ in rows} | set(reserved)
    assert [key for key, meaning in rows if not meaning] == []


def test_every_type_of_record_is_documented() -> None:
    said = re.findall(r"``(\w+)[/`]", (Event.__doc__ or "").partition("Types and keys:")[2])
    assert set(said) == set(KINDS)


# --- the prose ------------------------------------------------------------------------------


def headings(path: Path) -> set[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return {anchor(one.strip()) for one in re.findall(r"(?m)^#+ (.+)$", text)}


def links(path: Path) -> Iterator[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]*`", "", text)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("path", PROSE, ids=ids)
def test_every_link_inside_the_project_leads_somewhere(path: Path) -> None:
    broken = []
    for link in links(path):
        if re.match(r"\w+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (fragment and fragment not in headings(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=ids)
def test_every_command_that_the_prose_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"(?:^\$ |`|&& )wtsflow ([a-z][\w-]*)", text, re.MULTILINE)
    assert [name for name in named if name not in COMMANDS] == []


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=ids)
def test_every_make_target_that_the_prose_names_exists(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    lines = re.findall(r"(?m)(?:^|`)make ((?:[a-z]+ ?)+)", path.read_text(encoding="utf-8"))
    named = {name for line in lines for name in line.split("  ")[0].split()}
    assert "test" in targets
    assert named - targets == set()


@pytest.mark.parametrize("path", PROSE, ids=ids)
def test_nothing_is_left_for_later(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"\b(?:TODO|TBD|FIXME|XXX)\b|lorem ipsum|coming soon", text) == []


# --- the examples ---------------------------------------------------------------------------


def examples() -> Iterator[tuple[str, str, str]]:
    """Every YAML block that names its file in a first comment: page, file, text."""
    for path in PROSE:
        for kind, text in FENCE.findall(path.read_text(encoding="utf-8")):
            named = re.match(r"# (\S+\.ya?ml)\n", text)
            if kind == "yaml" and named:
                yield ids(path), named[1], text


def findings(name: str, text: str) -> tuple[object, ...]:
    if name.startswith("manifests/"):
        return manifest.read(text, name, scripts=None)[1]
    schemas = {"wtsflow.yaml": "workspace-1", "inventory.yaml": "inventory-1"}
    schema = "rollouts-1" if name == "rollouts.yaml" else schemas.get(name, "sidecar-1")
    return source.check(source.load(text, name), schema)


@pytest.mark.parametrize(
    ("name", "text"),
    [pytest.param(name, text, id=f"{page}:{name}") for page, name, text in examples()],
)
def test_every_example_file_is_valid(name: str, text: str) -> None:
    assert findings(name, text) == ()
