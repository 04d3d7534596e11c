"""What every command shares: where it prints, what the global options said, how it ends."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from wtsflow.cli.style import colored
from wtsflow.errors import Exit, UsageError
from wtsflow.model.terminal import Style, visible
from wtsflow.model.values import Secret, masked

if TYPE_CHECKING:
    from wtsflow.workspace import Workspace


class Format(StrEnum):
    """How a command prints its result."""

    TEXT = "text"
    JSON = "json"


class Color(StrEnum):
    """When to use colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Frame:
    """One call of the command line: its environment, its streams and its global options."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))  # noqa: TID251 - the one place that reads it
    color: Color = Color.AUTO
    quiet: bool = False
    verbose: int = 0
    start: Path = Path()
    """Where the search for the workspace begins: ``--workspace``, ``WTSFLOW_WORKSPACE``, here."""
    secrets: list[Secret] = field(default_factory=list)
    """What a written traceback must not show; commands add the secrets that they read."""

    def __post_init__(self) -> None:
        if said := self.environ.get("WTSFLOW_WORKSPACE"):
            self.start = Path(said)

    @property
    def state(self) -> Path:
        """Folder of the journal, the audit log, kept output and written tracebacks."""
        import platformdirs

        said = self.environ.get("WTSFLOW_STATE")
        return Path(said) if said else platformdirs.user_state_path("wtsflow", appauthor=False)

    @property
    def config(self) -> Path:
        """The settings file of the user."""
        import platformdirs

        said = self.environ.get("WTSFLOW_CONFIG")
        folder = platformdirs.user_config_path("wtsflow", appauthor=False)
        return Path(said) if said else folder / "config.yaml"

    @property
    def cache(self) -> Path:
        """Folder of what can be fetched again: mirrors of script repositories."""
        import platformdirs

        said = self.environ.get("WTSFLOW_CACHE")
        return Path(said) if said else platformdirs.user_cache_path("wtsflow", appauthor=False)

    @property
    def stdout(self) -> TextIO:
        """Results go here; None where the caller closed it, which :func:`write` can bear."""
        return sys.stdout

    @property
    def stderr(self) -> TextIO:
        """Messages go here."""
        return sys.stderr

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where there is none; ``COLUMNS`` decides when it is set."""
        import shutil

        return shutil.get_terminal_size((80, 24)).columns

    @property
    def room(self) -> int | None:
        """Columns that a table may take; None: what goes to a file or a program is never cut."""
        stream: TextIO | None = self.stdout
        person = stream is not None and stream.isatty()
        return self.width if person or self.environ.get("COLUMNS") else None

    def style(self, stream: TextIO | None) -> Style:
        """How text is coloured on ``stream``."""
        return Style(on=colored(stream, self.color.value, self.environ))


_FRAME: ContextVar[Frame] = ContextVar("frame")


def frame() -> Frame:
    """The present call's frame."""
    found = _FRAME.get(None)
    if found is None:
        found = Frame()
        _FRAME.set(found)
    return found


def enter(new: Frame) -> None:
    """Make ``new`` the present call's frame."""
    _FRAME.set(new)


def out(text: str = "", *, raw: bool = False) -> None:
    """Print a result line (or several) to standard output, made safe for a terminal first.

    ``raw``: it holds our own colours, and what came from outside went through
    :func:`wtsflow.model.terminal.visible` before it was put in.
    """
    write(frame().stdout, text if raw else visible(text, keep="\n"))


def note(text: str, *, raw: bool = False) -> None:
    """Print a message to standard error, made safe in the same way; nothing with ``--quiet``."""
    if not frame().quiet:
        write(frame().stderr, text if raw else visible(text, keep="\n"))


def document(data: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Print a ``--format json`` document, which says its ``schema``. Secrets are masked."""
    import json

    stream = frame().stdout
    plain = (stream.encoding or "").lower().replace("-", "") != "utf8"
    write(stream, json.dumps(masked(data), indent=indent, ensure_ascii=plain))


def write(stream: TextIO | None, text: str) -> None:
    """Write one line; a reader that went away (``| head``) ends the output, not the command.

    Raises UsageError where a result cannot be written (a full disk); a message is then just lost.
    """
    if stream is None:  # closed by the caller: `>&-`
        return
    with _going_on(stream):
        stream.write(text + "\n")
        stream.flush()


def write_bytes(data: Iterable[bytes]) -> None:
    """Write bytes to standard output as they are. Raises UsageError like :func:`write`."""
    with _going_on(sys.stdout):
        for block in data:
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()


@contextmanager
def _going_on(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        silence(stream)
        if stream is sys.stdout:
            raise UsageError(
                f"standard output cannot be written: {error.strerror}",
                cure="make room on the disk, or send the output elsewhere",
            ) from None


def silence(stream: TextIO) -> None:
    """Let everything further that is written to ``stream`` vanish, also at the process's end."""
    with suppress(OSError, ValueError):  # a stream that is no file has nothing to redirect
        number = stream.fileno()
        void = os.open(os.devnull, os.O_WRONLY)
        os.dup2(void, number)
        os.close(void)


def stop(code: Exit) -> NoReturn:
    """End the command with an exit code and no message: the output has said it all."""
    import typer

    raise typer.Exit(int(code))


def workspace() -> "Workspace":
    """The workspace of the present folder or of ``--workspace``. Raises ConfigError."""
    from wtsflow.workspace import Workspace

    return Workspace.find(frame().start)
