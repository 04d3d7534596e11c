"""The page of promises names tests that hold each of them: they exist, and every commit runs them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "promises.md"
NUMBERS = [f"P{number}" for number in range(1, 11)]
SOMETIMES = {"slow", "skip", "skipif", "xfail", "peer"}
"""Marks of tests that some or all runs of the suite leave out."""

_HEADING = re.compile(r"^## (?:(P\d+) )?(.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```tests\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections(page: str) -> dict[str, str]:
    """Number or title → the text of each section."""
    parts = _HEADING.split(page)[1:]
    return {
        number or title: text
        for number, title, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def named(text: str) -> list[str]:
    """The tests that a section names."""
    blocks = _BLOCK.findall(text)
    return [line for block in blocks for line in block.splitlines() if line]


def marks(node: ast.expr) -> set[str]:
    """``slow`` of ``pytest.mark.slow`` and ``pytest.mark.slow(…)``; of a list, all of them."""
    if isinstance(node, ast.List | ast.Tuple):
        return {mark for each in node.elts for mark in marks(each)}
    node = node.func if isinstance(node, ast.Call) else node
    return {node.attr} if isinstance(node, ast.Attribute) else set()


def found_in(path: Path) -> dict[str, set[str]]:
    """The tests of a file by name, each with its marks, those of its class and file among them.

    Nothing is imported.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    given = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def of(body: list[ast.stmt]) -> set[str]:
        """What ``pytestmark`` says in a body; a name there is a list of the file."""
        values = [
            node.value
            for node in body
            if isinstance(node, ast.Assign)
            and any(isinstance(one, ast.Name) and one.id == "pytestmark" for one in node.targets)
        ]
        plain = [given.get(one.id, one) if isinstance(one, ast.Name) else one for one in values]
        return {mark for value in plain for mark in marks(value)}

    found: dict[str, set[str]] = {}

    def walk(body: list[ast.stmt], around: set[str]) -> None:
        around = around | of(body)
        for node in body:
            if isinstance(node, ast.ClassDef):
                walk(node.body, around.union(*map(marks, node.decorator_list)))
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = around.union(*map(marks, node.decorator_list))

    walk(tree.body, set())
    return found


def problems(page: str, root: Path = ROOT) -> list[str]:
    """What is wrong with the page: one line each."""
    found = sections(page)
    wrong = [f"{number} is not promised" for number in NUMBERS if number not in found]
    for number, text in found.items():
        lines = named(text)
        if not lines:
            wrong.append(f"{number}: no test holds it")
        always = 0
        for line in lines:
            file, _, test = line.partition("::")
            path = root / file
            known = found_in(path) if path.is_file() else {}
            if test not in known:
                wrong.append(f"{number}: there is no test {line}")
            elif not known[test] & SOMETIMES:
                always += 1
        if lines and not always:
            wrong.append(f"{number}: no test of it is run for every commit, everywhere")
    return wrong


def test_every_promise_has_tests_that_exist_and_are_always_run() -> None:
    assert problems(PAGE.read_text(encoding="utf-8")) == []


def test_every_promise_says_where_it_ends() -> None:
    found = sections(PAGE.read_text(encoding="utf-8"))
    silent = [
        name for name, text in found.items() if not re.search("Where it ends|cannot prove", text)
    ]
    assert silent == []


def test_no_promise_names_a_test_twice() -> None:
    for text in sections(PAGE.read_text(encoding="utf-8")).values():
        lines = named(text)
        assert sorted({line for line in lines if lines.count(line) > 1}) == []


def test_a_test_that_carries_the_number_of_a_promise_is_named_by_it() -> None:
    """``test_P2_P5_killed_…`` holds two."""
    found = sections(PAGE.read_text(encoding="utf-8"))
    missing, carried = [], 0
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test in found_in(path):
            for number in re.findall(r"(?<=_)P\d+(?=_)", test):
                carried += 1
                line = f"{path.relative_to(ROOT).as_posix()}::{test}"
                if line not in named(found.get(number, "")):
                    missing.append(f"{number}: {line}")
    assert missing == []
    assert carried > 0


GOOD = "\n".join(
    f"## {number} It holds\n```tests\ntests/test_it.py::test_always\n```" for number in NUMBERS
)
FILE = """\
import pytest

def test_always(): ...

@pytest.mark.slow
@pytest.mark.parametrize("a", [1])
def test_slow(): ...

@pytest.mark.peer("sshd")
def test_peer(): ...
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", []),
        ("## P7 It holds", "## It holds", ["P7 is not promised"]),
        ("P3 It holds\n```tests\ntests/test_it.py::test_always\n```", "P3 It holds",
         ["P3: no test holds it"]),
        ("test_always", "test_gone", ["P1: there is no test tests/test_it.py::test_gone",
         "P1: no test of it is run for every commit, everywhere"]),
        ("test_it.py", "test_no_file.py", ["P1: there is no test tests/test_no_file.py::test_always",
         "P1: no test of it is run for every commit, everywhere"]),
        ("test_always", "test_slow", ["P1: no test of it is run for every commit, everywhere"]),
        ("test_always", "test_peer", ["P1: no test of it is run for every commit, everywhere"]),
        ("test_always", "test_slow\ntests/test_it.py::test_always", []),
    ],
)  # fmt: skip
def test_a_page_that_promises_more_than_is_held_is_found(
    tmp_path: Path, old: str, new: str, said: list[str]
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(FILE)
    assert problems(GOOD.replace(old, new, 1) if old else GOOD, tmp_path) == said


def test_a_mark_of_the_whole_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text("import pytest\npytestmark = [pytest.mark.slow]\n" + FILE)
    assert found_in(path)["test_always"] == {"slow"}
    path.write_text(
        "marks = [pytest.mark.peer('x')]\nclass TestIt:\n    pytestmark = marks\n"
        "    def test_inside(self): ...\n"
    )
    assert found_in(path)["test_inside"] == {"peer"}
