"""``wtsflow explain``: the page of a rule."""

from typing import Annotated

import typer

from wtsflow.cli.common import Format, document, out
from wtsflow.errors import UsageError
from wtsflow.source.phrases import near


def command(
    rule: Annotated[str, typer.Argument(help="A rule's id, such as wts101.")] = "",
    listing: Annotated[
        bool, typer.Option("--list", help="List all rules.", show_default=False)
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.TEXT,
) -> None:
    """Show the page of a rule: what is wrong, why it matters, how to write it.

    \b
    Examples:
      wtsflow explain wts101
      wtsflow explain --list
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.source.rules import RULES

    if listing == bool(rule):
        raise UsageError("give a rule's id or --list", cure="wtsflow explain --list")
    asked = rule.lower()
    if rule and asked not in RULES:
        raise UsageError(
            f"there is no rule '{rule}'{near(asked, RULES)}", cure="wtsflow explain --list"
        )
    chosen = list(RULES.values()) if listing else [RULES[asked]]
    if format_ is Format.JSON:
        rules = [{"id": each.id, "title": each.title, "page": each.page} for each in chosen]
        document({"schema": "wtsflow.rules/1", "rules": rules})
    elif listing:
        for each in chosen:
            out(f"{each.id}  {each.title}")
    else:
        out(f"{chosen[0].id}: {chosen[0].title}\n\n{chosen[0].page}")
