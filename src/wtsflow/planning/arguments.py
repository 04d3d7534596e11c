"""Whether what ``with:`` says fits the parameters of the scripts that were picked."""

from collections.abc import Iterable, Iterator, Mapping

from wtsflow.fit import Misfit, takes
from wtsflow.model.expression import ExpressionError, fill
from wtsflow.model.plan import Plan
from wtsflow.model.script import PinnedScript
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.workflow import Script, Step
from wtsflow.planning.mentions import names
from wtsflow.planning.place import Placed


def misfits(
    places: Iterable[Placed], plan: Plan, scope: Mapping[str, object]
) -> Iterator[tuple[Step, Misfit]]:
    """Every value that is known now and does not fit, once for each step and script."""
    for found in places:
        action = found.step.action
        if not isinstance(action, Script):
            continue
        seen: set[str] = set()
        for machine in found.machines:
            script = plan.script_for(action.pin_for(machine.os) or "", machine.name)
            if script.sha256 not in seen:
                seen.add(script.sha256)
                for misfit in _of_script(found.step, script, scope):
                    yield found.step, misfit


def _of_script(step: Step, script: PinnedScript, scope: Mapping[str, object]) -> Iterator[Misfit]:
    parameters = script.interface.parameters
    if parameters is None:
        return
    name = f"{script.path}@{script.version}"
    for missing in parameters.values():
        if missing.required and not missing.has_default and missing.name not in step.arguments:
            yield Misfit(f"{name} needs '{missing.name}'", f"with: {{ {missing.name}: ... }}")
    for key, written in step.arguments.items():
        if key not in parameters:
            known = f"it takes {listed(parameters)}" if parameters else "it takes nothing"
            yield Misfit(
                f"{name} has no parameter '{shown(key)}'", did_you_mean(key, parameters) or known
            )
            continue
        if not names(written) <= scope.keys():
            continue  # known only later, also where default(...) would have a value now
        try:
            value = fill(written, scope)
        except ExpressionError:
            continue  # the engine says why, at its step
        try:
            takes(f"{name}: '{key}'", value, parameters[key])
        except Misfit as misfit:
            yield misfit
