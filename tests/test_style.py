"""The house rules that no linter holds: sizes, names, tests that assert, locks without addresses."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60
FORBIDDEN_ENDINGS = ("Manager", "Handler", "Helper", "Util", "Utils", "Service", "Processor")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def nodes(paths: list[Path]) -> Iterator[tuple[str, ast.AST]]:
    for path in paths:
        for node in ast.walk(tree(path)):
            line = getattr(node, "lineno", 0)
            yield f"{path.relative_to(ROOT)}:{line}", node


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    sizes = {path: path.read_text(encoding="utf-8").count("\n") for path in SOURCES}
    assert sizes
    assert {path: size for path, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    sizes = {
        f"{place} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for place, node in nodes(SOURCES)
        if isinstance(node, FUNCTIONS)
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_class_hides_what_it_is_behind_a_word() -> None:
    classes = [
        (place, node.name) for place, node in nodes(SOURCES) if isinstance(node, ast.ClassDef)
    ]
    assert classes
    assert [found for found in classes if found[1].endswith(FORBIDDEN_ENDINGS)] == []


def test_nothing_in_the_source_is_marked_unfinished() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    marked = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if mark.search(line)
    ]
    assert marked == []


def test_every_test_asserts() -> None:
    idle = [
        f"{place} {node.name}"
        for place, node in nodes(TESTS)
        if isinstance(node, FUNCTIONS)
        and node.name.startswith("test_")
        and not said_by(node) & asserting()
        and not any(said.startswith("check") for said in said_by(node))
    ]
    assert idle == []


def said_by(function: ast.AST) -> set[str]:
    """The names a function calls, and 'assert' when it asserts itself."""
    said = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            said.add("assert")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            said.add(node.func.id if isinstance(node.func, ast.Name) else node.func.attr)
    return said


def asserting(known: dict[str, set[str]] = {}) -> set[str]:  # noqa: B006 - computed once
    """Every name whose call asserts: assert, pytest's, and the tests' own functions that do."""
    if not known:
        helpers = {
            node.name: said_by(node) for _, node in nodes(TESTS) if isinstance(node, FUNCTIONS)
        }
        found = {"assert", "raises", "warns", "fail"}
        while more := {name for name, said in helpers.items() if said & found} - found:
            found |= more
        known["found"] = found
    return known["found"]


def test_a_test_that_asserts_nothing_would_be_found() -> None:
    idle = ast.parse("def test_idle():\n    print(1)\n").body[0]
    assert not said_by(idle) & asserting()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_pins_by_hash_and_names_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert re.findall(r"\w+://\S+|git\+|^-.*|@ file", text, re.MULTILINE) == []
    requirements = re.split(r"(?m)^(?=\S)", text)[1:]
    assert requirements
    assert [one for one in requirements if "==" not in one or "--hash=sha256:" not in one] == []


def test_the_locks_hold_everything_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    runtime = names(project["project"]["dependencies"])
    assert runtime <= pinned("requirements.lock")
    assert runtime | names(groups["dev"]) <= pinned("requirements-dev.lock")
    assert names(groups["build"]) <= pinned("requirements-build.lock")
    assert names(project["build-system"]["requires"]) <= pinned("requirements-build.lock")
    assert names(groups["benchmarks"]) <= pinned("requirements-bench.lock")


def test_the_locks_agree_with_each_other() -> None:
    dev = versions("requirements-dev.lock")
    for name in ("requirements.lock", "requirements-build.lock"):
        assert versions(name).items() <= dev.items()


def names(requirements: list[str]) -> set[str]:
    return {
        re.split(r"[\[<>=!~; ]", one)[0].lower().replace("_", "-").replace(".", "-")
        for one in requirements
    }


def versions(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", text))


def pinned(lock: str) -> set[str]:
    return set(versions(lock))
