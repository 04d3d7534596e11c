"""Colour for messages, without importing rich."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

SGR = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


def colored(stream: TextIO, color: str, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` gets colour.

    ``--color always|never`` decides; else ``NO_COLOR`` (not empty: no), ``FORCE_COLOR`` and
    ``CLICOLOR_FORCE`` (not empty, not 0: yes), ``TERM=dumb`` (no); else whether it is a terminal.
    """
    if color != "auto":
        return color == "always"
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return environ.get("TERM") != "dumb" and stream.isatty()


@dataclass(frozen=True, slots=True)
class Style:
    """Puts colour around text, or does nothing."""

    on: bool = False

    def __call__(self, text: str, *names: str) -> str:
        """Return ``text`` in the named styles (``bold``, ``red`` …)."""
        if not self.on or not text:
            return text
        return f"\x1b[{';'.join(SGR[name] for name in names)}m{text}\x1b[0m"
