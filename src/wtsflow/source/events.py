"""YAML events to plain data, in one pass that is not recursive and keeps every position.

The parser's own ``load`` and ``compose`` are not used: with the C extension they end the process
on deep nesting, and they expand aliases, let the last duplicate key win and read ``NO`` as false.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from wtsflow.errors import Diagnostic, Location
from wtsflow.source.document import BROKEN, Document, Spot
from wtsflow.source.scalars import UnsafeNumberError, plain

MAX_DEPTH: Final = 60
MAX_NODES: Final = 50_000
MAX_FINDINGS: Final = 100


_SURROGATE = re.compile("[\ud800-\udfff]")
_COMMENT = re.compile(r"\s*:?\s*(?<!\S)(#\S.*)")


class Stop(Exception):
    """The rest of the text is not worth reading."""


def parser(text: str, *, pure: bool = False) -> Callable[[], Any]:
    """A function that gives the text's next event, by the C extension where there is one."""
    if not pure:
        try:
            from _ruamel_yaml import CParser  # type: ignore[import-not-found,unused-ignore]
        except ImportError:  # pragma: no cover - where no C extension was built
            pass
        else:
            source: Callable[[], Any] = CParser(text).get_event
            return source
    from ruamel.yaml import YAML

    events = iter(YAML(typ="safe", pure=True).parse(text))
    return lambda: next(events, None)


