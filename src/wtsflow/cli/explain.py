"""``wtsflow explain``: the page of a rule."""

from typing import Annotated

import typer

from wtsflow.cli import complete
from wtsflow.cli.common import Format, document, out
from wtsflow.errors import UsageError


def command(
    rules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RULE...",
            help="Ids of rules, such as wts101.",
            autocompletion=complete.rules,
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List all rules.", show_default=False)
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Show the page of a rule: what is wrong, why it matters, how to write it.

    \b
    Examples:
      wtsflow explain wts101
      wtsflow explain wts101 wts207
      wtsflow explain --list
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.source.rules import RULES

    if listing == bool(rules):
        raise UsageError("give a rule's id or --list", cure="wtsflow explain --list")
    asked = list(dict.fromkeys(rule.lower() for rule in rules or RULES))
    for rule in asked:
        if rule not in RULES:
            raise UsageError(f"there is no rule '{rule}'", cure="see: wtsflow explain --list")
    chosen = [RULES[rule] for rule in asked]
    if format_ is Format.JSON:
        pages = [{"id": each.id, "title": each.title, "page": each.page} for each in chosen]
        document({"schema": "wtsflow.rules/1", "rules": pages})
    elif listing:
        out("\n".join(f"{each.id}  {each.title}" for each in chosen))
    else:
        out("\n\n".join(f"{each.id}: {each.title}\n\n{each.page}" for each in chosen))
