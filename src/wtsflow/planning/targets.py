"""Which machines each name of ``targets`` stands for."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from platform import system

from wtsflow.errors import PlanError
from wtsflow.model.expression import ExpressionError, Template, fill
from wtsflow.model.pattern import PatternError, choose, is_plain
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.text import listed, shown
from wtsflow.model.values import Json
from wtsflow.model.workflow import TargetSpec, Workflow
from wtsflow.planning.mentions import used_targets
from wtsflow.ports import Inventory

SYSTEMS = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}


def machines(
    workflow: Workflow,
    inputs: Mapping[str, Json],
    inventory: Inventory,
    limit: str = "",
    passed: Collection[str] = (),
) -> dict[str, tuple[Target, ...]]:
    """Every target name with its machines, ``local`` included.

    ``limit`` is a host pattern that narrows all of them. Raises PlanError where a name that the
    workflow uses (not only in ``passed`` steps) is left without a machine, or one machine would be
    reached in two ways.
    """
    found = {
        name: _members(spec, {"inputs": inputs}, inventory)
        for name, spec in workflow.targets.items()
    }
    kept = _limited(found, inventory, limit) if limit else found
    used = used_targets(workflow, passed)
    for name in used & kept.keys():
        if not kept[name]:
            raise _empty(workflow.targets[name], found[name], limit)
    _refuse_two_ways(kept)
    return {LOCAL.name: (replace(LOCAL, os=SYSTEMS.get(system(), "")),), **kept}


def _members(
    spec: TargetSpec, scope: Mapping[str, object], inventory: Inventory
) -> tuple[Target, ...]:
    found: dict[str, Target] = {}
    try:
        if spec.group is not None:
            group = fill(spec.group, scope)
            members = inventory.group(_name(spec, group))
        else:
            members = tuple(m for host in spec.hosts for m in _hosts(spec, host, scope, inventory))
    except ExpressionError as error:
        raise PlanError(f"target '{spec.name}': {error}", location=spec.location) from None
    except PlanError as error:
        error.location = error.location or spec.location
        raise
    for machine in members:
        found.setdefault(machine.name, _overlaid(machine, spec))
    return tuple(found.values())


def _hosts(
    spec: TargetSpec, host: str | Template, scope: Mapping[str, object], inventory: Inventory
) -> tuple[Target, ...]:
    """What an author wrote may be a pattern; what a user gave is only ever a name."""
    if isinstance(host, str):
        return (inventory.host(host),) if is_plain(host) else inventory.select(host)
    value = fill(host, scope)
    names = value if isinstance(value, list | tuple) else [value]
    return tuple(inventory.host(_name(spec, name)) for name in names)


def _name(spec: TargetSpec, value: Json) -> str:
    if not isinstance(value, str) or not value:
        raise PlanError(f"target '{spec.name}': '{shown(value)}' is not a name")
    return value


def _overlaid(machine: Target, spec: TargetSpec) -> Target:
    """What the manifest says of a target wins, but it cannot change a machine's system."""
    if spec.os and machine.os and spec.os != machine.os:
        raise PlanError(
            f"target '{spec.name}' is for {spec.os}, but the inventory says that "
            f"{machine.name} runs {machine.os}",
            cure="mend one of them",
        )
    through = spec.via or machine.transport
    other = through != machine.transport
    return replace(
        machine,
        os=spec.os or machine.os,
        run_as=spec.run_as or machine.run_as,
        transport=through,
        port=None if other else machine.port,
        settings={} if other else machine.settings,
    )


def _limited(
    found: Mapping[str, tuple[Target, ...]], inventory: Inventory, limit: str
) -> dict[str, tuple[Target, ...]]:
    known = {m.name: m.groups for members in found.values() for m in members}
    try:
        names = choose(limit, known)
    except PatternError as error:
        try:
            names = frozenset(machine.name for machine in inventory.select(limit))
        except PlanError:
            cure = error.cure or "wtsflow inventory list shows all targets and their groups"
            raise PlanError(f"--limit: {error.message}", cure=cure) from None
    return {
        name: tuple(machine for machine in members if machine.name in names)
        for name, members in found.items()
    }


def _empty(spec: TargetSpec, before: tuple[Target, ...], limit: str) -> PlanError:
    if before:
        return PlanError(
            f"--limit {shown(limit)} leaves no machine in target '{spec.name}', which steps use",
            cure=f"add one of its machines to --limit: {listed(m.name for m in before)}",
            location=spec.location,
        )
    return PlanError(
        f"target '{spec.name}' has no machine",
        cure="list some in the inventory's group" if spec.group is not None else "name a host",
        location=spec.location,
    )


def refuse_unreachable(
    found: Mapping[str, tuple[Target, ...]], transports: Collection[str]
) -> None:
    """Refuse machines that are reached in a way which does not exist here."""
    for name, members in found.items():
        for machine in members:
            if machine.transport not in transports:
                raise PlanError(
                    f"target '{name}': {machine.name} is reached by '{shown(machine.transport)}', "
                    "which this version does not have",
                    cure=f"it has {listed(sorted(transports))}: write 'via:' on the target, "
                    "or 'transport:' in the inventory",
                )


def _refuse_two_ways(found: Mapping[str, tuple[Target, ...]]) -> None:
    """A run knows a machine by its name: it cannot be two accounts or two transports."""
    seen: dict[str, tuple[str, Target]] = {}
    for name, members in found.items():
        for machine in members:
            first, known = seen.setdefault(machine.name, (name, machine))
            if known != machine:
                raise PlanError(
                    f"{machine.name} is in the targets '{first}' and '{name}' in different ways",
                    cure="use one target, and write 'run_as' on steps that need another account",
                )
