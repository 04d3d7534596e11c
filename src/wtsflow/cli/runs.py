"""``wtsflow runs``: what was run, what came of it, and what runs now."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import complete
from wtsflow.cli.common import Format, document, frame, note, out, stop
from wtsflow.cli.kept import (
    CUT,
    driven,
    find_run,
    journal,
    local,
    mapping,
    short_ids,
    status as standing,
)
from wtsflow.cli.performing import RunFormat
from wtsflow.cli.tables import needed, table
from wtsflow.errors import Exit, UsageError

if TYPE_CHECKING:
    from wtsflow.journals.sqlite import SqliteJournal, Summary
    from wtsflow.subscribers.tally import Attempt, Tally

app = typer.Typer(add_completion=False, no_args_is_help=True)

GONE = """\
the process that performed it is gone: killed, or its machine went down
what was running then may have taken effect or not: look there before you run it again"""
POLL = 0.25
"""Seconds between two looks at the journal."""

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, the beginning of one, or latest.",
        autocompletion=complete.runs,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


@app.command("list")
def listing(
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Only the last; 0: all.")] = 20,
    status: Annotated[
        str,
        typer.Option(
            "--status", metavar="STATUS", help="Only these: success, failed, partial, open …"
        ),
    ] = "",
    workflow: Annotated[
        str, typer.Option("--workflow", metavar="NAME", help="Only of this workflow.")
    ] = "",
    format_: FormatOption = Format.TEXT,
) -> None:
    """List runs, newest first.

    A run is 'open' while it goes on, and 'cut off' when its process was killed before the end.

    Examples:
      wtsflow runs list
      wtsflow runs list --status open
      wtsflow runs list --workflow disk/clean-up --format json
    """
    with journal() as opened:
        asked = "" if status == "open" else status or None
        found = opened.runs(status=asked, workflow=workflow, limit=last)
    if format_ is Format.JSON:
        document({"schema": "wtsflow.runs/1", "runs": [_facts(run) for run in found]})
        return
    if not found:
        note("no such run" if status or workflow else "nothing was run yet")
        return
    heads = ("run", "started", "status", "workflow", "targets", "by", "ticket")
    rows = [_row(run) for run in found]
    room = frame().room
    if room is not None and needed(heads, rows) > room:
        ids = short_ids([run.run for run in found])
        rows = [(ids[run], *others) for run, *others in rows]
    table(heads, rows, keep=3)


def _row(run: "Summary") -> tuple[str, ...]:
    return (
        run.run,
        local(run.started)[5:16],
        standing(run),
        f"{run.workflow} {run.version}",
        str(run.targets),
        run.actor,
        run.ticket,
    )


def _facts(run: "Summary") -> dict[str, Any]:
    alive = not run.status and driven(run.run)
    said = {"status": run.status or "open", "ended": run.ended or None, "alive": alive}
    return {**asdict(run), **said}


@app.command()
def show(
    run: RunArgument = "latest",
    output: Annotated[
        str, typer.Option("--output", metavar="TARGET", help="Print this target's whole output.")
    ] = "",
    step: Annotated[
        str, typer.Option("--step", metavar="STEP", help="With --output: only of this step.")
    ] = "",
    format_: FormatOption = Format.TEXT,
) -> None:
    """Show a run: its steps on every target, how they ended, and the end of their output.

    Examples:
      wtsflow runs show latest
      wtsflow runs show 01J8Z --output web01 --step install
      wtsflow runs show latest --format json
    """
    from wtsflow.subscribers.result import result
    from wtsflow.subscribers.tally import Tally

    with journal() as opened:
        summary = find_run(opened, run)
        records = opened.load(summary.run)
    spool = frame().state / "spool" / summary.run
    if output:
        _print_output(Tally.of(records), spool, output, step)
    elif format_ is Format.JSON:
        document({**result(records), "output": str(spool)})
    else:
        _print_run(Tally.of(records), spool)


def _print_run(tally: "Tally", spool: Path) -> None:
    from wtsflow.subscribers.summary import summary
    from wtsflow.subscribers.words import duration, header, painted

    here = frame()
    style = here.style(here.stdout)
    for spans in header(tally, here.width):
        out(painted(spans, style), raw=True)
    out()
    alive = tally.closed is None and driven(tally.run)
    rows = []
    for attempt in tally.attempts.values():
        took = duration(attempt.duration_ms) if attempt.ended else ""
        code = "" if attempt.exit_code is None else str(attempt.exit_code)
        ending = attempt.outcome or ("running" if alive else "unknown")
        number = str(attempt.number) if attempt.number > 1 else ""
        rows.append((attempt.path, attempt.target, number, ending, code, took, attempt.message))
    if rows:
        table(("step", "target", "try", "outcome", "exit", "took", "message"), rows)
    for attempt in tally.attempts.values():
        _print_tail(attempt)
    for path, reason in tally.skipped.items():
        out(f"{path}: skipped: {reason}")
    if tally.closed is None:
        word = f"{tally.status} since" if alive else f"{CUT}: begun"
        out(f"\n{word} {local(tally.begun)}; last record: {local(tally.time)}")
        if not alive:
            note(GONE)
        return
    for spans in summary(tally, here.width, str(spool) if spool.is_dir() else "", details=False):
        out(painted(spans, style), raw=True)


def _print_tail(attempt: "Attempt") -> None:
    if attempt.tail:
        kept = mapping(attempt.output)
        more = ", cut off at its cap" if kept.get("truncated") else ""
        out(f"\n{attempt.path} on {attempt.target}: {kept.get('bytes')} bytes{more}, at the end:")
        out("\n".join(f"  {line}" for line in attempt.tail[-10:]))


def _print_output(tally: "Tally", spool: Path, target: str, step: str) -> None:
    """Print what was kept, every line made safe for a terminal."""
    from wtsflow.engine.lines import LineSplitter
    from wtsflow.engine.spool import file_name

    found = 0
    for name, attempt in tally.attempts.items():
        if attempt.target != target or (step and step not in {attempt.path, attempt.step}):
            continue
        path = spool / file_name(name)
        if not path.exists():
            continue
        found += 1
        splitter = LineSplitter()
        with path.open("rb") as file:
            while block := file.read(1 << 16):
                if lines := splitter.feed(block):
                    out("\n".join(lines), raw=True)
        if lines := splitter.close():
            out("\n".join(lines), raw=True)
    if not found:
        raise UsageError(f"no output of '{target}' was kept", cure=f"see: ls {spool}")


@app.command()
def watch(
    run: RunArgument = "latest",
    format_: Annotated[
        RunFormat, typer.Option("--format", help="text, json (at the end) or jsonl (live).")
    ] = RunFormat.TEXT,
) -> None:
    """Follow a run that goes on in another terminal, from its beginning to its end.

    Ends with the run's own exit code, or with 11 where its process was killed. Lines of output
    are seen only where it was started.

    Examples:
      wtsflow runs watch
      wtsflow runs watch 01J8Z --format jsonl
    """
    from wtsflow.subscribers.result import result

    with journal() as opened:
        summary = find_run(opened, run)
        closed = _follow(opened, summary.run, format_)
        records = opened.load(summary.run)
    if format_ is RunFormat.JSON:
        document(result(records))
    if not closed:
        note(GONE)
        stop(Exit.UNKNOWN)
    name = mapping(records[-1].event.data.get("exit")).get("name")
    stop(Exit[str(name).upper()])


def _follow(opened: "SqliteJournal", run: str, format_: RunFormat) -> bool:
    """Show its records as they come; whether it was closed, and not just left by its process."""
    from contextlib import nullcontext

    from wtsflow.clock import SystemClock
    from wtsflow.ports import Subscriber
    from wtsflow.subscribers.console import Console
    from wtsflow.subscribers.jsonl import Stream

    here = frame()
    reader: Any = nullcontext(lambda _record: None)
    if format_ is RunFormat.JSONL:
        reader = nullcontext(Stream(here.stdout))
    elif format_ is RunFormat.TEXT:
        reader = Console(
            here.stdout,
            SystemClock(),
            style=here.style(here.stdout),
            live=here.stdout.isatty() and here.environ.get("TERM") != "dumb",
            quiet=here.quiet,
            verbose=here.verbose,
            width=here.width,
            output=lambda name: str(here.state / "spool" / name),
        )
    with reader as told:
        see: Subscriber = told
        last, closed, alive = 0, False, True
        while not closed and alive:
            alive = driven(run)  # before the look: what was written before it went is seen
            for record in opened.load(run, after=last):
                see(record)
                last, closed = record.seq, record.event.type == "closed"
            if not closed and alive:
                time.sleep(POLL)  # noqa: TID251 - a person watches
    return closed
