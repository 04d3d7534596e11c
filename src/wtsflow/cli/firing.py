"""What schedules ask of the application: to perform runs where nobody is asked anything."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wtsflow import reopening
from wtsflow.cli.common import Frame, frame
from wtsflow.cli.request import Request, answers, closing_on_error, given_again, opened
from wtsflow.credentials.prompt import UNATTENDED
from wtsflow.engine.interrupt import Interrupt, Level
from wtsflow.engine.manner import Manner
from wtsflow.errors import ConfigError, Exit, ManifestError, UsageError, WtsflowError
from wtsflow.model.record import Event, Record
from wtsflow.model.workflow import Workflow
from wtsflow.schedules import Claim, Ending, Entry, Standing, entries, written

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.model.plan import Plan
    from wtsflow.model.values import Json
    from wtsflow.runs import Finished, Prepared
    from wtsflow.workspace import Settings

POLL = 0.2
"""Seconds between two looks whether a run has ended."""
REPLACING = 60.0
"""Seconds in which a run that is replaced has to end, beside its own grace."""


def unattended() -> None:
    """Let nothing in this process ask a person anything."""
    here: Frame = frame()
    here.environ = {**here.environ, UNATTENDED: "1"}


@dataclass(slots=True)
class Everyone(Interrupt):
    """The wish that all runs of this process end."""

    each: dict[int, Interrupt] = field(default_factory=dict)

    def __call__(
        self, code: Exit, reason: str, at_least: Level = Level.FINISH, hurry: float | None = None
    ) -> None:
        """Wish it of every run that goes on; what is not begun never is."""
        Interrupt.__call__(self, code, reason, at_least, hurry)
        for one in tuple(self.each.values()):
            one(code, reason, at_least, hurry)

    @contextmanager
    def one(self) -> Iterator[Interrupt]:
        """An interrupt for one run."""
        mine = Interrupt()
        self.each[id(mine)] = mine  # by identity: two that nobody has called yet are equal
        if self.level:
            mine(self.exit or Exit.TERMINATED, self.reason, Level(self.level), self.hurry)
        try:
            yield mine
        finally:
            del self.each[id(mine)]


@dataclass(slots=True)
class Book:
    """One process's hand on journal, audit log and locks, for what schedules write down."""

    app: "App"
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def write(self, run: str, events: Sequence[Event]) -> list[Record]:
        """Durably, in journal and audit log; those that stuck. Raises RecordError."""
        with self.mutex:
            audit = self.app.audit
        time = datetime.fromtimestamp(self.app.clock.now(), UTC).isoformat(timespec="microseconds")
        records = self.app.journal.record(run, events, time=time.replace("+00:00", "Z"))
        audit.append(records)
        return records

    @contextmanager
    def lock(self, name: str, patience: float) -> Iterator[None]:
        """A lock between processes; its file is removed. Raises TimeoutError."""
        from wtsflow.files import private_folder, whole_lock

        folder = private_folder(self.app.state / "locks")
        path = folder / f"slot-{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock"
        with whole_lock(path, patience):
            try:
                yield
            finally:
                with suppress(OSError):
                    path.unlink()


