"""The functions of the expression language."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wtsflow.model.values import Secret


def as_text(value: Any) -> str:
    """How a value is written inside a longer text. A secret is revealed: taint its result."""
    match value:
        case Secret():
            return value.reveal()
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str() | int() | float():
            return str(value)
        case _:
            import json

            return json.dumps(value, ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language: how many arguments, what it does, and how it is written."""

    signature: str
    help: str
    least: int
    most: int
    body: Callable[..., Any]
    lazy: bool = False

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        if self.least == self.most:
            return f"{self.least} argument{'s' if self.least != 1 else ''}"
        return f"{self.least} to {self.most} arguments"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _nothing(*_: Any) -> Any:
    raise AssertionError


FUNCTIONS: Mapping[str, Function] = {
    "size": Function("size(x)", "length of a text, list or map", 1, 1, len),
    "contains": Function(
        "contains(x, y)", "whether a text or list has y in it", 2, 2, lambda x, y: y in x
    ),
    "startsWith": Function(
        "startsWith(text, start)", "", 2, 2, lambda x, y: _text(x).startswith(_text(y))
    ),
    "endsWith": Function("endsWith(text, end)", "", 2, 2, lambda x, y: _text(x).endswith(_text(y))),
    "lower": Function("lower(text)", "small letters", 1, 1, lambda x: _text(x).lower()),
    "upper": Function("upper(text)", "capital letters", 1, 1, lambda x: _text(x).upper()),
    "trim": Function("trim(text)", "without spaces around", 1, 1, lambda x: _text(x).strip()),
    "join": Function(
        "join(list, between)", "", 1, 2, lambda x, y=", ": _text(y).join(as_text(i) for i in x)
    ),
    "split": Function("split(text, between)", "", 2, 2, lambda x, y: _text(x).split(_text(y))),
    "string": Function("string(x)", "the value as text", 1, 1, as_text),
    "default": Function("default(x, y)", "x, or y where x has no value", 2, 2, _nothing, lazy=True),
    "has": Function("has(x)", "whether x has a value", 1, 1, _nothing, lazy=True),
    "if": Function("if(condition, x, y)", "x or y", 3, 3, _nothing, lazy=True),
}
