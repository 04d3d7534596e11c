"""The frame of the command line: the table, the options, what is loaded when, how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from wtsflow import __version__
from wtsflow.cli import common, complete, main as cli, overview
from wtsflow.cli.main import COMMANDS, Command, main
from wtsflow.cli.style import colored
from wtsflow.errors import BusyError, ConfigError, Exit, PinMismatch
from wtsflow.model.terminal import Style
from wtsflow.model.values import Secret
from wtsflow.workspace.settings import SETTINGS

HEAVY = ("typer", "rich", "paramiko", "git", "jsonschema", "ruamel", "keyring", "sqlite3")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of its own; no variable of the caller's."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "WTSFLOW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WTSFLOW_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Put a function into the table as ``wtsflow probe``."""

    def put(function: Any) -> None:
        module = types.ModuleType("wtsflow.cli.probe")
        name = "app" if isinstance(function, typer.Typer) else "command"
        setattr(module, name, function)
        monkeypatch.setitem(sys.modules, "wtsflow.cli.probe", module)
        monkeypatch.setitem(COMMANDS, "probe", Command("probe", "Run", "Try something"))

    return put


def run(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The real program, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "wtsflow", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- start-up -------------------------------------------------------------------------------


def loaded_by(*words: str) -> set[str]:
    program = (
        "import sys\n"
        f"sys.argv = {['wtsflow', *words]!r}\n"
        "from wtsflow.__main__ import main\n"
        "main()\n"
        "sys.stderr.write(' '.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_the_version_is_answered_without_loading_more_than_its_own_module() -> None:
    modules = loaded_by("--version")
    ours = {name for name in modules if name.partition(".")[0] == "wtsflow"}
    assert ours == {"wtsflow", "wtsflow.__main__"}
    assert not modules & {*HEAVY, "re", "dataclasses", "enum", "pathlib", "argparse"}


def test_the_overview_is_drawn_without_typer_or_any_command() -> None:
    modules = loaded_by("--help")
    assert not modules & set(HEAVY)
    assert not modules & {command.module for command in COMMANDS.values()}


def test_only_the_command_that_is_asked_for_is_loaded() -> None:
    modules = loaded_by("completion", "bash")
    assert modules & {command.module for command in COMMANDS.values()} == {"wtsflow.cli.completion"}
    assert not modules & {"rich", "paramiko", "git", "jsonschema", "ruamel", "keyring"}


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["--color", "never", "--version"]])
def test_the_version_is_printed(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wtsflow {__version__}\n", "")


# --- the overview and the pages of help -----------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["--color", "never", "--help"]])
def test_the_overview_lists_every_command_with_its_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    for command in COMMANDS.values():
        assert f"  {command.name:<12} {command.help}\n" in said
    for example, _ in overview.EXAMPLES:
        assert example in said


def test_the_overview_fits_eighty_columns() -> None:
    pages = [overview.overview(), *(page(Style()) for page in overview.TOPICS.values())]
    assert [line for page in pages for line in page.splitlines() if len(line) > 80] == []


def test_every_document_and_every_variable_has_its_line_in_help() -> None:
    source = Path(str(cli.__file__)).parents[1]
    text = "\n".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    written = set(re.findall(r'["\'](wtsflow\.[a-z.]+/\d)["\']', text))
    assert written == {name for name, _ in overview.FORMATS}
    told = {name for names, _ in overview.VARIABLES for name in names.split(", ")}
    assert {setting.variable for setting in SETTINGS.values()} <= told


def test_a_group_says_in_full_what_its_commands_do(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("runs", "audit", "lab", "inventory", "config", "scripts"):
        assert main([name, "--help"]) == 0
        said = capsys.readouterr().out
        assert "..." not in said.partition("Commands:")[2]
        assert "--install-completion" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "x", "-e"], "see wtsflow run --help"),
        (["run", "x", "--parallel", "0"], "0 is less than 1"),
        (["runs", "list", "-n", "ten"], "'ten' is not a whole number"),
        (["explain", "wts999"], "see: wtsflow explain --list"),
    ],
)
def test_the_parser_speaks_plainly(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == Exit.USAGE
    assert said in capsys.readouterr().err


def test_no_command_at_all_is_a_usage_error_with_the_overview(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage: wtsflow" in said.err


def test_every_exit_code_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "exit-codes"]) == 0
    said = capsys.readouterr().out
    for code in Exit:
        assert f"{code.value:>3}  {code.label}" in said
        assert code.meaning in said


