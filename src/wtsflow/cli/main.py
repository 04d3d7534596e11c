"""The command line: one table of commands, each imported only when it is the one asked for."""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wtsflow.cli.common import Frame, enter, frame, write
from wtsflow.errors import Exit

COMPLETE = "_WTSFLOW_COMPLETE"
"""The variable in which a shell's completion script says what it wants."""


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
        Command("resume", "Run", "Go on with a run that was cut off, let go of, or parked"),
        Command("cancel", "Run", "End a run: stop what runs on its targets, verified"),
        Command("schedules", "Run", "List schedules, and fire those that are due: for cron"),
        Command("undo", "Run", "Take back what a run did, in reverse"),
        Command("runs", "Look back", "List, show and watch runs"),
        Command("locks", "Look back", "Show which run has which target, and who waits"),
        Command("audit", "Look back", "Verify, show and export the audit log"),
        Command("scripts", "Manage", "List, show, release and update pinned scripts"),
        Command("inventory", "Manage", "List targets, groups and host patterns"),
        Command("state", "Manage", "Back up, restore, check and prune what is kept of runs"),
        Command("doctor", "Manage", "Examine this machine: disk, journal, runs left behind"),
        Command("env", "Manage", "List environments; compare what two of them would run"),
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not None, not a test's
            stream.reconfigure(errors="backslashreplace")
    enter(Frame())
    return ending(args, dispatch)


def completed(group: Any) -> int:
    """Answer a shell that asks which words may come next (it says so in the environment)."""
    from typer._completion_classes import completion_init

    completion_init()
    try:
        group.main([], prog_name="wtsflow", complete_var=COMPLETE)
    except SystemExit as done:
        return int(done.code or 0)
    except Exception:  # noqa: BLE001 - a message would be typed into the person's command line
        return Exit.INTERNAL
    return Exit.SUCCESS


def dispatch(args: list[str]) -> int:
    """Answer the overview at once; give everything else to typer."""
    completing = frame().environ.get(COMPLETE)
    if args in ([], ["--help"], ["-h"], ["help"]) and not completing:
        from wtsflow.cli.overview import overview

        stream = frame().stdout if args else frame().stderr
        write(stream, overview(frame().style(stream)))
        return Exit.SUCCESS if args else Exit.USAGE
    import typer

    from wtsflow.cli.group import root

    group = root()
    if completing:
        return completed(group)
    try:
        with group.make_context("wtsflow", args) as context:
            result = group.invoke(context)
    except typer.Exit as done:
        return int(done.exit_code)
    return int(result or 0)
