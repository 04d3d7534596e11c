"""Where manifests pin scripts, and how a pin is changed without touching anything else."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow.errors import Diagnostic, Location, ManifestError, Severity, UsageError
from wtsflow.model.workflow import Script, Step
from wtsflow.scripts import Pin, Version
from wtsflow.source.document import LINE_END

if TYPE_CHECKING:
    from wtsflow.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a manifest pins a script. ``written`` is the pin as it stands there."""

    pin: Pin
    written: str
    file: Path
    workflow: str
    step: Step
    location: Location


def uses(workspace: "Workspace", names: Sequence[str] = ()) -> list[Use]:
    """Every pin of these manifests (default: all of the workspace's), by file and place.

    Nothing is looked up. Raises ManifestError with every finding of every manifest that cannot be
    read, UsageError for a name that is no manifest.
    """
    from wtsflow import manifest
    from wtsflow.cli.validate import found_files

    if not names and not workspace.manifests.is_dir():
        return []
    found: list[Use] = []
    wrong: list[Diagnostic] = []
    for name in found_files(names or [_shortest(workspace.manifests)]):
        if name == "-":
            raise UsageError("standard input has no place to keep", cure="name a file")
        workflow, findings = manifest.read(Path(name).read_bytes(), name)
        if workflow is None:
            wrong += [each for each in findings if each.severity is Severity.ERROR]
            continue
        for step in workflow.walk():
            found += _of_step(step, Path(name), workflow.name)
    if wrong:
        raise ManifestError(tuple(wrong))
    return sorted(found, key=lambda use: (str(use.file), use.location.line, use.location.column))


def uses_now(workspace: "Workspace") -> list[Use]:
    """Every pin of the workspace's manifests, or none where there is no manifest yet."""
    try:
        return uses(workspace)
    except UsageError:
        return []


def _of_step(step: Step, file: Path, workflow: str) -> Iterator[Use]:
    if isinstance(step.action, Script):
        for system, written in step.action.pins.items():
            place = step.action.locations[system]
            yield Use(Pin.parse(written), written, file, workflow, step, place)


def _shortest(folder: Path) -> str:
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def rewritten(changes: Iterable[tuple[Use, Version]]) -> Mapping[Path, bytes]:
    """The manifests' bytes with other versions at these places and everything else as it was."""
    by_file: dict[Path, list[tuple[Use, Version]]] = {}
    for use, version in changes:
        by_file.setdefault(use.file, []).append((use, version))
    return {file: _rewritten(file.read_bytes(), found) for file, found in by_file.items()}


def _rewritten(data: bytes, changes: list[tuple[Use, Version]]) -> bytes:
    text = data.decode("utf-8")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    starts = [0, *(found.end() for found in LINE_END.finditer(text))]
    for use, version in sorted(changes, key=lambda change: _span(starts, change[0]), reverse=True):
        first, last = _span(starts, use)
        before = text[first:last]
        old = re.escape(f"@{use.pin.version}")
        after, count = re.subn(old + r"(?![0-9])", f"@{version}", before)
        if count != 1 or use.written not in before:
            raise UsageError(
                f"{use.location}: the pin is not written plainly here", cure="change it by hand"
            )
        text = text[:first] + after + text[last:]
    return (mark + text).encode("utf-8")


def _span(starts: Sequence[int], use: Use) -> tuple[int, int]:
    place = use.location
    first = starts[place.line - 1] + place.column - 1
    return first, starts[place.end_line - 1] + place.end_column - 1
