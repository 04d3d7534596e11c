"""Make a picture of what a command really prints: ``python -m docs.picture NAME COMMAND...``.

Writes ``docs/images/NAME.svg``. The command's output is piped, so that it prints lines, which a
still picture can show, and asked to be in colour and 80 columns wide.
"""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent / "images"
WIDTH = 80


def picture(command: list[str], shown: str = "") -> str:
    """The SVG of a command's output, under its prompt. Fonts are the reader's: no address in it."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        check=False,
        text=True,
    )
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), (shown or shlex.join(command), "bold")))
    console.print(Text.from_ansi(done.stdout.rstrip()))
    svg = console.export_svg(title="wtsflow")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main(arguments: list[str]) -> None:
    """Write one picture."""
    name, *command = arguments
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(
        picture(command, " ".join([Path(command[0]).name, *command[1:]])), encoding="utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
