"""``wtsflow run --rerun``: a run once more, on the targets that ended in some way."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtsflow import reopening
from wtsflow.cli.common import note
from wtsflow.cli.kept import find_run
from wtsflow.cli.partial import ended_so, known, words
from wtsflow.cli.request import (
    Request,
    closing_on_error,
    given_again,
    left_out,
    manifest_text,
    opened,
    terminal,
    within,
)
from wtsflow.errors import UsageError
from wtsflow.model.plan import Plan
from wtsflow.model.text import listed
from wtsflow.model.workflow import Workflow

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.runs import Prepared
    from wtsflow.workspace import Settings


def again(
    request: Request, which: str, *, manifest: str = ""
) -> tuple["App", "Prepared", "Settings"]:
    """The plan of the run that ``request.manifest`` names, made anew for some of its targets.

    Manifest, inputs, ticket, limits and what was passed over are those of that run; lock,
    inventory and permission are the present ones; secrets are asked for again. ``manifest`` is
    used instead of the recorded text. Raises WtsflowError.
    """
    _refuse_answers(request)
    wanted = [known(word, "--rerun") for word in words([which])]
    if not wanted:
        raise UsageError("--rerun: say what", cure="--rerun failed RUN")
    app, settings = opened(request.flags)
    with closing_on_error(app):
        run = find_run(app.journal, request.manifest).run
        old, _actor = reopening.frozen(app, run)
        within(app, old.environment, request.environment)
        targets = ended_so(app.journal.load(run), run, wanted)
        if "unknown" in wanted:
            _ask(targets, run, ask=request.ask)
        workflow = _workflow(app, old, run, manifest)
        values = given_again(replace(old, workflow=workflow), request, secrets=True)
        terms = _terms(old, request, workflow, settings)
        prepared = app.plan(
            workflow,
            values,
            inventories=request.inventories,
            **{**terms, "limit": ",".join(targets)},
        )
    return app, replace(prepared, origin={"kind": "rerun", "run": run, "of": wanted}), settings


def _refuse_answers(request: Request) -> None:
    if not request.manifest:
        raise UsageError("--rerun: say which run", cure="wtsflow run --rerun failed latest")
    if request.inputs:
        raise UsageError(
            "--rerun takes the inputs of that run", cure="run the manifest to give other ones"
        )
    if request.limit:
        raise UsageError(
            "--rerun and --limit both choose the targets",
            cure="run the manifest with --limit '@failed:RUN'",
        )


def _ask(targets: Sequence[str], run: str, *, ask: bool) -> None:
    """Rule: what may have happened is done again only where somebody says so."""
    import typer

    if not ask:
        return
    question = (
        f"whether steps of run {run} took effect on {listed(targets)} is not known.\n"
        "Did somebody look there, and may they be done again?"
    )
    if not terminal():
        raise UsageError(question.replace("\n", " "), cure="then: --yes")
    if not typer.confirm(question, err=True):
        raise UsageError("nothing was started", cure=f"wtsflow resume {run} looks for it")


def _workflow(app: "App", old: Plan, run: str, manifest: str) -> Workflow:
    """The recorded manifest, or the one that was named; the present lock decides on its pins."""
    if manifest:
        text, name = manifest_text(manifest, app.workspace)
        return app.load(text, name)
    source = old.workflow.source
    try:
        present = hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except OSError:
        present = old.workflow.sha256
    if present != old.workflow.sha256:
        note(
            f"{source} changed since run {run}: its recorded text is used\n"
            f"to use the present one: --manifest {source}"
        )
    return app.load(old.workflow.text, source)


def _terms(old: Plan, request: Request, workflow: Workflow, settings: "Settings") -> dict[str, Any]:
    """What the run was planned with, and what the command line says instead."""
    from wtsflow import planning

    said = {
        name: getattr(settings, name)
        for name, value in request.flags.items()
        if value and name in planning.terms(old)
    }
    if request.ticket:
        said["ticket"] = request.ticket
    paths = {step.path for step in workflow.walk()}
    kept = tuple(path for path in old.passed if path in paths)
    part = left_out(request, workflow)
    return {**planning.terms(old), **said, "passed": part or kept, "check": request.check}
