"""``wtsflow doctor``: whether runs can be begun here, and what was written down be trusted."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli.common import Format, document, frame, note, out, stop
from wtsflow.cli.progress import telling
from wtsflow.cli.tables import table
from wtsflow.errors import Exit

if TYPE_CHECKING:
    from wtsflow.upkeep.finding import Finding


def command(
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Examine this machine: disk, permissions, journal, audit log, runs left behind, programs.

    Nothing is changed. Each finding has a name that stays, and a cure.

    Exit codes: 0 no problems (there may be warnings), 1 there are problems.

    \b
    Examples:
      wtsflow doctor
      wtsflow doctor --format json | jq '.findings[] | select(.level != "ok")'
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.clock import SystemClock
    from wtsflow.upkeep.doctor import Exam, examine
    from wtsflow.upkeep.finding import Level

    here = frame()
    with telling() as tell:
        exam = Exam(here.state, SystemClock(), here.environ.get("PATH"))
        found = examine(exam, lambda id_: tell(f"examining {id_} …"))
    bad = any(one.level is Level.PROBLEM for one in found)
    if format_ is Format.JSON:
        document({"schema": "wtsflow.doctor/1", "healthy": not bad, "findings": facts(found)})
    else:
        _print(found)
    stop(Exit.FAILED if bad else Exit.SUCCESS)


def facts(found: "list[Finding]") -> list[dict[str, Any]]:
    """The findings as data."""
    return [
        {
            "id": one.id,
            "level": str(one.level),
            "about": one.about,
            "message": one.message,
            "cure": one.cure or None,
        }
        for one in found
    ]


def _print(found: "list[Finding]") -> None:
    table(
        ("finding", "level", "what"),
        [(one.id, str(one.level), one.message) for one in found],
        keep=2,
    )
    cures = [one for one in found if one.cure]
    if cures:
        out()
    for one in cures:
        out(f"{one.id}: {one.message}\n  cure: {one.cure}")
    if not cures:
        note("all is well")
