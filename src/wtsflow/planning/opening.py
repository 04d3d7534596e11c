"""What a run's first record says: all that decided what it does."""

from collections.abc import Mapping
from dataclasses import asdict

from wtsflow.model.plan import Actor, Plan
from wtsflow.model.values import Json
from wtsflow.planning.freeze import freeze
from wtsflow.planning.outline import outline
from wtsflow.planning.undone import undone


def _targets(plan: Plan, actor: Actor) -> set[str]:
    if plan.undoes:
        return {one.machine.name for one in undone(plan)}
    return {name for node in outline(plan, actor).walk() for name in node.machines}


def opening(plan: Plan, actor: Actor, origin: Mapping[str, Json]) -> dict[str, Json]:
    """The data of ``opened``; ``origin`` is why it is run (see ``Prepared.origin``)."""
    workflow = plan.workflow
    added: dict[str, Json] = {
        "origin": dict(origin),
        "environment": plan.environment,
        "check": plan.check,
    }
    return {
        "workflow": {
            "name": workflow.name,
            "version": workflow.version,
            "title": workflow.title,
            "sha256": workflow.sha256,
            "source": workflow.source,
        },
        "plan": plan.digest,
        "frozen": freeze(plan),
        "actor": asdict(actor),
        "ticket": plan.ticket,
        "targets": sorted(_targets(plan, actor)),
        "scripts": [
            {
                "pin": pin,
                "version": script.version,
                "commit": script.commit,
                "blob": script.blob,
                "sha256": script.sha256,
                "choice": asdict(script.choice) if script.choice else None,
            }
            for pin, script in plan.scripts.items()
        ],
        "inputs": plan.inputs,
        **{name: said for name, said in added.items() if said},
    }
