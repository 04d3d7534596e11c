"""Which machines a step is for, whether or not it has begun."""

from collections.abc import Iterable

from wtsflow.engine import timing
from wtsflow.engine.loop import target_of
from wtsflow.engine.scope import Frame, Names
from wtsflow.model.expression import ExpressionError, evaluate
from wtsflow.model.plan import LOCAL
from wtsflow.model.workflow import Script, Step


def machines(names: Names, step: Step, frame: Frame) -> frozenset[str]:
    """Every machine that a step and what is below it would run on; handlers are not counted."""
    if step.path in names.passed:
        return frozenset()
    if step.for_each is not None and step.path not in frame.keys:
        return _of_items(names, step, frame)
    if isinstance(step.action, Script):
        return frozenset(names.members(step, frame)) - frame.lost - {LOCAL.name}
    inner = frame.on(step.target)
    return _all(machines(names, below, inner) for below in step.children)


def total(names: Names, steps: Iterable[Step], frame: Frame) -> int:
    """How many machines a list of steps is for, those that were lost before included."""
    whole = frame.but(lost=frozenset())
    return max(1, len(_all(machines(names, step, whole) for step in steps)))


def _of_items(names: Names, step: Step, frame: Frame) -> frozenset[str]:
    """The machines of a loop that has not begun, as far as its list is known."""
    try:
        items = timing.items(evaluate(step.for_each, names.scope(frame)))  # type: ignore[arg-type]
    except ExpressionError:
        return frozenset()
    return _all(
        machines(names, step, frame.inside(step.path, key, {"item": item}, machine))
        for key, item in items.items()
        if not (machine := target_of(item, names.plan.machines)) or machine not in frame.lost
    )


def _all(parts: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset(name for part in parts for name in part)
