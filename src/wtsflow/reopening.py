"""Runs that were begun by another process: their plans, held against the present, and their end.

Rule: a run goes on with the same bytes, by who may run it today, or says what differs.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow import manifest, planning
from wtsflow.engine.interrupt import Level
from wtsflow.errors import InvalidError, MismatchError, PlanMismatch, UsageError
from wtsflow.files import held
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.record import Event, Record
from wtsflow.model.values import Json
from wtsflow.model.workflow import Type
from wtsflow.runs import Prepared, driver

if TYPE_CHECKING:
    from wtsflow.app import App


def reopened(
    app: "App",
    run: str,
    answer: Callable[[Plan], Mapping[str, Json]],
    *,
    inventories: Sequence[Path] = (),
    as_planned: bool = False,
) -> Prepared:
    """The plan of a run that was begun, to go on with.

    ``answer`` gives the plan's inputs, with its secrets. Everything is planned and asked again,
    permission too; ``as_planned`` goes on with what was planned where the present differs. Raises
    PlanMismatch with the differences, DeniedError, UsageError without such a run.
    """
    old, actor = frozen(app, run)
    app.enter(old.environment)
    given = answer(old)
    values, different = replanned(app, old, given, inventories)
    different = (*_edited(old), *different)
    if different and not as_planned:
        raise PlanMismatch(
            different, cure="look at them; --as-planned goes on with what was planned"
        )
    return Prepared(old, values, actor)


def replanned(
    app: "App", old: Plan, given: Mapping[str, Json], inventories: Sequence[Path]
) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """The values of a plan's inputs, and what is planned otherwise now, as lines fit to print.

    Permission is asked for what is planned now; where that cannot be planned, for what was.
    Raises DeniedError, PlanError.
    """
    values = planning.bind(old.workflow, given)
    try:
        new = app.plan(old.workflow, given, inventories=inventories, **planning.terms(old))
    except (InvalidError, MismatchError) as error:
        planning.permit(old, values, app.actor)
        return values, (error.message,)
    return values, planning.differences(old, new.plan)


def to_end(app: "App", run: str) -> Prepared:
    """The plan of a run that is only to be ended, without its secrets.

    What needs one fails, and no output is kept: nobody could mask it. Raises UsageError.
    """
    old, actor = frozen(app, run)
    with suppress(UsageError):  # it is to be ended though its environment is gone
        app.enter(old.environment)
    hidden = {name for name, one in old.workflow.inputs.items() if one.type is Type.SECRET}
    values = {name: value for name, value in old.inputs.items() if name not in hidden}
    return Prepared(old, values, actor, withhold=values.keys() != old.inputs.keys())


def frozen(app: "App", run: str) -> tuple[Plan, Actor]:
    """The plan of a run as it was opened, and who opened it. Raises UsageError."""
    records = app.journal.load(run, limit=1)
    data = records[0].event.data if records else {}
    plan, actor = data.get("frozen"), data.get("actor")
    if not isinstance(plan, Mapping) or not isinstance(actor, Mapping):
        raise UsageError(f"there is no plan of run {run}", cure="see: wtsflow runs list")
    return planning.thaw(plan, manifest.load), Actor(**actor)  # type: ignore[arg-type]


def _edited(old: Plan) -> list[str]:
    """Whether the manifest's file says something else by now."""
    path = Path(old.workflow.source)
    try:
        present = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return []
    same = present == old.workflow.sha256
    return [] if same else [f"the manifest {old.workflow.source} changed"]


def cancel(app: "App", run: str, reason: str = "", level: Level = Level.STOP) -> bool:
    """Wish, in a run's records, that it ends. Whether a process performs it, and will see.

    Raises UsageError for a run that is over.
    """
    time = datetime.fromtimestamp(app.clock.now(), UTC).isoformat(timespec="microseconds")
    data: dict[str, Json] = {"by": app.actor.name, "reason": reason, "level": int(level)}
    written: list[Record] = []
    while not written:  # else somebody else took the number just now
        records = app.journal.load(run)
        if not records or any(record.event.key == "closed" for record in records):
            raise UsageError(f"run {run} is over", cure=f"see: wtsflow runs show {run}")
        number = 1 + sum(record.event.type == "cancel" for record in records)
        wish = Event(f"cancel/{number}", data)
        written = app.journal.record(run, [wish], time=time.replace("+00:00", "Z"))
    app.audit.append(written)
    return held(driver(app.state, run))
