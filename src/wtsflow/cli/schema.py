"""``wtsflow schema``: the JSON schemas, for editors."""

from typing import Annotated

import typer

from wtsflow.cli.common import out
from wtsflow.errors import UsageError

NAMES = ("wtsflow-1", "inventory-1", "sidecar-1", "workspace-1", "rollouts-1")
"""The schemas that are printed by name; the first is the manifest's."""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=lambda: list(NAMES),
            help="Which schema: " + ", ".join(NAMES) + ".",
            show_default=True,
        ),
    ] = NAMES[0],
) -> None:
    """Print a JSON schema; by default the one of manifests.

    \b
    Examples:
      wtsflow schema > wtsflow-1.schema.json
      wtsflow schema sidecar-1
      # first line of a manifest, for editors with a YAML language server:
      # yaml-language-server: $schema=wtsflow-1.schema.json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.source import schema_text

    if name not in NAMES:
        raise UsageError(f"there is no schema '{name}'", cure=f"there are: {', '.join(NAMES)}")
    out(schema_text(name).rstrip("\n"))
