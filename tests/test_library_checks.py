"""Scripts of the library in check mode: they say what they would do, and do nothing of it."""

from pathlib import Path

import pytest

from tests.test_library_scripts import ALL, SCRIPTS, aged, posix, run
from wtsflow.scripts.interface import interface

pytestmark = posix


def files(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in folder.rglob("*") if path.is_file()}


def configuration(home: Path) -> None:
    (home / "app.conf").write_text("a = 1\n")
    (home / "next.conf").write_text("a = 2\n")


CASES = {
    "disk/clean-up.py": (
        lambda home: aged(home / "logs" / "a b.log", 40),
        ("--folders", "{home}/logs", "--delete"),
        "CHANGE delete {home}/logs/a b.log (0.0 MiB)",
    ),
    "service/configure.sh": (
        configuration,
        ("--config", "app.conf", "--new", "next.conf"),
        "CHANGE {home}/app.conf becomes {home}/next.conf",
    ),
    "patch/install.sh": (
        lambda _home: None,
        ("--root", "packages", "--package", "shop", "--version", "2.4.1"),
        "CHANGE shop: nothing -> 2.4.1",
    ),
}


@pytest.mark.parametrize("script", CASES)
def test_a_check_announces_what_the_script_then_does(script: str, tmp_path: Path) -> None:
    prepare, line, announced = CASES[script]
    prepare(tmp_path)
    arguments = [word.format(home=tmp_path) for word in line]
    before = files(tmp_path)
    looked = run(script, "--check", *arguments, home=tmp_path, WTS_CHECK="1")
    assert looked.code == 0, looked.err
    assert announced.format(home=tmp_path) in looked.out.splitlines()
    assert files(tmp_path) == before
    done = run(script, *arguments, home=tmp_path)
    assert done.code == 0, done.err
    assert "CHANGE" not in done.out
    assert files(tmp_path) != before
    again = run(script, "--check", *arguments, home=tmp_path, WTS_CHECK="1")
    assert "UNCHANGED" in again.out.splitlines()
    assert set(looked.outputs) == set(done.outputs) == set(again.outputs)


def test_a_file_that_is_called_like_an_announcement_makes_none(tmp_path: Path) -> None:
    aged(tmp_path / "logs" / "x\nCHANGE forged.log", 40)
    line = ("--check", "--folders", tmp_path / "logs", "--delete")
    looked = run("disk/clean-up.py", *line, home=tmp_path, WTS_CHECK="1")
    told = [line for line in looked.out.splitlines() if line.startswith("CHANGE ")]
    assert len(told) == 1


def test_every_check_of_the_library_is_held_by_a_test() -> None:
    ways = {}
    for path in ALL:
        name = str(path.relative_to(SCRIPTS))
        said = interface(name, path.read_bytes(), Path(f"{path}.yaml").read_text())
        ways[name] = said.check
    assert {name for name, way in ways.items() if way.startswith("-")} == set(CASES)
    assert {name for name, way in ways.items() if way == "read-only"} == {
        "account/lock-out.py",
        "certificates/scan.py",
        "certificates/summary.py",
        "service/health.sh",
    }
