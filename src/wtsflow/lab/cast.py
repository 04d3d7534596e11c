"""Which practice hosts a workflow needs: its targets, by the names that the inventory has."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from wtsflow.errors import PlanError
from wtsflow.lab.machine import Machine
from wtsflow.model.expression import ExpressionError, Template, fill
from wtsflow.model.pattern import is_plain
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.values import Json
from wtsflow.model.workflow import TargetSpec, Workflow
from wtsflow.ports import Inventory

USUAL = 5
"""Hosts of a group that the inventory does not list."""
_EVERY = ("all", "ungrouped")


def cast(
    workflow: Workflow, inputs: Mapping[str, Json], inventory: Inventory, count: int | None = None
) -> tuple[Machine, ...]:
    """The machines to make, each with the groups and variables that the inventory says.

    ``count`` is how many hosts each group has: the inventory's first ones, and made-up ones when
    it has fewer. None: those of the inventory, or :data:`USUAL`. ``inputs`` are bound values.
    Raises PlanError for a host that cannot be.
    """
    found: dict[str, Machine] = {}
    for spec in workflow.targets.values():
        for machine in _members(spec, inputs, inventory, count):
            known = found.setdefault(machine.name, machine)
            groups = dict.fromkeys((*known.groups, *machine.groups))
            found[machine.name] = replace(known, groups=tuple(groups))
    found.pop(LOCAL.name, None)
    return tuple(found.values())


def _members(
    spec: TargetSpec, inputs: Mapping[str, Json], inventory: Inventory, count: int | None
) -> Iterator[Machine]:
    try:
        if spec.group is not None:
            yield from _group(str(fill(spec.group, {"inputs": inputs})), inventory, count)
        for host in spec.hosts:
            yield from _hosts(host, inputs, inventory)
    except ExpressionError as error:
        raise PlanError(f"target '{spec.name}': {error}", location=spec.location) from None


def _group(name: str, inventory: Inventory, count: int | None) -> Iterator[Machine]:
    try:
        listed = inventory.group(name)
    except PlanError:
        listed = ()
    wanted = count or len(listed) or USUAL
    for target in listed[:wanted]:
        yield _machine(target)
    taken = {target.name for target in listed}
    made = (f"{name}{n}" for n in range(1, wanted + len(taken) + 1))
    free = [host for host in made if host not in taken]
    for host in free[: max(0, wanted - len(listed))]:
        yield Machine(host, () if name in _EVERY else (name,))


def _hosts(
    host: str | Template, inputs: Mapping[str, Json], inventory: Inventory
) -> Iterator[Machine]:
    if isinstance(host, str) and not is_plain(host):
        yield from map(_machine, inventory.select(host))
        return
    value = fill(host, {"inputs": inputs})
    for name in value if isinstance(value, list | tuple) else [value]:
        yield _machine(inventory.host(str(name)))


def _machine(target: Target) -> Machine:
    groups = tuple(group for group in target.groups if group not in _EVERY)
    return Machine(target.name, groups, target.variables)
