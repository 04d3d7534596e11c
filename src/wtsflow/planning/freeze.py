"""A plan as a JSON document (``wtsflow.plan/1``), and back, with its digest compared.

Secrets are never in it: they are given again when the plan is applied.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from wtsflow.errors import PlanError, PlanMismatch
from wtsflow.model.plan import Plan, Target, plain
from wtsflow.model.script import Choice, Interface, Language, Parameter, Passing, PinnedScript
from wtsflow.model.text import listed, shown
from wtsflow.model.values import Json
from wtsflow.model.workflow import Type, Workflow

SCHEMA = "wtsflow.plan/1"
_CURE = "make the plan again: wtsflow plan MANIFEST -o FILE"


def freeze(plan: Plan) -> dict[str, Json]:
    """The document. It holds no floats; every leaf but ``workflow.source`` is under the digest."""
    return {
        "schema": SCHEMA,
        "digest": plan.digest,
        "workflow": {
            "name": plan.workflow.name,
            "version": plan.workflow.version,
            "source": plan.workflow.source,
            "text": plan.workflow.text,
        },
        "plan": plan.facts,
    }


def thaw(data: Mapping[str, Json], load: Callable[[str, str], Workflow]) -> Plan:
    """The plan of a document. ``load(text, source)`` reads its manifest.

    Raises PlanError for what is no such document, PlanMismatch for one that was changed.
    """
    if data.get("schema") != SCHEMA:
        raise PlanError(f"this is not a plan ({SCHEMA})", cure=_CURE)
    try:
        said = cast("Mapping[str, Any]", data["workflow"])
        facts = cast("Mapping[str, Any]", data["plan"])
        workflow = load(said["text"], said["source"])
        plan = _plan(workflow, facts)
        same = (said["name"], said["version"]) == (workflow.name, workflow.version)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanError(f"the plan is damaged ({type(error).__name__})", cure=_CURE) from None
    if not same or plan.facts != dict(facts) or plan.digest != data.get("digest"):
        raise PlanMismatch(("it was changed after it was written down",), cure=_CURE)
    return plan


def _plan(workflow: Workflow, facts: Mapping[str, Any]) -> Plan:
    return Plan(
        workflow=workflow,
        inputs=_restored(facts["inputs"]),
        targets={
            name: tuple(_target(machine) for machine in machines)
            for name, machines in facts["targets"].items()
        },
        scripts={pin: _script(script) for pin, script in facts["scripts"].items()},
        ticket=facts["ticket"],
        parallel=facts["parallel"],
        timeout=_restored(facts["timeout"]),
        grace=_restored(facts["grace"]),
        limit=facts["limit"],
        **{name: restore(facts[name]) for name, restore in _ADDED.items() if name in facts},
    )


def _restored(value: Any) -> Any:
    """Undo what :func:`~wtsflow.model.plan.plain` did to floats."""
    if isinstance(value, Mapping):
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {key: _restored(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_restored(item) for item in value]
    return value


_ADDED: Mapping[str, Callable[[Any], Any]] = {
    "reattach": _restored,
    "closing": _restored,
    "environment": str,
    "check": bool,
    "passed": tuple,
    "undoes": str,
    "undone": tuple,
}


def _target(said: Mapping[str, Any]) -> Target:
    return Target(
        **{
            **said,
            "groups": tuple(said["groups"]),
            "variables": _restored(said["variables"]),
            "settings": _restored(said["settings"]),
        }
    )


def _script(said: Mapping[str, Any]) -> PinnedScript:
    return PinnedScript(
        **{
            **said,
            "language": Language(said["language"]),
            "interface": _interface(said["interface"]),
            "choice": Choice(**said["choice"]) if said["choice"] else None,
        }
    )


def _interface(said: Mapping[str, Any]) -> Interface:
    parameters, outputs = said["parameters"], said["outputs"]
    return Interface(
        **{
            **said,
            "os": tuple(said["os"]),
            "parameters": parameters
            and {name: _parameter(parameter) for name, parameter in parameters.items()},
            "outputs": outputs and {name: Type(kind) for name, kind in outputs.items()},
            "outcomes": {int(code): name for code, name in said["outcomes"].items()},
            "passing": Passing(said["passing"]) if said["passing"] else None,
        }
    )


def _parameter(said: Mapping[str, Any]) -> Parameter:
    restored = _restored(said)
    return Parameter(
        **{**restored, "type": Type(said["type"]), "choices": tuple(restored["choices"])}
    )


_NOT_PLANNED = ("manifest", "undoes", "undone")
"""Said apart, or taken from the records of a run."""


def differences(old: Plan, new: Plan) -> tuple[str, ...]:
    """What is not the same in two plans, as lines fit to print; empty when all is."""
    found: list[str] = []
    if old.workflow.sha256 != new.workflow.sha256:
        found.append(f"the manifest {old.workflow.source} changed")
    first = cast("Mapping[str, Any]", plain(old.facts))
    second = cast("Mapping[str, Any]", plain(new.facts))
    for name in (*first, *sorted(second.keys() - first.keys())):
        if name in _NOT_PLANNED or first.get(name) == second.get(name):
            continue
        say = _SAY.get(name, _values)
        found.extend(say(name, first.get(name), second.get(name)))
    return tuple(found)


def _values(name: str, old: Any, new: Any) -> list[str]:
    return [f"{name} {_change(old, new)}"]


def _change(old: Any, new: Any) -> str:
    return f"was {shown(repr(old))}, is {shown(repr(new))}"


def _inputs(_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"input '{name}' {_change(old.get(name), new.get(name))}"
        for name in (*old, *sorted(new.keys() - old.keys()))
        if old.get(name) != new.get(name)
    ]


def _scripts(_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    for pin in (*old, *sorted(new.keys() - old.keys())):
        was, now = old.get(pin), new.get(pin)
        if was == now:
            continue
        if not was or not now:
            found.append(f"script {pin} {'is not used any more' if was else 'is new'}")
        elif was["sha256"] != now["sha256"]:
            found.append(
                f"script {pin} was {was['version']} sha256 {was['sha256'][:12]}, "
                f"is {now['version']} sha256 {now['sha256'][:12]}"
            )
        else:
            changed = sorted(key for key in was if was[key] != now[key])
            found.append(f"script {pin}: {', '.join(changed)} changed")
    return found


def _targets(_: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name in (*old, *sorted(new.keys() - old.keys())):
        was = {machine["name"]: machine for machine in old.get(name, ())}
        now = {machine["name"]: machine for machine in new.get(name, ())}
        if gone := [machine for machine in was if machine not in now]:
            found.append(f"target '{name}' lost {listed(gone)}")
        if come := [machine for machine in now if machine not in was]:
            found.append(f"target '{name}' gained {listed(come)}")
        changed: dict[str, list[str]] = {}
        for machine in (machine for machine in was if machine in now):
            for key in was[machine]:
                if was[machine][key] != now[machine][key]:
                    words = f"{key} {_change(was[machine][key], now[machine][key])}"
                    changed.setdefault(words, []).append(machine)
        found.extend(f"{listed(machines)}: {words}" for words, machines in changed.items())
        if list(was) != list(now) and was.keys() == now.keys():
            found.append(f"target '{name}' has another order")
    return found


_Say = Callable[[str, Any, Any], list[str]]
_SAY: Mapping[str, _Say] = {"inputs": _inputs, "scripts": _scripts, "targets": _targets}
