"""Plain data, and the one value that never shows itself."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Secret | Sequence[Json] | Mapping[str, Json] | None"
"""JSON data as it is in memory; a leaf may be a :class:`Secret` until it is written."""

MASK = "********"
"""What every sink prints instead of a secret; its length says nothing about the secret's."""


class Secret:
    """A value that no sink prints. Only :meth:`reveal` gives it out, at the last moment."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the clear text."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def holds_secret(value: Json) -> bool:
    """Whether a secret is anywhere in ``value``."""
    match value:
        case Secret():
            return True
        case Mapping():
            return any(holds_secret(item) for item in value.values())
        case list() | tuple():
            return any(holds_secret(item) for item in value)
        case _:
            return False


def masked(value: Json) -> Json:
    """Return ``value`` with every :class:`Secret` in it replaced by the mask."""
    match value:
        case Secret():
            return MASK
        case str() | bool() | int() | float() | None:
            return value
        case Mapping():
            return {key: masked(item) for key, item in value.items()}
        case _:
            return [masked(item) for item in value]
