"""A plan as people look at it: what runs in which order, on which machines, in which waves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wtsflow.model.plan import LOCAL, Actor, Plan
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json
from wtsflow.model.workflow import Rolling, Script, Step, Wait
from wtsflow.planning.mentions import over
from wtsflow.planning.place import Placed, Scope, place_one
from wtsflow.planning.resolve import known_names


@dataclass(frozen=True, slots=True)
class Used:
    """A script that a step runs, and the machines that it runs on there."""

    pin: str
    script: PinnedScript
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A step. ``level`` is its place among its siblings: those of one level run at once.

    ``waves`` are the sizes of the waves of a ``for_each`` whose items are known; ``items`` is None
    where they are not. ``handlers`` maps ``on_failure``, ``on_timeout`` and ``undo`` to their
    steps. ``passed`` says that this run passes over it.
    """

    step: Step
    level: int
    after: tuple[str, ...]
    machines: tuple[str, ...]
    used: tuple[Used, ...]
    children: tuple["Node", ...]
    handlers: Mapping[str, tuple["Node", ...]]
    items: int | None = None
    waves: tuple[int, ...] = ()
    passed: bool = False

    @property
    def label(self) -> str:
        """How it is called: its title, its id, or what it does."""
        step = self.step
        titles = dict.fromkeys(used.script.interface.title for used in self.used)
        return step.title or " / ".join(filter(None, titles)) or step.id or _deed(step)

    def walk(self) -> Iterator["Node"]:
        """This node and all below it, in order; handlers after the steps."""
        yield self
        for child in self.children:
            yield from child.walk()
        for nodes in self.handlers.values():
            for node in nodes:
                yield from node.walk()


def _deed(step: Step) -> str:
    match step.action:
        case Script(pins=pins):
            return " / ".join(dict.fromkeys(pins.values()))
        case Wait(seconds=None, until=until, zone=zone):
            return f"wait until {until} {zone}".rstrip()
        case Wait(seconds=seconds):
            return f"wait {seconds:g} s"
        case _:
            return "a group of steps"


@dataclass(frozen=True, slots=True)
class Outline:
    """The steps of a plan, and those of ``finally``."""

    steps: tuple[Node, ...]
    finally_: tuple[Node, ...]

    def walk(self) -> Iterator[Node]:
        """Every node in order."""
        for node in (*self.steps, *self.finally_):
            yield from node.walk()


def outline(plan: Plan, actor: Actor) -> Outline:
    """How a plan would be performed, as far as that is known before the first step."""
    scope = known_names(plan.inputs, plan.targets, plan.ticket, actor)
    maker = _Maker(plan, scope)
    here = plan.targets[LOCAL.name]
    first = Placed(Step("", Wait(), plan.workflow.steps[0].location), here)
    return Outline(
        maker.nodes(plan.workflow.steps, first), maker.nodes(plan.workflow.finally_, first)
    )


@dataclass(frozen=True, slots=True)
class _Maker:
    plan: Plan
    scope: Scope

    def nodes(self, steps: tuple[Step, ...], around: Placed) -> tuple[Node, ...]:
        levels: dict[str, int] = {}
        found: list[Node] = []
        for index, step in enumerate(steps):
            if step.needs is None:
                level = found[index - 1].level + 1 if index else 1
            else:
                level = 1 + max((levels[name] for name in step.needs), default=0)
            levels[step.id or step.path] = level
            found.append(self.node(step, level, around))
        return tuple(found)

    def node(self, step: Step, level: int, around: Placed) -> Node:
        place = place_one(step, self.plan.targets, self.scope, around.machines)
        handlers = {
            "on_failure": step.on_failure.steps if step.on_failure else (),
            "on_timeout": step.on_timeout.steps if step.on_timeout else (),
            "undo": (step.undo,) if step.undo else (),
        }
        return Node(
            step=step,
            level=level,
            after=step.needs or (),
            machines=tuple(machine.name for machine in place.machines),
            used=self.used(step, place),
            children=self.nodes(step.children, place),
            handlers={name: self.nodes(steps, place) for name, steps in handlers.items() if steps},
            items=place.items,
            waves=(step.rolling or Rolling()).waves(place.items) if place.items else (),
            passed=over(step.path, self.plan.passed),
        )

    def used(self, step: Step, place: Placed) -> tuple[Used, ...]:
        if not isinstance(step.action, Script):
            return ()
        found: dict[tuple[str, str], tuple[PinnedScript, list[str]]] = {}
        for machine in place.machines:
            pin = step.action.pin_for(machine.os) or ""
            script = self.plan.script_for(pin, machine.name)
            found.setdefault((pin, script.sha256), (script, []))[1].append(machine.name)
        return tuple(Used(pin, script, tuple(names)) for (pin, _), (script, names) in found.items())


def as_json(nodes: tuple[Node, ...]) -> list[Json]:
    """Nodes as the ``steps`` of the ``wtsflow.planned/1`` document."""
    return [_node(node) for node in nodes]


def _node(node: Node) -> dict[str, Json]:
    step = node.step
    return {
        "path": step.path,
        "title": node.label,
        "verb": step.verb,
        "level": node.level,
        "needs": list(node.after),
        "when": str(step.when) if step.when else None,
        "targets": list(node.machines) if step.verb == "script" else [],
        "scripts": [
            {
                "pin": used.pin,
                "version": used.script.version,
                "sha256": used.script.sha256,
                "targets": list(used.machines),
            }
            for used in node.used
        ],
        "for_each": str(step.for_each) if step.for_each else None,
        "items": node.items,
        "waves": list(node.waves),
        **({"passed": True} if node.passed else {}),
        "steps": as_json(node.children),
        **{name: as_json(nodes) for name, nodes in node.handlers.items()},
    }
