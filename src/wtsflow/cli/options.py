"""The options that several commands share, written once: same names, same help, everywhere."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from wtsflow.cli import complete
from wtsflow.cli.performing import RunFormat

Manifest: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MANIFEST",
        help="A manifest: a file, a name, or '-'.",
        autocompletion=complete.manifests,
    ),
]
Inputs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--input", "-e", metavar="NAME=VALUE", help="An input; repeatable."),
]
InputFiles: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--inputs", metavar="@FILE", help="Inputs in a YAML or JSON file, or '-'."),
]
Ticket: TypeAlias = Annotated[
    str, typer.Option("--ticket", "-t", metavar="ID", help="The ticket that it is done for.")
]
Limit: TypeAlias = Annotated[
    str,
    typer.Option(
        "--limit",
        "-l",
        metavar="PATTERN",
        help="Only these targets: web*:!web3, @FILE, or '-'.",
        autocompletion=complete.targets,
    ),
]
Inventories: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--inventory", "-i", metavar="PATH", help="Instead of the workspace's; repeatable."
    ),
]
Env: TypeAlias = Annotated[
    str,
    typer.Option(
        "--env",
        metavar="NAME",
        help="The environment: its targets, variables, credentials.",
        autocompletion=complete.environments,
    ),
]
Parallel: TypeAlias = Annotated[
    int | None,
    typer.Option("--parallel", "-f", metavar="N", min=1, help="Tasks at once; default: 50."),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timeout", metavar="TIME", help="Limit of a step that does not say one; default: 1h."
    ),
]
Check: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--check",
        "-C",
        "--dry-run",
        help="Change nothing: scripts that can say what they would do; the others are unknown.",
    ),
]
Diff: TypeAlias = Annotated[
    bool, typer.Option("--diff", "-D", help="Show announced changes before and after.")
]
Wait: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--wait", metavar="TIME", help="Wait so long for targets that another run has; 5m."
    ),
]
Run: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, the beginning of one, or latest.",
        autocompletion=complete.runs,
    ),
]
Secrets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--inputs", metavar="@FILE", help="Secret inputs, in a YAML or JSON file."),
]
RunShown: TypeAlias = Annotated[
    RunFormat, typer.Option("--format", help="text, json (at the end) or jsonl (live).")
]
Yes: TypeAlias = Annotated[
    bool, typer.Option("--yes", "-y", help="Never ask for anything; run in production.")
]
