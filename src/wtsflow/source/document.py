"""A text that was read: its data, and where every part of it stands."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from wtsflow.errors import Diagnostic, Location, Severity
from wtsflow.source.scalars import source_offset

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of a document to a part of it."""

LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1, which the parser counts by."""


class Broken:
    """What stands in the data for a value that a text error has already been reported for."""

    __slots__ = ()


BROKEN: Final = Broken()


class Spot(NamedTuple):
    """Where a value stands: the parser's events that begin and end it, and its children.

    A mapping's children are ``key → (event of the key, Spot)``; a list's are a list of Spots.
    """

    start: Any
    end: Any
    children: Any = None


@dataclass(slots=True)
class Document:
    """Data with positions. ``data`` is plain dict, list, str, int, float, bool and None."""

    name: str
    text: str
    data: Any
    spot: Spot | None = None
    _lines: list[str] = field(default_factory=list, repr=False)

    @property
    def lines(self) -> list[str]:
        """The text's lines, without their ends."""
        if not self._lines:
            self._lines = LINE_END.split(self.text)
        return self._lines

    def location(self, path: Sequence[str | int] = (), *, key: bool = False) -> Location:
        """Where the value at ``path`` stands, or its key.

        A path that is not in the document gives the deepest part of it that is.
        """
        start, end = self._marks(path, key=key)
        if start is None:
            return Location(self.name, 1, 1, 1, 1)
        return Location(
            self.name,
            start.line + 1,
            start.column + 1,
            end.line + 1,
            end.column + 1,
        )

    def _marks(self, path: Sequence[str | int], *, key: bool) -> tuple[Any, Any]:
        spot, name = self.spot, None
        if spot is None:
            return None, None
        for part in path:
            children = spot.children
            if isinstance(children, Mapping) and part in children:
                name, spot = children[part]
            elif isinstance(children, list) and isinstance(part, int) and part < len(children):
                name, spot = None, children[part]
            else:
                break
        if key:
            name = name or _first(spot)
            return name.start_mark, name.end_mark
        return spot.start.start_mark, spot.end.end_mark

    def diagnostic(
        self,
        rule: str,
        message: str,
        path: Sequence[str | int] = (),
        *,
        key: bool = False,
        cure: str = "",
        severity: Severity = Severity.ERROR,
        offset: int = 0,
        length: int = 0,
    ) -> Diagnostic:
        """A finding about the value at ``path``, or about its key.

        ``offset`` and ``length`` (characters of the value, without its quotes) point into a
        text; without a length the whole value is meant.
        """
        place = self.location(path, key=key)
        if length and not key:
            place = self._inside(path, place, offset, length)
        return self.at(rule, message, place, cure=cure, severity=severity)

    def at(
        self,
        rule: str,
        message: str,
        place: Location,
        *,
        cure: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Diagnostic:
        """A finding about a place that is already known."""
        excerpt = self.lines[place.line - 1] if place.line <= len(self.lines) else ""
        return Diagnostic(rule, message, place, cure, severity, excerpt)

    def _inside(
        self, path: Sequence[str | int], whole: Location, offset: int, length: int
    ) -> Location:
        event = self._scalar(path)
        if event is None:
            return whole
        first, last = whole.line - 1, min(whole.end_line, len(self.lines))
        raw = "\n".join(self.lines[first:last])
        begin = whole.column - 1
        start = source_offset(raw, begin, event.value, event.style, offset)
        end = source_offset(raw, begin, event.value, event.style, offset + length - 1) + 1
        line, column = _line_column(raw, start)
        end_line, end_column = _line_column(raw, end)
        return Location(self.name, first + line, column, first + end_line, end_column)

    def _scalar(self, path: Sequence[str | int]) -> Any:
        spot = self.spot
        for part in path:
            if spot is None or spot.children is None:
                return None
            found = spot.children[part]
            spot = found if isinstance(found, Spot) else found[1]
        return spot.start if spot is not None and hasattr(spot.start, "value") else None


def _first(spot: Spot) -> Any:
    """The event that a thing without a key begins with: what to point at instead of all of it."""
    while spot.children:
        if isinstance(spot.children, Mapping):
            name: Any = next(iter(spot.children.values()))[0]
            return name
        spot = spot.children[0]
    return spot.start


def _line_column(raw: str, position: int) -> tuple[int, int]:
    before = raw[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
