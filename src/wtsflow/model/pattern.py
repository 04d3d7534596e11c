"""Host patterns: ``web*:&prod:!db1``, ``web[01:20]``, ``all``.

Terms are joined by ``:`` or ``,``. Plain terms add machines, ``&`` keeps those that match too,
``!`` takes away; the order of writing does not matter. A term names a host or a group, both may
hold ``*``, ``?``, ``[abc]`` and ranges.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from wtsflow.model.text import did_you_mean, shown

MAX_RANGE = 65_536
"""How many names one text may stand for."""

ALL = frozenset({"all", "*"})
_RANGE = re.compile(r"\[([0-9]+|[a-z]|[A-Z]):([0-9]+|[a-z]|[A-Z])(?::([0-9]+))?\]")
_BETWEEN = re.compile(r"[:,](?![^\[]*\])")
_GLOB = re.compile(r"[*?\[]")
_SIGNS = re.compile(r"[*?\[\]:,&!]")


class PatternError(ValueError):
    """A pattern cannot be read, or names what is not there. ``cure`` may be empty."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a pattern: ``sign`` is empty, ``&`` or ``!``."""

    sign: str
    text: str


def is_plain(text: str) -> bool:
    """Whether a text can only be one name, never a pattern."""
    return text not in ALL and not _SIGNS.search(text)


def expand(text: str) -> Iterator[str]:
    """Every name that a text with ranges stands for: ``web[01:03]`` gives web01 web02 web03.

    Both ends are part of the range; leading zeros are kept; ``[a:f]`` counts letters; a third
    number is the step. Raises PatternError for a range that is empty or too large.
    """
    if _size(text) > MAX_RANGE:
        raise PatternError(f"'{shown(text)}' stands for more than {MAX_RANGE} names")
    yield from _expand(text)


def _expand(text: str) -> Iterator[str]:
    found = _RANGE.search(text)
    if not found:
        yield text
        return
    for name in _numbers(found):
        for rest in _expand(text[found.end() :]):
            yield f"{text[: found.start()]}{name}{rest}"


def _size(text: str) -> int:
    size = 1
    for found in _RANGE.finditer(text):
        first, last, _step = _ends(found)
        size *= max(1, last - first + 1)
    return size


def _ends(found: re.Match[str]) -> tuple[int, int, int]:
    first, last, step = found.groups()
    if first.isdigit() != last.isdigit():
        raise PatternError(f"'{found.group()}' mixes numbers and letters")
    low, high = (int(first), int(last)) if first.isdigit() else (ord(first), ord(last))
    if high < low or (step is not None and int(step) == 0):
        raise PatternError(f"'{found.group()}' is an empty range")
    return low, high, int(step or 1)


def _numbers(found: re.Match[str]) -> Iterator[str]:
    low, high, step = _ends(found)
    first = found.group(1)
    width = len(first) if first.isdigit() and first.startswith("0") else 0
    for number in range(low, high + 1, step):
        yield f"{number:0{width}d}" if first.isdigit() else chr(number)


def parse(pattern: str) -> tuple[Term, ...]:
    """The terms of a pattern. Raises PatternError for an empty one and for a regular expression."""
    terms = []
    for part in _BETWEEN.split(pattern):
        text = part.strip()
        sign = text[0] if text[:1] in ("&", "!") else ""
        text = text[len(sign) :].strip()
        if not text:
            raise PatternError(f"'{shown(pattern)}' has an empty part", "write names joined by ','")
        if text.startswith("~"):
            raise PatternError(f"'{shown(text)}' is a regular expression", "use '*' and '?'")
        terms.append(Term(sign, text))
    return tuple(terms)


def choose(
    pattern: str, machines: Mapping[str, Collection[str]], groups: Collection[str] = ()
) -> frozenset[str]:
    """The names that a pattern selects.

    ``machines`` maps each name to the groups it is in; ``groups`` are groups that may be empty.
    Raises PatternError when a name is unknown or nothing is left.
    """
    known = frozenset(groups).union(*machines.values())
    terms = parse(pattern)
    found = [(term.sign, _matching(term.text, machines, known)) for term in terms]
    added = [names for sign, names in found if not sign]
    chosen = frozenset[str]().union(*added) if added else frozenset(machines)
    for sign, names in found:
        if sign == "&":
            chosen &= names
        elif sign == "!":
            chosen -= names
    if not chosen:
        raise PatternError(f"no target matches '{shown(pattern)}'")
    return chosen


def _matching(
    text: str, machines: Mapping[str, Collection[str]], groups: Collection[str]
) -> frozenset[str]:
    if text in ALL:
        return frozenset(machines)
    names: set[str] = set()
    for item in expand(text):
        found = _one(item, machines, groups)
        if found is None:
            cure = did_you_mean(item, (*machines, *groups))
            raise PatternError(f"there is no host or group '{shown(item)}'", cure)
        names |= found
    return frozenset(names)


def _one(
    text: str, machines: Mapping[str, Collection[str]], groups: Collection[str]
) -> set[str] | None:
    """None: an exact name that is not there."""
    if _GLOB.search(text):
        return {
            name
            for name, member_of in machines.items()
            if fnmatchcase(name, text) or any(fnmatchcase(group, text) for group in member_of)
        }
    if text not in groups:
        return {text} if text in machines else None
    return {name for name, member_of in machines.items() if name == text or text in member_of}
