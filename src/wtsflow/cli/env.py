"""``wtsflow env``: the workspace's environments, and what promoting from one to another changes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import complete, options
from wtsflow.cli.common import Format, document, frame, note, out, stop, workspace
from wtsflow.cli.request import (
    Request,
    answers,
    closing_on_error,
    limit as pattern,
    manifest_text,
    opened,
)
from wtsflow.cli.tables import table
from wtsflow.errors import Exit, ManifestError, WtsflowError
from wtsflow.model.plan import plain
from wtsflow.model.text import listed
from wtsflow.model.values import MASK, Json, Secret

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.planning import Difference
    from wtsflow.runs import Prepared
    from wtsflow.workspace import Environment

app = typer.Typer(add_completion=False, no_args_is_help=True)

KINDS = (
    "inputs",
    "targets",
    "machines",
    "scripts",
    "settings",
    "ssh",
    "credentials",
    "access",
    "production",
)
"""The sections of a comparison, in the order in which they are shown."""

Name = Annotated[
    str,
    typer.Argument(
        metavar="ENV", help="An environment's name.", autocompletion=complete.environments
    ),
]


@app.command("list")
def list_(
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """List the environments of the workspace, and what each has of its own.

    They are written in wtsflow.yaml, under 'environments:'.

    \b
    Examples:
      wtsflow env list
      wtsflow env list --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    found = workspace()
    if format_ is Format.JSON:
        document(
            {
                "schema": "wtsflow.environments/1",
                "default": found.default_environment or None,
                "environments": [_facts(one) for one in found.environments.values()],
            }
        )
        return
    if not found.environments:
        note(f"no environments: {found.file} names none")
        return
    rows = [
        (
            one.name,
            one.title,
            ", ".join(_marks(one, found.default_environment)),
            ", ".join(one.inventories or ()),
            listed(one.variables),
            one.credentials if isinstance(one.credentials, str) else listed(one.credentials),
            str(one.access or ""),
        )
        for one in found.environments.values()
    ]
    heads = ("name", "title", "is", "inventory", "variables", "credentials", "access")
    table(heads, rows, keep=1)


def _marks(one: "Environment", default: str) -> list[str]:
    return [
        *(["default"] if one.name == default else []),
        *(["production"] if one.production else []),
    ]


def _facts(one: "Environment") -> dict[str, Json]:
    return {
        "name": one.name,
        "title": one.title,
        "production": one.production,
        "inventory": None if one.inventories is None else list(one.inventories),
        "variables": plain(one.variables),
        "settings": plain(one.settings),
        "ssh": plain(one.ssh),
        "credentials": plain(one.credentials),
        "access": str(one.access) if one.access else None,
    }


@app.command()
def diff(
    first: Name,
    second: Name,
    manifest: options.Manifest,
    inputs: options.Inputs = None,
    files: options.InputFiles = None,
    ticket: options.Ticket = "",
    limit: options.Limit = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 6 where anything differs.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Show what would change when a manifest goes from one environment to another.

    It is planned in both, with the same inputs: what differs is shown, and what does not is
    named. Nothing is started and no target is contacted; secrets need not be given.

    \b
    Examples:
      wtsflow env diff qa prod fleet/patch
      wtsflow env diff qa prod fleet/patch --input days=30 --ticket CHG0040007
      wtsflow env diff qa prod fleet/patch --exit-code --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    asked = Request(
        manifest=manifest,
        inputs=inputs or (),
        files=files or (),
        ticket=ticket,
        limit=limit,
        ask=False,
    )
    text = _read(asked)
    one, two = (_planned(asked, name, text) for name in (first, second))
    found = _differences(one, two)
    if format_ is Format.JSON:
        document(_document(one[1], two[1], found))
    else:
        out("\n".join(_lines(one[1], two[1], found)), raw=True)
    if exit_code and found:
        stop(Exit.MISMATCH)


def _read(asked: Request) -> tuple[bytes, str]:
    """The manifest, read once: it may come from standard input."""
    return manifest_text(asked.manifest, workspace())


def _planned(asked: Request, name: str, text: tuple[bytes, str]) -> tuple["App", "Prepared"]:
    """The manifest as it would run in an environment; secrets that are not given are masks."""
    from wtsflow.model.workflow import Type

    app_, settings = opened({}, name)
    try:
        with closing_on_error(app_):
            workflow = app_.load(*text)
            given = answers(asked, workflow, frame(), fill=app_.workspace.fill)
            hidden = {n: Secret(MASK) for n, i in workflow.inputs.items() if i.type is Type.SECRET}
            prepared = app_.plan(
                workflow,
                {**hidden, **given},
                ticket=asked.ticket,
                limit=pattern(asked.limit),
                parallel=settings.parallel,
                timeout=settings.timeout,
                grace=settings.grace,
                reattach=settings.reattach,
                closing=settings.closing,
            )
    except ManifestError:
        raise
    except WtsflowError as error:
        error.message = f"in {name}: {error.message}"
        raise
    app_.close()
    return app_, prepared


def _differences(
    one: tuple["App", "Prepared"], two: tuple["App", "Prepared"]
) -> "tuple[Difference, ...]":
    """Everything that is not the same: in the plans, and in how their runs would be done."""
    from wtsflow.planning import contrast, unlike

    (first, prepared), (second, other) = one, two
    parts = [
        *contrast(prepared.plan, other.plan, other.actor),
        *unlike("ssh", *(app_.workspace.transports["ssh"] for app_ in (first, second))),
        *(
            difference
            for kind in ("credentials", "access", "production")
            for difference in unlike(kind, _own(first, kind), _own(second, kind))
        ),
    ]
    return tuple(sorted(parts, key=lambda part: KINDS.index(part.kind)))


def _own(app_: "App", kind: str) -> Mapping[str, Json]:
    here = app_.workspace.present
    value = getattr(here, kind)
    said = str(value or "") if kind == "access" else plain(value)
    if isinstance(said, Mapping):
        return said
    return {"": said} if said else {}


def _document(one: "Prepared", two: "Prepared", found: "Sequence[Difference]") -> dict[str, Any]:
    flow = two.plan.workflow
    return {
        "schema": "wtsflow.contrast/1",
        "workflow": {"name": flow.name, "version": flow.version, "sha256": flow.sha256},
        "from": {"environment": one.plan.environment, "plan": one.plan.digest},
        "to": {"environment": two.plan.environment, "plan": two.plan.digest},
        "same": not found,
        "differences": [
            {"kind": part.kind, "name": part.name, "from": part.first, "to": part.second}
            for part in found
        ],
    }


def _lines(one: "Prepared", two: "Prepared", found: "Sequence[Difference]") -> list[str]:
    from wtsflow.cli.env_text import comparison

    here = frame()
    return comparison(
        one.plan, two.plan, found, KINDS, style=here.style(here.stdout), room=here.room
    )
