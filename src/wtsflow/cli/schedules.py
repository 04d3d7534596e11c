"""``wtsflow schedules``: what fires by the clock, when, and what came of it."""

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli import complete
from wtsflow.cli.common import Format, document, frame, note, out, stop
from wtsflow.cli.firing import Found, schedules_of, workspace_app
from wtsflow.cli.tables import needed, table
from wtsflow.errors import Exit, UsageError
from wtsflow.model.text import did_you_mean
from wtsflow.schedules import Claim, Entry, Ledger, upcoming, written

if TYPE_CHECKING:
    from wtsflow.app import App

app = typer.Typer(add_completion=False, no_args_is_help=True)

NEXT = 3
"""How many of the coming slots are shown of one schedule."""

ScheduleArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE",
        help="A schedule: disk/clean-up#1, or the workflow where it has one.",
        autocompletion=complete.schedules,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]


@app.command("list")
def listing(format_: FormatOption = Format.TEXT) -> None:
    """List the schedules of the workspace's manifests: when they fire next, and how it went.

    \b
    Examples:
      wtsflow schedules list
      wtsflow schedules list --format json | jq -r '.schedules[] | .next'
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    with closing(workspace_app()) as opened:
        now = datetime.fromtimestamp(opened.clock.now(), UTC)
        found = schedules_of(opened)
        seen = [_facts(opened, entry, now) for entry in found.entries]
    if format_ is Format.JSON:
        refused = [{"source": source, "message": str(error)} for source, error in found.refused]
        document({"schema": "wtsflow.schedules/1", "schedules": seen, "refused": refused})
    elif seen:
        _table(seen)
    else:
        note("no manifest has a schedule; see: wtsflow explain wts505")
    _complain(found)
    if found.refused:
        stop(Exit.INVALID)


HEADS = ("schedule", "next", "last", "status", "run", "when", "zone", "overlap")
FEW = 4
"""The columns that a narrow screen has room for; ``schedules show`` has the rest."""


def _table(seen: list[dict[str, Any]]) -> None:
    rows = [_row(facts) for facts in seen]
    room = frame().room
    if room is None or needed(HEADS, rows) <= room:
        table(HEADS, rows)
        return
    table(HEADS[:FEW], [(one[0], _short(one[1]), _short(one[2]), one[3]) for one in rows])


def _short(time: str) -> str:
    """A time without its year; other words as they are."""
    return time[5:] if time[:4].isdigit() else time


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    last = facts["last"] or {}
    off = "off" if not facts["enabled"] else f"paused by {facts['paused']}" * bool(facts["paused"])
    return (
        facts["id"],
        off or _local(facts["next"]),
        _local(last.get("slot")),
        str(last.get("status") or ""),
        str(last.get("run") or ""),
        facts["words"],
        facts["zone"],
        facts["overlap"],
    )


def _facts(opened: "App", entry: Entry, now: datetime) -> dict[str, Any]:
    schedule = entry.schedule
    ledger, next_ = _ledger(opened), upcoming(entry, now)
    last = ledger.newest(entry, until=now) if ledger else []
    return {
        "id": entry.name,
        "source": entry.workflow.source,
        "schedule": schedule.cron,
        "words": entry.cron.words,
        "zone": schedule.zone,
        "overlap": str(schedule.overlap),
        "catch_up": str(schedule.catch_up),
        "within_s": round(schedule.within),
        "environment": schedule.environment,
        "enabled": schedule.enabled,
        "paused": ledger.paused(entry) if ledger else "",
        "next": written(next_) if next_ and schedule.enabled else None,
        "last": _claim_facts(last[0]) if last else None,
    }


def _claim_facts(claim: Claim) -> dict[str, Any]:
    ended = claim.ended or {}
    return {
        "slot": written(claim.slot),
        "decision": str(claim.decision),
        "run": claim.run,
        "status": str(ended.get("status") or "open"),
        "exit": ended.get("exit"),
        "reason": str(ended.get("reason") or ""),
    }


def _ledger(opened: "App") -> Ledger | None:
    """What is written down; None where nothing ever was, so that looking makes no file."""
    if not (opened.state / "journal.sqlite").exists():
        return None
    return Ledger(opened.journal, lambda _run, _events: [])


def _local(text: str | None) -> str:
    """A slot by this machine's clock."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else ""


def _complain(found: Found) -> None:
    for source, error in found.refused:
        where = f"{source}: " if source and source not in str(error) else ""
        note(f"{where}{error}; its schedules do not fire")


def named(found: Found, name: str) -> Entry:
    """The schedule of this name. Raises UsageError."""
    fits = [one for one in found.entries if one.name == name]
    fits = fits or [one for one in found.entries if one.workflow.name == name]
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = ", ".join(one.name for one in fits)
        raise UsageError(f"'{name}' has {len(fits)} schedules", cure=f"one of: {names}")
    near = did_you_mean(name, [one.name for one in found.entries])
    raise UsageError(f"there is no schedule '{name}'", cure=near or "see: wtsflow schedules list")


