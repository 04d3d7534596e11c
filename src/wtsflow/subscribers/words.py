"""What the console says, as spans of text and style: no terminal, no clock, no colour codes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from wtsflow.model.record import Outcome, Stop
from wtsflow.model.terminal import Style, cut, visible, width
from wtsflow.subscribers.tally import Attempt, Tally

Spans: TypeAlias = list[tuple[str, str]]
"""A line: pieces of visible text, each with its styles (``bold red``), none of them a newline."""

BAD = frozenset(
    {
        Outcome.FAILED,
        Outcome.TIMEOUT,
        Outcome.UNREACHABLE,
        Outcome.CANCELLED,
        Outcome.REJECTED,
        Outcome.UNKNOWN,
    }
)
REPEATABLE = frozenset({Outcome.FAILED, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.SKIPPED})
COLORS: Mapping[str, str] = {
    Outcome.SUCCESS: "green",
    Outcome.CANCELLED: "magenta",
    Outcome.UNKNOWN: "bold magenta",
    Outcome.SKIPPED: "dim",
    "partial": "yellow",
    "waiting": "yellow",
}
MARKS: Mapping[str, str] = {Outcome.SUCCESS: "✓", Outcome.SKIPPED: "-"}
ORIGINS: Mapping[str, str] = {"rerun": "rerun of", "undo": "undo of", "schedule": "schedule"}
CHECK = "check: nothing is changed"
TARGETS = ("cyan", "blue", "magenta", "green", "yellow")
"""Colours that targets take in turn."""


def color(outcome: str) -> str:
    """The style of an outcome; a script's own outcomes are answers, not failures."""
    return COLORS.get(outcome, "red" if outcome in BAD else "cyan")


def bold(names: str) -> str:
    """The styles, and bold."""
    return names if "bold" in names else f"bold {names}"


def mark(outcome: str) -> str:
    """One sign for an outcome."""
    return MARKS.get(outcome, "✗" if outcome in BAD else "•")


def painted(spans: Spans, style: Style) -> str:
    """The line as text, with colour codes where ``style`` has them."""
    return "".join(style(text, *names.split()) for text, names in spans).rstrip()


def clipped(spans: Spans, cells: int) -> Spans:
    """The line cut to ``cells`` terminal cells."""
    kept: Spans = []
    for text, names in spans:
        if cells <= 0:
            break
        piece = cut(text, cells)
        kept.append((piece, names))
        cells -= width(piece)
    return kept


def duration(milliseconds: float) -> str:
    """``0.4s``, ``12s``, ``3m 05s``, ``2h 07m``, ``3d 04h``."""
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole}s"
    if not hours:
        return f"{minutes}m {whole % 60:02}s"
    if not days:
        return f"{hours}h {minutes % 60:02}m"
    return f"{days}d {hours % 24:02}h"


