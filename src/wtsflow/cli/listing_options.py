"""What ``wtsflow runs list`` can be asked, as options of a command."""

from typing import Annotated, TypeAlias

import typer

from wtsflow.cli import complete

Last: TypeAlias = Annotated[int, typer.Option("--last", "-n", min=0, help="Only the last; 0: all.")]
Status: TypeAlias = Annotated[
    str,
    typer.Option(
        "--status",
        metavar="STATUS",
        help="Only these: success, failed, partial, unknown, open, running, cut-off, parked,"
        " detached …; several with commas.",
        autocompletion=complete.statuses,
    ),
]
WaitingOnly: TypeAlias = Annotated[
    bool, typer.Option("--waiting", help="Only what is parked: soonest first, and until when.")
]
Since: TypeAlias = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Begun from then on: 2h, 3d, 2026-11-01."),
]
Until: TypeAlias = Annotated[
    str, typer.Option("--until", metavar="TIME", help="Begun before then.")
]
OfWorkflow: TypeAlias = Annotated[
    str,
    typer.Option(
        "--workflow",
        metavar="NAME",
        help="Only of this workflow.",
        autocompletion=complete.ran("workflow"),
    ),
]
OnTarget: TypeAlias = Annotated[
    str,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="Only on this target.",
        autocompletion=complete.targets,
    ),
]
ForTicket: TypeAlias = Annotated[
    str,
    typer.Option(
        "--ticket",
        metavar="ID",
        help="Only for this ticket.",
        autocompletion=complete.ran("ticket"),
    ),
]
ByActor: TypeAlias = Annotated[
    str,
    typer.Option(
        "--actor",
        metavar="NAME",
        help="Only by this person.",
        autocompletion=complete.ran("actor"),
    ),
]
InEnvironment: TypeAlias = Annotated[
    str,
    typer.Option(
        "--env",
        metavar="NAME",
        help="Only in this environment.",
        autocompletion=complete.ran("environment"),
    ),
]
