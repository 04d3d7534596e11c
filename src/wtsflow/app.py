"""Wires the parts: the only module that knows them all.

::

    text -> manifest.load -> planning.resolve -> engine -> records
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow import __version__, credentials, manifest, planning, undoing
from wtsflow.clock import SystemClock
from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.manner import Manner
from wtsflow.engine.runner import Parts, Runner
from wtsflow.engine.state import State
from wtsflow.errors import (
    BusyError,
    Exit,
)
from wtsflow.files import held, private_folder, whole_lock
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.values import Json
from wtsflow.model.workflow import Workflow
from wtsflow.ports import Clock, Subscriber, Transport
from wtsflow.runs import Finished, Prepared, driver
from wtsflow.transports import TRANSPORTS
from wtsflow.verbs import VERBS
from wtsflow.who import new_run_id, present_actor
from wtsflow.workspace import Workspace

if TYPE_CHECKING:
    from wtsflow.audit import Log
    from wtsflow.journals.sqlite import SqliteJournal
    from wtsflow.locks import Locks, Patience
    from wtsflow.scripts import Kept, Repository


DRIVER = 5.0
"""Seconds to wait for a run's lock: who looks whether it is held may hold it for a moment."""


@dataclass
class App:
    """One workspace and the folders of one user.

    ``state`` keeps journal, audit log and output; ``cache`` what can be fetched again; ``environ``
    is where credentials may stand.
    """

    workspace: Workspace
    state: Path
    cache: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    patience: "Patience | None" = None
    """How runs that have our targets are waited for; None: they are not."""

    @cached_property
    def scripts(self) -> "Repository":
        """The pinned scripts."""
        return self.workspace.repository(self.cache, self.clock)

    @property
    def transports(self) -> Mapping[str, Callable[[], Transport]]:
        """The transports, each with the workspace's defaults for it.

        They do not see ``WTSFLOW_*``: secrets may stand there, and local scripts see the rest.
        """
        seen = {key: said for key, said in self.environ.items() if not key.startswith("WTSFLOW_")}
        return {
            name: partial(make, self.workspace.transports.get(name), seen or None)
            for name, make in TRANSPORTS.items()
        }

    @cached_property
    def kept(self) -> "Kept":
        """The bytes of the pinned scripts, those of earlier runs among them."""
        from wtsflow.scripts import Kept

        return Kept(self.state / "objects", self.scripts)

    @cached_property
    def journal(self) -> "SqliteJournal":
        """The records of all runs."""
        from wtsflow.journals.sqlite import SqliteJournal

        return SqliteJournal(self.state / "journal.sqlite")

    @cached_property
    def locks(self) -> "Locks":
        """Who has which target."""
        from wtsflow.locks import Locks

        return Locks(self.state / "locks.sqlite", lambda run: held(driver(self.state, run)))

    @cached_property
    def audit(self) -> "Log":
        """The evidence."""
        from wtsflow.audit import Log

        return Log(
            self.state / "audit",
            clock=self.clock,
            truth=self.journal,
            actor=self.actor,
            version=__version__,
        )

    @cached_property
    def actor(self) -> Actor:
        """Who this process works for."""
        return present_actor()

    def load(self, text: str | bytes, source: str) -> Workflow:
        """A manifest, proven against its scripts. Raises ManifestError."""
        return manifest.load(text, source, scripts=self.scripts.resolve)

    def plan(
        self,
        workflow: Workflow,
        inputs: Mapping[str, Json],
        *,
        inventories: Sequence[Path] = (),
        ticket: str = "",
        limit: str = "",
        parallel: int = 50,
        timeout: float = 3600.0,
        grace: float = 5.0,
        reattach: float = 300.0,
        closing: float = 300.0,
        passed: Sequence[str] = (),
        check: bool = False,
    ) -> Prepared:
        """Answer everything. ``inputs`` are as given. Raises PlanError, DeniedError, and so on."""
        filled = self.workspace.fill(workflow.inputs, inputs)
        values = planning.bind(workflow, {**inputs, **filled})
        plan = planning.resolve(
            workflow,
            inputs=values,
            scripts=self.scripts,
            inventory=self.workspace.inventory(inventories),
            actor=self.actor,
            ticket=ticket,
            parallel=parallel,
            timeout=timeout,
            grace=grace,
            reattach=reattach,
            closing=closing,
            limit=limit,
            passed=passed,
            check=check,
            environment=self.workspace.environment,
            transports=TRANSPORTS,
        )
        return Prepared(plan, values, self.actor, filled=tuple(filled))

    def enter(self, environment: str) -> None:
        """Work in this environment of the workspace from now on. Raises UsageError."""
        self.workspace = self.workspace.within(environment)

    def spool(self, run: str) -> Path:
        """The folder with the output of a run's tasks."""
        return self.state / "spool" / run

    @contextmanager
    def driving(self, run: str) -> Iterator[None]:
        """Hold a run's lock while this process performs it: a killed process holds none.

        Raises BusyError where another process performs it.
        """
        path = driver(self.state, run)
        private_folder(path.parent)
        try:
            with whole_lock(path, DRIVER):
                yield
                with suppress(OSError):
                    path.unlink()
        except TimeoutError:
            raise BusyError(
                f"another process performs run {run}",
                cure=f"wtsflow runs watch {run}; to end it: wtsflow cancel {run}",
            ) from None

    @contextmanager
    def holding(self, plan: Plan, run: str, interrupt: Interrupt | None = None) -> Iterator[None]:
        """Hold the locks of a plan's targets while this process performs the run.

        Raises BusyError, StoppedError and RecordError like :func:`wtsflow.locks.holding`.
        """
        from wtsflow.locks import Holder, holding

        if not (claims := planning.claims(plan, self.actor)):
            yield
            return
        who, name = self.actor, plan.workflow.name
        holder = Holder(run, self.clock.now(), who.name, who.host, os.getpid(), name, plan.ticket)
        over = partial(getattr, interrupt, "exit", None)
        with holding(
            self.locks, holder, claims, clock=self.clock, patience=self.patience, over=over
        ):
            yield

    def close(self) -> None:
        """Let go of the files that were opened."""
        for name in ("audit", "journal", "locks", "scripts"):
            if part := self.__dict__.pop(name, None):
                part.close()

    def run(
        self,
        prepared: Prepared,
        subscribers: Sequence[Subscriber] = (),
        interrupt: Interrupt | None = None,
        *,
        run: str = "",
        manner: Manner | None = None,
    ) -> Finished:
        """Perform a plan to its end, or until it parks.

        The scripts are read, their digests compared, and their bytes kept, before the run is
        opened, and its targets are locked. Raises MismatchError, BusyError when another process
        performs this run or has its targets, RecordError when it cannot be written down.
        """
        run = run or new_run_id(self.clock.now())
        self.kept.keep(prepared.plan.scripts.values())
        runner = self._runner(prepared, run, subscribers, interrupt, manner)
        taken = undoing.claimed(self, prepared.plan, run)
        with self.driving(run), taken, self.holding(prepared.plan, run, interrupt):
            opening = planning.opening(prepared.plan, prepared.actor, prepared.origin)
            return _finished(runner, runner.go(opening))

    def resume(
        self,
        prepared: Prepared,
        run: str,
        subscribers: Sequence[Subscriber] = (),
        interrupt: Interrupt | None = None,
        *,
        manner: Manner | None = None,
    ) -> Finished:
        """Go on with a run that another process began, or settle one that is closed.

        ``prepared`` comes from :mod:`wtsflow.reopening`. Targets are locked anew, but for a run
        that is only to be ended or settled. Raises like :meth:`run`.
        """
        runner = self._runner(prepared, run, subscribers, interrupt, manner)
        who: dict[str, Json] = {"actor": asdict(self.actor), "version": __version__}
        with self.driving(run):
            records = self.journal.load(run)
            ending = any(one.event.type in ("closed", "cancel") for one in records)
            held = nullcontext() if ending else self.holding(prepared.plan, run, interrupt)
            with held:
                return _finished(runner, runner.resume(records, who))

    def _runner(
        self,
        prepared: Prepared,
        run: str,
        subscribers: Sequence[Subscriber],
        interrupt: Interrupt | None,
        manner: Manner | None,
    ) -> Runner:
        parts = Parts(
            journal=self.journal,
            audit=self.audit,
            scripts=self.kept,
            verbs=VERBS,
            transports=self.transports,
            credentials=credentials.chain(self.environ),
            clock=self.clock,
            spool=self.spool(run),
            subscribers=subscribers,
        )
        return Runner(
            prepared.plan,
            run,
            parts,
            actor=prepared.actor,
            values=prepared.values,
            interrupt=interrupt,
            manner=manner,
            before=undoing.recalled(self, prepared),
            withhold=prepared.withhold,
        )


def _finished(runner: Runner, state: State) -> Finished:
    """What became of a run: over, let go of, or waiting."""
    name = Exit.WAITING.label
    if state.closed is not None:
        name = str(state.closed["exit"]["name"])  # type: ignore[index,call-overload]
    elif state.left:
        name = str((state.stopping or {}).get("exit") or Exit.UNKNOWN.label)
    return Finished(state.run, Exit[name.upper()], state, runner.detached)