@dataclass(frozen=True, slots=True)
class Unattended:
    """Fulfils :class:`wtsflow.schedules.Runs`: every run has an application of its own."""

    app: "App"
    everyone: Everyone

    def standing(self, run: str) -> Standing:
        """How a run stands."""
        from wtsflow.files import held
        from wtsflow.runs import driver

        found = self.app.journal.find(run, limit=1)
        if not found:
            return Standing.PENDING
        if found[0].status:
            return Standing.OVER
        going = found[0].standing == "parked" or held(driver(self.app.state, run))
        return Standing.GOING if going else Standing.CUT

    def ending(self, run: str) -> Ending:
        """How a run that is over ended."""
        found = self.app.journal.find(run, limit=1)[0]
        code = next((one for one in Exit if one == found.exit), Exit.UNKNOWN)
        return Ending(found.status, code, targets=found.targets)

    def name(self) -> str:
        """The id of a new run."""
        from wtsflow.who import new_run_id

        return new_run_id(self.app.clock.now())

    def perform(self, entry: Entry, claim: Claim) -> Ending:
        """Plan it, and run it under the claim's id. Raises WtsflowError."""
        app, settings = opened({}, entry.schedule.environment)
        with _closing(app), self.everyone.one() as interrupt:
            prepared = replace(
                _planned(app, settings, entry),
                origin={
                    "kind": "schedule",
                    "schedule": entry.name,
                    "slot": written(claim.slot),
                },
            )
            manner = Manner(park=settings.park)
            finished = app.run(prepared, [], interrupt, run=claim.run, manner=manner)
            return self._ended(finished)

    def resume(self, run: str) -> Ending:
        """Go on with a run whose process is gone. Raises WtsflowError."""
        return self._resumed(run, as_planned=False)

    def _resumed(self, run: str, *, as_planned: bool) -> Ending:
        app, settings = opened({}, self._environment(run) or None)

        def answer(plan: "Plan") -> "dict[str, Json]":
            return dict(given_again(plan, Request("", ask=False), secrets=True))

        with _closing(app), self.everyone.one() as interrupt:
            prepared: Prepared = reopening.reopened(app, run, answer, as_planned=as_planned)
            manner = Manner(park=settings.park)
            return self._ended(app.resume(prepared, run, [], interrupt, manner=manner))

    def _environment(self, run: str) -> str:
        return self.app.journal.find(run, limit=1)[0].environment

    def replace(self, run: str, reason: str) -> bool:
        """End a run, and wait until it is over. False: it was not, within the time for it."""
        try:
            alive = reopening.cancel(self.app, run, reason)
        except UsageError:  # it ended just now
            return True
        if not alive:
            self._resumed(run, as_planned=True)
        end = self.app.clock.monotonic() + REPLACING
        while self.standing(run) is not Standing.OVER:
            if self.app.clock.monotonic() > end or self.everyone.level:
                return False
            threading.Event().wait(POLL)
        return True

    def _ended(self, finished: "Finished") -> Ending:
        found = self.app.journal.find(finished.run, limit=1)[0]
        status = found.status or {"parked": "waiting"}.get(found.standing, "open")
        return Ending(status, finished.exit, over=bool(found.status), targets=found.targets)


@contextmanager
def _closing(app: "App") -> Iterator[None]:
    try:
        yield
    finally:
        app.close()


def _planned(app: "App", settings: "Settings", entry: Entry) -> "Prepared":
    """The plan of a schedule's workflow: its ``with:``, and what the environment gives beside."""
    here = frame()
    given = {
        **answers(Request("", ask=False), entry.workflow, here),
        **entry.schedule.arguments,
    }
    return app.plan(
        entry.workflow,
        given,
        parallel=settings.parallel,
        timeout=settings.timeout,
        grace=settings.grace,
        reattach=settings.reattach,
        closing=settings.closing,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """The schedules of a workspace, and the files that say of one but cannot be read."""

    entries: tuple[Entry, ...]
    refused: tuple[tuple[str, WtsflowError], ...]


def schedules_of(app: "App") -> Found:
    """Every schedule of the workspace's manifests."""
    workflows: list[Workflow] = []
    refused: list[tuple[str, WtsflowError]] = []
    folder = app.workspace.manifests
    for path in sorted({*folder.rglob("*.yaml"), *folder.rglob("*.yml")}):
        try:
            text = path.read_bytes()
            if b"schedule" in text:
                workflows.append(app.load(text, str(path)))
        except (ManifestError, ConfigError) as error:
            place = error.location or path
            refused.append((str(path), ConfigError(f"{place}: {error}", cure=error.cure)))
        except OSError as error:
            refused.append((str(path), ConfigError(f"{path} cannot be read: {error.strerror}")))
    found, twice = entries(workflows, app.workspace.root)
    return Found(tuple(found), (*refused, *(("", error) for error in twice)))


def workspace_app() -> "App":
    """The application on the present workspace, for looking."""
    app, _ = opened({})
    with closing_on_error(app):
        return app
