"""``wtsflow help``."""

from typing import Annotated

import typer

from wtsflow.cli.common import frame, out
from wtsflow.cli.main import COMMANDS, dispatch
from wtsflow.cli.overview import TOPICS, overview
from wtsflow.errors import UsageError


def _words() -> list[str]:
    return [*TOPICS, *COMMANDS]


def command(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[TOPIC | COMMAND]", autocompletion=_words)
    ] = None,
) -> int:
    """Explain a command, or a topic: exit-codes, environment, formats.

    Examples:
      wtsflow help run
      wtsflow help exit-codes
    """
    style = frame().style(frame().stdout)
    match words:
        case None | []:
            out(overview(style), raw=True)
        case [topic] if topic in TOPICS:
            out(TOPICS[topic](style), raw=True)
        case [name, *_] if name in COMMANDS:
            return dispatch([*words, "--help"])
        case _:
            raise UsageError(
                f"there is no help on '{words[0]}'", cure=f"topics: {', '.join(TOPICS)}"
            )
    return 0
