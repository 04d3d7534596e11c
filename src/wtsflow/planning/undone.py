"""What a plan that undoes a run takes back: which script, on which machine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wtsflow.model.plan import Plan, Target
from wtsflow.model.script import PinnedScript
from wtsflow.model.workflow import Script, Step

_KEYS = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Undone:
    """One task of it: its step, its machine and its script."""

    path: str
    step: Step
    machine: Target
    script: PinnedScript


def undone(plan: Plan) -> Iterator[Undone]:
    """The tasks of a plan that undoes a run, in their order; none of any other plan."""
    steps = {step.path: step for step in plan.workflow.walk()}
    for name in plan.undone:
        path, _, target = name.rpartition("@")
        step, machine = steps[_KEYS.sub("", path)], plan.machines[target]
        if isinstance(step.action, Script):
            pin = step.action.pin_for(machine.os) or ""
            yield Undone(path, step, machine, plan.script_for(pin, target))
