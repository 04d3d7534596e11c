"""Two plans of one manifest side by side, for the terminal.

::

    slow 1.0.0  from qa to prod
               qa       prod
    inputs
      secs     1        2
    the same: scripts, settings
"""

from collections.abc import Iterator, Mapping, Sequence

from wtsflow.model.plan import Plan
from wtsflow.model.terminal import Style, cut, visible, width
from wtsflow.model.text import listed
from wtsflow.model.values import Json
from wtsflow.planning import Difference

NAMES = 40
"""Cells of the column of names, at most."""
GAP = 2


def comparison(
    first: Plan,
    second: Plan,
    found: Sequence[Difference],
    kinds: Sequence[str],
    *,
    style: Style,
    room: int | None,
) -> list[str]:
    """Lines that show what differs, by section, and name the sections that do not."""
    flow = second.workflow
    title = style(visible(f"{flow.name} {flow.version}"), "bold")
    lines = [f"{title}  from {visible(first.environment)} to {visible(second.environment)}"]
    rows = [(one.kind, one.name, *_pair(one)) for one in found]
    if rows:
        lines += ["", *_table(rows, (first.environment, second.environment), style, room)]
    alike = [kind for kind in kinds if kind not in {one.kind for one in found}]
    if alike:
        text = f"the same: {', '.join(alike)}"
        lines += ["", style(text if room is None else cut(text, room), "dim")]
    return lines


def _table(
    rows: Sequence[tuple[str, str, str, str]],
    heads: tuple[str, str],
    style: Style,
    room: int | None,
) -> Iterator[str]:
    names = min(NAMES, max(width(visible(row[1])) for row in rows))
    left = max(width(visible(heads[0])), *(width(visible(row[2])) for row in rows))
    if room is not None:
        left = min(left, max(8, (room - names - 2 - 2 * GAP) // 2))
    yield style(_line("", visible(heads[0]), visible(heads[1]), names, left, room), "dim")
    before = ""
    for kind, name, was, now in rows:
        if kind != before:
            yield style(kind, "bold")
        before = kind
        yield _line(visible(name), visible(was), visible(now), names, left, room)


def _line(name: str, was: str, now: str, names: int, left: int, room: int | None) -> str:
    name, was = cut(name, names), cut(was, left)
    text = f"  {name}{' ' * (names - width(name) + GAP)}{was}{' ' * (left - width(was) + GAP)}{now}"
    return (text if room is None else cut(text, room)).rstrip()


def _pair(one: Difference) -> tuple[str, str]:
    """What stands in both columns; of two lists, also what goes and what comes."""
    if isinstance(one.first, list) and isinstance(one.second, list):
        return _many(one.first, one.second, "-"), _many(one.second, one.first, "+")
    return _written(one.first), _written(one.second)


def _many(these: Sequence[Json], others: Sequence[Json], sign: str) -> str:
    own = [str(one) for one in these if one not in others]
    count = f"{len(these)}: " if len(these) > 1 else ""
    if not own or len(own) == len(these):
        return f"{count}{listed(map(str, these))}" if these else "none"
    return f"{count}{len(these) - len(own)} in both, {sign} {listed(own)}"


def _written(value: Json) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return listed(map(str, value)) or "none"
    if isinstance(value, Mapping) and value.keys() == {"$float"}:
        return str(value["$float"])
    return str(value)
