"""YAML scalars: what a plain one means, and where its characters stand in the text.

YAML 1.2's core schema, and narrower: only ``true false null``, decimal integers without leading
zeros and decimal numbers with a point are not text. ``NO``, ``12:30``, ``2026-01-01``, ``1_000``,
``0x1F``, ``1e3``, ``007`` and ``.nan`` stay what was written.
"""

import re
from typing import Final

CONSTANTS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
MAX_INTEGER: Final = 2**53
"""Beyond it JSON readers disagree about a number (RFC 8259 §6)."""

_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(\.[0-9]+(?:[eE][-+]?[0-9]+)?)?\Z")
_STARTS = frozenset("-+0123456789")
_ESCAPES: Final = {"x": 3, "u": 5, "U": 9}


class UnsafeNumberError(ValueError):
    """A number that other readers of the same text would round."""


def plain(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar. Raises UnsafeNumberError."""
    if not text or text[0] in "tTfFnN~":
        return CONSTANTS.get(text, text)
    if text[0] not in _STARTS or not (match := _NUMBER.match(text)):
        return text
    if match.group(1):
        number = float(text)
        if abs(number) >= MAX_INTEGER:
            raise UnsafeNumberError
        return number
    if len(text) > 17 or abs(whole := int(text)) >= MAX_INTEGER:
        raise UnsafeNumberError
    return whole


def source_offset(raw: str, begin: int, value: str, style: str | None, offset: int) -> int:
    """Where character ``offset`` of a scalar's ``value`` stands in ``raw``.

    ``raw`` holds the scalar's lines and ``begin`` is where it starts in them; ``style`` is the
    quote or block sign, if any. Blank space is matched run by run, because folding changes it.
    """
    position = begin
    if style in ("|", ">"):
        position = _next_line(raw, begin)
    elif style in ("'", '"'):
        position += 1
    index = 0
    while index < offset and position < len(raw):
        position, index = _step(raw, position, value, index, style)
    while position < len(raw) and _folded(raw, position, value, index):
        position += 1
    return min(position, max(len(raw) - 1, 0))


def _next_line(raw: str, begin: int) -> int:
    found = raw.find("\n", begin)
    return len(raw) if found < 0 else found + 1


def _folded(raw: str, position: int, value: str, index: int) -> bool:
    """Whether the blank at ``position`` has no part in the value (an indent, a fold)."""
    return raw[position].isspace() and (index >= len(value) or not value[index].isspace())


def _step(raw: str, position: int, value: str, index: int, style: str | None) -> tuple[int, int]:
    character = raw[position]
    if style == '"' and character == "\\" and position + 1 < len(raw):
        following = raw[position + 1]
        if following == "\n":
            return position + 2, index
        return position + 1 + _ESCAPES.get(following, 1), index + 1
    if style == "'" and character == "'":
        return position + 2, index + 1
    if character == "\n":
        while position < len(raw) and raw[position].isspace():
            position += 1
        while index < len(value) and value[index].isspace():
            index += 1
        return position, index
    if _folded(raw, position, value, index):
        return position + 1, index
    return position + 1, index + 1
