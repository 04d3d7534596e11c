"""How the command line ends: every exception becomes a message and an exit code, here only."""

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wtsflow.cli.common import Frame, document, frame, silence, write
from wtsflow.cli.errors import error_document, render_error
from wtsflow.errors import Exit, UsageError, WtsflowError
from wtsflow.model.terminal import visible
from wtsflow.model.values import MASK

PIPE = 128 + 13
"""What a shell says of a program that SIGPIPE ended."""


def ending(args: list[str], work: Callable[[list[str]], int]) -> int:
    """Do the work and return the exit code; show what was raised."""
    try:
        return int(work(args))
    except WtsflowError as error:
        return report(error, args)
    except BrokenPipeError:  # a reader that went away: `| head`
        silence(frame().stdout)
        return PIPE
    except KeyboardInterrupt:
        write(frame().stderr, "stopped by Ctrl-C")
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last door: nothing raw reaches the terminal
        usage = _usage(error, args)
        return report(usage, args) if usage else report(_internal(error), args)
    finally:
        flush()


def report(error: WtsflowError, args: list[str]) -> int:
    """Show an error: a document on standard output when that was asked for, else a message."""
    here = frame()
    error.message, error.cure = concealed(error.message, here), concealed(error.cure, here)
    asked = _format(args)
    if asked in {"json", "jsonl"}:
        document(error_document(error), indent=2 if asked == "json" else None)
    else:
        write(here.stderr, render_error(error, here.style(here.stderr), here.width))
    return error.exit


def _format(args: list[str]) -> str:
    """What ``--format`` says, read without a parser: also where the rest cannot be parsed."""
    found = ""
    for index, word in enumerate(args):
        if word == "--":
            break
        if word.startswith("--format="):
            found = word.removeprefix("--format=")
        elif word == "--format" and index + 1 < len(args):
            found = args[index + 1]
    return found


def _command(args: list[str]) -> str:
    """The command that a line is about: its words up to the first option or argument."""
    from wtsflow.cli.main import COMMANDS

    return f"wtsflow {args[0]}" if args and args[0] in COMMANDS else "wtsflow"


def _usage(error: Exception, args: list[str]) -> UsageError | None:
    """The parser's own complaint about the command line, as ours; None for anything else."""
    known = sys.modules.get("typer._click.exceptions")
    if known is None or not isinstance(error, known.ClickException):
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context else _command(args)
    if type(error).__name__ == "NoArgsIsHelpError":
        return UsageError(f"{path}: which one?", cure=f"see {path} --help")
    near = getattr(error, "possibilities", None)
    said = error.message if near else error.format_message()
    message, _, meant = said.removesuffix("?").partition(". Did you mean ")
    message = _plainly(" ".join(message.replace("Value error, ", "").split()).rstrip("."))
    meant = meant or " or ".join(f"'{one}'" for one in sorted(near or ()))
    cure = f"did you mean {meant}?" if meant else f"see {path} --help"
    return UsageError(message[:1].lower() + message[1:], cure=cure)


def _plainly(message: str) -> str:
    """The parser's words about numbers, in a person's."""
    message = re.sub(r"is not in the range x>=(\d+)", r"is less than \1", message)
    message = re.sub(r"is not in the range (\d+)<=x<=(\d+)", r"is not \1 to \2", message)
    return re.sub(r"is not a valid int(eger)?( range)?$", "is not a whole number", message)


def _internal(error: Exception) -> WtsflowError:
    """A defect: its traceback is written down, and shown only with ``WTSFLOW_DEBUG=1``."""
    import traceback

    text = concealed("".join(traceback.format_exception(error)), frame())
    if frame().environ.get("WTSFLOW_DEBUG") == "1":
        write(frame().stderr, visible(text, keep="\n"))
    place = _kept(text)
    return WtsflowError(
        f"a defect in wtsflow: {type(error).__name__}: {error}",
        cure=f"report it with the traceback in {place}" if place else "report it; WTSFLOW_DEBUG=1",
    )


def concealed(text: str, here: Frame) -> str:
    """Return ``text`` without the secrets that the command read."""
    if not here.secrets:
        return text
    from wtsflow.engine.needles import refuse_unmaskable
    from wtsflow.engine.redact import Redactor

    strong = []
    for secret in here.secrets:
        try:
            refuse_unmaskable(secret.reveal())
            strong.append(secret)
        except WtsflowError:  # nothing was run with it; the message that says so has to be read
            if weak := secret.reveal():
                text = text.replace(weak, MASK)
    return Redactor(strong).text(text)


def _kept(text: str) -> Path | None:
    import tempfile

    from wtsflow.files import private_folder

    with suppress(OSError, WtsflowError):
        folder = frame().state / "crash"
        private_folder(folder)
        number, name = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=folder)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return Path(name)
    return None


def flush() -> None:
    """Write out what is buffered, so that a closed pipe is not reported after our end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            silence(stream)
        except (OSError, ValueError):
            pass
