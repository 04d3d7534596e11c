"""Asking before a run touches production."""

from typing import TYPE_CHECKING

from wtsflow.cli.request import terminal
from wtsflow.errors import UsageError
from wtsflow.model.terminal import visible

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.runs import Prepared


def confirm(app: "App", prepared: "Prepared", *, yes: bool) -> None:
    """Have the environment's name typed, where it is production and something may be changed.

    ``yes`` stands for it. Raises UsageError where nobody can be asked and where another word is
    typed: then nothing has begun.
    """
    here, plan = app.workspace.present, prepared.plan
    if here is None or not here.production or plan.check or yes:
        return
    if not terminal():
        raise UsageError(
            f"environment '{here.name}' is production, and nobody is here to confirm the run",
            cure="look at the plan (wtsflow plan), then: --yes",
        )
    import typer

    targets = sum(name != "local" for name in plan.machines)
    where = f"{targets} target{'' if targets == 1 else 's'}" if targets else "this machine"
    flow = visible(f"{plan.workflow.name} {plan.workflow.version}")
    called = f" ({visible(here.title)})" if here.title else ""
    asked = f"{flow} is to run on {where} in {here.name}{called}, which is production.\nIts name"
    typed = str(typer.prompt(asked, err=True, default="", show_default=False)).strip()
    if typed != here.name:
        raise UsageError(
            f"'{visible(typed)}' is not '{here.name}': nothing was started",
            cure=f"type {here.name}, or --yes",
        )
