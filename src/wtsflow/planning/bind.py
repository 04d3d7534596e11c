"""Give every declared input its typed value, or say of all of them at once what is wrong."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from wtsflow.fit import Misfit, fits, together
from wtsflow.model.expression import MAX_VALUE
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Input, Type, Workflow

WHOLE = 2**53
"""Whole numbers from here on are not the same in every JSON reader."""


def bind(workflow: Workflow, raw: Mapping[str, Json]) -> dict[str, Json]:
    """The value of every declared input, in the order of declaration.

    ``raw`` holds texts as typed on a command line, or JSON data of the right type. A secret input
    becomes a :class:`Secret`; one that is optional and was not given is None. Raises PlanError
    naming every bad input.
    """
    bound: dict[str, Json] = {}
    wrong: list[Misfit] = list(_unknown(workflow, raw))
    for name, declared in workflow.inputs.items():
        try:
            bound[name] = _value(declared, raw)
        except Misfit as misfit:
            wrong.append(misfit)
    if wrong:
        raise together(wrong)
    return bound


def _unknown(workflow: Workflow, raw: Mapping[str, Json]) -> Iterator[Misfit]:
    for name in raw:
        if name not in workflow.inputs:
            known = f"its inputs are {listed(workflow.inputs)}" if workflow.inputs else ""
            yield Misfit(
                f"{workflow.name} has no input '{shown(name)}'",
                did_you_mean(name, workflow.inputs) or known or "it takes no inputs",
            )


def _value(declared: Input, raw: Mapping[str, Json]) -> Json:
    given = raw.get(declared.name)
    if given is None:
        if declared.has_default:
            return _secret(declared, declared.default)
        if declared.optional:
            return None
        title = f" ({declared.title})" if declared.title else ""
        raise Misfit(f"input '{declared.name}'{title} is missing", _how_to_give(declared))
    value = typed(declared, given)
    fits(f"input '{declared.name}'", value, declared)
    return _secret(declared, value)


def _secret(declared: Input, value: Json) -> Json:
    return Secret(value) if declared.type is Type.SECRET and isinstance(value, str) else value


def _how_to_give(declared: Input) -> str:
    if declared.type is Type.SECRET:
        return (
            f"give it in WTSFLOW_INPUT_{declared.name.upper()}, in --inputs @file, "
            "or at the prompt of a terminal"
        )
    example = shown(declared.choices[0]) if declared.choices else "..."
    return f"--input {declared.name}={example}"


def typed(declared: Input, given: Json) -> Json:
    """``given`` in the declared type. Raises Misfit."""
    if isinstance(given, Secret):
        return given.reveal() if declared.type is Type.SECRET else _refuse(declared, "a secret")
    if isinstance(given, str) and len(given) > MAX_VALUE:
        raise Misfit(f"input '{declared.name}' is longer than 1 MiB")
    return _TYPED[declared.type](declared, given)


def _refuse(declared: Input, what: str, cure: str = "") -> Json:
    raise Misfit(f"input '{declared.name}' is {what}, not a {declared.type}", cure)


def _text(declared: Input, given: Json) -> Json:
    if isinstance(given, str):
        return given
    hidden = declared.type is Type.SECRET
    what = "not text" if hidden else f"'{shown(json.dumps(given))}'"
    return _refuse(declared, what, "put it in quotes")


def _number(declared: Input, given: Json) -> Json:
    value = _json(given) if isinstance(given, str) else given
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _refuse(declared, f"'{shown(given)}'", "write a number like 5 or 2.5")
    if not abs(value) < WHOLE:  # also refuses what is not a number
        raise Misfit(f"input '{declared.name}' is too large: {shown(given)}")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _boolean(declared: Input, given: Json) -> Json:
    value = {"true": True, "false": False}.get(given) if isinstance(given, str) else given
    if isinstance(value, bool):
        return value
    return _refuse(declared, f"'{shown(given)}'", "write true or false")


def _list(declared: Input, given: Json) -> Json:
    if isinstance(given, list | tuple):
        return list(given)
    if not isinstance(given, str):
        return _refuse(declared, f"'{shown(given)}'", 'write a,b or ["a", "b"]')
    text = given.strip()
    if not text.startswith("["):
        return [item.strip() for item in text.split(",")] if text else []
    value = _json(text)
    if isinstance(value, list):
        return value
    return _refuse(declared, f"'{shown(given)}'", 'write a,b or ["a", "b"]')


def _json(text: str) -> Json:
    """The JSON value of a text, or None where it is not JSON (RFC 8259: no NaN)."""
    try:
        return cast("Json", json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        return None


def _refuse_constant(word: str) -> Json:
    raise ValueError(word)


_TYPED: Mapping[Type, Callable[[Input, Json], Json]] = {
    Type.STRING: _text,
    Type.SECRET: _text,
    Type.NUMBER: _number,
    Type.BOOLEAN: _boolean,
    Type.LIST: _list,
    Type.ANY: lambda _declared, given: given,
}
