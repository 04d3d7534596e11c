"""Where each step runs, as far as that is known before running."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wtsflow.model.expression import ExpressionError, evaluate
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.values import Json
from wtsflow.model.workflow import Script, Step, Workflow

Targets = Mapping[str, tuple[Target, ...]]
Scope = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Placed:
    """A step and the machines it may run on. ``items`` is how often a ``for_each`` repeats it.

    ``items`` is None where that is not known before running, or nothing is repeated.
    """

    step: Step
    machines: tuple[Target, ...]
    items: int | None = None


def placed(workflow: Workflow, targets: Targets, scope: Scope) -> Iterator[Placed]:
    """Every step of a workflow with its machines: handlers, undoing and ``finally`` included."""
    here = targets[LOCAL.name]
    yield from place(workflow.steps, targets, scope, here)
    yield from place(workflow.finally_, targets, scope, here)


def place(
    steps: tuple[Step, ...], targets: Targets, scope: Scope, inherited: tuple[Target, ...]
) -> Iterator[Placed]:
    """The same for a list of steps inside something that runs on ``inherited``."""
    for step in steps:
        found = place_one(step, targets, scope, inherited)
        yield found
        yield from place(step.children, targets, scope, found.machines)
        for handler in (step.on_failure, step.on_timeout):
            if handler:
                yield from place(handler.steps, targets, scope, found.machines)
        if step.undo:
            yield Placed(step.undo, found.machines)


def place_one(step: Step, targets: Targets, scope: Scope, inherited: tuple[Target, ...]) -> Placed:
    """A step itself: its own target, the items it is repeated for, or what is around it."""
    items = _items(step, scope)
    machines = inherited
    if items:
        machines = _as_machines(items, targets) or inherited
    if step.target:
        machines = targets[step.target]
    return Placed(step, machines, None if items is None else len(items))


def _items(step: Step, scope: Scope) -> list[Json] | None:
    if step.for_each is None:
        return None
    try:
        value = evaluate(step.for_each, scope)
    except ExpressionError:
        return None
    return list(value) if isinstance(value, list | tuple) else None


def _as_machines(items: list[Json], targets: Targets) -> tuple[Target, ...]:
    known = {machine.name: machine for members in targets.values() for machine in members}
    names = [item["name"] for item in items if isinstance(item, Mapping) and "name" in item]
    if len(names) != len(items):
        return ()
    return tuple(known[name] for name in names if isinstance(name, str) and name in known)


def scripted(places: Iterator[Placed]) -> Iterator[tuple[Placed, Script]]:
    """Those that run a script."""
    for found in places:
        if isinstance(found.step.action, Script):
            yield found, found.step.action
