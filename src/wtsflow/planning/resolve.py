"""From a workflow and its answers to a plan: targets found, scripts pinned, requirements held."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from wtsflow.errors import DeniedError, PlanError
from wtsflow.fit import together
from wtsflow.model.expression import AbsentError, ExpressionError, condition
from wtsflow.model.plan import Actor, Plan, Target
from wtsflow.model.values import Json, masked
from wtsflow.model.workflow import Workflow
from wtsflow.planning.arguments import misfits
from wtsflow.planning.mentions import over
from wtsflow.planning.partial import refuse_gaps
from wtsflow.planning.pick import pick
from wtsflow.planning.place import placed
from wtsflow.planning.targets import machines, refuse_unreachable
from wtsflow.ports import Inventory, ScriptSource

TERMS = (
    *("ticket", "limit", "parallel", "timeout", "grace", "reattach", "closing"),
    *("passed", "check"),
)
"""What :func:`resolve` is told beside the workflow and its inputs, by the names of the plan."""


def terms(plan: Plan) -> dict[str, Any]:
    """What a plan was made with: to make it again."""
    return {name: getattr(plan, name) for name in TERMS}


def resolve(
    workflow: Workflow,
    *,
    inputs: Mapping[str, Json],
    scripts: ScriptSource,
    inventory: Inventory,
    actor: Actor,
    ticket: str = "",
    groups: Sequence[str] = (),
    parallel: int = 50,
    timeout: float = 3600.0,
    grace: float = 5.0,
    reattach: float = 300.0,
    closing: float = 300.0,
    limit: str = "",
    passed: Sequence[str] = (),
    check: bool = False,
    environment: str = "",
    transports: Collection[str] = (),
) -> Plan:
    """Answer everything that can be answered before the first connection.

    ``inputs`` come from :func:`bind`; ``groups`` are the actor's; ``timeout`` (seconds) bounds a
    task whose step does not say, ``grace`` (seconds) a process that is stopped; ``limit`` is a host
    pattern; ``passed`` are the static paths of steps that are passed over (see :func:`passed`);
    ``check``: scripts only tell what they would do; ``environment`` is the name of the one that it
    is planned in; ``transports`` are those that there are (empty: not looked at).

    Raises PlanError when the answers do not fit, DeniedError with the author's sentence when a
    requirement does not hold, and whatever ``scripts`` and ``inventory`` raise.
    """
    _refuse_ticketless(workflow, ticket)
    refuse_gaps(workflow, passed)
    targets = machines(workflow, inputs, inventory, limit, passed)
    if transports:
        refuse_unreachable(targets, transports)
    scope = known_names(inputs, targets, ticket, actor)
    _require(workflow, scope)
    places = tuple(placed(workflow, targets, scope))
    chosen = pick(places, scripts, subject=ticket or actor.name, groups=groups)
    plan = Plan(
        workflow=workflow,
        inputs=cast("dict[str, Json]", masked(dict(inputs))),
        targets=targets,
        scripts=chosen,
        ticket=ticket,
        parallel=parallel,
        timeout=timeout,
        grace=grace,
        reattach=reattach,
        closing=closing,
        limit=limit,
        passed=tuple(passed),
        check=check,
        environment=environment,
    )
    kept = [place for place in places if not over(place.step.path, passed)]
    if wrong := tuple(misfits(kept, plan, scope)):
        raise together([misfit for _step, misfit in wrong], wrong[0][0].location)
    return plan


def permit(plan: Plan, inputs: Mapping[str, Json], actor: Actor) -> None:
    """Ask again whether what was planned may be done, by ``actor``; ``inputs`` with their secrets.

    Raises DeniedError with the author's sentence, PlanError where a requirement has no value.
    """
    _require(plan.workflow, known_names(inputs, plan.targets, plan.ticket, actor))


def _refuse_ticketless(workflow: Workflow, ticket: str) -> None:
    if workflow.needs_ticket and not ticket:
        raise PlanError(
            f"{workflow.name} works on a ticket, and none was given", cure="--ticket INC0012345"
        )


def known_names(
    inputs: Mapping[str, Json],
    targets: Mapping[str, tuple[Target, ...]],
    ticket: str,
    actor: Actor,
) -> dict[str, object]:
    """The names that have a value before the first step."""
    return {
        "inputs": inputs,
        "targets": {name: [m.described for m in members] for name, members in targets.items()},
        "ticket": {"id": ticket} if ticket else {},
        "actor": {"name": actor.name, "uid": actor.uid, "host": actor.host},
    }


def _require(workflow: Workflow, scope: Mapping[str, object]) -> None:
    """What has no value does not hold: nobody is let through by a gap."""
    for requirement in workflow.require:
        cure = ""
        try:
            if condition(requirement.that, scope):
                continue
        except AbsentError as error:
            cure = f"{error.message}: {requirement.that}"
        except ExpressionError as error:
            raise PlanError(f"require: {error.message}", location=requirement.location) from None
        raise DeniedError(requirement.otherwise, cure=cure, location=requirement.location)
