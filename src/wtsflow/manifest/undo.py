"""Rules of ``undo:``: where it may stand, and what it sees."""

from typing import TYPE_CHECKING

from wtsflow.manifest import kinds
from wtsflow.manifest.names import Scope
from wtsflow.manifest.order import Place
from wtsflow.model.workflow import Ending, Workflow, walk
from wtsflow.source import Path

if TYPE_CHECKING:
    from wtsflow.manifest.check import Check


def undoing(check: "Check", place: Place, path: Path, proven: set[str]) -> None:
    """What takes a step back sees all that the step sees, and what came of it."""
    undo = place.step.undo
    if undo is None:
        return
    here = (*path, "undo")
    if place.in_finally():
        check.say(
            "wts511",
            "what is done in 'finally' is not undone",
            here,
            key=True,
            cure="remove it: 'finally' comes after everything was undone",
        )
        return
    outputs = Scope(check.facts, place).own_outputs()
    names = Scope(check.facts, place, extra={"outcome": kinds.STRING, "outputs": outputs})
    check.condition(undo.when, (*here, "when"), names, proven)
    if undo.timeout == 0 and check.raw(*here, "timeout") is not None:
        check.say("wts502", "a timeout of nothing stops everything", (*here, "timeout"))
    found = dict(check.value(undo.arguments, (*here, "with"), names, proven))
    if check.scripts is not None:
        line = check.workflow.targets.get(place.line)
        short = isinstance(check.raw(*here), str)
        pin = here if short else (*here, "script")
        check.findings.extend(
            check.scripts.step(undo, here, found, line.os if line else "", at=pin)
        )


def something_to_undo(check: "Check", workflow: Workflow) -> None:
    """``on_failure: undo`` where no step says how it is undone."""
    if workflow.on_failure is Ending.UNDO and not any(step.undo for step in walk(workflow.steps)):
        check.say(
            "wts512",
            "no step says how it is undone",
            ("on_failure",),
            cure="add 'undo:' to the steps that can be taken back",
        )
