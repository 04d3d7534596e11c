"""Write ``docs/reference/`` from the code and the schemas: ``python -m docs.generate``.

A test compares what is written with what would be, so the pages cannot grow stale.
"""

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from docs.tables import SchemaPages, table

FOLDER = Path(__file__).parent / "reference"
MARK = "<!-- Written by `make docs` from the code. Do not edit: change the code or the schema. -->"


def exit_codes() -> str:
    """Every exit code and the errors that own it."""
    from wtsflow import errors

    owners: dict[int, list[str]] = {}
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.WtsflowError):
            owners.setdefault(value.exit, []).append(f"`{name}`")
    rows = [
        (str(code.value), f"`{code.label}`", code.meaning, ", ".join(owners.get(code, [])))
        for code in errors.Exit
    ]
    return (
        "# Exit codes\n\n"
        "The same name is in `--format json`, as `exit: {code, name}`. "
        "They are never renumbered.\n\n"
        + table(("code", "name", "meaning", "errors that end so"), rows)
    )


def expressions() -> str:
    """The functions of the expression language."""
    from wtsflow.model.expression import FUNCTIONS

    rows = [(f"`{one.signature}`", one.help, one.arity) for one in FUNCTIONS.values()]
    return (
        "# Expression functions\n\n"
        "Operators: `== != < <= > >= in not in and or not + - * / %`, grouping with `( )`, "
        "look-up with `.name` and `[index]`, lists `[1, 2]`. Text stands in single quotes. "
        "A condition must be `true` or `false`: nothing is converted silently.\n\n"
        + table(("function", "meaning", "takes"), rows)
    )


def rules() -> str:
    """Every rule of the validator, with the page that ``wtsflow explain`` prints."""
    from wtsflow.source.rules import RULES

    rows = [(f"[{rule.id}](#{rule.id})", rule.title) for rule in RULES.values()]
    pages = [f"## {rule.id}\n\n**{rule.title}**\n\n{rule.page.strip()}" for rule in RULES.values()]
    return "\n\n".join(
        [
            "# Rules\n\nWhat `wtsflow validate` may say. `wtsflow explain RULE` prints one.",
            table(("rule", "title"), rows),
            *(re.sub(r"(?m)^# .*\n+", "", page) for page in pages),
        ]
    )


def schema_page(name: str, title: str, about: str) -> str:
    """The keys of one kind of file."""
    from wtsflow.source import schema_text

    pages = SchemaPages(json.loads(schema_text(name)))
    return "\n\n".join([f"# {title}\n\n{about}", *pages.sections()])


def commands() -> str:
    """Every command's own help."""
    parts = [
        "# Commands\n\nWhat `wtsflow COMMAND --help` prints.",
        f"```text\n{helped([])}\n```",
    ]
    for path in command_paths():
        name = " ".join(path)
        parts.append(f"## wtsflow {name}\n\n```text\n{helped(path)}\n```")
    return "\n\n".join(parts)


def command_paths() -> Iterator[list[str]]:
    """Every command, and every command below a command."""
    from wtsflow.cli.group import loaded
    from wtsflow.cli.main import COMMANDS

    for name in COMMANDS:
        yield [name]
        for below in getattr(loaded(name), "commands", {}):
            yield [name, below]


def helped(path: list[str]) -> str:
    """The text that ``--help`` prints, 80 columns wide and without colour."""
    from wtsflow.cli.common import Color, Frame, enter
    from wtsflow.cli.main import dispatch

    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}),
        contextlib.redirect_stdout(printed),
    ):
        enter(Frame(color=Color.NEVER, environ={}))
        dispatch([*path, "--help"])
    return "\n".join(line.rstrip() for line in printed.getvalue().strip("\n").splitlines())


def environment() -> str:
    """Environment variables and machine-readable documents."""
    from wtsflow.cli.overview import FORMATS, VARIABLES

    about = (
        "Every machine-readable document says its `schema`. Keys are added, never changed, "
        "within a number. Messages go to standard error."
    )
    return "\n\n".join(
        [
            "# Environment and formats",
            "## Environment variables",
            table(("variable", "meaning"), [(f"`{name}`", text) for name, text in VARIABLES]),
            "## Documents",
            about,
            table(("schema", "written by"), [(f"`{name}`", text) for name, text in FORMATS]),
        ]
    )


def records() -> str:
    """Every type of record."""
    from docs.records import KINDS

    about = (
        "What the journal (SQLite) and the audit log (JSON lines) hold, and what `--format jsonl` "
        "streams. A key is recorded at most once for each run."
    )
    parts = [
        "# Records",
        about,
        table(("type", "key", "written"), [(k, f"`{v.key}`", v.when) for k, v in KINDS.items()]),
    ]
    for name, kind in KINDS.items():
        if kind.data:
            rows = [(f"`{key}`", text) for key, text in kind.data.items()]
            parts.append(f"## {name}\n\n{table(('data', 'meaning'), rows)}")
    return "\n\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "environment.md": environment,
    "exit-codes.md": exit_codes,
    "expressions.md": expressions,
    "inventory.md": lambda: schema_page(
        "inventory-1", "Inventory keys", "`inventory.yaml`, wtsflow's own form."
    ),
    "manifest.md": lambda: schema_page(
        "wtsflow-1", "Manifest keys", "`wtsflow schema` prints the schema for your editor."
    ),
    "records.md": records,
    "rollouts.md": lambda: schema_page(
        "rollouts-1",
        "Rollout keys",
        "`rollouts.yaml` on the script repository's main branch: successors, retractions.",
    ),
    "rules.md": rules,
    "sidecar.md": lambda: schema_page(
        "sidecar-1", "Sidecar keys", "`<script>.yaml` beside a script."
    ),
    "workspace.md": lambda: schema_page(
        "workspace-1", "Workspace keys", "`wtsflow.yaml`, at the top of a workspace."
    ),
}


def text(name: str) -> str:
    """A reference page as it should be."""
    return f"{MARK}\n\n{PAGES[name]().rstrip()}\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name in PAGES:
        (FOLDER / name).write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
