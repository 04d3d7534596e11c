"""Whether what ``with:`` says fits the parameters of the scripts that were picked."""

from collections.abc import Iterable, Iterator, Mapping

from wtsflow.model.expression import ExpressionError, fill
from wtsflow.model.plan import Plan
from wtsflow.model.script import Parameter, PinnedScript
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Script, Step, Type
from wtsflow.planning.fit import Misfit, fits
from wtsflow.planning.mentions import names
from wtsflow.planning.place import Placed

_KINDS: Mapping[Type, tuple[type, ...]] = {
    Type.STRING: (str,),
    Type.SECRET: (str, Secret),
    Type.NUMBER: (int, float),
    Type.BOOLEAN: (bool,),
    Type.LIST: (list, tuple),
}


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
            _fits(f"{name}: '{key}'", value, parameters[key])
        except Misfit as misfit:
            yield misfit


def _fits(what: str, value: Json, parameter: Parameter) -> None:
    if isinstance(value, Secret) and not parameter.secret:
        raise Misfit(
            f"{what} would show a secret", "declare the parameter as 'secret' in its sidecar"
        )
    if value is None:
        if parameter.required:
            raise Misfit(f"{what} has no value")
        return
    kinds = _KINDS.get(parameter.type)
    wrong = kinds is not None and not isinstance(value, kinds)
    if wrong or (parameter.type is Type.NUMBER and isinstance(value, bool)):
        raise Misfit(f"{what} is '{shown(value)}', not a {parameter.type}")
    fits(what, value, parameter)
