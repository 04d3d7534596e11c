"""``wtsflow validate``: every error of every manifest at once."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtsflow.cli.common import frame, note, stop
from wtsflow.errors import Diagnostic, Exit, Location, Severity, UsageError, WtsflowError
from wtsflow.model.text import shown

if TYPE_CHECKING:
    from wtsflow.model.script import PinnedScript
    from wtsflow.scripts import Repository

SUFFIXES = (".yaml", ".yml")
STDIN = "stdin"
SLOW = 1.0
"""Seconds after which progress is shown on a terminal."""
_PASSED_BY = ("wtsflow.yaml", "inventory.yaml", "rollouts.yaml")


class ValidateFormat(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


@dataclass(frozen=True, slots=True)
class Checked:
    """One manifest that was looked at. ``name`` and ``version`` are empty where it is invalid."""

    file: str
    findings: tuple[Diagnostic, ...]
    name: str = ""
    version: str = ""
    seconds: float = 0.0

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What makes it invalid."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)


def command(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Files, folders, patterns like 'a/*.yaml', or '-'."),
    ] = None,
    format_: Annotated[
        ValidateFormat, typer.Option("--format", help="How to print what was found.")
    ] = ValidateFormat.TEXT,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings are errors, too.", show_default=False)
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Do not look scripts and parameters up.", show_default=False
        ),
    ] = False,
) -> None:
    """Check manifests: every error of every file, with its place and its cure.

    Folders are searched for manifests (*.yaml and *.yml with a 'wtsflow:' line); without PATH it is
    the workspace's folder of manifests. In a workspace, scripts are looked up by the lock, and
    their parameters, outputs and systems are checked as well.

    Exit codes: 0 all are valid, 2 nothing to check, 3 something is invalid, 6 only pins or the
    lock do not match.

    \b
    Examples:
      wtsflow validate manifests/
      wtsflow validate --offline --format sarif . > findings.sarif
      git show HEAD:manifests/disk.yaml | wtsflow validate -
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.cli.validate_formats import FORMATS

    files = found_files(paths or [default_folder()])
    lookups = Lookups(offline=offline)
    try:
        checked = list(_with_progress(files, lookups, strict=strict))
    finally:
        lookups.close()
    FORMATS[format_](checked)
    for message in lookups.notes:
        note(f"note: {message}")
    note(summary(checked))
    stop(exit_code(checked))


def exit_code(checked: Sequence[Checked]) -> Exit:
    """MISMATCH only when nothing else is wrong."""
    rules = {each.rule for one in checked for each in one.errors}
    if not rules:
        return Exit.SUCCESS
    return Exit.MISMATCH if rules == {"wts402"} else Exit.INVALID


def summary(checked: Sequence[Checked]) -> str:
    """One line: how many, and what was found in how many."""
    errors = sum(len(each.errors) for each in checked)
    warnings = sum(len(each.findings) for each in checked) - errors
    invalid = sum(bool(each.errors) for each in checked)
    said = [_count(len(checked), "manifest")]
    if errors:
        said.append(f"{_count(errors, 'error')} in {invalid}")
    else:
        said.append("no errors")
    if warnings:
        said.append(_count(warnings, "warning"))
    return ", ".join(said)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# --- which files ------------------------------------------------------------------------------


def default_folder() -> str:
    """The workspace's folder of manifests. Raises ConfigError where there is no workspace."""
    from wtsflow.workspace import Workspace

    folder = Workspace.find(frame().start).manifests
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def found_files(paths: Sequence[str]) -> list[str]:
    """The files that these arguments name, each once, in order; ``-`` is standard input.

    Raises UsageError when an argument names nothing.
    """
    found: dict[str, None] = {}
    for path in paths:
        files = ["-"] if path == "-" else list(_expanded(path))
        if not files:
            raise UsageError(
                f"there is no manifest in '{shown(path, 200)}'",
                cure="a manifest is a *.yaml file that begins with 'wtsflow: 1'",
            )
        found.update(dict.fromkeys(files))
    return list(found)


