"""``wtsflow resume``: go on with a run whose process ended, was killed, or let go of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from wtsflow import reopening
from wtsflow.cli import options
from wtsflow.cli.common import document, frame, note, out, stop, write
from wtsflow.cli.kept import find_run
from wtsflow.cli.performing import Driving, OnUnknown, RunFormat, driven, stop_with
from wtsflow.cli.request import Request, closing_on_error, given_again, opened
from wtsflow.errors import BusyError, Exit, UsageError, WtsflowError
from wtsflow.model.terminal import visible
from wtsflow.model.text import listed

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.model.plan import Plan
    from wtsflow.model.record import Record
    from wtsflow.model.values import Json
    from wtsflow.runs import Finished, Prepared


def command(
    run: options.Run = "",
    due: Annotated[
        bool, typer.Option("--due", help="Every parked run whose time has come: for cron.")
    ] = False,
    unknown: Annotated[
        OnUnknown,
        typer.Option(
            "--on-unknown",
            help="What to do about a step whose end cannot be found out; ask: stop where nobody"
            " can be asked.",
        ),
    ] = OnUnknown.ASK,
    as_planned: Annotated[
        bool,
        typer.Option("--as-planned", help="Even where manifest, lock or targets changed since."),
    ] = False,
    inputs: options.Secrets = None,
    inventory: options.Inventories = None,
    wait: options.Wait = None,
    yes: options.Yes = False,
    format_: options.RunShown = RunFormat.TEXT,
) -> None:
    """Go on with a run, from wherever it stopped.

    What its process left running on targets is picked up again: its output from the beginning,
    its exit code, and never a second execution. What has ended is not repeated. A step whose end
    cannot be found out is asked about, or decided by --on-unknown; 'idempotent: true' in its
    sidecar lets it run once more. A run that is over is looked at again for what was unknown.

    \b
    Examples:
      wtsflow resume latest
      wtsflow resume 01J8Z --on-unknown stop
      wtsflow resume 01J8Z --as-planned --inputs @secrets.yaml
      wtsflow --quiet resume --due             from cron, every minute
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    if bool(run) is due:
        said = "a run and --due exclude each other" if due else "say which run"
        raise UsageError(said, cure="wtsflow resume RUN; or: wtsflow resume --due")
    asked = Request("", files=inputs or (), inventories=inventory or (), ask=not (yes or due))
    if yes or due:
        unknown = OnUnknown.STOP if unknown is OnUnknown.ASK else unknown
    app, settings = opened({"wait": wait})
    how = Driving(format_, settings.park, unknown)
    with closing_on_error(app):
        if due:
            _due(app, asked, how, as_planned=as_planned)
        again = _reopened(app, find_run(app.journal, run).run, asked, as_planned=as_planned)
    stop_with(
        app,
        again.prepared,
        how,
        lambda seen, wish, manner: app.resume(again.prepared, again.run, seen, wish, manner=manner),
        again.records,
        lambda finished: _still_unknown(again, finished),
    )


def _still_unknown(again: "_Again", finished: "Finished") -> None:
    """Say so where a run that is over was asked about and nothing more became known."""
    over = any(one.event.key == "closed" for one in again.records)
    settled = sum(one.event.type == "settled" for one in again.records)
    if over and finished.state.counts["settled"] == settled:
        where = listed([name for _, name, _ in finished.state.unfinished(lost=True)])
        note(f"nothing more became known; still unknown on {where}")
        note(f"look there; then, to do it once more: wtsflow run --rerun unknown {again.run}")


@dataclass(frozen=True, slots=True)
class _Again:
    run: str
    prepared: "Prepared"
    records: "Sequence[Record]"


def _reopened(app: "App", run: str, asked: Request, *, as_planned: bool) -> _Again:
    """A run's plan, held against the present, and its records so far."""
    records = app.journal.load(run)
    closed = next((one for one in records if one.event.key == "closed"), None)
    if closed is not None and not _open_ends(records):
        status = closed.event.data.get("status")
        raise UsageError(
            f"run {run} is over ({status}), and nothing of it is unknown",
            cure="to run what failed once more: wtsflow run --rerun failed " + run,
        )

    def answer(plan: "Plan") -> "Mapping[str, Json]":
        return given_again(plan, asked, secrets=True)

    prepared = reopening.reopened(
        app, run, answer, inventories=asked.inventories, as_planned=as_planned
    )
    return _Again(run, prepared, records)


def _open_ends(records: "Sequence[Record]") -> bool:
    """Whether an attempt was lost of which nothing was heard since."""
    ends = {one.event.subject: one.event.type for one in records if _is_end(one)}
    return "lost" in ends.values()


def _is_end(record: "Record") -> bool:
    return record.event.type in ("lost", "finished", "again")


def _due(app: "App", asked: Request, how: Driving, *, as_planned: bool) -> NoReturn:
    """Resume every run that is due, one after another; leave with the first bad exit code.

    A run that another process drives by now is passed over: cron may call this every minute.
    """
    told: list[_Told] = []
    for summary in app.journal.due(app.clock.now()):
        run = summary.run
        if app.journal.find(run, limit=1)[0].standing != "parked":
            continue
        try:
            again = _reopened(app, run, asked, as_planned=as_planned)
            finished = driven(
                app,
                again.prepared,
                how,
                lambda seen, wish, manner, again=again: app.resume(  # type: ignore[misc]
                    again.prepared, again.run, seen, wish, manner=manner
                ),
                again.records,
            )
        except BusyError:
            continue
        except WtsflowError as error:
            said = f"{error.message}; {error.cure}" if error.cure else error.message
            told.append(_Told(run, summary.workflow, error.exit, said))
            write(frame().stderr, visible(f"{run}: {said}"))
            continue
        told.append(_Told(run, summary.workflow, finished.exit))
        if how.format is RunFormat.TEXT:
            _summarise(told[-1])
        if finished.exit in (Exit.INTERRUPTED, Exit.TERMINATED):
            break
    bad = next((one.exit for one in told if one.exit not in _WELL), Exit.SUCCESS)
    if how.format is RunFormat.JSON:
        runs = [one.facts for one in told]
        document({"schema": "wtsflow.resumed/1", "runs": runs, "exit": _exit(bad)})
    stop(bad)


_WELL = frozenset({Exit.SUCCESS, Exit.WAITING})


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of a run that was due; ``message`` where it could not be gone on with."""

    run: str
    workflow: str
    exit: Exit
    message: str = ""

    @property
    def facts(self) -> "dict[str, Json]":
        """As it stands in the document."""
        facts: dict[str, Json] = {"run": self.run, "workflow": self.workflow}
        return {**facts, "exit": _exit(self.exit), "message": self.message}


def _exit(code: Exit) -> "dict[str, Json]":
    return {"code": int(code), "name": code.label}


def _summarise(told: _Told) -> None:
    """One line for a run that was gone on with."""
    if not frame().quiet or told.exit not in _WELL:
        out(f"{told.run} {told.workflow}: {told.exit.label} (exit {int(told.exit)})")
