"""``wtsflow state``: the folder in which everything is kept: where, whole, copied, made smaller."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli.common import Format, document, frame, note, out, silence, stop
from wtsflow.cli.kept import journal, local, moment
from wtsflow.cli.progress import telling
from wtsflow.cli.tables import table
from wtsflow.errors import Exit, UsageError

if TYPE_CHECKING:
    from wtsflow.upkeep.backup import Contents
    from wtsflow.upkeep.prune import Choice, Removed

app = typer.Typer(add_completion=False, no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A tar.gz; '-': standard output or input.")
]


@app.command()
def path(format_: FormatOption = Format.TEXT) -> None:
    """Print the folder of the journal, the audit log, kept output and scripts.

    Examples:
      wtsflow state path
      du -sh "$(wtsflow state path)"
    """
    folder = frame().state
    if format_ is Format.JSON:
        document({"schema": "wtsflow.state/1", "folder": str(folder), "exists": folder.is_dir()})
    else:
        out(str(folder))


@app.command()
def check(format_: FormatOption = Format.TEXT) -> None:
    """Prove that the journal is whole, and that the audit log says the same.

    Every page of the file and every index, the numbers of every run's records, and each record
    against the audit log. Nothing is changed.

    Exit codes: 0 whole, 6 something is not as it was written, 74 it cannot be read.

    Examples:
      wtsflow state check
      wtsflow state check --format json | jq .faults
    """
    from wtsflow.audit.verify import verify

    audit = frame().state / "audit"
    with telling() as tell, journal() as opened:
        tell("reading the journal …")
        faults = opened.faults()
        tell("holding the audit log against it …")
        verdict = verify(audit, opened) if audit.is_dir() else None
        runs = len(opened.heads())
    if verdict is not None:
        faults += [f"audit log: {one.message}" for one in verdict.problems]
    if format_ is Format.JSON:
        records = verdict.records if verdict else 0
        folder = str(frame().state)
        said = {"schema": "wtsflow.state.check/1", "folder": folder, "whole": not faults}
        document({**said, "runs": runs, "audit_records": records, "faults": faults})
    else:
        for fault in faults:
            out(fault)
        if faults:
            note("keep the folder as evidence, and restore a back-up: wtsflow state restore FILE")
        else:
            out(f"whole: {runs} runs, and {verdict.records if verdict else 0} audit records")
    stop(Exit.MISMATCH if faults else Exit.SUCCESS)


@app.command()
def backup(
    file: FileArgument,
    spool: Annotated[
        bool, typer.Option("--spool", help="With the kept output of all runs, too.")
    ] = False,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Copy journal, audit log and scripts into one tar.gz, while runs go on.

    What is copied is of one moment: put back, the audit log proves to be intact.

    Examples:
      wtsflow state backup wtsflow-$(date +%F).tar.gz
      wtsflow state backup - | ssh vault 'cat > wtsflow.tar.gz'
    """
    from wtsflow.clock import SystemClock
    from wtsflow.upkeep.place import rfc3339

    folder, time = frame().state, rfc3339(SystemClock().now())
    if not (folder / "journal.sqlite").exists():
        raise UsageError(f"nothing was run yet: there is no journal in {folder}")
    with telling() as tell:
        tell("copying …")
        if file == "-":
            contents = _out(folder, time, spool=spool)
        else:
            contents = _into(Path(file), folder, time, spool=spool)
    said = {"schema": "wtsflow.backup/1", "file": file, "time": time}
    if format_ is Format.JSON and file != "-":
        document({**said, "files": len(contents.files), "bytes": contents.size})
    else:
        note(f"{len(contents.files)} files, {contents.size} bytes, as of {local(time)}")


def _out(folder: Path, time: str, *, spool: bool) -> "Contents":
    from wtsflow.upkeep.backup import backup as copy

    if sys.stdout.isatty():
        raise UsageError("a back-up is no text", cure="name a file, or send it to a program")
    try:
        contents = copy(folder, sys.stdout.buffer, time=time, spool=spool)
        sys.stdout.buffer.flush()
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"standard output cannot be written: {error.strerror}") from error
    return contents


