"""What becomes of the slots that are due while earlier ones have not ended: pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wtsflow.model.workflow import CatchUp, Overlap
from wtsflow.schedules.due import Due
from wtsflow.schedules.entry import Entry
from wtsflow.schedules.ledger import Claim, Decision


class Standing(StrEnum):
    """How the run of a claim stands."""

    PENDING = "pending"
    """It was not opened, and nobody is about to."""
    TAKEN = "taken"
    """It was not opened, and somebody is about to."""
    GOING = "going"
    """A process performs it, or it waits for its time."""
    CUT = "cut"
    """It was opened, and its process is gone."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Live:
    """A claim that has not ended, and how its run stands."""

    claim: Claim
    standing: Standing


WAITS = "another slot waits already"
BEGINS = "the run before is just beginning"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A claim to be written, and why a slot is not run."""

    claim: Claim
    reason: str = ""


def choose(entry: Entry, due: Due, live: Sequence[Live], name: Callable[[], str]) -> list[Chosen]:
    """The claims of what is due, oldest first. ``name`` gives the ids of new runs."""
    made_up = entry.schedule.catch_up is CatchUp.ALL and len(due.fire) > 1
    found: list[Chosen] = []
    if due.last is not None and not due.fire:
        missed = Claim(due.last, Decision.MISSED, "", open=_open(live, found))
        return [Chosen(missed, "nobody called in time")]
    for slot in due.fire:
        found.append(_one(entry, slot, live, found, name, late=made_up))
    return found


def _one(
    entry: Entry,
    slot: datetime,
    live: Sequence[Live],
    found: Sequence[Chosen],
    name: Callable[[], str],
    *,
    late: bool,
) -> Chosen:
    before = [one.claim for one in live] + [one.claim for one in found if one.claim.run]
    going = tuple(claim.run for claim in before if claim.run)
    decision, reason = Decision.RUN, ""
    if before:
        decision, reason = _overlap(entry, live, late=late)
    run = name() if decision.runs else ""
    return Chosen(Claim(slot, decision, run, going, late, _open(live, found)), reason)


def _overlap(entry: Entry, live: Sequence[Live], *, late: bool) -> tuple[Decision, str]:
    if late:
        return Decision.QUEUE, ""
    match entry.schedule.overlap:
        case Overlap.SKIP:
            return Decision.SKIP, "the last run still goes on"
        case Overlap.QUEUE:
            queued = [one for one in live if one.standing is Standing.PENDING]
            first = runnable(live)
            waiting = [one for one in queued if one is not first and not one.claim.late]
            return (Decision.SKIP, WAITS) if waiting else (Decision.QUEUE, "")
        case Overlap.REPLACE:
            begun = all(one.standing in {Standing.GOING, Standing.CUT} for one in live)
            return (Decision.REPLACE, "") if begun else (Decision.SKIP, BEGINS)


def runnable(live: Sequence[Live]) -> Live | None:
    """What to perform now: what replaces, what was cut off, or the oldest that waits alone."""
    waiting = [one for one in live if one.standing is Standing.PENDING]
    for one in waiting:
        if one.claim.decision is Decision.REPLACE:
            return one
    for one in live:
        if one.standing is Standing.CUT:
            return one
    alone = len(waiting) == len(live)
    return waiting[0] if waiting and alone else None


def _open(live: Sequence[Live], found: Sequence[Chosen]) -> tuple[datetime, ...]:
    new = (one.claim.slot for one in found if one.claim.decision.runs)
    return (*(one.claim.slot for one in live), *new)
