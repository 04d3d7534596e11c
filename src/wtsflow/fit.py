"""Whether a value fits what was declared for it: an input, or a script's parameter."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from wtsflow.errors import Location, PlanError
from wtsflow.model.script import Parameter
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Type

_KINDS: Mapping[Type, tuple[type, ...]] = {
    Type.STRING: (str,),
    Type.SECRET: (str, Secret),
    Type.NUMBER: (int, float),
    Type.BOOLEAN: (bool,),
    Type.LIST: (list, tuple),
}


class Misfit(Exception):
    """A value does not fit. ``cure`` may be empty."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


def together(wrong: Sequence[Misfit], location: Location | None = None) -> PlanError:
    """One error for all misfits: each on a line of its own with its cure, where there are more."""
    first, *more = wrong
    if not more:
        return PlanError(first.message, cure=first.cure, location=location)
    lines = (f"  {one.message}{f' ({one.cure})' if one.cure else ''}" for one in wrong)
    return PlanError("\n".join([f"{len(wrong)} values do not fit", *lines]), location=location)


class Declared(Protocol):
    """What inputs and parameters have in common."""

    @property
    def type(self) -> Type: ...
    @property
    def choices(self) -> tuple[Json, ...]: ...
    @property
    def pattern(self) -> str: ...
    @property
    def min(self) -> float | None: ...
    @property
    def max(self) -> float | None: ...


def fits(what: str, value: Json, declared: Declared) -> None:
    """Raise Misfit unless a value of the right type keeps to choices, pattern and limits.

    A list does when each of its items does. What a secret holds is never in the message.
    """
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        hidden = declared.type is Type.SECRET or isinstance(item, Secret)
        clear = item.reveal() if isinstance(item, Secret) else item
        name = what if hidden else f"{what} is '{shown(_written(clear))}'"
        _one(name, clear, declared)


def takes(what: str, value: Json, parameter: Parameter) -> None:
    """Raise Misfit unless a script's parameter takes the value: type, choices, pattern, limits."""
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


def _one(what: str, value: Json, declared: Declared) -> None:
    if declared.choices and not _among(value, declared.choices):
        words = [_written(choice) for choice in declared.choices]
        raise Misfit(
            f"{what}, which is not one of its choices",
            did_you_mean(_written(value), words) or f"choose one of {listed(words)}",
        )
    if declared.pattern and isinstance(value, str) and not matches(declared.pattern, value):
        raise Misfit(f"{what}, which does not match {shown(declared.pattern, 120)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if declared.min is not None and value < declared.min:
            raise Misfit(f"{what}, which is less than {declared.min:g}")
        if declared.max is not None and value > declared.max:
            raise Misfit(f"{what}, which is more than {declared.max:g}")


def _among(value: Json, choices: Iterable[Json]) -> bool:
    return any(isinstance(value, bool) == isinstance(c, bool) and value == c for c in choices)


def _written(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches. RE2: linear in the text's length, whatever the pattern."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).fullmatch(text) is not None
    except re2.error:
        raise Misfit(f"the pattern {shown(pattern, 120)} cannot be read") from None
