"""``wtsflow config``: the settings, and where each comes from."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import options
from wtsflow.cli.common import Format, Frame, document, frame, out

if TYPE_CHECKING:
    from wtsflow.workspace import Settings, UserFile, Workspace

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show the settings and where each comes from."""


@app.command()
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    env: options.Env = "",
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Show every setting, and the files and folders that are used.

    A flag wins over the environment (WTSFLOW_*), that over wtsflow.yaml, that over the user's
    file, that over the default.

    \b
    Examples:
      wtsflow config show --origin
      wtsflow config show --origin --env prod
      WTSFLOW_PARALLEL=5 wtsflow config show --origin
      wtsflow config show --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.workspace import UserFile, Workspace, effective, locate

    here = frame()
    user = UserFile.read(here.config)
    inside = here.start.is_file() or locate(here.start) is not None
    workspace = Workspace.find(here.start) if inside else None
    if workspace:
        name = env or here.environ.get("WTSFLOW_ENV") or workspace.default_environment
        workspace = workspace.within(name)
    settings = effective(flags={}, environ=here.environ, workspace=workspace, user=user)
    said = _document(here, settings, workspace, user)
    if format_ is Format.JSON:
        document(said)
    else:
        out("\n".join(_lines(said, origin=origin)))


def _document(
    here: Frame, settings: "Settings", workspace: "Workspace | None", user: "UserFile"
) -> dict[str, Any]:
    return {
        "schema": "wtsflow.config/1",
        "settings": {
            name: {"value": value.text, "origin": str(value.origin), "where": value.where}
            for name, value in settings.values.items()
        },
        "ssh": {
            **{key: {"value": value, "origin": "user file"} for key, value in user.ssh.items()},
            **{
                key: {"value": value, "origin": "wtsflow.yaml"}
                for key, value in (workspace.ssh if workspace else {}).items()
            },
        },
        "paths": dict(_paths(here, workspace, user)),
    }


def _paths(
    here: Frame, workspace: "Workspace | None", user: "UserFile"
) -> Iterator[tuple[str, dict[str, Any]]]:
    def place(path: Path | str, origin: str) -> dict[str, Any]:
        return {"value": str(path), "origin": origin, "exists": Path(path).exists()}

    def said(variable: str) -> str:
        return f"environment {variable}" if here.environ.get(variable) else "default"

    yield "state", place(here.state, said("WTSFLOW_STATE"))
    yield "cache", place(here.cache, said("WTSFLOW_CACHE"))
    yield "user file", place(user.path, said("WTSFLOW_CONFIG"))
    if workspace is None:
        return
    yield "workspace", place(workspace.file, "found")
    yield "lock", place(workspace.lock, "beside it")
    yield "manifests", place(workspace.manifests, "wtsflow.yaml")
    for number, path in enumerate(workspace.inventories, 1):
        name = "inventory" if len(workspace.inventories) == 1 else f"inventory {number}"
        yield name, place(path, "wtsflow.yaml")
    for alias, where in workspace.scripts.items():
        said_of = {"value": where, "origin": "wtsflow.yaml", "exists": None}
        yield (f"scripts {alias}" if alias != "default" else "scripts"), said_of


def _lines(said: dict[str, Any], *, origin: bool) -> Iterator[str]:
    for title in ("settings", "ssh", "paths"):
        if not said[title]:
            continue
        yield title
        room = max(len(name) for name in said[title])
        wide = max(len(str(one["value"])) for one in said[title].values())
        for name, one in said[title].items():
            value = str(one["value"])
            remarks = [_origin(one)] if origin else []
            remarks += ["not there yet"] if one.get("exists") is False else []
            text = f"  {name:<{room}}  {value:<{min(wide, 48)}}"
            yield f"{text}  {', '.join(remarks)}".rstrip()


def _origin(one: dict[str, Any]) -> str:
    where = one.get("where", "")
    return f"{one['origin']} {where}".strip() if one["origin"] != where else str(where)