@dataclass(slots=True)
class Reader:
    """Builds ``document.data`` from events; ``findings`` is what was wrong on the way."""

    document: Document
    findings: list[Diagnostic] = field(default_factory=list)
    nodes: int = 0

    def read(self, next_event: Callable[[], Any]) -> None:
        """Read the whole text. Raises what the parser raises, and Stop at a limit."""
        document = self.document
        next_event()  # the stream's start
        event = next_event()
        if type(event).__name__ != "DocumentStartEvent":
            return
        document.spot, document.data = self._tree(next_event)
        next_event()  # the document's end
        more = next_event()
        if type(more).__name__ == "DocumentStartEvent":
            self.report(
                "wts012",
                "a second document begins here",
                more.start_mark,
                cure="one file holds one document: remove '---', or make two files",
            )

    def report(
        self, rule: str, message: str, mark: Any, *, cure: str = "", end: Any = None
    ) -> None:
        """Note a finding at the parser's ``mark``; raises Stop when there are too many."""
        end = end or mark
        place = Location(
            self.document.name, mark.line + 1, mark.column + 1, end.line + 1, end.column + 1
        )
        self.findings.append(self.document.at(rule, message, place, cure=cure))
        if len(self.findings) >= MAX_FINDINGS:
            raise Stop

    def _tree(self, next_event: Callable[[], Any]) -> tuple[Spot, Any]:
        stack: list[_Container] = []
        while True:
            event = next_event()
            kind = type(event).__name__
            if kind == "ScalarEvent":
                spot, value = Spot(event, event), self._scalar(event, stack)
            elif kind == "MappingStartEvent":
                self._enter(event, stack)
                stack.append(_Container(event, {}, {}))
                continue
            elif kind == "SequenceStartEvent":
                self._enter(event, stack)
                stack.append(_Container(event, [], []))
                continue
            elif kind == "AliasEvent":
                self._alias(event)
                spot, value = Spot(event, event), BROKEN
            else:
                done = stack.pop()
                spot, value = Spot(done.event, event, done.spots), done.data
            if not stack:
                return spot, value
            self._put(stack[-1], spot, value)

    def _enter(self, event: Any, stack: "list[_Container]") -> None:
        self._count(event)
        if len(stack) >= MAX_DEPTH:
            self.report(
                "wts003",
                f"this is nested deeper than {MAX_DEPTH} levels",
                event.start_mark,
                end=event.end_mark,
            )
            raise Stop
        if event.anchor is not None or event.tag is not None:
            self._properties(event)

    def _count(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.report("wts003", f"there are more than {MAX_NODES} values", event.start_mark)
            raise Stop

    def _alias(self, event: Any) -> None:
        self.report(
            "wts010",
            "'*' at the start repeats another part of the file, which is not used here",
            event.start_mark,
            end=event.end_mark,
            cure="write the part out, or put the text in quotes",
        )

    def _properties(self, event: Any) -> bool:
        """Report an anchor or a tag; returns whether there was one."""
        if event.anchor is not None:
            self.report(
                "wts010",
                "'&' at the start names a part of the file, which is not used here",
                event.start_mark,
                cure="remove the name, or put the text in quotes",
            )
        elif event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self.report(
                "wts011",
                f"'{tag}' is a YAML tag, which is not used here",
                event.start_mark,
                cure="write 'not' for a condition, or put quotes around a text that begins "
                "with '!'",
            )
        return event.anchor is not None or event.tag is not None

    def _scalar(self, event: Any, stack: "list[_Container]") -> Any:
        self._count(event)
        if (event.ctag is not None or event.anchor is not None) and self._properties(event):
            return BROKEN
        text = event.value
        if event.style:
            return self._paired(event) if event.style == '"' else text
        if not text and self._comment(event, stack):
            return BROKEN
        if stack and stack[-1].wants_key:
            return text
        try:
            return plain(text)
        except UnsafeNumberError:
            self.report(
                "wts018",
                f"{text[:40]} is too big: programs disagree about numbers of 2^53 and more",
                event.start_mark,
                end=event.end_mark,
                cure="put it in quotes if it is an identifier",
            )
            return BROKEN

    def _paired(self, event: Any) -> Any:
        """JSON writes characters above U+FFFF as two escapes; half of a pair is no character."""
        text = event.value
        if not _SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.report(
                "wts016",
                "a '\\u' sequence is half of a pair",
                event.start_mark,
                end=event.end_mark,
            )
            return BROKEN

    def _comment(self, event: Any, stack: "list[_Container]") -> bool:
        """``channel: #ops`` is empty in YAML, and nobody means it so."""
        key = stack[-1].key_event if stack and not stack[-1].wants_key else None
        mark = key.end_mark if key is not None else event.end_mark
        line = self.document.lines[mark.line] if mark.line < len(self.document.lines) else ""
        match = _COMMENT.fullmatch(line, mark.column)
        if match is None:
            return False
        start = _Mark(mark.line, match.start(1))
        end = _Mark(mark.line, match.end(1))
        self.report(
            "wts008",
            "everything after '#' is a comment, so there is no value here",
            start,
            end=end,
            cure=f'put quotes around it: "{match.group(1)}"',
        )
        return True

    def _put(self, parent: "_Container", spot: Spot, value: Any) -> None:
        if isinstance(parent.data, list):
            parent.data.append(value)
            parent.spots.append(spot)
        elif parent.wants_key:
            parent.key, parent.key_event, parent.wants_key = value, spot.start, False
        else:
            parent.wants_key = True
            self._entry(parent, spot, value)

    def _entry(self, parent: "_Container", spot: Spot, value: Any) -> None:
        key, event = parent.key, parent.key_event
        if not isinstance(key, str) or not key:
            if key is not BROKEN:
                self._bad_key(event)
        elif key in parent.data:
            first = parent.spots[key][0].start_mark.line + 1
            self.report(
                "wts009",
                f"'{key}' is here twice (first in line {first})",
                event.start_mark,
                end=event.end_mark,
                cure="keep one of the two",
            )
        else:
            parent.data[key] = value
            parent.spots[key] = (event, spot)

    def _bad_key(self, event: Any) -> None:
        mark = event.start_mark
        before = self.document.lines[mark.line][: mark.column]
        if before.endswith("{"):
            place = _Mark(mark.line, mark.column - 1 - before.endswith("${"))
            self.report("wts304", "'{{ }}' is not used here", place, cure="write $(...)")
        else:
            self.report("wts017", "a key must be a text", mark, end=event.end_mark)


@dataclass(slots=True)
class _Mark:
    line: int
    column: int


@dataclass(slots=True)
class _Container:
    event: Any
    data: Any
    spots: Any
    wants_key: bool = field(init=False)
    key: Any = None
    key_event: Any = None

    def __post_init__(self) -> None:
        self.wants_key = isinstance(self.data, dict)
