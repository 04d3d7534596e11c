"""What ``wtsflow --help`` and ``wtsflow help TOPIC`` say, drawn from the tables."""

from collections.abc import Callable

from wtsflow.cli.main import COMMANDS
from wtsflow.errors import Exit
from wtsflow.model.terminal import Style

PLAIN = Style()

EXAMPLES = (
    ("wtsflow new demo && cd demo", "a workspace that runs at once"),
    ("wtsflow validate manifests/", "prove every manifest of a folder"),
    ("wtsflow plan disk.yaml --limit web01", "what would run, and where"),
    ("wtsflow run disk.yaml --input days=7", "run it, live"),
    ("wtsflow runs show", "what happened in the last run"),
)

OPTIONS = (
    ("--workspace DIR", "folder with wtsflow.yaml (default: here or above)"),
    ("--color auto|always|never", "colour; NO_COLOR and FORCE_COLOR are honoured"),
    ("-q, --quiet", "no messages but errors"),
    ("-v, --verbose", "say more; twice: still more"),
    ("-V, --version", "print the version"),
    ("-h, --help", "print this, or a command's help"),
)

VARIABLES = (
    ("NO_COLOR", "not empty: no colour"),
    ("FORCE_COLOR, CLICOLOR_FORCE", "not empty, not 0: colour without a terminal too"),
    ("COLUMNS", "width; default: the terminal's, else uncut tables"),
    ("WTSFLOW_WORKSPACE", "like --workspace"),
    ("WTSFLOW_STATE", "folder of journal, audit log and kept output"),
    ("WTSFLOW_CACHE", "folder of mirrors of script repositories"),
    ("WTSFLOW_CONFIG", "file of your own settings"),
    ("WTSFLOW_UNATTENDED", "not empty: nobody is here, nothing is asked"),
    ("WTSFLOW_PARALLEL", "like --parallel: tasks at once"),
    ("WTSFLOW_TIMEOUT", "like --timeout: limit of a step that says none"),
    ("WTSFLOW_GRACE", "time between asking to end and killing"),
    ("WTSFLOW_CONNECT_TIMEOUT", "time that a connection may take"),
    ("WTSFLOW_REATTACH", "time that a lost connection is tried again"),
    ("WTSFLOW_CLOSING", "limit of 'finally' in a run that was stopped"),
    ("WTSFLOW_PARK", "a longer wait lets the process end"),
    ("WTSFLOW_ENV", "like --env: the environment of the workspace"),
    ("WTSFLOW_WAIT", "like --wait: time to wait for locked targets"),
    ("WTSFLOW_INPUT_<NAME>", "value of an input; also of a secret one"),
    ("WTSFLOW_DEBUG", "1: show the traceback of an internal error"),
)

FORMATS = (
    ("wtsflow.error/1", "any command that fails, with --format json"),
    ("wtsflow.run/1", "run, apply, runs show, runs watch"),
    ("wtsflow.event/1", "run, apply, runs watch --format jsonl"),
    ("wtsflow.cancelled/1", "cancel"),
    ("wtsflow.resumed/1", "resume --due"),
    ("wtsflow.runs/1", "runs list"),
    ("wtsflow.locks/1", "locks"),
    ("wtsflow.schedules/1", "schedules list"),
    ("wtsflow.schedule/1", "schedules show"),
    ("wtsflow.fired/1", "schedules run --due"),
    ("wtsflow.planned/1", "plan: what would run"),
    ("wtsflow.plan/1", "plan -o: the file that apply reads"),
    ("wtsflow.undo/1", "undo --plan"),
    ("wtsflow.checked/1", "apply --check, when the plan still fits"),
    ("wtsflow.validate/1", "validate; also sarif, junit and github"),
    ("wtsflow.rules/1", "explain"),
    ("wtsflow.lock/1", "lock"),
    ("wtsflow.verified/1", "audit verify"),
    ("wtsflow.audit/1", "audit show; audit export writes the log's own lines"),
    ("wtsflow.scripts.list/1", "scripts list"),
    ("wtsflow.scripts.show/1", "scripts show"),
    ("wtsflow.scripts.outdated/1", "scripts outdated"),
    ("wtsflow.scripts.update/1", "scripts update"),
    ("wtsflow.scripts.release/1", "scripts release"),
    ("wtsflow.scripts.impact/1", "scripts impact"),
    ("wtsflow.inventory/1", "inventory list"),
    ("wtsflow.target/1", "inventory show"),
    ("wtsflow.environments/1", "env list"),
    ("wtsflow.contrast/1", "env diff"),
    ("wtsflow.state/1", "state path"),
    ("wtsflow.state.check/1", "state check"),
    ("wtsflow.backup/1", "state backup; in the archive, what it holds"),
    ("wtsflow.restored/1", "state restore"),
    ("wtsflow.pruned/1", "state prune"),
    ("wtsflow.doctor/1", "doctor"),
    ("wtsflow.config/1", "config show"),
)


def overview(style: Style = PLAIN) -> str:
    """Return the page of ``wtsflow --help``."""
    lines = [
        "Run pinned scripts on other people's machines:",
        "proven before, live during, audited after.",
        "",
        f"{style('Usage:', 'bold')} wtsflow [OPTIONS] COMMAND [ARGS]...",
        "",
    ]
    groups: dict[str, list[tuple[str, str]]] = {}
    for command in COMMANDS.values():
        groups.setdefault(command.group, []).append((command.name, command.help))
    for group, rows in groups.items():
        lines += _section(group, rows, style, 12)
    lines += _section("Options (before or after the command)", OPTIONS, style, 27)
    lines += _section("Examples", EXAMPLES, style, 38)
    lines.append("Ends with a code that says how it went: wtsflow help exit-codes")
    return "\n".join(lines)


def exit_codes(style: Style = PLAIN) -> str:
    """Return the page of exit codes."""
    rows = [(f"{code.value:>3}  {code.label}", code.meaning) for code in Exit]
    lines = _section("Exit codes", rows, style, 16)
    lines.append("A script that exits 1 is an outcome, not an error: its run ends with 1 or 9.")
    lines.append('--format json prints the code and its name: "exit": {"code", "name"}.')
    return "\n".join(lines)


def environment(style: Style = PLAIN) -> str:
    """Return the page of environment variables."""
    return "\n".join(_section("Environment", VARIABLES, style, 28)[:-1])


def formats(style: Style = PLAIN) -> str:
    """Return the page of machine-readable documents."""
    lines = _section("Documents (key 'schema')", FORMATS, style, 26)
    lines.append("Every document has 'schema'; messages go to standard error. Keys are added,")
    lines.append("never changed, within a number; 'exit' holds {code, name} (help exit-codes).")
    return "\n".join(lines)


TOPICS: dict[str, Callable[[Style], str]] = {
    "exit-codes": exit_codes,
    "environment": environment,
    "formats": formats,
}


def _section(
    title: str, rows: "list[tuple[str, str]] | tuple[tuple[str, str], ...]", style: Style, wide: int
) -> list[str]:
    body = [f"  {style(name.ljust(wide), 'cyan')} {text}" for name, text in rows]
    return [style(f"{title}:", "bold"), *body, ""]
