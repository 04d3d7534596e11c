"""``wtsflow schedules run --due``: what cron calls every minute."""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wtsflow.cli.common import Format, document, frame, out, write
from wtsflow.cli.firing import Book, Everyone, Found, Unattended, schedules_of, unattended
from wtsflow.cli.request import opened
from wtsflow.cli.signals import heeding
from wtsflow.errors import Exit, UsageError, WtsflowError
from wtsflow.model.record import Event
from wtsflow.model.terminal import visible
from wtsflow.schedules import Entry, Firing, Ledger, Told, written

if TYPE_CHECKING:
    from wtsflow.app import App

WORST = (
    Exit.SUCCESS,
    Exit.WAITING,
    Exit.PARTIAL,
    Exit.FAILED,
    Exit.TIMEOUT,
    Exit.UNREACHABLE,
    Exit.BUSY,
    Exit.USAGE,
    Exit.INVALID,
    Exit.DENIED,
    Exit.MISMATCH,
    Exit.UNKNOWN,
    Exit.CANCELLED,
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.INTERNAL,
    Exit.AUDIT,
)
"""Exit codes from good to bad: of several runs, the last of these is the command's."""
QUIET = frozenset({Exit.SUCCESS, Exit.WAITING})


@dataclass(slots=True)
class _Teller:
    """Prints a line for each slot, as soon as it is known, and remembers the exit codes."""

    format: Format
    told: list[Told] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    failures: list[WtsflowError] = field(default_factory=list)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, told: Told) -> None:
        with self.mutex:
            self.told.append(told)
            self.exits.append(told.exit)
            if self.format is Format.TEXT:
                self._say(told)

    def _say(self, told: Told) -> None:
        here = frame()
        bad = told.exit not in QUIET or told.status == "missed"
        if bad:
            write(here.stderr, visible(_line(told)))
        elif not here.quiet:
            out(_line(told))

    def failed(self, error: WtsflowError, what: str = "") -> None:
        """A failure that is no slot's."""
        with self.mutex:
            self.failures.append(error)
            self.exits.append(error.exit)
            cure = f"; {error.cure}" if error.cure else ""
            where = f"{what}: " if what and what not in error.message else ""
            write(frame().stderr, visible(f"{where}{error.message}{cure}"))

    @property
    def worst(self) -> Exit:
        """The command's exit code."""
        return max(self.exits, key=WORST.index, default=Exit.SUCCESS)


def fire_due(at: str, parallel: int, format_: Format) -> Exit:
    """Fire what is due, and return the worst exit code."""
    unattended()
    app, _ = opened({})
    tell = _Teller(format_)
    everyone = Everyone()
    with closing(app), heeding(everyone):
        now = _moment(at) if at else datetime.fromtimestamp(app.clock.now(), UTC)
        found = schedules_of(app)
        book = Book(app)
        firing = Firing(
            Ledger(app.journal, book.write),
            Unattended(app, everyone),
            app.clock,
            book.lock,
            tell,
            lambda: bool(everyone.level),
        )
        _refused(app, book, found, now, tell)
        with ThreadPoolExecutor(parallel, thread_name_prefix="schedule") as pool:
            jobs = {
                pool.submit(copy_context().run, firing.fire, entry, now): entry
                for entry in found.entries
            }
        for job, entry in jobs.items():
            _look(job, entry, tell)
    if format_ is Format.JSON:
        document(_facts(now, tell))
    return tell.worst


def _look(job: "Future[None]", entry: Entry, tell: _Teller) -> None:
    error = job.exception()
    if isinstance(error, WtsflowError):
        tell.failed(error, entry.name)
    elif error is not None:
        raise error


def _refused(app: "App", book: Book, found: Found, now: datetime, tell: _Teller) -> None:
    """Say which files cannot be read: once an hour each, for cron calls every minute."""
    for source, error in found.refused:
        told = hashlib.sha256(f"{source} {error}".encode()).hexdigest()[:16]
        place = hashlib.sha256(str(app.workspace.root.resolve()).encode()).hexdigest()[:8]
        event = Event(
            f"refused/{told}/{now:%Y-%m-%dT%H}", {"source": source, "message": str(error)}
        )
        if book.write(f"schedule:{place}", [event]):
            tell.failed(error, source)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"'{text}' is not a time", cure="write 2026-11-22T02:00Z or 2026-11-22T02:00+01:00"
        ) from None
    return moment.astimezone(UTC)


def _line(told: Told) -> str:
    """``disk/clean-up#1 of 2026-11-22 02:00: success, 3 targets, 12 s (run 01J…)``."""
    slot = f"{told.slot.astimezone():%Y-%m-%d %H:%M}"
    facts = [told.status]
    if told.targets:
        facts.append("1 target" if told.targets == 1 else f"{told.targets} targets")
    if told.seconds:
        facts.append(f"{told.seconds:.0f} s")
    if told.exit:
        facts.append(f"exit {int(told.exit)}")
    text = f"{told.entry.name} of {slot}: {', '.join(facts)}"
    text += f" (run {told.run})" if told.run else ""
    text += f": {told.reason}" if told.reason else ""
    cure = told.cure
    if not cure and told.run and told.exit not in QUIET:
        cure = f"wtsflow runs show {told.run}"
    return f"{text}; {cure}" if cure else text


def _facts(now: datetime, tell: _Teller) -> dict[str, Any]:
    return {
        "schema": "wtsflow.fired/1",
        "at": written(now),
        "slots": [
            {
                "schedule": told.entry.name,
                "slot": written(told.slot),
                "run": told.run,
                "status": told.status,
                "exit": {"code": int(told.exit), "name": told.exit.label},
                "reason": told.reason,
                "seconds": round(told.seconds, 3),
                "targets": told.targets,
            }
            for told in tell.told
        ],
        "failures": [{"message": one.message, "cure": one.cure} for one in tell.failures],
        "exit": {"code": int(tell.worst), "name": tell.worst.label},
    }
