"""Undoing a run that is over: a plan that takes back what its records say that it did.

Rule 1: what is undone is decided when planning, shown, and in the plan; nothing is added later.
Rule 2: nothing is taken back twice: the run that is undone knows who tried, and holds others off.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow import reopening
from wtsflow.engine.replay import replay
from wtsflow.engine.scope import Names
from wtsflow.engine.state import Attempt, State
from wtsflow.engine.undo import Deed, Doubt, chosen, deeds
from wtsflow.errors import (
    BusyError,
    PlanError,
    PlanMismatch,
    UsageError,
)
from wtsflow.model.expression import ExpressionError, fill
from wtsflow.model.pattern import PatternError, choose
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.record import Event, Outcome
from wtsflow.model.values import Json

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.runs import Prepared


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be undone: of which targets (a host pattern), and how doubt is met."""

    limit: str = ""
    doubt: Doubt = Doubt.LEAVE
    inventories: Sequence[Path] = ()
    as_planned: bool = False
    """Even where lock or targets changed since."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done: ``left`` says of what is not taken back, why."""

    deeds: Sequence[Deed]
    left: Mapping[str, str]
    gone: Mapping[str, str] = field(default_factory=dict)
    """What was taken back already, and by which run."""


def prepare(
    app: "App", run: str, answer: Callable[[Plan], Mapping[str, Json]], asked: Asked
) -> tuple["Prepared", Preview]:
    """The plan that undoes a run, and what it would do.

    ``answer`` gives the run's inputs, with its secrets. Raises UsageError for a run that is not
    over or of which nothing is left to take back, BusyError while it is being undone, PlanError
    where a value that is needed was not kept, PlanMismatch where the present differs.
    """
    old, _actor = reopening.frozen(app, run)
    _refuse_unfit(app, run, old)
    app.enter(old.environment)
    given = answer(old)
    prepared = _held_against_present(app, old, given, asked)
    names = _recalled(app, old, prepared.values, run, app.actor)
    seen = _look(app, run, names, asked)
    if not seen.deeds:
        raise UsageError(f"nothing of run {run} is to be taken back", cure=_why(seen, run))
    _refuse_gaps(names, seen.deeds)
    plan = replace(old, undoes=run, undone=tuple(deed.name for deed in seen.deeds))
    return replace(prepared, plan=plan, origin={"kind": "undo", "run": run}), seen


def _refuse_unfit(app: "App", run: str, plan: Plan) -> None:
    if plan.undoes:
        raise UsageError(
            f"run {run} itself undid run {plan.undoes}",
            cure="run the manifest again to have what was taken back",
        )
    if plan.check:
        raise UsageError(f"run {run} only checked: it changed nothing", cure="wtsflow runs list")
    if not any(record.event.key == "closed" for record in app.journal.load(run)):
        raise UsageError(
            f"run {run} is not over",
            cure=f"wtsflow resume {run}, or wtsflow cancel {run}, and then undo it",
        )


def _held_against_present(
    app: "App", old: Plan, given: Mapping[str, Json], asked: Asked
) -> "Prepared":
    """What is planned now; it may differ from what was only where that is asked for.

    Permission is asked again either way. Raises PlanMismatch, DeniedError.
    """
    from wtsflow.runs import Prepared

    values, different = reopening.replanned(app, old, given, asked.inventories)
    if different and not asked.as_planned:
        raise PlanMismatch(different, cure="look at them; --as-planned undoes it as it was planned")
    return Prepared(old, values, app.actor)


def _recalled(app: "App", plan: Plan, values: Mapping[str, Json], run: str, actor: Actor) -> Names:
    """All that is known of a run that is over. Raises UsageError where it was removed."""
    names = Names(plan, State(run), values, asdict(actor))
    if not (records := app.journal.load(run)):
        raise UsageError(
            f"run {run}, which is to be undone, is not in the journal any more",
            cure="restore the state from before it was removed: wtsflow state restore",
        )
    replay(names, records)
    return names


def recalled(app: "App", prepared: "Prepared") -> Names | None:
    """What is known of the run that a plan undoes; None where it undoes none."""
    plan = prepared.plan
    if not plan.undoes:
        return None
    old = replace(plan, undoes="", undone=())
    return _recalled(app, old, prepared.values, plan.undoes, prepared.actor)


