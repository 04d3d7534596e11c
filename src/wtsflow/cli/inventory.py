"""``wtsflow inventory``: targets, groups and host patterns."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import complete, options
from wtsflow.cli.common import Format, document, frame, note, out
from wtsflow.cli.request import configured, limit
from wtsflow.cli.tables import table
from wtsflow.model.plan import Target, plain
from wtsflow.model.values import Json

if TYPE_CHECKING:
    from wtsflow.inventory import Listing

app = typer.Typer(add_completion=False, no_args_is_help=True)

INVENTORY = typer.Option(
    "--inventory", "-i", metavar="PATH", help="Instead of the workspace's; repeatable."
)
FORMAT = typer.Option("--format", help="How to print.")


def _listing(paths: Sequence[Path] | None, env: str) -> "Listing":
    """The inventory that is meant, its warnings shown."""
    from wtsflow import inventory
    from wtsflow.cli.errors import render_diagnostics

    if paths:
        found = inventory.load(paths)
    else:
        workspace, _settings = configured({}, env)
        found = workspace.inventory()
    here = frame()
    if found.warnings:
        note(render_diagnostics(found.warnings, here.style(here.stderr), here.width), raw=True)
    return found


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="web*:&prod:!db1")] = "all",
    inventory: Annotated[list[Path] | None, INVENTORY] = None,
    env: options.Env = "",
    graph: Annotated[bool, typer.Option("--graph", help="Groups and what is in them.")] = False,
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """List the targets that a pattern selects.

    Terms are joined by ':' or ','. A plain one adds hosts and groups, '&' keeps those that match
    too, '!' takes away; '*', '?', [abc] and ranges like web[01:20] work in both.

    \b
    Examples:
      wtsflow inventory list
      wtsflow inventory list 'web*:&prod:!web03'
      wtsflow inventory list --env prod --graph
      wtsflow inventory list -i /etc/ansible/hosts --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    listing = _listing(inventory, env)
    nothing = pattern == "all" and not listing.members
    targets = () if nothing else listing.select(limit(pattern))
    if format_ is Format.JSON:
        document(
            {
                "schema": "wtsflow.inventory/1",
                "sources": list(listing.sources),
                "targets": [plain(target) for target in targets],
                "groups": _groups(listing, {target.name for target in targets}),
            }
        )
    elif graph:
        names = {target.name for target in targets}
        out("\n".join(_graph(listing, names)))
    else:
        _table(targets)


def _groups(listing: "Listing", names: set[str]) -> dict[str, Any]:
    return {
        name: {
            "hosts": sorted(names & group.hosts.keys()),
            "groups": sorted(group.groups),
            "targets": sorted(names & listing.graph.below(name)),
        }
        for name, group in sorted(listing.graph.groups.items())
    }


def _table(targets: Sequence[Target]) -> None:
    if not targets:
        note("no targets")
        return
    rows = [
        (
            target.name,
            _address(target),
            target.transport,
            target.os,
            target.run_as,
            ", ".join(target.groups),
        )
        for target in targets
    ]
    table(("name", "address", "how", "os", "as", "groups"), rows, keep=1)


def _address(target: Target) -> str:
    host = f"[{target.address}]" if ":" in target.address else target.address
    user = f"{target.user}@" if target.user else ""
    return f"{user}{host}" + (f":{target.port}" if target.port else "")


def _graph(listing: "Listing", names: set[str]) -> Iterator[str]:
    """Every group below those that it is in, then the hosts that are in none."""
    groups = listing.graph.groups
    inner = {child for group in groups.values() for child in group.groups}
    yield f"all ({len(names)})"
    for name in sorted(groups.keys() - inner):
        yield from _branch(listing, name, names, "  ")
    alone = names - {host for group in groups.values() for host in group.hosts}
    for host in sorted(alone):
        yield f"  {host}"


def _branch(listing: "Listing", name: str, names: set[str], indent: str) -> Iterator[str]:
    group = listing.graph.groups[name]
    yield f"{indent}@{name} ({len(names & listing.graph.below(name))})"
    for child in sorted(group.groups):
        if child in listing.graph.groups:
            yield from _branch(listing, child, names, f"{indent}  ")
    for host in sorted(names & group.hosts.keys()):
        yield f"{indent}  {host}"


@app.command()
def show(
    host: Annotated[
        str, typer.Argument(metavar="HOST", help="A host's name.", autocompletion=complete.targets)
    ],
    inventory: Annotated[list[Path] | None, INVENTORY] = None,
    env: options.Env = "",
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """Show one target: how it is reached, its groups and its variables.

    \b
    Examples:
      wtsflow inventory show web01
      wtsflow inventory show web01 --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    listing = _listing(inventory, env)
    target = listing.host(host)
    listed = host in listing.members
    if not listed and host != target.transport:
        note(f"{host} is not listed; these are the defaults")
    if format_ is Format.JSON:
        document({"schema": "wtsflow.target/1", "listed": listed, "target": plain(target)})
        return
    out("\n".join(_details(target)))


def _details(target: Target) -> Iterator[str]:
    yield target.name
    said: Mapping[str, Json] = {
        "address": _address(target),
        "transport": target.transport,
        "os": target.os or "not known",
        "run as": target.run_as or "-",
        "groups": ", ".join(target.groups) or "-",
    }
    for key, value in said.items():
        yield f"  {key:<10} {value}"
    for title, values in (("settings", target.settings), ("variables", target.variables)):
        if values:
            yield f"  {title}"
        for key, value in sorted(values.items()):
            yield f"    {key}: {_written(value)}"


def _written(value: Json) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
