"""``wtsflow audit``: the evidence, proven, shown and taken out."""

from collections import Counter
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli.common import Format, document, frame, note, out, stop, write_bytes
from wtsflow.cli.kept import find_run, journal, local, moment, short_ids
from wtsflow.cli.tables import needed, table
from wtsflow.errors import AuditError, Exit, UsageError

if TYPE_CHECKING:
    from wtsflow.audit.verify import Verdict

app = typer.Typer(add_completion=False, no_args_is_help=True)

RunOption = Annotated[
    str, typer.Option("--run", metavar="RUN", help="Only this run: an id, its beginning, latest.")
]
SinceOption = Annotated[
    str, typer.Option("--since", metavar="TIME", help="Only from then on: 2h, 3d, 2026-11-01.")
]
EventOption = Annotated[
    str, typer.Option("--event", metavar="NAME", help="Only this event: finished, log ….")
]
ActorOption = Annotated[str, typer.Option("--actor", metavar="NAME", help="Only by this person.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


class Export(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"


def _folder() -> Path:
    folder = frame().state / "audit"
    if not folder.is_dir():
        raise AuditError(
            f"there is no audit log in {frame().state}",
            cure="the first run makes it; or set WTSFLOW_STATE to where it is",
        )
    return folder


@app.command()
def verify(
    alone: Annotated[
        bool, typer.Option("--alone", help="By its files only, without the journal.")
    ] = False,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Prove that the audit log is as it was written, and that the journal says the same.

    Exit codes: 0 intact (also with a torn last line, which a crash leaves), 6 something was
    changed, put in, taken out or moved, 74 it cannot be read.

    Examples:
      wtsflow audit verify
      wtsflow audit verify --format json | jq .problems
    """
    from wtsflow.audit.verify import verify as prove

    folder = _folder()
    with ExitStack() as stack:
        held = not alone and (frame().state / "journal.sqlite").exists()
        verdict = prove(folder, stack.enter_context(journal()) if held else None)
    if format_ is Format.JSON:
        document(verified(verdict, folder))
    else:
        _print(verdict, folder)
    stop(Exit.SUCCESS if verdict.intact else Exit.MISMATCH)


def verified(verdict: "Verdict", folder: Path) -> dict[str, Any]:
    """The ``wtsflow.verified/1`` document."""
    from wtsflow.audit.verify import UNPROVEN

    return {
        "schema": "wtsflow.verified/1",
        "folder": str(folder),
        "intact": verdict.intact,
        "records": verdict.records,
        "files": verdict.files,
        "runs": len(verdict.runs),
        "last_hash": verdict.last,
        "journal": verdict.journal,
        "pruned": [
            {"by": by, "record": seq, "runs": number}
            for (by, seq), number in Counter(verdict.pruned.values()).items()
        ],
        "torn_bytes": verdict.torn,
        "repaired": [{"seq": seq, "bytes": size} for seq, size in verdict.repaired],
        "pending": [
            {"run": run, "first": first, "last": last} for run, first, last in verdict.pending
        ],
        "problem_count": verdict.count,
        "problems": [
            {"kind": one.kind, "file": one.file, "seq": one.seq, "message": one.message}
            for one in verdict.problems
        ],
        "not_proven": list(UNPROVEN),
    }


def _print(verdict: "Verdict", folder: Path) -> None:
    from wtsflow.audit.verify import UNPROVEN
    from wtsflow.subscribers.words import count

    style = frame().style(frame().stdout)
    word = style("intact", "bold", "green") if verdict.intact else style("TAMPERED", "bold", "red")
    held = "held against the journal" if verdict.journal else "not held against the journal"
    amounts = {"record": verdict.records, "file": verdict.files, "run": len(verdict.runs)}
    counts = ", ".join(count(number, noun) for noun, number in amounts.items())
    out(f"{word}: {counts}, {held}", raw=True)
    for one in verdict.problems:
        place = f"{one.file}, record {one.seq}" if one.file else "journal"
        out(f"  {place}: {one.message}")
    if verdict.count > len(verdict.problems):
        out(f"  and {verdict.count - len(verdict.problems)} more")
    for seq, size in verdict.repaired:
        out(f"  record {seq} says that {size} bytes of a torn line were cut off after a crash")
    if verdict.torn:
        out(f"  the last line is torn ({verdict.torn} bytes), as a crash leaves it: the next run")
        out("  cuts it off and records that")
    for run, first, last in verdict.pending:
        out(f"  run {run}: records {first} to {last} are in the journal only: it goes on, or the")
        out("  next run appends them")
    for (by, seq), number in Counter(verdict.pruned.values()).items():
        out(f"  {count(number, 'run')} pruned by record {seq} of run {by}: only the log has them")
    out(f"  last hash {verdict.last}")
    note(f"not proven by {folder} itself, only by a signed checkpoint that is kept elsewhere:")
    for text in UNPROVEN:
        note(f"  {text}")


@app.command()
def show(
    run: RunOption = "",
    since: SinceOption = "",
    event: EventOption = "",
    actor: ActorOption = "",
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Only the last; 0: all.")] = 50,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Show records of the audit log, oldest first.

    Examples:
      wtsflow audit show --run latest
      wtsflow audit show --since 2d --event closed
      wtsflow audit show --event log --last 0
    """
    from collections import deque

    from wtsflow.audit.reading import actor_of, lines

    found: deque[Any] = deque(maxlen=last or None)
    found.extend(said for _, said in lines(_folder(), _wanted(run, since, event, actor)))
    if format_ is Format.JSON:
        document({"schema": "wtsflow.audit/1", "records": list(found)})
        return
    rows = []
    for said in found:
        body = said["body"]
        what = body.get("key") or body["event"]
        who, run = actor_of(body), str(body.get("run", ""))
        rows.append((str(said["seq"]), local(body["time"]), who, run, str(what)))
    if not rows:
        note("no such record")
        return
    heads, room = ("seq", "time", "actor", "run", "event"), frame().room
    if room is not None and needed(heads, rows) > room:
        ids = short_ids([run for _, _, _, run, _ in rows])
        rows = [(seq, time[5:], who, ids[run], what) for seq, time, who, run, what in rows]
    table(heads, rows, keep=4)


@app.command()
def export(
    run: RunOption = "",
    since: SinceOption = "",
    event: EventOption = "",
    actor: ActorOption = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file, which must be new."
        ),
    ] = None,
    format_: Annotated[
        Export, typer.Option("--format", help="jsonl (the lines as they are) or csv.")
    ] = Export.JSONL,
) -> None:
    """Take records out: whole lines with their hashes, or a table that no spreadsheet computes.

    Examples:
      wtsflow audit export --run latest > run.jsonl
      wtsflow audit export --since 30d --format csv -o month.csv
    """
    from wtsflow.audit.reading import FORMATS, lines

    parts = FORMATS[format_.value](lines(_folder(), _wanted(run, since, event, actor)))
    if file is None:
        write_bytes(parts)
        return
    try:
        with file.open("xb") as opened:
            opened.writelines(parts)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", cure="name a new file") from None


def _wanted(run: str, since: str, event: str, actor: str) -> Any:
    from wtsflow.audit.reading import Wanted

    if run:
        with journal() as opened:
            run = find_run(opened, run).run
    return Wanted(run=run, since=moment(since) if since else "", event=event, actor=actor)
