"""``wtsflow undo``: take back what a run did."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import options
from wtsflow.cli.common import document, note, out
from wtsflow.cli.kept import find_run
from wtsflow.cli.performing import Driving, RunFormat, perform
from wtsflow.cli.request import Request, closing_on_error, given_again, limit, opened, terminal
from wtsflow.cli.tables import table
from wtsflow.engine.undo import Doubt
from wtsflow.errors import UsageError

if TYPE_CHECKING:
    from wtsflow.model.plan import Plan
    from wtsflow.model.values import Json
    from wtsflow.runs import Prepared
    from wtsflow.undoing import Preview


def command(
    run: options.Run,
    pattern: options.Limit = "",
    unknown: Annotated[
        Doubt,
        typer.Option(
            "--unknown",
            help="A step that may have taken effect or not: leave it with all before it on its"
            " target; skip it alone; or undo it.",
        ),
    ] = Doubt.LEAVE,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would be taken back.")
    ] = False,
    as_planned: Annotated[
        bool, typer.Option("--as-planned", help="Even where lock or targets changed since.")
    ] = False,
    inputs: options.Secrets = None,
    inventory: options.Inventories = None,
    wait: options.Wait = None,
    yes: options.Yes = False,
    format_: options.RunShown = RunFormat.TEXT,
) -> None:
    """Take back what a run did: the undo: scripts of its steps, in reverse.

    It is a run of its own, with its own records. What succeeded is taken back, the last first;
    what is not known to have happened is left, and so is what was done before it on its target.
    What was taken back already is not taken back again. It shows what it will do, and asks.

    \b
    Examples:
      wtsflow undo latest --plan
      wtsflow undo 01J8Z
      wtsflow undo 01J8Z --limit web03 --unknown undo --yes
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow import undoing

    asked = Request("", files=inputs or (), inventories=inventory or (), ask=not yes)
    if not (yes or only_plan or terminal()):
        raise UsageError("nobody can be asked here whether to undo it", cure="--yes, or --plan")

    def answer(plan: "Plan") -> "Mapping[str, Json]":
        return given_again(plan, asked, secrets=not only_plan)

    app, settings = opened({"wait": wait})
    with closing_on_error(app):
        name = find_run(app.journal, run).run
        wanted = undoing.Asked(limit(pattern), unknown, inventory or (), as_planned)
        prepared, seen = undoing.prepare(app, name, answer, wanted)
        if only_plan and format_ is not RunFormat.TEXT:
            document(_facts(prepared, seen), indent=2 if format_ is RunFormat.JSON else None)
        elif only_plan or not yes:
            _show(prepared, seen, to_screen=only_plan)
        if not (only_plan or yes) and not typer.confirm("Take this back?", err=True):
            raise UsageError("nothing was taken back", cure="answer yes, or narrow it with --limit")
    if only_plan:
        app.close()
        return
    perform(app, prepared, Driving(format_, settings.park, yes=yes))


def _rows(prepared: "Prepared") -> list[tuple[str, str, str]]:
    from wtsflow import planning

    return [
        (
            one.path.removesuffix("/undo"),
            one.machine.name,
            f"{one.script.path}@{one.script.version}",
        )
        for one in planning.undone(prepared.plan)
    ]


def _show(prepared: "Prepared", seen: "Preview", *, to_screen: bool) -> None:
    plan = prepared.plan
    say = out if to_screen else note
    say(f"undo run {plan.undoes} of {plan.workflow.name} {plan.workflow.version}, in this order:")
    _table(("step", "target", "taken back by"), _rows(prepared), to_screen=to_screen)
    if seen.left:
        say("\nleft as it is:")
        rows = [(*_split(name), reason) for name, reason in seen.left.items()]
        _table(("step", "target", "because"), rows, to_screen=to_screen)
    if seen.gone:
        say(f"\ntaken back already: {len(seen.gone)}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, to_screen: bool) -> None:
    from wtsflow.cli.common import frame
    from wtsflow.cli.tables import lines

    if to_screen:
        table(heads, rows, indent="  ")
        return
    here = frame()
    for line in lines(heads, rows, here.width, here.style(here.stderr), indent="  "):
        note(line, raw=True)


def _split(name: str) -> tuple[str, str]:
    path, _, target = name.rpartition("@")
    return path.removesuffix("/undo"), target


def _facts(prepared: "Prepared", seen: "Preview") -> dict[str, Any]:
    """The ``wtsflow.undo/1`` document."""
    return {
        "schema": "wtsflow.undo/1",
        "run": prepared.plan.undoes,
        "undo": [
            {"step": step, "target": target, "script": script}
            for step, target, script in _rows(prepared)
        ],
        "left": [
            {"step": step, "target": target, "reason": reason}
            for (step, target), reason in ((_split(n), r) for n, r in seen.left.items())
        ],
        "gone": [
            {"step": step, "target": target, "run": by}
            for (step, target), by in ((_split(n), by) for n, by in seen.gone.items())
        ],
    }
