"""Two plans of one manifest side by side: what is not the same in another environment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from wtsflow.model.plan import LOCAL, Actor, Plan, Target, plain
from wtsflow.model.values import Json
from wtsflow.planning.outline import outline

SETTINGS = ("parallel", "timeout", "grace", "reattach", "closing")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: ``kind`` is its section, None stands for what is not there."""

    kind: str
    name: str
    first: Json
    second: Json


def contrast(first: Plan, second: Plan, actor: Actor) -> tuple[Difference, ...]:
    """What differs between two plans: inputs, targets, machines, scripts and settings, in order."""
    return (
        *unlike("inputs", _plain(first.inputs), _plain(second.inputs)),
        *unlike("targets", _names(first), _names(second)),
        *_machines(first.machines, second.machines),
        *unlike("scripts", _versions(first, actor), _versions(second, actor)),
        *unlike("settings", _settings(first), _settings(second)),
    )


def unlike(
    kind: str, first: Mapping[str, Json], second: Mapping[str, Json]
) -> Iterator[Difference]:
    """The keys whose values differ, in the order of the first, then of the second."""
    for name in (*first, *(name for name in second if name not in first)):
        if first.get(name) != second.get(name):
            yield Difference(kind, name, first.get(name), second.get(name))


def _plain(value: object) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", plain(value))


def _names(plan: Plan) -> dict[str, Json]:
    return {
        name: [machine.name for machine in machines]
        for name, machines in plan.targets.items()
        if name != LOCAL.name
    }


def _machines(first: Mapping[str, Target], second: Mapping[str, Target]) -> Iterator[Difference]:
    """Machines of one name that are reached in another way, or are said something else of."""
    for name in sorted((first.keys() & second.keys()) - {LOCAL.name}):
        was, now = _plain(first[name]), _plain(second[name])
        yield from unlike("machines", _flat(name, was), _flat(name, now))


def _flat(name: str, facts: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            found |= {f"{name} {key}.{inner}": said for inner, said in value.items()}
        else:
            found[f"{name} {key}"] = value
    return found


def _versions(plan: Plan, actor: Actor) -> dict[str, Json]:
    """The versions that each pin means, with their digests; a rollout may give several."""
    found: dict[str, dict[str, None]] = {}
    for node in outline(plan, actor).walk():
        for used in node.used:
            version = f"{used.script.version} {used.script.sha256[:12]}"
            found.setdefault(used.pin, {})[version] = None
    return {pin: sorted(versions) for pin, versions in found.items()}


def _settings(plan: Plan) -> dict[str, Json]:
    said: dict[str, Any] = {name: getattr(plan, name) for name in SETTINGS}
    return {name: plain(value) for name, value in said.items()}
