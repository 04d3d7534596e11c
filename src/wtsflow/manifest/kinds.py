"""What the checker knows of a value before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from wtsflow.model.values import Json
from wtsflow.model.workflow import Input, Type


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a value may be missing when it is asked for.

    It is not, where ``proof`` (``steps.a``) or all of ``guards`` (conditions) are known to hold.
    """

    reason: str
    proof: str = ""
    guards: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """A type, and what else is known.

    ``name`` is a type of the language, ``map``, ``null`` or ``any``. ``fields`` are a map's known
    entries (None: any name may be there); ``item`` is what a list or an open map holds;
    ``values`` are the only values there are; ``empty`` says that it may be null.
    """

    name: str
    fields: Mapping[str, "Kind"] | None = None
    item: "Kind | None" = None
    values: tuple[Json, ...] = ()
    empty: bool = False
    absent: Absence | None = None

    @property
    def open(self) -> bool:
        """Whether nothing can be said about it."""
        return self.name == "any"

    def secret(self) -> bool:
        """Whether a secret is in it."""
        if self.name == "secret":
            return True
        parts = (*(self.fields or {}).values(), *((self.item,) if self.item else ()))
        return self.name in ("list", "map") and any(part.secret() for part in parts)

    def but(self, **changes: Any) -> "Kind":
        """The same with changes."""
        return replace(self, **changes)

    @property
    def described(self) -> str:
        """What it is, in a sentence: ``this is a number``."""
        articled = self.name in ("number", "list", "map", "secret")
        return f"a {self}" if articled else str(self)

    def __str__(self) -> str:
        return _WORDS.get(self.name, self.name)


_WORDS: Final = {"boolean": "true or false", "string": "text", "null": "empty"}

ANY: Final = Kind("any")
WRONG: Final = Kind("any")
"""The same, after a finding: nothing more is said about it."""
STRING: Final = Kind("string")
NUMBER: Final = Kind("number")
BOOLEAN: Final = Kind("boolean")
SECRET: Final = Kind("secret")
NULL: Final = Kind("null", empty=True)
NAMES: Final = Kind("list", item=STRING)
TARGET: Final = Kind(
    "map",
    {
        "name": STRING,
        "host": STRING,
        "os": STRING.but(values=("linux", "windows", "macos", "")),
        "groups": NAMES,
        "vars": Kind("map"),
    },
)
MACHINES: Final = Kind("list", item=TARGET)
ACTOR: Final = Kind("map", {"name": STRING, "uid": STRING, "host": STRING})
TICKET: Final = Kind("map", item=STRING)
_BY_TYPE: Final = {
    Type.STRING: STRING,
    Type.NUMBER: NUMBER,
    Type.BOOLEAN: BOOLEAN,
    Type.LIST: Kind("list", item=ANY),
    Type.SECRET: SECRET,
    Type.ANY: ANY,
}


def of_type(type_: Type) -> Kind:
    """The kind of a declared type."""
    return _BY_TYPE[type_]


def of_input(declared: Input) -> Kind:
    """The kind of an input's value."""
    kind = of_type(declared.type)
    if declared.type in (Type.STRING, Type.NUMBER, Type.BOOLEAN):
        kind = kind.but(values=declared.choices)
    nothing = declared.has_default and declared.default is None
    return kind.but(empty=(declared.optional and not declared.has_default) or nothing)


def of_literal(value: Json) -> Kind:
    """The kind of a value that is written out."""
    match value:
        case bool():
            return Kind("boolean", values=(value,))
        case int() | float():
            return Kind("number", values=(value,))
        case str():
            return Kind("string", values=(value,))
        case None:
            return NULL
    return ANY


def either(first: Kind, second: Kind) -> Kind:
    """What is one or the other."""
    if first.name == "null" or second.name == "null":
        other = second if first.name == "null" else first
        return other.but(empty=True, absent=None)
    if {first.name, second.name} == {"string", "secret"}:
        return SECRET.but(empty=first.empty or second.empty)
    if first.name != second.name:
        return ANY
    known = first.values and second.values
    return Kind(
        first.name,
        first.fields if first.fields == second.fields else None,
        first.item if first.item == second.item else None,
        (*first.values, *second.values) if known else (),
        empty=first.empty or second.empty,
    )
