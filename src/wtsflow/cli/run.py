"""``wtsflow run``: a manifest, proven, planned, performed and written down."""

from typing import Annotated

import typer

from wtsflow.cli import options
from wtsflow.cli.performing import Driving, RunFormat, perform
from wtsflow.cli.request import Request, prepare


def command(
    manifest: options.Manifest,
    inputs: options.Inputs = None,
    files: options.InputFiles = None,
    ticket: options.Ticket = "",
    limit: options.Limit = "",
    inventory: options.Inventories = None,
    parallel: options.Parallel = None,
    timeout: options.Timeout = None,
    yes: options.Yes = False,
    format_: Annotated[
        RunFormat, typer.Option("--format", help="text, json (at the end) or jsonl (live)")
    ] = RunFormat.TEXT,
) -> None:
    """Run a manifest on its targets, live.

    The manifest and its pinned scripts are proven before the first connection. The first Ctrl-C
    lets what runs finish and starts nothing more; the second stops it on the targets and says
    whether it stopped; the third lets go of it: wtsflow resume picks it up again.

    Examples:
      wtsflow run manifests/disk/clean-up.yaml --input days=30
      wtsflow run disk/clean-up --limit 'web*:!web03' --ticket INC0012345
      wtsflow run disk/clean-up --inputs @answers.yaml --format jsonl | jq .
      wtsflow --quiet run disk/clean-up        from cron: silent unless it fails
    """
    request = Request(
        manifest=manifest,
        inputs=inputs or (),
        files=files or (),
        ticket=ticket,
        limit=limit,
        inventories=inventory or (),
        flags={"parallel": parallel, "timeout": timeout},
        ask=not yes,
    )
    app, prepared, settings = prepare(request)
    perform(app, prepared, Driving(format_, settings.park))
