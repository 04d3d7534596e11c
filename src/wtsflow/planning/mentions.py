"""Which names the expressions of a workflow mention."""

import ast
from collections.abc import Collection, Iterable, Iterator

from wtsflow.model.expression import CONSTANTS, FUNCTIONS, Expression, Template
from wtsflow.model.workflow import Step, Workflow


def used_targets(workflow: Workflow, passed: Collection[str] = ()) -> frozenset[str]:
    """The names of ``targets`` that some step or expression uses; ``passed`` steps do not."""
    steps = [step for step in workflow.walk() if not over(step.path, passed)]
    used = {step.target for step in steps if step.target}
    for expression in _of_workflow(workflow, steps):
        for node in ast.walk(expression.tree):
            match node:
                case ast.Attribute(value=ast.Name(id="targets"), attr=name):
                    used.add(name)
                case ast.Subscript(value=ast.Name(id="targets"), slice=ast.Constant(value=name)):
                    used.add(str(name))
                case ast.Subscript(value=ast.Name(id="targets")):
                    used.update(workflow.targets)
    return frozenset(used)


def names(value: object) -> frozenset[str]:
    """The names that the expressions in a value begin with: ``inputs``, ``steps``, ``item``."""
    return frozenset(
        node.id
        for expression in _inside(value)
        for node in ast.walk(expression.tree)
        if isinstance(node, ast.Name) and node.id not in CONSTANTS
    ) - {"if_", *FUNCTIONS}


def over(path: str, passed: Collection[str]) -> bool:
    """Whether the step at a static path is passed over, with what it stands in or for."""
    if not passed:
        return False
    parts = path.split("/")
    return any("/".join(parts[:size]) in passed for size in range(1, len(parts) + 1))


def _of_workflow(workflow: Workflow, steps: Iterable[Step]) -> Iterator[Expression]:
    for requirement in workflow.require:
        yield requirement.that
    yield from _inside(workflow.outputs)
    for step in steps:
        yield from of_step(step)


def of_step(step: Step) -> Iterator[Expression]:
    """The expressions of a step itself: not of its handlers, nor of what is below it."""
    for expression in (step.when, step.for_each, step.retry.until if step.retry else None):
        if expression is not None:
            yield expression
    yield from _inside(step.arguments)


def _inside(value: object) -> Iterator[Expression]:
    match value:
        case Expression():
            yield value
        case Template():
            for expression, _offset in value.expressions:
                yield expression
        case dict():
            for item in value.values():
                yield from _inside(item)
        case tuple() | list():
            for item in value:
                yield from _inside(item)
