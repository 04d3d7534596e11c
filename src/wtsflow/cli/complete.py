"""Values that a shell completes: for typer's ``autocompletion=``. Nothing here ever fails."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TypeAlias

from wtsflow.cli.common import frame

Words: TypeAlias = list[tuple[str, str]]
"""Words with their one-line help."""

MANIFESTS = (".yaml", ".yml")
MOST = 50


def _never_failing(find: Callable[[str], Words]) -> Callable[[str], Words]:
    """A shell waits for words: whatever goes wrong, there are just none."""

    @wraps(find)
    def found(incomplete: str) -> Words:
        with suppress(Exception):
            return find(incomplete)
        return []

    return found


@_never_failing
def manifests(incomplete: str) -> Words:
    """Folders and YAML files that begin so."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else "."))
    return [(word, "") for word in _files(place, incomplete.removesuffix(start), start)]


def _files(place: Path, prefix: str, start: str) -> Iterator[str]:
    for path in sorted(place.expanduser().iterdir()):
        hidden = path.name.startswith(".") and not start
        if hidden or not path.name.startswith(start):
            continue
        if path.is_dir():
            yield f"{prefix}{path.name}/"
        elif path.suffix in MANIFESTS:
            yield f"{prefix}{path.name}"


@_never_failing
def rules(incomplete: str) -> Words:
    """Rule ids with their titles."""
    from wtsflow.source.rules import RULES

    return [(id_, rule.title) for id_, rule in RULES.items() if id_.startswith(incomplete)]


@_never_failing
def runs(incomplete: str) -> Words:
    """Ids of the newest runs, with what they ran and how they ended."""
    from wtsflow.journals.sqlite import SqliteJournal

    file = frame().state / "journal.sqlite"
    if not file.exists():
        return []
    return [
        (run.run, f"{run.workflow} {run.status or 'open'}")
        for run in SqliteJournal(file).runs(limit=MOST)
        if run.run.startswith(incomplete.upper())
    ]