@app.command()
def show(
    schedule: ScheduleArgument,
    last: Annotated[
        int, typer.Option("--last", "-n", min=1, help="How many of its last slots.")
    ] = 10,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Show a schedule: what it does, its next slots, and what became of the last ones.

    \b
    Examples:
      wtsflow schedules show disk/clean-up
      wtsflow schedules show disk/clean-up#1 --last 50 --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    with closing(workspace_app()) as opened:
        now = datetime.fromtimestamp(opened.clock.now(), UTC)
        entry = named(schedules_of(opened), schedule)
        facts = _facts(opened, entry, now)
        ledger = _ledger(opened)
        claims = ledger.newest(entry, until=now, limit=last) if ledger else []
    coming = _coming(entry, now) if entry.schedule.enabled else []
    if format_ is Format.JSON:
        slots = [_claim_facts(one) for one in claims]
        facts = {**facts, "coming": coming, "slots": slots}
        document({"schema": "wtsflow.schedule/1", **facts})
        return
    out(f"{entry.name}  {facts['words']} ({entry.schedule.zone})")
    out(f"  in {entry.workflow.source}, overlap: {facts['overlap']}")
    if facts["paused"] or not entry.schedule.enabled:
        out(f"  paused by {facts['paused']}" if facts["paused"] else "  off: enabled: false")
    else:
        out(f"  next: {', '.join(_local(slot) for slot in coming)}")
    if claims:
        out()
        rows = [_slot_row(one) for one in claims]
        table(("slot", "decision", "status", "run", "why"), rows, keep=1)


def _coming(entry: Entry, now: datetime) -> list[str]:
    from itertools import islice

    return [written(slot) for slot in islice(entry.cron.after(now, entry.zone), NEXT)]


def _slot_row(claim: Claim) -> tuple[str, ...]:
    facts = _claim_facts(claim)
    slot = _local(facts["slot"])
    return (slot, facts["decision"], facts["status"], claim.run, facts["reason"])


@app.command()
def run(
    due: Annotated[
        bool, typer.Option("--due", help="Every slot whose time has come: for cron.")
    ] = False,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="As if it were then: 2026-11-22T02:00Z.")
    ] = "",
    parallel: Annotated[
        int, typer.Option("--parallel", "-f", metavar="N", min=1, help="Schedules at once.")
    ] = 8,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Fire what is due: each slot once, however often and from wherever this is called.

    Nothing is ever asked. A line for each run is printed (not with --quiet), failures go to
    standard error, and the exit code is the worst of the runs. A run that a crash cut off is gone
    on with first. See 'wtsflow schedules crontab' for what to put into cron.

    \b
    Examples:
      wtsflow schedules run --due
      wtsflow --quiet schedules run --due          from cron, every minute
      wtsflow schedules run --due --at 2026-11-22T02:00+01:00
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    if not due:
        raise UsageError("say what to run", cure="wtsflow schedules run --due")
    from wtsflow.cli.schedules_due import fire_due

    stop(fire_due(at, parallel, format_))


@app.command()
def crontab(
    systemd: Annotated[
        bool, typer.Option("--systemd", help="A timer and a service of systemd instead.")
    ] = False,
) -> None:
    """Print the lines that make schedules fire: for your crontab, or for systemd.

    Nothing is installed: look at them, then add them with 'crontab -e'. They name this workspace,
    this installation and this state folder by absolute paths, so they work from anywhere.

    \b
    Examples:
      wtsflow schedules crontab
      wtsflow schedules crontab --systemd
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.cli.crontab import cron_lines, systemd_units

    with closing(workspace_app()) as opened:
        lines = systemd_units(opened) if systemd else cron_lines(opened)
    for line in lines:
        out(line)


@app.command()
def pause(schedule: ScheduleArgument) -> None:
    """Let a schedule rest until it is resumed. Slots in between are not made up for.

    \b
    Examples:
      wtsflow schedules pause disk/clean-up
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    _pause(schedule, on=True)


@app.command()
def resume(schedule: ScheduleArgument) -> None:
    """Let a paused schedule fire again, from its next slot on.

    \b
    Examples:
      wtsflow schedules resume disk/clean-up
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    _pause(schedule, on=False)


def _pause(name: str, *, on: bool) -> None:
    from wtsflow.cli.firing import Book

    with closing(workspace_app()) as opened:
        entry = named(schedules_of(opened), name)
        changed = Ledger(opened.journal, Book(opened).write).pause(entry, opened.actor.name, on=on)
    word = "paused" if on else "not paused"
    note(f"{entry.name} is {word}" if changed else f"{entry.name} was {word} already")
