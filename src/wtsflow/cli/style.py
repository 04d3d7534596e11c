"""Whether a stream gets colour."""

from collections.abc import Mapping
from typing import TextIO


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
