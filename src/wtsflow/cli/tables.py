"""Tables: as wide as they need, never wider than the screen, whole where nobody's screen is."""

from collections.abc import Iterator, Sequence

from wtsflow.cli.common import frame, out
from wtsflow.model.terminal import Style, cut, visible, width

GAP = 2
LEAST = 8
"""Cells that a column keeps, however narrow the screen is."""


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, keep: int = 0, indent: str = ""
) -> None:
    """Print columns on standard output, without those that are empty in every row.

    The first column is never empty; what is missing elsewhere is a ``-``, but nothing at the end.

    On a terminal the widest column gives way first, but never the first ``keep`` ones; what goes
    to a file or another program is never cut.
    """
    here = frame()
    style = here.style(here.stdout)
    for line in lines(heads, rows, here.room, style, keep=keep, indent=indent):
        out(line, raw=True)


def lines(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    room: int | None,
    style: Style,
    *,
    keep: int = 0,
    indent: str = "",
) -> Iterator[str]:
    """The same as lines of at most ``room`` cells; None: as wide as they need."""
    used = [i for i in range(len(heads)) if any(row[i] for row in rows) or not rows]
    last = used[-1]
    cells = [[visible(row[i]) or ("" if i == last else "-") for i in used] for row in rows]
    names = [heads[i] for i in used]
    sizes = [max(width(row[i]) for row in (names, *cells)) for i in range(len(used))]
    if room is not None:
        _narrow(sizes, max(1, room - len(indent)), sum(i < keep for i in used))
    yield style(_row(names, sizes, indent, room), "dim")
    yield from (_row(row, sizes, indent, room) for row in cells)


def needed(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Cells that :func:`table` would take if nothing were cut."""
    return max(map(width, lines(heads, rows, None, Style())))


def _narrow(sizes: list[int], room: int, keep: int) -> None:
    giving = sizes[keep:]
    over = sum(sizes) + GAP * (len(sizes) - 1) - room
    while giving and over > 0 and max(giving) > LEAST:
        giving[giving.index(max(giving))] -= 1
        over -= 1
    sizes[keep:] = giving


def _row(row: Sequence[str], sizes: Sequence[int], indent: str, room: int | None) -> str:
    short = (cut(cell, size) for cell, size in zip(row, sizes, strict=True))
    padded = (cell + " " * (size - width(cell)) for cell, size in zip(short, sizes, strict=True))
    line = indent + (" " * GAP).join(padded).rstrip()
    return line if room is None else cut(line, room).rstrip()
