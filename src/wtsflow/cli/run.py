"""``wtsflow run``: a manifest, proven, planned, performed and written down."""

from typing import TYPE_CHECKING

from wtsflow.cli import options, partial
from wtsflow.cli.performing import Driving, RunFormat, perform
from wtsflow.cli.request import Request, prepare
from wtsflow.cli.rerun import again

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.runs import Prepared
    from wtsflow.workspace import Settings


def command(
    manifest: partial.ManifestOrRun,
    inputs: options.Inputs = None,
    files: options.InputFiles = None,
    ticket: options.Ticket = "",
    limit: options.Limit = "",
    start_at: partial.StartAt = "",
    tags: partial.Tags = None,
    skip_tags: partial.SkipTags = None,
    step: partial.ByStep = False,
    rerun: partial.Rerun = "",
    instead: partial.Instead = "",
    inventory: options.Inventories = None,
    env: options.Env = "",
    parallel: options.Parallel = None,
    timeout: options.Timeout = None,
    wait: options.Wait = None,
    check: options.Check = False,
    diff: options.Diff = False,
    yes: options.Yes = False,
    format_: options.RunShown = RunFormat.TEXT,
) -> None:
    """Run a manifest on its targets, live.

    The manifest and its pinned scripts are proven before the first connection. The first Ctrl-C
    lets what runs finish and starts nothing more; the second stops it on the targets and says
    whether it stopped; the third lets go of it: wtsflow resume picks it up again.

    With --check nothing is changed: a script that can say what it would do does so; what cannot
    is not run, and reported as unknown.

    Examples:
      wtsflow run manifests/disk/clean-up.yaml --input days=30
      wtsflow run disk/clean-up --limit 'web*:!web03' --ticket INC0012345
      wtsflow run disk/clean-up --inputs @answers.yaml --format jsonl | jq .
      wtsflow run disk/clean-up --start-at restart --step
      wtsflow run disk/clean-up --limit '@failed:latest'
      wtsflow run --rerun failed latest
      wtsflow run disk/clean-up --check --diff
      wtsflow --quiet run disk/clean-up        from cron: silent unless it fails
    """
    request = Request(
        manifest=manifest,
        inputs=inputs or (),
        files=files or (),
        ticket=ticket,
        limit=limit,
        start_at=start_at,
        tags=partial.words(tags),
        skip_tags=partial.words(skip_tags),
        inventories=inventory or (),
        environment=env,
        flags={"parallel": parallel, "timeout": timeout, "wait": wait},
        check=check,
        ask=not yes,
    )
    if step:
        partial.refuse_stepping(text=format_ is RunFormat.TEXT)
    app, prepared, settings = _prepared(request, rerun, instead)
    perform(app, prepared, Driving(format_, settings.park, step=step, diff=diff, yes=yes))


def _prepared(request: Request, rerun: str, instead: str) -> "tuple[App, Prepared, Settings]":
    """The plan of a manifest, or of a run once more."""
    if rerun:
        return again(request, rerun, manifest=instead)
    partial.refuse_other_manifest(instead)
    return prepare(request)
