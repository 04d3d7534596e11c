"""``wtsflow runs``: what was run, what came of it, and what runs now."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import complete, listing_options as asked, options
from wtsflow.cli.common import Format, document, frame, note, out, stop
from wtsflow.cli.kept import CUT, driven, find_run, journal, local, mapping, moment, on_clock
from wtsflow.cli.listing import ListFormat, chosen, show as show_runs
from wtsflow.cli.performing import RunFormat
from wtsflow.cli.tables import table
from wtsflow.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wtsflow.journals.sqlite import SqliteJournal
    from wtsflow.subscribers.tally import Attempt, Tally

app = typer.Typer(add_completion=False, no_args_is_help=True)

GONE = """\
the process that performed it is gone: killed, or its machine went down
what became of what was running then is found out by: wtsflow resume """
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
    last: asked.Last = 20,
    status: asked.Status = "",
    waiting: asked.WaitingOnly = False,
    since: asked.Since = "",
    until: asked.Until = "",
    workflow: asked.OfWorkflow = "",
    target: asked.OnTarget = "",
    ticket: asked.ForTicket = "",
    actor: asked.ByActor = "",
    env: asked.InEnvironment = "",
    format_: Annotated[
        ListFormat, typer.Option("--format", help="How to print.")
    ] = ListFormat.TEXT,
) -> None:
    """List runs, newest first.

    A run is 'open' until it has ended: 'running' while a process performs it, 'cut-off' when that
    was killed, 'parked' while it waits with no process, 'detached' when its process let go of it.

    Examples:
      wtsflow runs list
      wtsflow runs list --status failed,partial,unknown --since 24h
      wtsflow runs list --target web01 --ticket INC0012345 --last 0
      wtsflow runs list --waiting
      wtsflow runs list --since 2026-11-01 --until 2026-12-01 --last 0 --format csv > november.csv
    """
    wanted: dict[str, Any] = {
        "since": moment(since) if since else "",
        "until": moment(until) if until else "",
        "workflow": workflow,
        "target": target,
        "ticket": ticket,
        "actor": actor,
        "environment": env,
    }
    narrow = any(wanted.values())
    most = last + 1 if last else 0
    with journal() as opened:
        if waiting and narrow:
            parked = opened.runs(status="parked", **wanted)
            found = sorted(parked, key=lambda run: run.due or 0)
        elif waiting:
            found = opened.waiting(limit=most)
        else:
            found = chosen(partial(opened.runs, **wanted), status, most)
    if not found and format_ is ListFormat.TEXT:
        note("no such run" if waiting or status or narrow else "nothing was run yet")
        return
    show_runs(found[: last or None], format_, waiting=waiting)
    if last and len(found) > last and format_ is ListFormat.TEXT:
        note(f"these are the {'next' if waiting else 'last'} {last}; all: --last 0")


@app.command()
def show(
    run: RunArgument = "latest",
    output: Annotated[
        str, typer.Option("--output", metavar="TARGET", help="Print this target's whole output.")
    ] = "",
    step: Annotated[
        str, typer.Option("--step", metavar="STEP", help="With --output: only of this step.")
    ] = "",
    diff: options.Diff = False,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Show a run: its steps on every target, how they ended, and the end of their output.

    Examples:
      wtsflow runs show latest
      wtsflow runs show 01J8Z --output web01 --step install
      wtsflow runs show latest --diff          what it changed, or in a check would
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
        _print_run(Tally.of(records), spool, diff=diff)


def _print_run(tally: "Tally", spool: Path, *, diff: bool) -> None:
    from wtsflow.subscribers import checked
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
        if tally.opened.get("check") and attempt.ended:
            ending = checked.word(attempt) or ending
        number = str(attempt.number) if attempt.number > 1 else ""
        rows.append((attempt.path, attempt.target, number, ending, code, took, attempt.message))
    if rows:
        table(("step", "target", "try", "outcome", "exit", "took", "message"), rows)
    for attempt in tally.attempts.values():
        _print_tail(attempt)
        if diff and attempt.changes:
            out(f"\n{attempt.path} on {attempt.target} announced:")
            for spans in checked.changes(attempt, diff=True) or [[("    nothing", "dim")]]:
                out(painted(spans, style), raw=True)
    for path, reason in tally.skipped.items():
        out(f"{path}: skipped: {reason}")
    if tally.closed is None:
        _print_open(tally, alive=alive)
        return
    for spans in summary(tally, here.width, str(spool) if spool.is_dir() else "", details=False):
        out(painted(spans, style), raw=True)


def _print_open(tally: "Tally", *, alive: bool) -> None:
    """How a run stands that has not ended, and what to do about it."""
    word = f"{tally.status} since"
    if not alive:
        gone = "parked" if tally.parked else "detached" if tally.left else CUT
        word = f"{gone}: begun"
    out(f"\n{word} {local(tally.begun)}; last record: {local(tally.time)}")
    if tally.parked and not alive:
        _say_parked(tally.run, tally.parked)
    elif tally.left and not alive:
        note(f"its process let go of it; to go on: wtsflow resume {tally.run}")
    elif not alive:
        note(GONE + tally.run)


def _say_parked(run: str, parked: "Mapping[str, Any]") -> None:
    until, paths = parked.get("until_ms"), parked.get("paths") or ()
    when = "a person" if not until else on_clock(until)
    note(f"it waits for {when} at {', '.join(map(str, paths))}, and no process with it")
    note(f"to go on then: wtsflow resume {run}; from cron: wtsflow resume --due")


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

    Ends with the run's own exit code, with 10 where it parks, or with 11 where its process was
    killed or let go of it. Lines of output are seen only where it was started.

    Examples:
      wtsflow runs watch
      wtsflow runs watch 01J8Z --format jsonl
    """
    from wtsflow.subscribers.result import result
    from wtsflow.subscribers.tally import Tally

    with journal() as opened:
        summary = find_run(opened, run)
        closed = _follow(opened, summary.run, format_)
        records = opened.load(summary.run)
    if format_ is RunFormat.JSON:
        document(result(records))
    if not closed:
        tally = Tally.of(records)
        if tally.parked:
            if format_ is not RunFormat.TEXT:  # that one has said so
                _say_parked(summary.run, tally.parked)
            stop(Exit.WAITING)
        note(GONE + summary.run)
        stop(Exit.UNKNOWN)
    ends = [one.event.data for one in records if one.event.type in ("closed", "settled")]
    stop(Exit[str(mapping(ends[-1].get("exit")).get("name")).upper()])


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
            own=False,
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
