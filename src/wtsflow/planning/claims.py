"""Which machines a plan may touch, and which of them it must have for itself."""

from collections.abc import Iterable, Iterator, Mapping

from wtsflow.model.claim import Claim, Mode
from wtsflow.model.plan import LOCAL, Actor, Plan, Target
from wtsflow.model.workflow import Script
from wtsflow.planning.outline import Node, outline
from wtsflow.planning.undone import undone

PORTS: Mapping[str, int] = {"ssh": 22}
"""Where a transport goes when nobody says."""


def claims(plan: Plan, actor: Actor) -> tuple[Claim, ...]:
    """One claim for each machine that a script of the plan may run on, sorted by machine.

    A machine is claimed exclusively when a script may run there whose sidecar says
    ``exclusive: true``, but never by a plan that only checks. The machine that wtsflow itself
    runs on is shared by all, so it is there only when claimed exclusively.
    """
    shared: dict[str, None] = {}
    alone: dict[str, None] = {}
    for names, exclusive in _uses(plan, actor):
        (alone if exclusive and not plan.check else shared).update(dict.fromkeys(names))
    found: dict[str, Claim] = {}
    for mode, names in ((Mode.EXCLUSIVE, alone), (Mode.SHARED, shared)):
        for name in names:
            place = identity(plan.machines[name])
            if place != LOCAL.name or mode is Mode.EXCLUSIVE:
                found.setdefault(place, Claim(place, name, mode))
    return tuple(found[place] for place in sorted(found))


def identity(machine: Target) -> str:
    """Which machine it is, whatever it is called: transport, address and port.

    An alias that only ``ssh_config`` or the name service resolves stays as it is written.
    """
    if machine.transport == LOCAL.transport:
        return LOCAL.name
    address = machine.address.lower().rstrip(".")
    address = f"[{address}]" if ":" in address else address
    port = machine.port or PORTS.get(machine.transport)
    return f"{machine.transport}://{address}" + (f":{port}" if port else "")


def _uses(plan: Plan, actor: Actor) -> Iterator[tuple[Iterable[str], bool]]:
    """Machines that may run a script, and whether that script must be alone there."""
    if plan.undoes:
        yield from (((one.machine.name,), one.script.interface.exclusive) for one in undone(plan))
        return
    shape = outline(plan, actor)
    for node, loose in _nodes((*shape.steps, *shape.finally_), loose=False):
        action = node.step.action
        if node.passed or not isinstance(action, Script):
            continue
        for used in node.used:
            yield used.machines, used.script.interface.exclusive
        if loose:
            scripts = [plan.scripts[pin] for pin in action.pins.values() if pin in plan.scripts]
            alone = any(script.interface.exclusive for script in scripts)
            yield [name for name in plan.machines if name != LOCAL.name], alone


def _nodes(nodes: Iterable[Node], *, loose: bool) -> Iterator[tuple[Node, bool]]:
    """Every node; ``loose``: its machine is an item of a list that only the run will know."""
    for node in nodes:
        step = node.step
        open_ = (loose or (step.for_each is not None and node.items is None)) and not step.target
        yield node, open_
        yield from _nodes(node.children, loose=open_)
        for handlers in node.handlers.values():
            yield from _nodes(handlers, loose=open_)
