"""``wtsflow completion``."""

from enum import StrEnum
from typing import Annotated

import typer

from wtsflow.cli.common import out


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def command(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Print the script that lets a shell complete commands, options and values.

    Examples:
      eval "$(wtsflow completion bash)"        # in this shell, now
      wtsflow completion bash > ~/.local/share/bash-completion/completions/wtsflow
      wtsflow completion zsh > ~/.zfunc/_wtsflow
      wtsflow completion fish > ~/.config/fish/completions/wtsflow.fish
      wtsflow completion powershell >> $PROFILE
    """
    from typer._completion_shared import get_completion_script

    out(
        get_completion_script(
            prog_name="wtsflow", complete_var="_WTSFLOW_COMPLETE", shell=shell.value
        ),
        raw=True,
    )
