"""Wires the parts: the only module that knows them all.

::

    text -> manifest.load -> planning.resolve -> engine -> records
"""

import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow import __version__, credentials, manifest, planning
from wtsflow.clock import SystemClock
from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.runner import Parts, Runner
from wtsflow.engine.state import State
from wtsflow.errors import Exit
from wtsflow.files import file_lock, private_folder
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json
from wtsflow.model.workflow import Workflow
from wtsflow.ports import Clock, ScriptSource, Subscriber, Transport
from wtsflow.transports import TRANSPORTS
from wtsflow.verbs import VERBS
from wtsflow.workspace import Workspace

if TYPE_CHECKING:
    from wtsflow.audit import Log
    from wtsflow.journals.sqlite import SqliteJournal
    from wtsflow.scripts import Repository


_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_run_id(now: float, chance: int | None = None) -> str:
    """A ULID: 26 characters that sort by time. ``chance`` has 80 random bits."""
    number = (int(now * 1000) << 80) | (secrets.randbits(80) if chance is None else chance)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def present_actor() -> Actor:
    """Who runs this process, by the operating system; the environment is not asked."""
    import platform

    host = platform.node()
    if sys.platform == "win32":
        return Actor(os.getlogin(), "", host)
    uid = os.getuid()
    try:
        import pwd

        name = pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        name = str(uid)
    return Actor(name, str(uid), host)


DRIVER = 5.0
"""Seconds to wait for a run's lock: who looks whether it is held may hold it for a moment."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan that can be performed: with the values of its inputs, secrets among them."""

    plan: Plan
    values: Mapping[str, Json]
    actor: Actor


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended. ``state`` holds what happened; ``exit`` is the process's code."""

    run: str
    exit: Exit
    state: State
    detached: Sequence[tuple[Subscriber, Exception]] = ()
    """Subscribers that broke and were let go, with what broke them."""


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
    def journal(self) -> "SqliteJournal":
        """The records of all runs."""
        from wtsflow.journals.sqlite import SqliteJournal

        return SqliteJournal(self.state / "journal.sqlite")

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
    ) -> Prepared:
        """Answer everything. ``inputs`` are as given. Raises PlanError, DeniedError, and so on."""
        values = planning.bind(workflow, inputs)
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
            transports=TRANSPORTS,
        )
        return Prepared(plan, values, self.actor)

    def spool(self, run: str) -> Path:
        """The folder with the output of a run's tasks."""
        return self.state / "spool" / run

    @contextmanager
    def driving(self, run: str) -> Iterator[None]:
        """Hold a run's lock while this process performs it: a killed process holds none."""
        path = driver(self.state, run)
        private_folder(path.parent)
        try:
            with file_lock(path, DRIVER):
                yield
        finally:
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        """Let go of the files that were opened."""
        for name in ("audit", "journal", "scripts"):
            if part := self.__dict__.pop(name, None):
                part.close()

    def run(
        self,
        prepared: Prepared,
        subscribers: Sequence[Subscriber] = (),
        interrupt: Interrupt | None = None,
        *,
        run: str = "",
    ) -> Finished:
        """Perform a plan to its end.

        The scripts are read, and their digests compared, before the run is opened. Raises
        MismatchError then, RecordError when it cannot be written down.
        """
        plan = prepared.plan
        scripts = Bytes(self.scripts, plan.scripts.values())
        run = run or new_run_id(self.clock.now())
        parts = Parts(
            journal=self.journal,
            audit=self.audit,
            scripts=scripts,
            verbs=VERBS,
            transports=self.transports,
            credentials=credentials.chain(self.environ),
            clock=self.clock,
            spool=self.spool(run),
            subscribers=subscribers,
        )
        runner = Runner(
            plan,
            run,
            parts,
            actor=prepared.actor,
            values=prepared.values,
            interrupt=interrupt,
        )
        with self.driving(run):
            state = runner.go(_opening(prepared))
        name = str(state.closed["exit"]["name"])  # type: ignore[index,call-overload]
        return Finished(run, Exit[name.upper()], state, runner.detached)


def driver(state: Path, run: str) -> Path:
    """The file that the process which performs a run holds locked."""
    return state / "locks" / f"{run}.lock"


class Bytes:
    """The scripts of one plan, read once: what was compared is what runs."""

    def __init__(self, source: ScriptSource, scripts: Iterable[PinnedScript]) -> None:
        self._source = source
        self._bytes = {script.sha256: source.read(script) for script in scripts}

    def resolve(self, pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        """What a pin means."""
        return self._source.resolve(pin, subject=subject, groups=groups)

    def read(self, script: PinnedScript) -> bytes:
        """The bytes of a script of the plan."""
        return self._bytes[script.sha256]


def _opening(prepared: Prepared) -> dict[str, Json]:
    """The data of a run's first record: all that decided what it does."""
    plan, workflow = prepared.plan, prepared.plan.workflow
    nodes = planning.outline(plan, prepared.actor).walk()
    return {
        "workflow": {
            "name": workflow.name,
            "version": workflow.version,
            "title": workflow.title,
            "sha256": workflow.sha256,
            "source": workflow.source,
        },
        "plan": plan.digest,
        "frozen": planning.freeze(plan),
        "actor": asdict(prepared.actor),
        "ticket": plan.ticket,
        "targets": sorted({name for node in nodes for name in node.machines}),
        "scripts": [
            {
                "pin": pin,
                "version": script.version,
                "commit": script.commit,
                "blob": script.blob,
                "sha256": script.sha256,
                "choice": asdict(script.choice) if script.choice else None,
            }
            for pin, script in plan.scripts.items()
        ],
        "inputs": plan.inputs,
    }
