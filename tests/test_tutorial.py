"""The tutorial, followed word by word: files saved as it says, commands typed, output compared."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```")
SAVE = re.compile(r"[Ss]ave it as\s+`([^`]+)`")


@dataclass(frozen=True)
class Typed:
    """A command, and the lines that the page shows below it."""

    command: str
    shown: tuple[str, ...]


def steps() -> list[Typed | tuple[str, str]]:
    """What there is to do: commands, and files (name, text)."""
    text = PAGE.read_text(encoding="utf-8")
    found: list[Typed | tuple[str, str]] = []
    before = 0
    for block in BLOCK.finditer(text):
        saved = SAVE.findall(text[before : block.start()])
        before = block.end()
        if block[1] == "console":
            for one in re.split(r"(?m)^\$ ", block[2])[1:]:
                command, *shown = one.rstrip("\n").split("\n")
                found.append(Typed(command, tuple(shown)))
        elif saved:
            found.append((saved[-1], block[2]))
    return found


def fits(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the page's lines are what was printed; ``…`` stands for any text, or any lines."""
    if not shown:
        return True
    lines = [r"(?:.*\n)*?" if line == "…" else _pattern(line) + r"\n" for line in shown]
    whole = "".join(f"{line.rstrip()}\n" for line in printed)
    return re.fullmatch("".join(lines), whole) is not None


def _pattern(line: str) -> str:
    return ".*?".join(re.escape(part) for part in line.split("…"))


def test_what_differs_does_not_fit() -> None:
    assert fits(("a … c", "…", "z"), ["a b c", "1", "2", "z"])
    assert not fits(("a … c", "z"), ["a b c", "1", "z"])
    assert not fits(("a b",), ["a c"])


@pytest.mark.skipif(sys.platform == "win32", reason="the tutorial is for a POSIX shell")
def test_the_tutorial_works_word_by_word(tmp_path: Path) -> None:
    folder = tmp_path
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
    }
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    assert shutil.which("wtsflow", path=environment["PATH"])
    todo = steps()
    assert len(todo) > 15
    for step in todo:
        if isinstance(step, tuple):
            path = folder / step[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step[1], encoding="utf-8")
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", f'{step.command}\ncode=$?\npwd > "$HOME/.here"\nexit $code'],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
        )
        folder = Path((tmp_path / ".here").read_text(encoding="utf-8").strip())
        assert fits(step.shown, done.stdout.splitlines()), f"$ {step.command}\n{done.stdout}"
        failing = any("error:" in line or "exit 9" in line for line in step.shown)
        assert (done.returncode != 0) == failing, f"$ {step.command}\n{done.stdout}"
