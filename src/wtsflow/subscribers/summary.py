"""What the console says at the end: how many, what failed where and why, what to type next."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wtsflow.model.record import Outcome, Stop
from wtsflow.model.terminal import visible, width
from wtsflow.subscribers import checked, undone
from wtsflow.subscribers.tally import Attempt, Tally
from wtsflow.subscribers.words import (
    BAD,
    Spans,
    bold,
    color,
    duration,
    mark,
    reason,
    repeatable,
    said,
)

TAIL = 5
"""Last lines of output shown for a failure."""
CAUSES = 10
"""Causes shown; the rest are counted."""
ORDER = ("unknown", "failed", "timeout", "unreachable", "cancelled", "rejected", "skipped")


_LOOKED = {"success": "check done", "cancelled": "check cancelled"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One cause, and the targets that it befell. ``attempt`` is the first one's, if it began."""

    outcome: str
    step: str
    why: str
    targets: tuple[str, ...]
    attempt: Attempt | None


def summary(
    tally: Tally, columns: int = 80, output: str = "", *, details: bool = True
) -> list[Spans]:
    """Return the lines of the end; ``output`` is the folder where the whole output is.

    ``details``: whether to say which command shows more.
    """
    closed = tally.closed or {}
    looked = _LOOKED.get(str(closed.get("status")), "check failed")
    looked = looked if tally.opened.get("check") else ""
    lines: list[Spans] = [[], *_first(closed, tally.stopping, columns, looked)]
    found = troubles(tally)
    for trouble in found[:CAUSES]:
        lines += [[], *_shown(trouble, columns)]
    if rest := found[CAUSES:]:
        count = sum(len(trouble.targets) for trouble in rest)
        more = f"and {len(rest)} more causes on {count} targets: see the details"
        lines += [[], [(more, "bold")]]
    lines += undone.summary(tally)
    lines += [[], *_next(tally, output, details=details)]
    if tally.opened.get("check"):
        lines += checked.summary(tally, columns)
    return lines


def _first(
    closed: Mapping[str, Any], stopping: Mapping[str, Any] | None, columns: int, looked: str
) -> list[Spans]:
    status = str(closed.get("status", ""))
    took = duration(int(closed.get("duration_ms") or 0))
    outcomes = Counter(str(one["outcome"]) for one in (closed.get("targets") or {}).values())
    spans: Spans = [
        (f"{mark(status)} " if status != "partial" else "! ", color(status)),
        (looked or visible(status), bold(color(status))),
        (f" ({said(stopping, 'reason')})" if stopping else "", ""),
        (f" in {took}", ""),
    ]
    counts: Spans = [
        (f"  {outcomes[outcome]} {visible(outcome)}", color(outcome))
        for outcome in sorted(outcomes, key=_rank)
    ]
    code = closed.get("exit") or {}
    last: Spans = [(f"  exit {code.get('code')} {said(code, 'name')}", "dim")]
    whole = [*spans, *counts, *last]
    if sum(width(text) for text, _ in whole) <= columns:
        return [whole]
    return [[*spans, *last], counts]


def _rank(outcome: str) -> tuple[int, str]:
    if outcome == Outcome.SUCCESS:
        return -1, outcome
    return (ORDER.index(outcome) if outcome in ORDER else len(ORDER)), outcome


def troubles(tally: Tally) -> list[Trouble]:
    """What went wrong, gathered by cause, the gravest first."""
    groups: dict[tuple[str, str, str], list[tuple[str, Attempt | None]]] = {}
    for target, end in sorted(((tally.closed or {}).get("targets") or {}).items()):
        outcome = str(end.get("outcome", ""))
        if outcome not in BAD and outcome != Outcome.SKIPPED:
            continue
        attempt = tally.latest(str(end.get("step", "")), target)
        step = attempt.label if attempt else str(end.get("step", ""))
        why = reason(attempt) if attempt else said(end, "message")
        groups.setdefault((outcome, step, why), []).append((target, attempt))
    found = [
        Trouble(outcome, visible(step), why, tuple(name for name, _ in members), members[0][1])
        for (outcome, step, why), members in groups.items()
    ]
    return sorted(found, key=lambda one: _rank(one.outcome))


def _shown(trouble: Trouble, columns: int) -> list[Spans]:
    paint = color(trouble.outcome)
    title = f"{mark(trouble.outcome)} {visible(trouble.outcome)}  "
    first, *rest = _names(trouble.targets, max(20, columns - width(title)))
    lines: list[Spans] = [[(title, bold(paint)), (first, "bold")]]
    lines += [[(" " * width(title) + names, "bold")] for names in rest]
    where = f"at {trouble.step}: " if trouble.step else ""
    lines.append([(f"  {where}{trouble.why}".rstrip(": "), "")])
    tail = trouble.attempt.tail[-TAIL:] if trouble.attempt else ()
    if tail and len(trouble.targets) > 1:
        lines.append([(f"  last output of {visible(trouble.targets[0])}:", "dim")])
    return [*lines, *([("    | ", "dim"), (visible(line.expandtabs(4)), "")] for line in tail)]


def _names(names: tuple[str, ...], cells: int, lines: int = 5) -> list[str]:
    """Names in lines of at most ``cells``, and how many more there are."""
    rows = [""]
    for index, name in enumerate(map(visible, names)):
        left = len(names) - index
        more = f" and {left} more"
        if rows[-1] and width(f"{rows[-1]}, {name}{more}") > cells:
            if len(rows) == lines:
                rows[-1] += more
                break
            rows[-1] += ","
            rows.append("")
        rows[-1] += f", {name}" if rows[-1] else name
    return rows


def _next(tally: Tally, output: str, *, details: bool) -> list[Spans]:
    rows = [("details", f"wtsflow runs show {tally.run}")] if details else []
    if output:
        rows.append(("output", output))
    ends: Mapping[str, Any] = (tally.closed or {}).get("targets") or {}
    alive = {one.target for one in tally.attempts.values() if one.stop == Stop.UNCONFIRMED}
    again = [
        name
        for name in sorted(ends)
        if repeatable(str(ends[name].get("outcome")), "") and name not in alive
    ]
    unsure = [name for name in sorted(ends) if ends[name].get("outcome") == Outcome.UNKNOWN]
    if unsure:
        rows.append(("first", f"see what happened on {_names(tuple(unsure), 50, 1)[0]}"))
        rows.append(("then", f"wtsflow resume {tally.run}"))
    if alive:
        rows.append(
            ("alive?", f"something may still run on {_names(tuple(sorted(alive)), 44, 1)[0]}")
        )
    if again and len(again) < len(ends) and len(again) <= 10:
        rows.append(("again", f"the same command with --limit {','.join(map(visible, again))}"))
    rows += undone.following(tally)
    return [[(f"  {name:<9}", "dim"), (text, "")] for name, text in rows]