@pytest.mark.parametrize("topic", overview.TOPICS)
def test_a_topic_is_a_page_of_help(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", topic]) == 0
    assert capsys.readouterr().out.count("\n") > 3


def test_help_of_a_command_is_the_commands_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "completion"]) == 0
    said = capsys.readouterr().out
    assert main(["completion", "--help"]) == 0
    assert said == capsys.readouterr().out
    assert "--color <auto|always|never>" in said


def test_help_on_nothing_known_names_the_topics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "nonsense"]) == Exit.USAGE
    assert "exit-codes" in capsys.readouterr().err


def test_the_lines_of_examples_stay_as_they_are(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> None:
        """Try something.

        Examples:
          wtsflow probe one
          wtsflow probe two      with a word on it
        """

    command(probe)
    assert main(["probe", "--help"]) == 0
    said = capsys.readouterr().out
    assert "  Examples:\n    wtsflow probe one\n    wtsflow probe two      with a word" in said


# --- usage errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "cure"),
    [
        (["vaildate"], "there is no command 'vaildate'", "did you mean 'wtsflow validate'?"),
        (["zzz"], "there is no command 'zzz'", "see wtsflow --help"),
        (["help", "--colr", "x"], "no such option: --colr", "did you mean '--color'?"),
        (["--colr", "x", "help"], "no such option: --colr", "did you mean '--color'?"),
        (
            ["completion"],
            "missing argument 'SHELL'",
            "see wtsflow completion --help",
        ),
        (
            ["completion", "ksh"],
            "invalid value for 'SHELL': 'ksh' is not one of 'bash', 'zsh', 'fish', 'powershell'",
            "see wtsflow completion --help",
        ),
    ],
)
def test_a_wrong_command_line_gets_one_message_and_its_cure(
    words: list[str], message: str, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()[:2]
    assert first.startswith(f"error: {message}")
    assert second == f"  cure: {cure}"


def test_a_wrong_subcommand_is_answered_with_the_near_one(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command("list")
    def listed() -> None:
        """List."""

    @app.command("show")
    def show() -> None:
        """Show."""

    command(app)
    assert main(["probe", "lsit"]) == Exit.USAGE
    assert "did you mean 'list'?" in capsys.readouterr().err


# --- global options -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["-q", "-vv", "--color", "always", "--workspace", "/w", "probe"],
        ["probe", "-q", "-v", "--verbose", "--color=always", "--workspace=/w"],
        ["-q", "--color=always", "probe", "--workspace", "/w", "-vv"],
    ],
)
def test_global_options_are_taken_before_and_after_the_command(
    words: list[str], command: Callable[[Any], None]
) -> None:
    seen = []
    command(lambda: seen.append(common.frame()))
    assert main(words) == 0
    (frame,) = seen
    assert (frame.quiet, frame.verbose, frame.color) == (True, 2, common.Color.ALWAYS)
    assert frame.start == Path("/w")


def test_global_options_reach_a_command_below_a_command(command: Callable[[Any], None]) -> None:
    seen = []
    app = typer.Typer()

    @app.command("one")
    def one() -> None:
        seen.append(common.frame().quiet)

    @app.command("two")
    def two() -> None:
        pass

    command(app)
    assert main(["probe", "one", "--quiet"]) == 0
    assert seen == [True]


def test_an_option_of_the_command_wins_over_a_global_one(command: Callable[[Any], None]) -> None:
    seen = []

    def probe(volume: Annotated[int, typer.Option("-v")] = 0) -> None:
        seen.append((volume, common.frame().verbose))

    command(probe)
    assert main(["probe", "-v", "7"]) == 0
    assert seen == [(7, 0)]


