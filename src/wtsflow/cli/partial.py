"""A part of the work: from a step on, by tags, step by step, on targets by how they ended."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from wtsflow.cli import complete
from wtsflow.errors import UsageError
from wtsflow.model.plan import LOCAL
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.workflow import Workflow, walk

if TYPE_CHECKING:
    from wtsflow.engine.interrupt import Interrupt
    from wtsflow.journals.sqlite import SqliteJournal
    from wtsflow.model.record import Record, Task

ENDED: Mapping[str, frozenset[str]] = {
    "failed": frozenset({"failed", "timeout", "unreachable", "cancelled", "rejected"}),
    "unknown": frozenset({"unknown"}),
    "unreachable": frozenset({"unreachable"}),
    "skipped": frozenset({"skipped"}),
    "succeeded": frozenset({"success"}),
}
"""How targets are chosen by how a run ended on them."""

CHOICE = re.compile(r"@([a-z]+):([^,]*)")
"""``@failed:RUN``."""


def steps(context: typer.Context, incomplete: str) -> complete.Words:
    """For completion: the steps of the manifest that stands on the command line."""
    with suppress(Exception):
        found = walk(_workflow(context).steps, handlers=False)
        named = [(step.id or step.path, step.title) for step in found]
        return [(name, title) for name, title in named if name.startswith(incomplete)]
    return []


def tags(context: typer.Context, incomplete: str) -> complete.Words:
    """For completion: the tags of the manifest that stands on the command line."""
    before, comma, start = incomplete.rpartition(",")
    with suppress(Exception):
        known = sorted({tag for step in _workflow(context).walk() for tag in step.tags})
        return [(f"{before}{comma}{tag}", "") for tag in known if tag.startswith(start)]
    return []


def _workflow(context: typer.Context) -> Workflow:
    from wtsflow import manifest
    from wtsflow.cli.common import frame
    from wtsflow.cli.request import manifest_text
    from wtsflow.workspace import Workspace

    words = [context.params.get("manifest"), *context.args]  # a shell's words are not yet sorted
    named = next(word for word in words if word)
    text, name = manifest_text(named, Workspace.find(frame().start))
    return manifest.load(text, name)


def endings(incomplete: str) -> complete.Words:
    """For completion: how targets can be chosen by how a run ended on them."""
    before, comma, start = incomplete.rpartition(",")
    return [(f"{before}{comma}{word}", "") for word in ENDED if word.startswith(start)]


ManifestOrRun: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MANIFEST",
        help="A manifest: a file, a name, or '-'. With --rerun: a run.",
        autocompletion=complete.manifests,
    ),
]
ByStep: TypeAlias = Annotated[bool, typer.Option("--step", help="Ask before each step.")]
Rerun: TypeAlias = Annotated[
    str,
    typer.Option(
        "--rerun",
        metavar="HOW",
        help="A run once more, on the targets that ended so: failed, unreachable, skipped, "
        "unknown.",
        autocompletion=endings,
    ),
]
Instead: TypeAlias = Annotated[
    str,
    typer.Option(
        "--manifest",
        metavar="MANIFEST",
        help="With --rerun: instead of the text that was run.",
        autocompletion=complete.manifests,
    ),
]
StartAt: TypeAlias = Annotated[
    str,
    typer.Option(
        "--start-at",
        metavar="STEP",
        help="Pass over what stands before this step (its id or path).",
        autocompletion=steps,
    ),
]
Tags: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--tags",
        metavar="TAG,...",
        help="Only steps with one of these tags, or 'always'; repeatable.",
        autocompletion=tags,
    ),
]
SkipTags: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--skip-tags",
        metavar="TAG,...",
        help="No step with one of these tags; repeatable.",
        autocompletion=tags,
    ),
]


def words(given: Sequence[str] | None) -> tuple[str, ...]:
    """The words of a repeatable option that also takes several, with commas between them."""
    parts = [word.strip() for text in given or () for word in text.split(",")]
    return tuple(dict.fromkeys(word for word in parts if word))


# --- targets by how they ended ----------------------------------------------------------------


def by_ending(text: str, journal: "Callable[[], SqliteJournal]") -> str:
    """``--limit`` with each ``@failed:RUN`` in it replaced by the targets that it stands for.

    Raises UsageError where there is no such run, it is not over, or no target ended so.
    """
    parts = text.split(",")
    if not any(CHOICE.fullmatch(part.strip()) for part in parts):
        return text
    return ",".join(name for part in parts for name in _named(part.strip(), journal))


def _named(part: str, journal: "Callable[[], SqliteJournal]") -> Sequence[str]:
    from wtsflow.cli.kept import find_run

    found = CHOICE.fullmatch(part)
    if not found:
        return [part]
    which, run = found.groups()
    opened = journal()
    name = find_run(opened, run or "latest").run
    return ended_so(opened.load(name), name, [known(which, f"--limit {part}")])


def known(word: str, where: str) -> str:
    """``word``, where targets can be chosen by it. Raises UsageError."""
    if word not in ENDED:
        cure = did_you_mean(word, ENDED) or f"it is one of {listed(ENDED)}"
        raise UsageError(f"{where}: targets do not end as '{shown(word)}'", cure=cure)
    return word


def ended_so(records: "Sequence[Record]", run: str, which: Sequence[str]) -> list[str]:
    """The targets of a run that is over which ended in one of these ways. Raises UsageError."""
    wanted = frozenset[str]().union(*(ENDED[word] for word in which))
    said = [record.event.data for record in records if record.event.type in ("closed", "settled")]
    if not said:
        raise UsageError(
            f"run {run} is not over: how its targets end is not known yet",
            cure=f"wtsflow resume {run}, or wtsflow runs watch {run}",
        )
    names = [name for name, outcome in _outcomes(said[-1]["targets"]) if outcome in wanted]
    targets = [name for name in names if name != LOCAL.name]
    if not targets:
        here = f": what did ran on this machine ('{LOCAL.name}')" if names else ""
        raise UsageError(
            f"no target of run {run} ended as {' or '.join(which)}{here}",
            cure="run the manifest with --start-at STEP" if names else f"wtsflow runs show {run}",
        )
    return targets


def _outcomes(targets: Any) -> Iterator[tuple[str, str]]:
    for name, how in targets.items():
        yield name, str(how["outcome"])


# --- step by step -----------------------------------------------------------------------------


def refuse_stepping(*, text: bool) -> None:
    """``--step`` needs somebody to ask. Raises UsageError."""
    from wtsflow.cli.common import frame
    from wtsflow.cli.request import terminal

    if not (text and terminal() and frame().stdout.isatty()):
        raise UsageError("--step asks at a terminal, and there is none", cure="leave --step out")


def refuse_other_manifest(instead: str) -> None:
    """``--manifest`` goes with ``--rerun``. Raises UsageError."""
    if instead:
        raise UsageError("--manifest goes with --rerun", cure=f"wtsflow run {shown(instead, 200)}")


class Stepping:
    """Asks about each step before it begins: once, whatever number of targets it is for."""

    CHOICES = ("yes", "no", "stop", "all")

    def __init__(self, ask: Callable[..., str], interrupt: "Interrupt") -> None:
        self._ask = ask
        self._interrupt = interrupt
        self._said: dict[str, bool] = {}
        self._all = False

    def __call__(self, task: "Task") -> bool:
        """Whether the task's step is to be done."""
        if self._all or self._interrupt.level:
            return self._all
        step = task.step.path
        if step not in self._said:
            self._said[step] = self._asked(task)
        return self._said[step]

    def _asked(self, task: "Task") -> bool:
        from wtsflow.engine.interrupt import Level
        from wtsflow.errors import Exit

        title = f" ({task.step.title})" if task.step.title else ""
        question = (
            f"next: {task.step.path}{title}\n"
            "  yes: do it    no: skip it    stop: end the run    all: do the rest too"
        )
        word = self._ask(question, self.CHOICES, "stop", over=lambda: self._interrupt.level > 0)
        if self._interrupt.level:
            return False
        if word == "stop":
            self._interrupt.demand(Exit.INTERRUPTED, "stopped before a step", Level.FINISH)
        self._all = word == "all"
        return word in ("yes", "all")
