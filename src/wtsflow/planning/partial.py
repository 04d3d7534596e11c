"""A part of a workflow: which steps a run passes over, and whether the others can do without.

Rule 1: what is after a failure stays: handlers, what undoes a step, and ``finally``.
Rule 2: a group is passed over when all in it is; else it is done with what is left in it.
Rule 3: a kept step may not need the outputs of one that is passed over: said before anything runs.
"""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wtsflow.errors import PlanError
from wtsflow.model.expression import Expression
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.workflow import Step, Workflow, walk
from wtsflow.planning.mentions import of_step, over

ALWAYS = "always"
"""The tag of steps that ``--tags`` never leaves out."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of a workflow was asked for.

    ``start_at`` is the id or path of the first step to do; ``tags`` keeps only steps with one of
    these, ``skip_tags`` none with one of those.
    """

    start_at: str = ""
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()


def passed(workflow: Workflow, part: Part) -> tuple[str, ...]:
    """The static paths of the steps that are passed over, in order.

    Raises PlanError for a step or tag that there is none of, and where nothing is left to do.
    """
    _known_tags(workflow, part)
    first = _first(workflow, part.start_at) if part.start_at else None
    found: list[str] = []
    _Sieve(part, first, found).pass_over(workflow.steps, tagged=False)
    steps = {step.path for step in walk(workflow.steps, handlers=False)}
    if steps == set(found):
        raise PlanError("no step is left to do", cure="see which there are: wtsflow plan MANIFEST")
    order = {step.path: number for number, step in enumerate(walk(workflow.steps))}
    return tuple(sorted(found, key=order.__getitem__))


@dataclass(slots=True)
class _Sieve:
    part: Part
    first: str | None
    """The path of the step to start at, until it was met."""
    found: list[str]

    def pass_over(self, steps: tuple[Step, ...], *, tagged: bool) -> bool:
        """Whether all of ``steps`` is passed over; ``tagged``: a group around has a wanted tag."""
        left = [self._one(step, tagged=tagged) for step in steps]
        return all(left)

    def _one(self, step: Step, *, tagged: bool) -> bool:
        if self.first == step.path:
            self.first = None
        tags = frozenset(step.tags)
        wanted = tagged or not self.part.tags or bool(tags & {ALWAYS, *self.part.tags})
        if tags & set(self.part.skip_tags):
            out = True
            self._all(step.children)
        elif step.children:
            out = self.pass_over(step.children, tagged=wanted and bool(self.part.tags))
        else:
            out = self.first is not None or not wanted
        if out:
            self.found.append(step.path)
        return out

    def _all(self, steps: tuple[Step, ...]) -> None:
        for step in walk(steps, handlers=False):
            self.found.append(step.path)
            if self.first == step.path:
                self.first = None


def _first(workflow: Workflow, name: str) -> str:
    """The path of the step of this id or path."""
    steps = {step.path: step for step in walk(workflow.steps, handlers=False)}
    if name in steps:
        return name
    for step in steps.values():
        if step.id == name:
            return step.path
    names = [step.id or step.path for step in steps.values()]
    elsewhere = any(name in (step.id, step.path) for step in workflow.walk())
    hint = "handlers and 'finally' are no place to start at" if elsewhere else ""
    raise PlanError(
        f"{workflow.name} has no step '{shown(name)}' to start at",
        cure=hint or did_you_mean(name, (*names, *steps)) or f"it has {listed(names)}",
    )


def _known_tags(workflow: Workflow, part: Part) -> None:
    known = {tag for step in walk(workflow.steps) for tag in step.tags}
    for tag in (*part.tags, *part.skip_tags):
        if tag not in known:
            raise PlanError(
                f"{workflow.name} has no step with the tag '{shown(tag)}'",
                cure=did_you_mean(tag, known)
                or (f"it has {listed(sorted(known))}" if known else "write 'tags:' on its steps"),
            )


# --- what is needed all the same --------------------------------------------------------------


def refuse_gaps(workflow: Workflow, passed: Collection[str]) -> None:
    """Raise PlanError where a step that is kept needs the outputs of one that is passed over."""
    gone = {step.id: step for step in workflow.walk() if step.id and over(step.path, passed)}
    asked: dict[str, set[str]] = {}
    for step in workflow.walk() if passed else ():
        around = next((asked[path] for path in _above(step.path) if path in asked), set())
        asked[step.path] = around | (_mentioned(step.when) if step.when else set())
        if over(step.path, passed):
            continue
        for expression in of_step(step):
            looked = around if expression is step.when else asked[step.path]
            for name in sorted(_outputs(expression) & gone.keys() - looked):
                raise PlanError(
                    f"step '{step.path}' uses the outputs of '{gone[name].path}', "
                    "which would be passed over",
                    cure=f"start at '{gone[name].path}' or before it, or keep it by a tag",
                    location=step.location,
                )


def _above(path: str) -> Iterator[str]:
    """The paths that a path stands in, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def _mentioned(expression: Expression) -> set[str]:
    return {name for name, _ in _asked(expression.tree)}


def _outputs(expression: Expression) -> set[str]:
    """The steps whose outputs an expression needs; ``default`` and ``has`` can do without."""
    return {name for name, entry in _asked(expression.tree, needed=True) if entry != "outcome"}


def _asked(node: ast.AST, *, needed: bool = False) -> Iterator[tuple[str, str]]:
    """``steps.<name>.<entry>`` wherever it stands; ``needed``: not where it may be absent."""
    match node:
        case (
            ast.Attribute(value=ast.Attribute(value=ast.Name(id="steps"), attr=name), attr=entry)
            | ast.Attribute(
                value=ast.Subscript(
                    value=ast.Name(id="steps"), slice=ast.Constant(value=str(name))
                ),
                attr=entry,
            )
        ):
            yield name, entry
        case ast.Call(func=ast.Name(id="default" | "has")) if needed:
            for argument in node.args[1:]:
                yield from _asked(argument, needed=needed)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _asked(child, needed=needed)