def _into(file: Path, folder: Path, time: str, *, spool: bool) -> "Contents":
    """Write a new file, which is there whole or not at all."""
    import os

    from wtsflow.upkeep.backup import backup as copy

    if file.exists():
        raise UsageError(f"{file} exists", cure="name a new file")
    draft = file.with_name(f".{file.name}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            contents = copy(folder, opened, time=time, spool=spool, scratch=file.parent)
            opened.flush()
            os.fsync(opened.fileno())
        draft.rename(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(
            f"cannot write {file}: {error.strerror or error}", cure="name another place"
        ) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return contents


@app.command()
def restore(file: FileArgument, format_: FormatOption = Format.TEXT) -> None:
    """Put a back-up into the state folder, which must be empty or not be there.

    Each file, the journal and the audit log are proven first; what does not hold is not put back.

    A run that was open then goes on from that moment when it is resumed, knowing nothing of what
    was done later: look at it before.

    Exit codes: 0 it is there, 2 the folder is in use, 6 the copy is not whole.

    Examples:
      wtsflow state restore wtsflow-2026-11-01.tar.gz
      WTSFLOW_STATE=/tmp/look wtsflow state restore old.tar.gz
    """
    from wtsflow.upkeep.backup import restore as put_back

    folder = frame().state
    with ExitStack() as stack:
        tell = stack.enter_context(telling())
        tell("proving and copying …")
        try:
            opened = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
        done = put_back(opened, folder)
    if format_ is Format.JSON:
        said = {"schema": "wtsflow.restored/1", "folder": str(folder), "time": done.time}
        document({**said, "files": done.files, "runs": done.runs, "open": done.open})
        return
    out(f"{folder}: {done.runs} runs as of {local(done.time)}; the audit log is intact")
    if done.open:
        note(f"still open then: {done.open}; look at them before you resume one")
        note("see: wtsflow runs list --status open")


@app.command()
def prune(
    older: Annotated[
        str,
        typer.Option(
            "--older-than", metavar="AGE", help="Runs that ended before: 90d, 26w, a date."
        ),
    ] = "",
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=0, help="The newest N runs stay in any case.")
    ] = 0,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Those too of which it is not known how they ended.")
    ] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Remove old runs: their records in the journal, their output, scripts that no run needs.

    The audit log stays, and a record in it says what was removed, so that it verifies as before.
    Runs that are open, parked or of unknown outcome stay.

    Exit codes: 0 done, 6 the audit log is not intact (nothing is removed then), 75 another process
    looks after the folder.

    Examples:
      wtsflow state prune --older-than 90d --dry-run
      wtsflow state prune --older-than 26w --keep 1000 --yes
    """
    from wtsflow.clock import SystemClock
    from wtsflow.upkeep.place import opened
    from wtsflow.upkeep.prune import choose, proven, prune as remove
    from wtsflow.who import present_actor

    if not older and not keep:
        raise UsageError("say which runs", cure="--older-than 90d, or --keep 1000, or both")
    folder = frame().state
    if not (folder / "journal.sqlite").exists():
        raise UsageError(f"nothing was run yet: there is no journal in {folder}")
    before = moment(older or "0m")
    with ExitStack() as stack:
        tell = stack.enter_context(telling())
        if dry:
            chosen = choose(
                stack.enter_context(journal()), folder, before=before, keep=keep, unknown=unknown
            )
            _say(chosen, None, format_)
            return
        place = stack.enter_context(opened(folder, SystemClock(), present_actor()))
        tell("proving the audit log …")
        verdict = proven(place)
        chosen = choose(
            place.journal, folder, before=before, keep=keep, unknown=unknown, verdict=verdict
        )
        tell("")
        if not yes:
            _ask(chosen)
        total = len(chosen.runs)
        removed = remove(place, chosen.runs, verdict, lambda done: tell(f"{done} of {total} runs"))
    _say(chosen, removed, format_)


def _ask(chosen: "Choice") -> None:
    """Let a person confirm. Raises UsageError where there is none, or who says no."""
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            f"{len(chosen.runs)} runs would be removed, and nobody can be asked",
            cure="look with --dry-run, then say --yes",
        )
    if chosen.runs and not typer.confirm(f"Remove {len(chosen.runs)} runs?", err=True):
        raise UsageError("nothing was removed")


def _say(chosen: "Choice", removed: "Removed | None", format_: Format) -> None:
    if format_ is Format.JSON:
        said: dict[str, Any] = {"schema": "wtsflow.pruned/1", "dry_run": removed is None}
        said |= {"runs": [run.run for run in chosen.runs], "stay": dict(chosen.stay)}
        if removed is not None:
            said |= {"removed": removed.runs, "records": removed.records}
            said |= {"output_bytes": removed.output, "scripts": removed.scripts}
            said["record"] = removed.by or None
        document(said)
        return
    from wtsflow.subscribers.words import count

    if removed is None and chosen.runs:
        rows = [
            (run.run, local(run.started)[:16], local(run.ended)[:16], run.status)
            for run in chosen.runs
        ]
        table(("run", "started", "ended", "status"), rows, keep=4)
    for reason, number in chosen.stay.items():
        note(f"stay: {count(number, 'run')}, {_REASONS.get(reason, reason)}")
    if removed is None:
        note(f"{count(len(chosen.runs), 'run')} would be removed")
    elif removed.runs:
        runs, records = count(removed.runs, "run"), count(removed.records, "record")
        out(f"{runs} removed, with {records} and {removed.output} bytes of output")
        if removed.scripts:
            out(f"{count(removed.scripts, 'script')} removed that no run needs")
        out(f"recorded as {removed.by}; the audit log has all of it still")
    else:
        out("nothing was removed")


_REASONS = {
    "newest": "they are among the newest (--keep)",
    "unknown": "how they ended is not known; settle them with wtsflow resume, or say --unknown",
    "performed": "a process is at them",
    "newest slot": "they are the newest of their schedule",
    "not in the audit log": "the audit log does not have all of their records",
}