def _expanded(path: str) -> Iterator[str]:
    place = Path(path)
    if place.is_dir():
        yield from _in_folder(place)
    elif place.exists():
        yield path
    elif any(sign in path for sign in "*?["):
        import glob

        for name in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - a pattern of the user's, absolute or not
            yield from _expanded(name)
    else:
        raise UsageError(f"there is no file or folder '{shown(path, 200)}'")


def _in_folder(folder: Path) -> Iterator[str]:
    """Manifests below a folder, by name; hidden folders and linked ones are passed by."""
    for place in sorted(folder.iterdir()):
        if place.name.startswith("."):
            continue
        if place.is_dir():
            if not place.is_symlink():
                yield from _in_folder(place)
        elif place.suffix in SUFFIXES and place.name not in _PASSED_BY and _says_so(place):
            yield str(place)


def _says_so(file: Path) -> bool:
    """Whether a line of it begins with ``wtsflow:``."""
    try:
        with file.open("rb") as stream:
            data = stream.read(1 << 20)
    except OSError:
        return True  # said by the check, not passed by
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
    return any(line.startswith("wtsflow:") for line in text.removeprefix("\ufeff").splitlines())


# --- the check --------------------------------------------------------------------------------


@dataclass(slots=True)
class Lookups:
    """How pins are looked up for each file: by the workspace that it is in."""

    offline: bool = False
    notes: list[str] = field(default_factory=list)
    known: dict[Path, "Remembered"] = field(default_factory=dict)

    def of(self, file: str) -> "Callable[[str], PinnedScript] | None":
        """The look-up for one file; None where there is no workspace."""
        if self.offline:
            return None
        from wtsflow.workspace import Workspace, locate

        here = Path(file).absolute().parent if file != "-" else frame().start
        place = locate(frame().start) or locate(here)
        if place is None:
            message = "no wtsflow.yaml was found, so scripts and parameters were not checked"
            if message not in self.notes:
                self.notes.append(message)
            return None
        if place not in self.known:
            from wtsflow.clock import SystemClock

            repository = Workspace.read(place).repository(frame().cache, SystemClock())
            self.known[place] = Remembered(repository)
        return self.known[place].look_up

    def close(self) -> None:
        """Let go of the repositories."""
        for each in self.known.values():
            each.repository.close()


@dataclass(slots=True)
class Remembered:
    """Each pin is looked up once, whatever comes of it."""

    repository: "Repository"
    answers: "dict[str, PinnedScript | WtsflowError]" = field(default_factory=dict)

    def look_up(self, pin: str) -> "PinnedScript":
        """What a pin means. Raises what the repository raises."""
        if pin not in self.answers:
            try:
                self.answers[pin] = self.repository.resolve(pin)
            except WtsflowError as error:
                self.answers[pin] = error
        answer = self.answers[pin]
        if isinstance(answer, WtsflowError):
            raise answer
        return answer


def check_file(file: str, lookups: Lookups, *, strict: bool = False) -> Checked:
    """Look at one manifest."""
    from wtsflow import manifest

    began = time.monotonic()
    name = STDIN if file == "-" else file
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        place = Location(name, 1, 1, 1, 1)
        found = Diagnostic("wts022", f"the file cannot be read: {error.strerror}", place)
        return Checked(name, (found,))
    workflow, findings = manifest.read(text, name, scripts=lookups.of(file))
    if strict:
        from dataclasses import replace

        findings = tuple(replace(each, severity=Severity.ERROR) for each in findings)
    seconds = time.monotonic() - began
    if workflow is None:
        return Checked(name, findings, seconds=seconds)
    return Checked(name, findings, workflow.name, workflow.version, seconds)


def _with_progress(files: Sequence[str], lookups: Lookups, *, strict: bool) -> Iterator[Checked]:
    stream, began, told = frame().stderr, time.monotonic(), 0.0
    live = stream.isatty() and not frame().quiet
    for number, file in enumerate(files):
        passed = time.monotonic() - began
        if live and passed > SLOW and passed - told > SLOW / 5:
            told = passed
            stream.write(f"\r\x1b[Kchecked {number} of {len(files)}")
            stream.flush()
        yield check_file(file, lookups, strict=strict)
    if told:
        stream.write("\r\x1b[K")
        stream.flush()
