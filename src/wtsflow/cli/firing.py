"""What schedules ask of the application: to perform runs where nobody is asked anything."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
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
from wtsflow.errors import BusyError, ConfigError, Exit, ManifestError, UsageError, WtsflowError
from wtsflow.manifest.triggers import left_open
from wtsflow.model.record import Event, Record
from wtsflow.model.text import listed
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
        found = self.app.journal.find(run, limit=1)
        if not found:
            return Standing.PENDING
        if found[0].status:
            return Standing.OVER
        going = found[0].standing == "parked" or self._driven(run)
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

        def answer(plan: "Plan") -> "dict[str, Json]":
            return dict(given_again(plan, Request("", ask=False), secrets=True))

        return self._taken_up(run, lambda app: reopening.reopened(app, run, answer))

    def replace(self, run: str, reason: str) -> bool:
        """End a run, and wait until it is over. False: it was not, within the time for it."""
        try:
            reopening.cancel(self.app, run, reason)
        except UsageError:  # it ended just now
            return True
        end = self.app.clock.monotonic() + REPLACING
        while self.standing(run) is not Standing.OVER:
            if self.app.clock.monotonic() > end or self.everyone.level:
                return False
            if self._driven(run):
                threading.Event().wait(POLL)
            else:
                with suppress(BusyError):  # somebody else ends it
                    self._taken_up(run, lambda app: reopening.to_end(app, run))
        return True

    def _taken_up(self, run: str, plan: "Callable[[App], Prepared]") -> Ending:
        """Take the place of a process that is gone, or that parked the run."""
        app, settings = opened({})
        with _closing(app), self.everyone.one() as interrupt:
            prepared = plan(app)
            manner = Manner(park=settings.park)
            return self._ended(app.resume(prepared, run, [], interrupt, manner=manner))

    def _driven(self, run: str) -> bool:
        from wtsflow.files import held
        from wtsflow.runs import driver

        return held(driver(self.app.state, run))

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
    refused += [("", error) for error in twice]
    fit: list[Entry] = []
    for entry in found:
        try:
            _environment(app, entry)
        except UsageError as error:
            refused.append((entry.workflow.source, _placed(entry, error)))
        else:
            fit.append(entry)
    return Found(tuple(fit), tuple(refused))


def _environment(app: "App", entry: Entry) -> None:
    """Prove that it is known where a schedule runs, said where that is production, and how."""
    said = entry.schedule.environment
    name = app.workspace.chosen(said or frame().environ.get("WTSFLOW_ENV", ""))
    if name and not said and app.workspace.environments[name].production:
        raise UsageError(
            f"environment '{name}' is production, and the schedule does not say so",
            cure=f"write 'env: {name}' in the trigger",
        )
    filled = app.workspace.environments[name].variables if name else {}
    if missing := left_open(entry.workflow, {**filled, **entry.schedule.arguments}):
        raise UsageError(
            f"nobody is asked when it fires, and {listed(missing)} has no value"
            + (f" in environment '{name}' either" if name else ""),
            cure=f"with: {{ {missing[0]}: … }}",
        )


def _placed(entry: Entry, error: UsageError) -> ConfigError:
    cure = error.cure.replace("--env", "env:")
    return ConfigError(f"{entry.schedule.location}: {error.message}", cure=cure)


def workspace_app() -> "App":
    """The application on the present workspace, for looking."""
    app, _ = opened({})
    with closing_on_error(app):
        return app