def count(number: int, noun: str) -> str:
    """``1 target``, ``3 targets``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def header(tally: Tally, cells: int = 80) -> list[Spans]:
    """Which workflow, which plan, who, for which ticket, where; no line wider than ``cells``."""
    more = origin(tally.opened)
    flow: Mapping[str, Any] = tally.opened.get("workflow") or {}
    actor: Mapping[str, Any] = tally.opened.get("actor") or {}
    machines = [name for name in tally.targets if name != "local"]
    title = visible(str(flow.get("title") or ""))
    first: Spans = [
        (f"{said(flow, 'name')} {said(flow, 'version')}", "bold"),
        (f"  {title}" if title else "", ""),
    ]
    host = f"@{said(actor, 'host')}" if actor.get("host") else ""
    facts = [
        f"run {tally.run}",
        f"plan {str(tally.opened.get('plan', ''))[:12]}",
        f"by {said(actor, 'name')}{host}",
        f"ticket {said(tally.opened, 'ticket')}" if tally.opened.get("ticket") else "",
        *more,
        count(len(machines), "target") if machines else "on this machine",
    ]
    lines = [""]
    for fact in filter(None, facts):
        if lines[-1] and width(lines[-1]) + 2 + width(fact) > cells:
            lines.append("")
        lines[-1] += f"  {fact}" if lines[-1] else fact
    looks: list[Spans] = [[(CHECK, "bold cyan")]] if tally.opened.get("check") else []
    return [first, *([(line, "dim")] for line in lines), *looks]


def origin(opened: Mapping[str, Any]) -> list[str]:
    """What it was started for, and in which environment."""
    found = []
    if environment := said(opened, "environment"):
        found.append(f"environment {environment}")
    source: Mapping[str, Any] = opened.get("origin") or {}
    if kind := said(source, "kind"):
        named = said(source, "run") or said(source, "schedule")
        slot = f", slot {said(source, 'slot')}" if source.get("slot") else ""
        found.append(f"{ORIGINS.get(kind, kind)} {named}{slot}".strip())
    return found


def said(facts: Mapping[str, Any], key: str) -> str:
    """A fact, visible."""
    return visible(str(facts.get(key) or ""))


def step(attempt: Attempt) -> Spans:
    """A step begins, on whatever targets."""
    title = f"  {visible(attempt.title)}" if attempt.title else ""
    pin = said(attempt.script, "pin")
    return [(f"▸ {visible(attempt.step)}", "bold"), (title, ""), (f"  {pin}" if pin else "", "dim")]


def began(attempt: Attempt) -> Spans:
    """A step begins on a target."""
    pin = said(attempt.script, "pin")
    again = f" (attempt {attempt.number} of {attempt.attempts})" if attempt.number > 1 else ""
    return [
        (f"▸ {visible(attempt.label)}{again}", ""),
        (f"  {pin}" if pin else "", "dim"),
    ]


def ended(attempt: Attempt) -> Spans:
    """A step ended on a target: how, how long it took, and why where it is not plain."""
    again = attempt.attempts > 1 and repeatable(attempt.outcome, attempt.stop)
    tries = f", attempt {attempt.number} of {attempt.attempts}" if again else ""
    why = reason(attempt)
    return [
        (f"{mark(attempt.outcome)} {visible(attempt.label)} ", color(attempt.outcome)),
        (visible(attempt.outcome), bold(color(attempt.outcome))),
        (f" in {duration(attempt.duration_ms)}{tries}", ""),
        (f": {why}" if why else "", ""),
    ]


def repeatable(outcome: str, stop: str) -> bool:
    """Whether doing it again cannot double an effect that nobody saw."""
    return outcome in REPEATABLE and stop != Stop.UNCONFIRMED


def reason(attempt: Attempt) -> str:
    """Why an attempt ended as it did: message, exit code or signal, whether it was stopped."""
    parts = [visible(attempt.message)]
    code = attempt.exit_code
    if code and not attempt.signal and f"{code}" not in attempt.message:
        parts.append(f"exit code {code}")
    if attempt.signal and attempt.signal not in attempt.message:
        parts.append(f"signal {visible(attempt.signal)}")
    if attempt.stop:
        parts.append(stopped(attempt.stop))
    return ", ".join(part for part in parts if part)


def stopped(stop: str) -> str:
    """Whether what was to be stopped is known to have stopped."""
    if stop == Stop.CONFIRMED:
        return "stopped (confirmed)"
    return "stop unconfirmed: it may still run there"


def waits(path: str, due_ms: int) -> Spans:
    """A run waits for a time."""
    return [(f"{waiting(path)} until {clock(due_ms)}", "yellow")]


def waiting(path: str) -> str:
    """Where a run waits: at a step, or between two waves of a loop."""
    step, _, wave = path.rpartition("/wave")
    if step and wave.isdigit():
        return f"waiting before wave {wave} of {visible(step)}"
    return f"waiting at {visible(path)}"


def clock(milliseconds: int) -> str:
    """A time of day, UTC."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def columns(names: Iterable[str], most: int) -> int:
    """How wide a column of these names is, at most ``most`` cells."""
    return min(most, max((width(visible(name)) for name in names), default=0))


def names(found: Sequence[str], cells: int) -> str:
    """As many names as there is room for, and how many more there are."""
    text = visible(found[0])
    for index, name in enumerate(map(visible, found[1:]), 1):
        left = len(found) - index
        more = f" and {left} more"
        if width(f"{text}, {name}") + (width(more) if left > 1 else 0) > cells:
            return text + more
        text += f", {name}"
    return text


def padded(text: str, cells: int) -> str:
    """``text`` as wide as a column: cut or filled up."""
    short = cut(text, cells)
    return short + " " * (cells - width(short))
