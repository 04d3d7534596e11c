"""Taking back what was done: ``on_failure: undo``, and a run that undoes another one.

Rule 1: it goes backwards: a step is taken back when all that began after its end has been.
Rule 2: a run that fails takes back what was done on the targets that left their line, and the
items that failed; one that halted as a whole takes back everything.
Rule 3: what is not known to have happened is left, and so is what came before it on its target.
Rule 4: when one cannot be taken back, the others go on; where that is unknown, its target's stop.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from wtsflow.engine.decide_loop import Walk
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.state import Attempt
from wtsflow.engine.status import BAD, ENDED, PENDING, Failure, Status, skipped
from wtsflow.model.expression import ExpressionError, condition
from wtsflow.model.record import Outcome, Stop
from wtsflow.model.values import Json
from wtsflow.model.workflow import Ending, Step

AGAIN = "whether it was taken back already is not known"
UNKNOWN = "whether it took effect is not known"
BEFORE = "it was done before '{}', of which it is not known whether that took effect"
STUCK = "whether '{}' took effect is not known"


class Doubt(StrEnum):
    """What to do about a step of which it is not known whether it took effect."""

    LEAVE = "leave"
    """Leave it, and what was done before it on its target."""
    SKIP = "skip"
    """Leave it, and take back what was done before it."""
    UNDO = "undo"
    """Take it back as if it had been done."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a step with ``undo:`` did on one target."""

    path: str
    target: str
    step: Step
    frame: Frame
    attempt: Attempt

    @property
    def name(self) -> str:
        """The name of what takes it back, as in its records' keys."""
        return f"{self.path}/undo@{self.target}"

    @property
    def unclear(self) -> bool:
        """Whether nobody knows if it took effect, or if it still goes on."""
        attempt = self.attempt
        return (
            attempt.running
            or attempt.outcome == Outcome.UNKNOWN
            or attempt.stop == Stop.UNCONFIRMED
        )

    def wanted(self, names: Names) -> bool:
        """Whether it is to be taken back after how it ended. Raises ExpressionError."""
        undo = self.step.undo
        if undo is None or self.attempt.outcome == Outcome.UNREACHABLE:
            return False
        if undo.when is None:
            return self.attempt.outcome == Outcome.SUCCESS
        return condition(undo.when, names.scope(self.place, self.target))

    @property
    def place(self) -> Frame:
        """Where it is taken back: what the step saw, and what came of it."""
        came: dict[str, Json] = {
            "outputs": dict(self.attempt.outputs),
            "outcome": self.attempt.outcome,
        }
        names = {**self.frame.names, **came}
        return self.frame.but(names=names, lost=frozenset(), deadline=float("inf"))


@dataclass(slots=True)
class Undoing:
    """What a run takes back. ``left`` says of what it does not, why."""

    pending: list[Deed]
    """What is still to be taken back, in its order."""
    left: dict[str, str] = field(default_factory=dict)
    over: list[Deed] = field(default_factory=list)
    """What was tried to be taken back."""

    def failed(self, names: Names) -> dict[str, Failure]:
        """By name, why something could not be taken back, as far as is known by now."""
        found = {}
        for deed in self.over:
            path = f"{deed.path}/undo"
            attempt = names.state.attempts.get(path, {}).get(deed.target)
            if attempt is not None and attempt.outcome in BAD:
                found[deed.name] = Failure(attempt.outcome, path, attempt.message)
        return found

    def by_target(self, names: Names) -> dict[str, Failure]:
        """The same by target: what is unknown says more than what failed."""
        found: dict[str, Failure] = {}
        for name, failure in self.failed(names).items():
            target = name.rpartition("@")[2]
            if target not in found or failure.outcome == Outcome.UNKNOWN:
                found[target] = failure
        return found

    def said(self, names: Names) -> dict[str, Json]:
        """For the record of the run's end: how many were taken back, and which were not."""
        bad = self.failed(names)
        left = [*self.left, *(deed.name for deed in self.pending)]
        if not (self.over or left):
            return {}
        found: dict[str, Json] = {"done": len(self.over) - len(bad)}
        found |= {"failed": sorted(bad)} if bad else {}
        return found | ({"left": sorted(left)} if left else {})


def deeds(names: Names) -> list[Deed]:
    """All that began of steps with ``undo:``, the last that ended first."""
    found = [
        Deed(path, target, step, frame, attempt)
        for (path, target), (step, frame) in names.ran.items()
        if (attempt := names.state.attempts.get(path, {}).get(target)) and attempt.begun
    ]
    return sorted(found, key=lambda deed: deed.attempt.last, reverse=True)


