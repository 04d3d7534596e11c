"""The live part of the screen: what runs where, for how long, its last line; how far it all is."""

from collections.abc import Mapping

from wtsflow.model.terminal import cut, visible, width
from wtsflow.subscribers.progress import Part, Progress
from wtsflow.subscribers.tally import Attempt, Tally, seconds
from wtsflow.subscribers.words import (
    Spans,
    clipped,
    clock,
    columns,
    duration,
    padded,
    said,
    waiting,
)

MOST_PARTS = 3
"""Steps that are shown at once with their progress."""
BAR = 30


def area(
    tally: Tally,
    progress: Progress,
    last: Mapping[tuple[str, str], str],
    now: float,
    size: tuple[int, int],
) -> list[Spans]:
    """Return the lines of the area, at most half of the screen.

    ``last`` is the last line of output by path and target, ``now`` seconds since the epoch,
    ``size`` the screen's columns and lines.
    """
    cells, lines = size
    below = [*_waiting(tally, now), *_steps(tally, progress, now, cells)]
    room = max(1, lines // 2 - len(below) - 1)
    running = list(tally.running.values())
    shown = running if len(running) <= room else running[: room - 1]
    rows = _rows(shown, last, now, max(12, cells // 3))
    if len(running) > len(shown):
        rows.append([(f"  … and {len(running) - len(shown)} more running", "dim")])
    if not rows and not below:
        return []
    return [[("─" * cells, "dim")], *(clipped(row, cells) for row in (*rows, *below))]


def _rows(
    shown: list[Attempt], last: Mapping[tuple[str, str], str], now: float, most: int
) -> list[Spans]:
    names = columns((one.target for one in shown), most)
    labels = columns((one.label for one in shown), 20)
    return [
        [
            ("  ", ""),
            (padded(visible(one.target), names), "cyan"),
            ("  ", ""),
            (padded(visible(one.label), labels), ""),
            (f"  {elapsed(now - seconds(one.started)):>7}  ", "dim"),
            _latest(one, last, now),
        ]
        for one in shown
    ]


def _latest(one: Attempt, last: Mapping[tuple[str, str], str], now: float) -> tuple[str, str]:
    """Its last line, or that its connection is gone."""
    if one.detached is not None:
        left = elapsed(int(one.detached.get("until_ms") or 0) / 1000 - now)
        return f"connection lost, tried for {left} more", "yellow"
    return visible(last.get((one.path, one.target), "").expandtabs(4)), ""


def _waiting(tally: Tally, now: float) -> list[Spans]:
    lines: list[Spans] = []
    for path, due in list(tally.waiting.items())[:MOST_PARTS]:
        left = elapsed(due / 1000 - now)
        text = f"  {waiting(path)}, {left} left, until {clock(due)}"
        lines.append([(text, "yellow")])
    if tally.stopping:
        lines.append([(f"  stopping: {said(tally.stopping, 'reason')}", "bold yellow")])
    return lines


def _steps(tally: Tally, progress: Progress, now: float, cells: int) -> list[Spans]:
    parts = list(progress.current())[:MOST_PARTS]
    took = elapsed(now - seconds(tally.begun)) if tally.begun else ""
    failed = f"  {progress.failed} failed" if progress.failed else ""
    ends = [*[("", "")] * (len(parts) - 1), (failed, f"  {took}")]
    return [
        _step(part, progress.steps, cells, failed=failed, took=took)
        for part, (failed, took) in zip(parts, ends, strict=False)
    ]


def _step(part: Part, steps: int, cells: int, *, failed: str, took: str) -> Spans:
    number = f"step {part.number}/{steps} " if part.number else ""
    wave = f"  wave {part.wave}/{len(part.waves)}" if len(part.waves) > 1 else ""
    counts = f" {len(part.done)}/{part.total}" if part.total else f" {len(part.done)} done"
    running = f"  {part.running} running" if part.running else ""
    fixed = sum(map(len, (number, wave, counts, running, failed, took))) + 4
    name = cut(visible(part.name), max(6, cells - fixed - 10))
    room = min(BAR, cells - fixed - width(name))
    return [
        ("  ", ""),
        (number, "dim"),
        (name, "bold"),
        (wave, "yellow"),
        ("  ", ""),
        *_bar(len(part.done), part.total, room),
        (counts, ""),
        (running, ""),
        (failed, "red"),
        (took, "dim"),
    ]


def _bar(done: int, total: int, room: int) -> Spans:
    if not total or room < 5:
        return []
    full = room * min(done, total) // total
    return [("━" * full, "green"), ("─" * (room - full), "dim")]


def elapsed(span: float) -> str:
    """A running time without tenths: it changes once a second."""
    return duration(max(0, int(span)) * 1000).replace(".0s", "s")
