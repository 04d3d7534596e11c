"""Values that a shell completes: for typer's ``autocompletion=``. Nothing here ever fails."""

import os
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
    """Names of the workspace's manifests, and folders and YAML files, that begin so."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else "."))
    words = [word for word in _named() if word.startswith(incomplete)]
    with suppress(OSError):
        words += _files(place, incomplete.removesuffix(start), start)
    return [(word, "") for word in words]


def _named() -> list[str]:
    """What ``run`` takes for a manifest's name."""
    from wtsflow.errors import WtsflowError
    from wtsflow.workspace import Workspace

    try:
        folder = Workspace.find(frame().start).manifests
    except WtsflowError:
        return []
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")
    )


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
    from contextlib import closing

    from wtsflow.journals.sqlite import SqliteJournal

    file = frame().state / "journal.sqlite"
    if not file.exists():
        return []
    with closing(SqliteJournal(file)) as journal:
        newest = journal.runs(limit=MOST)
    return [
        (run.run, f"{run.workflow} {run.status or 'open'}")
        for run in newest
        if run.run.startswith(incomplete.upper())
    ]


@_never_failing
def statuses(incomplete: str) -> Words:
    """How runs stand and how they end; after a comma the next one."""
    from wtsflow.model.record import Outcome

    before, comma, start = incomplete.rpartition(",")
    ways = ["open", "running", "cut-off", "parked", "detached", "partial", *map(str, Outcome)]
    return [(f"{before}{comma}{way}", "") for way in ways if way.startswith(start)]


def ran(column: str) -> Callable[[str], Words]:
    """What the newest runs have in a column of their summary."""

    @_never_failing
    def words(incomplete: str) -> Words:
        from wtsflow.cli.kept import journal

        with journal() as opened:
            newest = opened.runs(limit=10 * MOST)
        found = dict.fromkeys(str(getattr(run, column)) for run in newest)
        return [(word, "") for word in found if word and word.startswith(incomplete)]

    return words


@_never_failing
def targets(incomplete: str) -> Words:
    """Hosts and groups. No inventory program is run for it."""
    from wtsflow.workspace import Workspace

    here = frame()
    found = Workspace.find(here.start)
    found = found.within(here.environ.get("WTSFLOW_ENV") or found.default_environment)
    if any(path.is_file() and os.access(path, os.X_OK) for path in found.inventories):
        return []
    listing = found.inventory()
    hosts = [(name, "") for name in sorted(listing.members)]
    groups = [(name, "a group") for name in sorted(listing.graph.groups)]
    return [(name, said) for name, said in hosts + groups if name.startswith(incomplete)]


@_never_failing
def environments(incomplete: str) -> Words:
    """The workspace's environments, with what people call them."""
    from wtsflow.workspace import Workspace

    found = Workspace.find(frame().start).environments.values()
    return [(one.name, one.title) for one in found if one.name.startswith(incomplete)]


@_never_failing
def schedules(incomplete: str) -> Words:
    """Names of schedules, with when they fire. No script is looked up for it."""
    from wtsflow import manifest
    from wtsflow.schedules import entries
    from wtsflow.workspace import Workspace

    found = Workspace.find(frame().start)
    texts = [(path.read_bytes(), str(path)) for path in sorted(found.manifests.rglob("*.yaml"))]
    read = [manifest.read(text, name)[0] for text, name in texts if b"schedule" in text]
    listed, _ = entries([one for one in read if one is not None], found.root)
    return [(one.name, one.cron.words) for one in listed if one.name.startswith(incomplete)]


@_never_failing
def scripts(incomplete: str) -> Words:
    """Scripts that the lock names, each with its version."""
    from wtsflow.workspace import Workspace

    text = Workspace.find(frame().start).lock.read_text(encoding="utf-8")
    pins = sorted({line.split(" ")[0] for line in text.splitlines() if "@" in line})
    return [(pin, "") for pin in pins if pin.startswith(incomplete)]