# --- what is left to do -----------------------------------------------------------------------


def _look(app: "App", run: str, names: Names, asked: Asked) -> Preview:
    gone: dict[str, str] = {}
    unclear: set[str] = set()
    for name, (attempt, by) in _tried(app, run, names.state).items():
        if attempt.running or attempt.outcome == Outcome.UNKNOWN:
            unclear.add(name)
        elif attempt.outcome == Outcome.SUCCESS:
            gone[name] = by
    wanted = _limited(names.plan, asked.limit)
    every = [deed for deed in deeds(names) if deed.target in wanted and deed.name not in gone]
    work = chosen(names, every, doubt=asked.doubt, tried=unclear)
    return Preview(tuple(work.pending), work.left, gone)


def _limited(plan: Plan, limit: str) -> frozenset[str]:
    known = {name: machine.groups for name, machine in plan.machines.items()}
    if not limit:
        return frozenset(known)
    try:
        return choose(limit, known)
    except PatternError as error:
        raise UsageError(f"--limit: {error.message}", cure=error.cure) from None


def _tried(app: "App", run: str, state: State) -> dict[str, tuple[Attempt, str]]:
    """By name, the last attempt to take something back, and the run that made it.

    Raises BusyError while one of those runs is not over.
    """
    found = _attempts(state)
    for record in app.journal.load(run):
        if record.event.type != "undoing":
            continue
        by = State(str(record.event.data["run"]))
        for one in app.journal.load(by.run):
            by.apply(one.event, 0.0)
        if by.events and by.closed is None:
            raise BusyError(
                f"run {run} is being undone by run {by.run}, which is not over",
                cure=f"wtsflow resume {by.run}, or wtsflow cancel {by.run}",
            )
        found |= _attempts(by)
    return found


def _attempts(state: State) -> dict[str, tuple[Attempt, str]]:
    return {
        f"{path}@{target}": (attempt, state.run)
        for path, targets in state.attempts.items()
        if path.endswith("/undo")
        for target, attempt in targets.items()
    }


def _refuse_gaps(names: Names, wanted: Sequence[Deed]) -> None:
    """Raise PlanError where a value that is needed is not there any more."""
    for deed in wanted:
        undo = deed.step.undo
        scope = names.scope(deed.place, deed.target)
        for name, value in undo.arguments.items() if undo else ():
            try:
                fill(value, scope)
            except ExpressionError as error:
                kept = "; outputs that hold a secret are not kept" if names.state.forgotten else ""
                raise PlanError(
                    f"{deed.name}: with: {name}: {error.message}{kept}",
                    cure=f"take it back by hand, and undo the rest with --limit '*:!{deed.target}'",
                    location=deed.step.location,
                ) from None


def _why(seen: Preview, run: str) -> str:
    if seen.left:
        return "see what is left, and why: wtsflow undo --plan " + run
    if seen.gone:
        return f"run {next(iter(seen.gone.values()))} did so"
    return "none of its steps that succeeded says how: undo: in the manifest"


# --- one at a time ----------------------------------------------------------------------------


@contextmanager
def claimed(app: "App", plan: Plan, run: str) -> Iterator[None]:
    """Write into the run that a plan undoes that ``run`` does so, and keep others from it.

    Nothing where the plan undoes none. Raises BusyError, UsageError, RecordError.
    """
    if not plan.undoes:
        yield
        return
    with app.driving(plan.undoes):
        records = app.journal.load(plan.undoes)
        state = State(plan.undoes)
        for record in records:
            state.apply(record.event, 0.0)
        tried = _tried(app, plan.undoes, state)
        again = [n for n in plan.undone if n in tried and tried[n][0].outcome == Outcome.SUCCESS]
        if again:
            raise UsageError(
                f"{again[0]} was taken back by run {tried[again[0]][1]} in the meantime",
                cure=f"look again: wtsflow undo --plan {plan.undoes}",
            )
        time = datetime.fromtimestamp(app.clock.now(), UTC).isoformat(timespec="microseconds")
        data: dict[str, Json] = {"run": run, "by": app.actor.name, "count": len(plan.undone)}
        event = Event(f"undoing/{state.counts['undoing'] + 1}", data)
        app.audit.append(app.journal.record(plan.undoes, [event], time=time.replace("+00:00", "Z")))
        yield
