"""Whether a stream gets colour."""

import sys
from collections.abc import Mapping
from typing import TextIO


def colored(stream: TextIO | None, color: str, environ: Mapping[str, str]) -> bool:
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
    return environ.get("TERM") != "dumb" and stream is not None and stream.isatty() and _obeys()


if sys.platform == "win32":

    def _obeys() -> bool:
        """Whether the console understands escape codes, once it is asked to."""
        import ctypes

        kernel = ctypes.windll.kernel32
        asked = []
        for name in (-11, -12):  # standard output, standard error
            console, mode = kernel.GetStdHandle(name), ctypes.c_ulong()
            if kernel.GetConsoleMode(console, ctypes.byref(mode)):
                asked.append(kernel.SetConsoleMode(console, mode.value | 4))
        return all(asked)

else:

    def _obeys() -> bool:
        return True