def test_the_workspace_may_come_from_the_environment(
    command: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    command(lambda: seen.append(common.frame().start))
    monkeypatch.setenv("WTSFLOW_WORKSPACE", "/from/env")
    assert main(["probe"]) == 0
    assert main(["--workspace", "/from/flag", "probe"]) == 0
    assert seen == [Path("/from/env"), Path("/from/flag")]


def test_quiet_keeps_notes_away_and_not_results(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> None:
        common.note("by the way")
        common.out("result")

    command(probe)
    main(["probe"])
    assert capsys.readouterr() == ("result\n", "by the way\n")
    main(["-q", "probe"])
    assert capsys.readouterr() == ("result\n", "")


# --- how it ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["returns", "stops", "raises"])
@pytest.mark.parametrize("code", [Exit.PARTIAL, Exit.WAITING, Exit.UNKNOWN])
def test_a_commands_code_is_the_processs(
    how: str, code: Exit, command: Callable[[Any], None]
) -> None:
    def probe() -> Exit:
        if how == "stops":
            common.stop(code)
        if how == "raises":
            raise typer.Exit(int(code))
        return code

    command(probe)
    assert main(["probe"]) == code


def fail(error: BaseException) -> Callable[[], None]:
    def probe(
        format_: Annotated[common.Format, typer.Option("--format")] = common.Format.TEXT,
    ) -> None:
        raise error

    return probe


def test_an_error_is_shown_once_with_its_cure_and_code(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail(BusyError("run 7 holds it", cure="wait, or wtsflow runs show 7")))
    assert main(["probe"]) == 75
    assert capsys.readouterr() == (
        "",
        "error: run 7 holds it\n  cure: wait, or wtsflow runs show 7\n",
    )


@pytest.mark.parametrize("words", [["--format", "json"], ["--format=json"]])
def test_an_error_is_a_document_where_json_was_asked_for(
    words: list[str], command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail(PinMismatch("a.sh@1.0.0", "aa", "bb", cure="ask")))
    assert main(["probe", *words]) == Exit.MISMATCH
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "schema": "wtsflow.error/1",
        "error": {
            "type": "PinMismatch",
            "message": "a.sh@1.0.0: locked as aa, found bb",
            "cure": "ask",
            "location": None,
        },
        "exit": {"code": 6, "name": "mismatch"},
    }
    assert said.err == ""


def test_a_usage_error_is_a_document_too(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail(RuntimeError()))
    assert main(["probe", "--format", "json", "--nonsense"]) == Exit.USAGE
    assert json.loads(capsys.readouterr().out)["exit"] == {"code": 2, "name": "usage"}


def test_what_follows_two_dashes_is_no_format(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(words: list[str]) -> None:
        raise ConfigError("no")

    command(probe)
    assert main(["probe", "--", "--format", "json"]) == Exit.INVALID
    assert capsys.readouterr() == ("", "error: no\n")


def test_a_defect_is_a_short_message_and_a_private_file(
    command: Callable[[Any], None], surroundings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail(KeyError("oops")))
    assert main(["probe"]) == 70
    said = capsys.readouterr()
    assert said.err.startswith("error: a defect in wtsflow: KeyError: 'oops'\n")
    assert "Traceback" not in said.err
    (file,) = (surroundings / "crash").iterdir()
    assert str(file) in said.err
    assert "Traceback" in file.read_text(encoding="utf-8")
    assert [path.stat().st_mode & 0o077 for path in (file, file.parent)] == [0, 0]


def test_T48_a_traceback_holds_no_secret_even_when_it_is_shown(
    command: Callable[[Any], None],
    surroundings: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "correct horse battery"

    def probe(
        format_: Annotated[common.Format, typer.Option("--format")] = common.Format.TEXT,
    ) -> None:
        common.frame().secrets.append(Secret(secret))
        raise ValueError(f"cannot log in with {secret}")

    command(probe)
    monkeypatch.setenv("WTSFLOW_DEBUG", "1")
    assert main(["-vv", "probe"]) == Exit.INTERNAL
    assert main(["probe", "--format", "json"]) == Exit.INTERNAL
    said = capsys.readouterr()
    files = [file.read_text(encoding="utf-8") for file in (surroundings / "crash").iterdir()]
    assert "Traceback" in said.err
    assert len(files) == 2
    for text in (said.out, said.err, *files):
        assert "cannot log in with ********" in text
        assert secret not in text


def test_a_message_of_an_error_holds_no_secret(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> None:
        common.frame().secrets.append(Secret("correct horse battery"))
        raise ConfigError("not correct horse battery", cure="drop correct horse battery")

    command(probe)
    assert main(["probe"]) == Exit.INVALID
    assert capsys.readouterr().err == "error: not ********\n  cure: drop ********\n"


def test_the_traceback_is_shown_where_it_cannot_be_kept(
    command: Callable[[Any], None],
    surroundings: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    surroundings.write_text("a file where the folder should be")
    command(fail(KeyError("oops")))
    assert main(["probe"]) == Exit.INTERNAL
    assert "WTSFLOW_DEBUG=1" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail(KeyboardInterrupt()))
    assert main(["probe"]) == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


def test_T39_an_errors_text_reaches_the_terminal_escaped(
    command: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(fail(ConfigError("bad \x1b]0;x\x07 name\u202e", cure="\x1b[2J")))
    main(["probe"])
    said = capsys.readouterr().err
    assert "\\x1b]0;x\\x07 name\\u202e" in said
    assert "\x1b" not in said
    common.out("one\x1b[31m\ntwo")
    assert capsys.readouterr().out == "one\\x1b[31m\ntwo\n"


# --- pipes and encodings --------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_the_output_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "wtsflow", "help", "exit-codes"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="needs /bin/sh")
def test_a_closed_standard_output_is_borne() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m wtsflow --help >&-; echo $?'],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_narrow_encoding_is_no_defect(
    command: Callable[[Any], None],
) -> None:
    program = (
        "import sys, types\n"
        "from wtsflow.cli.main import COMMANDS, Command, main\n"
        "from wtsflow.cli import common\n"
        "module = types.ModuleType('wtsflow.cli.probe')\n"
        "def probe():\n"
        "    common.out('größe ✓')\n"
        "    common.document({'schema': 'x/1', 'name': 'größe ✓'}, indent=None)\n"
        "module.command = probe\n"
        "sys.modules['wtsflow.cli.probe'] = module\n"
        "COMMANDS['probe'] = Command('probe', 'Run', 'x')\n"
        "sys.exit(main(['probe']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    text, data = done.stdout.splitlines()
    assert text == rb"gr\xf6\xdfe \u2713"
    assert json.loads(data)["name"] == "größe ✓"
    assert done.returncode == 0


def test_nothing_of_posix_is_needed_for_help() -> None:
    program = (
        "import sys\n"
        "for name in ('fcntl', 'pwd', 'grp', 'termios', 'resource'): sys.modules[name] = None\n"
        "from wtsflow.cli.main import COMMANDS, main\n"
        "codes = [main(['--help']), *(main([name, '--help']) for name in COMMANDS)]\n"
        "sys.stderr.write(repr(set(codes)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == "{0}"


# --- colour ---------------------------------------------------------------------------------


class Stream:
    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("color", "environ", "terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"FORCE_COLOR": ""}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_who_decides_on_colour(
    color: str, environ: dict[str, str], terminal: bool, expected: bool
) -> None:
    assert colored(Stream(terminal=terminal), color, environ) is expected  # type: ignore[arg-type]


def test_a_terminal_gets_colour_and_a_pipe_does_not() -> None:
    assert "\x1b[" not in run("--help").stdout
    assert "\x1b[1mUsage:\x1b[0m" in run("--help", FORCE_COLOR="1").stdout
    pty = pytest.importorskip("pty")
    controller, terminal = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "wtsflow", "--help"], stdout=terminal, check=True, timeout=60
    )
    os.close(terminal)
    assert b"\x1b[1mUsage:\x1b[0m" in os.read(controller, 65536)
    os.close(controller)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(1, Exit.USAGE, "standard output cannot be written: No space"), (2, Exit.USAGE, "")],
)
def test_output_that_cannot_be_written_is_no_defect(number: int, code: Exit, said: str) -> None:
    words = ["help", "exit-codes"] if number == 1 else ["runn"]
    with Path("/dev/full").open("w") as full:
        streams: dict = {"stdout": full, "stderr": subprocess.PIPE}
        if number == 2:
            streams = {"stdout": subprocess.PIPE, "stderr": full}
        done = subprocess.run([sys.executable, "-m", "wtsflow", *words], check=False, **streams)
    assert done.returncode == code
    assert said in (done.stderr or b"").decode()


# --- completion -----------------------------------------------------------------------------


def completed(line: str, **environ: str) -> list[str]:
    words = line.split()
    done = run(
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - (not line.endswith(" "))),
        _WTSFLOW_COMPLETE="complete_bash",
        **environ,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wtsflow va", ["validate"]),
        ("wtsflow --col", ["--color"]),
        ("wtsflow help exit", ["exit-codes"]),
        ("wtsflow completion ", ["bash", "zsh", "fish", "powershell"]),
        ("wtsflow explain wts101 wts20", [f"wts20{number}" for number in range(1, 10)]),
        ("wtsflow schema w", ["wtsflow-1", "workspace-1"]),
    ],
)
def test_a_shell_is_offered_words(line: str, words: list[str]) -> None:
    assert completed(line) == words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_completion_script_asks_us_by_our_variable(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert "_WTSFLOW_COMPLETE" in said
    assert "wtsflow" in said


def test_manifests_are_completed_by_folder_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifests" / "disk").mkdir(parents=True)
    for name in ("a.yaml", "a.txt", "b.yml", ".hidden.yaml"):
        (tmp_path / "manifests" / name).touch()
    monkeypatch.chdir(tmp_path)
    assert complete.manifests("man") == [("manifests/", "")]
    assert complete.manifests("manifests/") == [
        ("manifests/a.yaml", ""),
        ("manifests/b.yml", ""),
        ("manifests/disk/", ""),
    ]
    assert complete.manifests("nowhere/x") == []


def test_names_of_the_workspace_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wtsflow.yaml").write_text("wtsflow: 1\ninventory: hosts.yaml\n", encoding="utf-8")
    (tmp_path / "hosts.yaml").write_text(
        "wtsflow: 1\nhosts: { web1: {}, db1: {} }\ngroups: { web: { hosts: [web1] } }\n",
        encoding="utf-8",
    )
    (tmp_path / "wtsflow.lock").write_text("a/b.sh@1.0.0 tag:1\n", encoding="utf-8")
    (tmp_path / "manifests" / "disk").mkdir(parents=True)
    (tmp_path / "manifests" / "disk" / "clean.yaml").touch()
    monkeypatch.chdir(tmp_path)
    common.enter(common.Frame())
    assert complete.manifests("di") == [("disk/clean", "")]
    assert complete.targets("we") == [("web1", ""), ("web", "a group")]
    assert complete.scripts("") == [("a/b.sh@1.0.0", "")]
    (tmp_path / "hosts.yaml").chmod(0o755)
    assert complete.targets("we") == []


def test_no_run_is_completed_before_there_is_one(surroundings: Path) -> None:
    common.enter(common.Frame())
    assert complete.runs("") == []
    assert not surroundings.exists()


def test_the_first_signal_of_a_terminal_reaches_a_command() -> None:
    program = (
        "import signal, sys, time, types\n"
        "from wtsflow.cli.main import COMMANDS, Command, main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was ignored\n"
        "module = types.ModuleType('wtsflow.cli.probe')\n"
        "def probe():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "module.command = probe\n"
        "sys.modules['wtsflow.cli.probe'] = module\n"
        "COMMANDS['probe'] = Command('probe', 'Run', 'x')\n"
        "sys.exit(main(['probe']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "stopped by Ctrl-C\n")


def test_every_module_of_the_table_has_a_command() -> None:
    from wtsflow.cli.group import loaded

    assert cli.COMMANDS
    for name in COMMANDS:
        assert loaded(name).name == name
