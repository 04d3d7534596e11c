"""``wtsflow plan``: what would run, where, and with which script."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import options, partial
from wtsflow.cli.common import Format, document, frame, note, out
from wtsflow.cli.request import Request, prepare

if TYPE_CHECKING:
    from wtsflow.runs import Prepared


def command(
    manifest: options.Manifest,
    input_: options.Inputs = None,
    inputs: options.InputFiles = None,
    ticket: options.Ticket = "",
    limit: options.Limit = "",
    start_at: partial.StartAt = "",
    tags: partial.Tags = None,
    skip_tags: partial.SkipTags = None,
    inventory: options.Inventories = None,
    env: options.Env = "",
    parallel: options.Parallel = None,
    timeout: options.Timeout = None,
    check: options.Check = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the plan down for 'apply'.")
    ] = None,
) -> None:
    """Show what would run, on which target, with which script and in which waves.

    Nothing is started and no target is contacted. With -o the plan is written to a file that
    'wtsflow apply' performs exactly as it stands, or refuses with the difference.

    \b
    Examples:
      wtsflow plan manifests/disk.yaml --input days=7
      wtsflow plan fleet/patch --limit 'web*:!web3' --ticket CHG0040007
      wtsflow plan fleet/patch --inputs @answers.yaml -o patch.plan
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    request = Request(
        manifest=manifest,
        inputs=input_ or (),
        files=inputs or (),
        ticket=ticket,
        limit=limit,
        start_at=start_at,
        tags=partial.words(tags),
        skip_tags=partial.words(skip_tags),
        inventories=inventory or (),
        environment=env,
        flags={"parallel": parallel, "timeout": timeout},
        check=check,
        ask=format_ is Format.TEXT,
    )
    app, prepared, _settings = prepare(request)
    app.close()
    if output:
        _write(output, prepared)
    if format_ is Format.JSON:
        document(planned(prepared))
    else:
        _show(prepared)
    if output:
        note(f"\nwritten to {output}; perform it with: wtsflow apply {output}")


def _write(path: Path, prepared: "Prepared") -> None:
    """Write the frozen plan: complete or not at all."""
    import json

    from wtsflow import planning
    from wtsflow.errors import UsageError

    text = json.dumps(planning.freeze(prepared.plan), indent=2, ensure_ascii=False) + "\n"
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _show(prepared: "Prepared") -> None:
    from wtsflow import planning
    from wtsflow.cli.plan_text import PLAIN, View

    here = frame()
    view = View(
        prepared.plan,
        planning.outline(prepared.plan, prepared.actor),
        prepared.actor,
        here.style(here.stdout),
        here.room or sys.maxsize,
        prepared.filled,
    )
    text = view.text()
    utf8 = (here.stdout.encoding or "").lower().replace("-", "") == "utf8"
    out(text if utf8 else text.translate(PLAIN), raw=True)


def planned(prepared: "Prepared") -> dict[str, Any]:
    """The ``wtsflow.planned/1`` document."""
    from wtsflow import planning
    from wtsflow.planning.outline import as_json

    plan, facts = prepared.plan, prepared.plan.facts
    shape = planning.outline(plan, prepared.actor)
    workflow = plan.workflow
    return {
        "schema": "wtsflow.planned/1",
        "digest": plan.digest,
        "workflow": {
            "name": workflow.name,
            "version": workflow.version,
            "title": workflow.title,
            "source": workflow.source,
            "sha256": workflow.sha256,
        },
        "actor": {"name": prepared.actor.name, "host": prepared.actor.host},
        **{key: facts[key] for key in ("ticket", "limit", "parallel", "timeout", "inputs")},
        "environment": plan.environment,
        "filled": list(prepared.filled),
        "check": plan.check,
        "targets": facts["targets"],
        "scripts": {
            pin: {
                "path": script.path,
                "version": script.version,
                "commit": script.commit,
                "blob": script.blob,
                "sha256": script.sha256,
                "why": script.choice.reason if script.choice else "",
                "warning": script.warning,
                "check": script.interface.check,
            }
            for pin, script in plan.scripts.items()
        },
        "steps": as_json(shape.steps),
        "finally": as_json(shape.finally_),
    }