def chosen(
    names: Names,
    among: Iterable[Deed],
    *,
    doubt: Doubt = Doubt.LEAVE,
    tried: Collection[str] = (),
) -> Undoing:
    """What of it is to be taken back, by rule 3 and the steps' own ``when``.

    ``tried`` names what somebody tried to take back without knowing what came of it.
    """
    work = Undoing([])
    barred: dict[str, str] = {}
    for deed in among:
        reason = AGAIN if deed.name in tried else UNKNOWN if deed.unclear else ""
        if reason and doubt is Doubt.UNDO:
            work.pending.append(deed)
            continue
        if deed.target in barred:
            reason = BEFORE.format(barred[deed.target])
        elif reason and doubt is Doubt.LEAVE:
            barred[deed.target] = deed.path
        try:
            if not (deed.unclear or deed.wanted(names)):
                continue
        except ExpressionError as error:
            reason = f"when: {error.message}"
        if reason:
            work.left[deed.name] = reason
        else:
            work.pending.append(deed)
    return work


# --- which, when a run fails ------------------------------------------------------------------


def of_failed(names: Names, main: Status) -> Undoing:
    """What a run takes back that ended so, by rule 2."""
    wanted = names.plan.workflow.on_failure is Ending.UNDO and not names.plan.check
    if not wanted or not (main.failed or main.halts):
        return Undoing([])
    every = deeds(names)
    if main.halts:
        return chosen(names, every)
    items = tuple(
        prefix
        for target, failure in main.failed.items()
        if target not in main.left and (prefix := _item(failure.path))
    )
    return chosen(
        names,
        (
            deed
            for deed in every
            if main.left & _lines(names, deed) or _item(deed.path).startswith(items or ("\0",))
        ),
    )


def _item(path: str) -> str:
    """The outermost item that a path is for, ``users[bob]``; empty where there is none."""
    head, sign, _ = path.partition("]")
    return f"{head}{sign}" if sign else ""


def _lines(names: Names, deed: Deed) -> set[str]:
    """The targets in whose lines something was done: its own, and those it was done for."""
    found = {deed.target}
    for path, key in deed.frame.keys.items():
        loop = names.state.loops.get(deed.frame.outer(path))
        found.add(loop.machines.get(key, "") if loop else key)
    return found


def of_plan(before: Names, tasks: Iterable[str]) -> Undoing:
    """What a plan says is to be taken back of the run of ``before``."""
    known = {deed.name: deed for deed in deeds(before)}
    return Undoing([known[name] for name in tasks])


# --- doing it ---------------------------------------------------------------------------------


def take_back(walk: Walk, main: Status, *, fresh: bool) -> Status:
    """How taking back stands, after the steps have ended with ``main``.

    ``fresh`` False: begin nothing that has not begun. A run that was told to end before it came
    to this takes nothing back.
    """
    names = walk.names
    if names.undoing is None:
        if not fresh:
            return ENDED
        before = names.before
        names.undoing = of_plan(before, names.plan.undone) if before else of_failed(names, main)
    work = names.undoing
    for name, reason in work.left.items():
        walk.decision.leave(name, reason)
    while work.pending and _go_on(walk, work, fresh=fresh):
        pass
    if any(fresh or _begun(walk, deed) for deed in work.pending):
        return PENDING
    return judged(names)


def judged(names: Names) -> Status:
    """How taking back ended, by what is known now."""
    work = names.undoing
    return replace(ENDED, failed=work.by_target(names)) if work else ENDED


def _go_on(walk: Walk, work: Undoing, *, fresh: bool) -> bool:
    """Look at what may be taken back now. Whether something came to its end."""
    latest = max(deed.attempt.first for deed in work.pending)
    ended: set[str] = set()
    for deed in work.pending:
        if deed.attempt.last < latest:
            break
        status = _one(walk, deed, fresh=fresh)
        if status.done and status.begun:
            ended.add(deed.name)
            if status.outcome == Outcome.SKIPPED:
                work.left[deed.name] = "not confirmed"
            else:
                work.over.append(deed)
    if ended:
        work.pending = [deed for deed in work.pending if deed.name not in ended]
        _leave_stuck(walk, work)
    return bool(ended)


def _leave_stuck(walk: Walk, work: Undoing) -> None:
    """Rule 4: nothing more on a target where it is not known what the last one did."""
    stuck = {
        target: failure.path
        for target, failure in work.by_target(walk.names).items()
        if failure.outcome == Outcome.UNKNOWN
    }
    if not stuck:
        return
    for deed in work.pending:
        if deed.target in stuck and not _begun(walk, deed):
            work.left[deed.name] = STUCK.format(stuck[deed.target])
            walk.decision.leave(deed.name, work.left[deed.name])
    work.pending = [deed for deed in work.pending if deed.name not in work.left]


def _begun(walk: Walk, deed: Deed) -> bool:
    return deed.target in walk.state.attempts.get(f"{deed.path}/undo", ())


def _one(walk: Walk, deed: Deed, *, fresh: bool) -> Status:
    path = f"{deed.path}/undo"
    if path in walk.state.skipped:  # by somebody who was asked about the step
        return skipped()
    if not _begun(walk, deed) and fresh and walk.decision.free <= 0:
        return PENDING
    assert deed.step.undo is not None  # noqa: S101 - else it were no deed
    step = replace(deed.step.undo, when=None)
    return walk.member(step, deed.place, path, deed.target, fresh=fresh)
