"""``wtsflow apply``: perform a plan that was written down, exactly as it stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtsflow.cli import options
from wtsflow.cli.common import document, out
from wtsflow.cli.performing import Driving, RunFormat, perform
from wtsflow.cli.request import (
    Request,
    closing_on_error,
    given_again,
    opened,
    plan_document,
    within,
)

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.runs import Prepared
    from wtsflow.workspace import Settings


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'wtsflow plan -o' wrote.")],
    inputs: options.Secrets = None,
    inventory: options.Inventories = None,
    env: options.Env = "",
    check: Annotated[
        bool, typer.Option("--check", "-C", help="Only compare it with the present.")
    ] = False,
    wait: options.Wait = None,
    yes: options.Yes = False,
    format_: options.RunShown = RunFormat.TEXT,
) -> None:
    """Perform a plan that 'wtsflow plan -o FILE' wrote, exactly as it stands.

    The plan is made again from its own manifest and answers with the inventory, the lock and the
    scripts of today. Where anything differs, nothing is started: the differences are shown and
    the exit code is 6. Secret inputs are not in the file and are given again.

    \b
    Examples:
      wtsflow plan fleet/patch --ticket CHG0040007 -o patch.plan
      wtsflow apply patch.plan --check
      wtsflow apply patch.plan
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    request = Request(
        manifest="",
        files=inputs or (),
        inventories=inventory or (),
        flags={"wait": wait},
        environment=env,
        ask=not yes and not check,
    )
    app, prepared, settings = thawed(file, request, secrets=not check)
    if check:
        app.close()
        if format_ is RunFormat.TEXT:
            out(f"{file} still fits: plan {prepared.plan.digest[:12]}")
        else:
            said = {"schema": "wtsflow.checked/1", "fits": True, "plan": prepared.plan.digest}
            document(said, indent=2 if format_ is RunFormat.JSON else None)
        return
    perform(app, prepared, Driving(format_, settings.park, yes=yes))


def thawed(file: Path, request: Request, *, secrets: bool) -> tuple["App", "Prepared", "Settings"]:
    """The plan of a file, held against the present.

    Raises PlanMismatch for a file that was changed and for a present that differs.
    """
    from wtsflow import manifest, planning
    from wtsflow.errors import PlanMismatch
    from wtsflow.runs import Prepared

    old = planning.thaw(plan_document(file), manifest.load)
    app, settings = opened(request.flags, old.environment or None)
    with closing_on_error(app):
        within(app, old.environment, request.environment)
        given = given_again(old, request, secrets=secrets)
        new = app.plan(
            old.workflow,
            given,
            inventories=request.inventories,
            **planning.terms(old),
        )
        if different := planning.differences(old, new.plan):
            raise PlanMismatch(
                different, cure=f"look at them, then plan again: wtsflow plan {old.workflow.source}"
            )
    return app, Prepared(old, new.values, new.actor), settings
