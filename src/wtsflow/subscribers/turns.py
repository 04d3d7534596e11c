"""What the console says of a run that is cut, cancelled, left, parked, gone on with or settled."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from wtsflow.model.terminal import visible
from wtsflow.subscribers.progress import Progress
from wtsflow.subscribers.tally import Attempt, Tally
from wtsflow.subscribers.words import Spans, clock, count, said, waiting

FINISH, STOP, DETACH = 1, 2, 3
"""Levels of an interrupt: begin nothing, end what runs, leave it running."""


def resume(run: str) -> str:
    """The command that goes on with a run."""
    return f"wtsflow resume {run}"


def detached(attempt: Attempt) -> Spans:
    """The connection went while it ran; it is tried again."""
    facts = attempt.detached or {}
    why = said(facts, "reason") or "the connection went"
    until = int(facts.get("until_ms") or 0)
    return [
        (f"~ {visible(attempt.label)} ", "yellow"),
        ("connection lost", "bold yellow"),
        (f": {why}; trying again until {_time(until)}", ""),
    ]


def attached(attempt: Attempt) -> Spans:
    """It is followed again, from where its output stopped."""
    return [(f"~ {visible(attempt.label)} ", "green"), ("picked up again", "bold green")]


def again(attempt: Attempt) -> Spans:
    """It is done again under another number, after a resume."""
    facts = attempt.again or {}
    why, by = said(facts, "why"), said(facts, "by")
    what = "had not begun" if attempt.never else "is done again"
    return [
        (f"~ {visible(attempt.label)} ", "yellow"),
        (f"attempt {attempt.number} {what}", "bold yellow"),
        (f": {why}" if why else "", ""),
        (f" (by {by})" if by else "", "dim"),
    ]


def cancel(facts: Mapping[str, Any]) -> Spans:
    """Somebody asked from elsewhere that the run ends."""
    by, why = said(facts, "by") or "somebody", said(facts, "reason")
    return [("cancelled", "bold yellow"), (f" by {by}{f': {why}' if why else ''}", "yellow")]


def level(facts: Mapping[str, Any]) -> int:
    """Of a ``stopping`` record; older ones say ``hard`` instead."""
    return int(facts.get("level") or (DETACH if facts.get("hard") else STOP))


def stopping(tally: Tally, *, own: bool = True) -> Spans:
    """The run was asked to end. ``own``: this terminal performs it, so Ctrl-C means more."""
    facts = tally.stopping or {}
    why = said(facts, "reason") or "asked to"
    once_more = own and why.startswith("Ctrl-")
    machines = len({one.target for one in tally.running.values()})
    where = f" on {count(machines, 'target')}" if machines else ""
    head, doing, further = {
        FINISH: ("stopping", "finishing what runs", "stops it"),
        STOP: ("stopping", f"ending what runs{where}", "leaves it running"),
        DETACH: ("leaving", f"what runs{where} is left running", ""),
    }.get(level(facts), ("stopping", "", ""))
    hint = f"; {why} again {further}" if once_more and further else ""
    return [(f"{head} ({why}): ", "bold yellow"), (f"{doing}{hint}", "yellow")]


def parked(tally: Tally) -> list[Spans]:
    """It waits, and no process does so for it."""
    facts = tally.parked or {}
    paths = [str(path) for path in facts.get("paths") or tally.waiting]
    due = int(facts.get("until_ms") or 0)
    until = f" until {clock(due)}" if due else ""
    more = f" (and at {count(len(paths) - 1, 'more place')})" if len(paths) > 1 else ""
    place = f", {waiting(paths[0])}{more}" if paths else ""
    return [
        [(f"parked{until}", "bold yellow"), (f"{place}: this process ends, the run goes on", "")],
        [("  wtsflow resume --due", "bold"), ("  continues what is due: call it from cron", "dim")],
        [(f"  {resume(tally.run)}", "bold"), ("  continues it by hand", "dim")],
    ]


def left(tally: Tally) -> list[Spans]:
    """The process leaves; the run stays open."""
    why = said(tally.left or {}, "reason")
    running = [visible(one.target) for one in tally.running.values()]
    where = f", still running on {', '.join(sorted(set(running))[:5])}" if running else ""
    more = len(set(running)) - 5
    where += f" and {more} more" if more > 0 else ""
    return [
        [("left", "bold yellow"), (f" ({why})" if why else "", ""), (where, "yellow")],
        [(f"  {resume(tally.run)}", "bold"), ("  picks it up again", "dim")],
    ]


ATTEMPT: Mapping[str, Callable[[Attempt], Spans]] = {
    "detached": detached,
    "attached": attached,
    "again": again,
}
"""By the type of the record."""


def resumed(tally: Tally, progress: Progress) -> Spans:
    """It is gone on with: by whom, how often before, and what is behind it."""
    facts = tally.resumed[-1]
    actor: Mapping[str, Any] = facts.get("actor") or {}
    host = said(actor, "host") or said(facts, "host")
    by = f" by {said(actor, 'name')}{f'@{host}' if host else ''}" if actor.get("name") else ""
    times = f" (time {len(tally.resumed)})" if len(tally.resumed) > 1 else ""
    running = len(tally.running)
    known = [f"begun {tally.begun[:16].replace('T', ' ')} UTC"] if tally.begun else []
    known += [behind(tally, progress)]
    known += [f"{running} to pick up"] if running else []
    return [(f"resumed{by}{times}", "bold"), (": " + ", ".join(filter(None, known)), "")]


def behind(tally: Tally, progress: Progress) -> str:
    """How much was done before: steps on targets (or items of a loop)."""
    if progress.steps:
        parts = progress.parts.values()
        done = sum(len(part.done - part.failed) for part in parts)
        total = sum(max(part.total, len(part.begun)) for part in parts)
        return f"{done} of {total} done earlier"
    done = sum(one.outcome == "success" for one in tally.standing)
    return f"{done} done earlier" if tally.begun else ""


def settled(tally: Tally) -> Spans:
    """How an attempt ended came to be known after the run's end."""
    status = said(tally.closed or {}, "status")
    return [("settled: ", "bold"), (f"what was unknown is known; the run is now {status}", "")]


def _time(milliseconds: int) -> str:
    if not milliseconds:
        return "its time is over"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%H:%M:%S} UTC"
