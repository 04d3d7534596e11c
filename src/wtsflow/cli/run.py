"""``wtsflow run``: a manifest, proven, planned, performed and written down."""

from pathlib import Path
from typing import Annotated

import typer

from wtsflow.cli.performing import RunFormat, perform
from wtsflow.cli.request import Request, prepare


def command(
    manifest: Annotated[str, typer.Argument(help="A manifest: a file, `-`, or a name")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-e", metavar="NAME=VALUE", help="An input; can be repeated"),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--inputs", metavar="@FILE", help="Inputs from a YAML or JSON file, or `-`"),
    ] = None,
    ticket: Annotated[str, typer.Option("--ticket", "-t", help="The ticket it is done for")] = "",
    limit: Annotated[
        str, typer.Option("--limit", "-l", metavar="PATTERN", help="Only these targets; or @FILE")
    ] = "",
    inventory: Annotated[
        list[Path] | None,
        typer.Option("--inventory", "-i", help="Instead of the workspace's; can be repeated"),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option("--parallel", "-f", min=1, help="Tasks at once  [default: 50]")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="For steps that do not say  [default: 1h]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Never ask for anything")] = False,
    format_: Annotated[
        RunFormat, typer.Option("--format", help="text, json (at the end) or jsonl (live)")
    ] = RunFormat.TEXT,
) -> None:
    """Run a manifest on its targets, live.

    The manifest and its pinned scripts are proven before the first connection. The first Ctrl-C
    stops what runs on the targets and says whether it stopped; the second does not wait.

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
    app, prepared = prepare(request)
    perform(app, prepared, format_)
