"""Which script runs on which machine."""

from collections.abc import Iterable, Iterator, Sequence

from wtsflow.errors import PlanError
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.script import PinnedScript
from wtsflow.model.text import listed
from wtsflow.model.workflow import Script, Step
from wtsflow.planning.place import Placed
from wtsflow.ports import ScriptSource


def pick(
    places: Iterable[Placed], scripts: ScriptSource, *, subject: str, groups: Sequence[str]
) -> dict[str, PinnedScript]:
    """``pin`` → script, and ``pin@target`` → script where a ``+`` pin runs another one there.

    ``subject`` is who a share is drawn for where no target is: the ticket or the actor. Raises
    PlanError where no pin fits a machine's system, and what ``scripts`` raises.
    """
    chosen: dict[str, PinnedScript] = {}
    for found in places:
        if not isinstance(found.step.action, Script):
            continue
        for pin, machine in _pins(found.step, found.step.action, found.machines):
            if pin not in chosen:
                chosen[pin] = scripts.resolve(pin, subject=subject, groups=groups)
            script = chosen[pin]
            if pin.endswith("+") and machine.name != LOCAL.name:
                script = chosen.get(f"{pin}@{machine.name}") or scripts.resolve(
                    pin, subject=machine.name, groups=groups
                )
                if script != chosen[pin]:
                    chosen[f"{pin}@{machine.name}"] = script
            _refuse_other_system(found.step, script, machine)
    return chosen


def _pins(step: Step, action: Script, machines: tuple[Target, ...]) -> Iterator[tuple[str, Target]]:
    for machine in machines:
        pin = action.pin_for(machine.os)
        if pin is None:
            raise _no_pin(step, action, machine)
        yield pin, machine


def _no_pin(step: Step, action: Script, machine: Target) -> PlanError:
    if not machine.os:
        return PlanError(
            f"which system {machine.name} runs is not known, and step '{step.path}' has one "
            f"script for each: {listed(action.pins)}",
            cure="write 'os:' on the target or in the inventory",
            location=step.location,
        )
    return PlanError(
        f"step '{step.path}' has no script for {machine.os}, which {machine.name} runs",
        cure=f"it has one for {listed(action.pins)}",
        location=step.location,
    )


def _refuse_other_system(step: Step, script: PinnedScript, machine: Target) -> None:
    fits = script.interface.os
    if fits and machine.os and machine.os not in fits:
        raise PlanError(
            f"{script.pin} is for {listed(fits)}, but {machine.name} runs {machine.os}",
            cure="pin a script for each system: script: { linux: ..., windows: ... }",
            location=step.location,
        )
