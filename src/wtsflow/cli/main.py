"""The command line: one table of commands, each imported only when it is the one asked for."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from wtsflow.cli.common import Frame, enter, frame, write
from wtsflow.errors import Exit


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the table. ``module`` has ``command`` (a function) or ``app`` (several)."""

    name: str
    group: str
    help: str

    @property
    def module(self) -> str:
        """The file that performs it."""
        return f"wtsflow.cli.{self.name.replace('-', '_')}"


COMMANDS = {
    command.name: command
    for command in (
        Command("new", "Begin", "Make a workspace that runs at once: script, inventory, manifest"),
        Command("lab", "Begin", "Practise on SSH hosts that live in this process"),
        Command("validate", "Prove", "Check manifests: every error, with its place and cure"),
        Command("explain", "Prove", "Show a rule's page"),
        Command("schema", "Prove", "Print the JSON schema of manifests, for editors"),
        Command("lock", "Prove", "Tie every pinned script to its commit, blob and digest"),
        Command("plan", "Run", "Show what would run, where, and with which script"),
        Command("run", "Run", "Run a manifest, live"),
        Command("apply", "Run", "Run a plan that was written down, exactly"),
        Command("runs", "Look back", "List, show and watch runs"),
        Command("audit", "Look back", "Verify, show and export the audit log"),
        Command("scripts", "Manage", "List, show, release and update pinned scripts"),
        Command("inventory", "Manage", "List targets, groups and host patterns"),
        Command("config", "Manage", "Show the settings and where each comes from"),
        Command("completion", "Manage", "Print the completion script of a shell"),
        Command("help", "Manage", "Explain a command, exit codes, the environment, formats"),
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Nothing is raised out of it.

    ``argv`` is without the program's name; default: the process's own.
    """
    from wtsflow.cli.ending import ending

    args = list(sys.argv[1:] if argv is None else argv)
    enter(Frame())
    return ending(args, dispatch)


def dispatch(args: list[str]) -> int:
    """Answer the overview at once; give everything else to typer."""
    if args in ([], ["--help"], ["-h"], ["help"]):
        from wtsflow.cli.overview import overview

        stream = frame().stdout if args else frame().stderr
        write(stream, overview(frame().style(stream)))
        return Exit.SUCCESS if args else Exit.USAGE
    import typer

    from wtsflow.cli.group import root

    group = root()
    try:
        with group.make_context("wtsflow", args) as context:
            result = group.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return int(result or 0)
