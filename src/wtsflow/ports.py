"""What wtsflow asks of the outside, on one page.

Every shelf holds parts that fulfil one of these; the engine sees nothing else of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from wtsflow.model.plan import Plan, Target
from wtsflow.model.record import Event, Line, Record, Result, Stop, Task
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json, Secret

# --- transports -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunScript:
    """Run these bytes on the target.

    ``command`` is the argument vector that comes before the script's own path (``("/bin/sh",)``,
    ``("python3",)``; empty: the script is executable by itself); ``arguments`` come after it.
    ``stdin`` is the script's standard input, ``environment`` is added to its environment. Secrets
    travel in ``stdin`` only. ``deadline`` (seconds) is enforced on the target too; ``grace``
    (seconds) is how long a stopped process has between TERM and KILL. ``marker`` is unique to this
    attempt: it finds the process's descendants and names its state folder. ``output_file`` asks
    for ``$WTS_OUTPUT``, a file whose content comes back in :class:`Exited`. ``run_as`` is the
    account to change to (sudo); ``password`` is given to it by standard input only.
    """

    content: bytes
    sha256: str
    name: str
    marker: str
    command: tuple[str, ...] = ("/bin/sh",)
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    deadline: float = 3600.0
    grace: float = 5.0
    output_file: bool = True
    run_as: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class CallCommand:
    """Call a visible function of a constrained endpoint: no script text is sent."""

    name: str
    arguments: Mapping[str, Json]
    marker: str
    deadline: float = 3600.0
    grace: float = 5.0


Invocation: TypeAlias = RunScript | CallCommand


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that the remote process wrote, as they came."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing came; sent at least every second so that the reader can look at its clock."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The end. ``code`` is None when a signal ended it and no code is known.

    ``signal`` is a name such as ``SEGV``. ``stop`` is set only when it was asked to stop or the
    target enforced the deadline (``timed_out``). ``output`` is the content of ``$WTS_OUTPUT``.
    ``missing`` says what of the output streams was not kept while nobody could read them; empty
    when every byte came.
    """

    code: int | None
    signal: str = ""
    stop: Stop | None = None
    timed_out: bool = False
    output: bytes = b""
    missing: str = ""


Signal: TypeAlias = Output | Idle | Exited


class Execution(Protocol):
    """Something that runs on a target: iterate it to its :class:`Exited`, which comes last, once.

    Raises from the iterator: :class:`~wtsflow.errors.SessionLost` when the connection goes.
    """

    def __iter__(self) -> Iterator[Signal]: ...

    def stop(self) -> None:
        """Ask for the end of the whole process tree; go on iterating until :class:`Exited`.

        Callable from any thread, more than once. TERM first, KILL after the grace; what escaped
        its process group is found by the marker. The iterator ends within grace + 10 s, with
        ``Exited.stop`` saying whether nothing is left.
        """
        ...

    def close(self) -> None:
        """Let go without waiting. The remote process may live on; idempotent."""
        ...

    def recorded(self) -> None:
        """Its end has been written down: the target need not keep it any more. Never blocks long.

        Called after :class:`Exited`, from another thread than the reader's. Until then the target
        keeps output and end, so that :meth:`Session.attach` finds them.
        """
        ...


class Session(Protocol):
    """One open connection to one target; executions on it may overlap, from several threads."""

    def start(self, invocation: Invocation) -> Execution:
        """Begin. Raises ConnectError when nothing was begun, SessionLost when that is unknown."""
        ...

    def attach(
        self, invocation: Invocation, *, age: float, stdout: int = 0, stderr: int = 0
    ) -> Execution:
        """Pick up what was started under the same ``marker``, running or ended: nothing is run.

        ``age`` is how many seconds ago it was started; ``stdout`` and ``stderr`` are the bytes of
        each stream that have been received already. Of the invocation only ``marker``, ``name``,
        ``grace``, ``run_as`` and ``password`` are looked at. Raises NotBegun when it never began
        there (and makes sure that it never will), Vanished with the reason when its end cannot be
        known any more (reboot, killed supervisor), ConnectError when the target cannot be asked
        now, SessionLost when the connection went while asking.
        """
        ...

    def close(self) -> None:
        """End the connection and remove what was left on the target; idempotent, never raises.

        What was not :meth:`Execution.recorded` stays there.
        """
        ...


class Transport(Protocol):
    """A way to reach targets."""

    def connect(self, target: Target, credentials: "Credentials") -> Session:
        """Open a session within the target's ``connect_timeout``.

        Raises ConnectError, HostKeyError or LoginError, each with a cure.
        """
        ...


class Credentials(Protocol):
    """Where passwords and passphrases come from, by name; never asked without a terminal."""

    def secret(self, name: str) -> Secret | None:
        """The secret of this name, or None where there is none."""
        ...


# --- what is planned ------------------------------------------------------------------------


class ScriptSource(Protocol):
    """The pinned scripts of a workspace."""

    def resolve(self, pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        """What a pin means, by the lock.

        For a ``+`` pin the rollout decides by ``subject`` (the target, ticket or user that the
        share is drawn for) and ``groups`` (the actor's). Raises PinMismatch, PlanError,
        ConfigError.
        """
        ...

    def read(self, script: PinnedScript) -> bytes:
        """The bytes, by blob id, with their sha256 compared. Raises PinMismatch, PlanError."""
        ...


class Inventory(Protocol):
    """Where targets are listed."""

    def select(self, pattern: str) -> tuple[Target, ...]:
        """Targets by pattern (``web*:&prod:!db1``), sorted by name. Raises PlanError if unknown."""
        ...

    def group(self, name: str) -> tuple[Target, ...]:
        """A group's targets, nested groups included. Raises PlanError if there is none."""
        ...

    def host(self, name: str) -> Target:
        """The listed target, or one made from the name with the defaults."""
        ...


# --- what is kept ---------------------------------------------------------------------------


class Journal(Protocol):
    """The ordered records of all runs: the truth."""

    def record(self, run: str, events: Sequence[Event], *, time: str) -> list[Record]:
        """Durably write those events whose key is new; return them as records, in order.

        Raises JournalError when it cannot be written: then nothing of it was.
        """
        ...

    def load(self, run: str, *, after: int = 0) -> list[Record]:
        """The records of a run with ``seq`` greater than ``after``."""
        ...


class AuditLog(Protocol):
    """The evidence. Complete before any effect."""

    def append(self, records: Sequence[Record]) -> None:
        """Durably append. Raises AuditError: then no effect may follow."""
        ...


class Subscriber(Protocol):
    """Watches a run live: is called with every record and every line, in one thread."""

    def __call__(self, seen: Record | Line, /) -> None: ...


# --- what is performed ----------------------------------------------------------------------


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> float:
        """Seconds since the epoch, UTC: only ever data."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: what deadlines are measured by."""
        ...


class Tools(Protocol):
    """What a verb may use while it performs a task; one is made for each task."""

    run: str
    plan: Plan
    clock: Clock

    def session(self, target: Target) -> Session:
        """The open session to a target, opened if need be and shared by the run's tasks."""
        ...

    def read(self, script: PinnedScript) -> bytes:
        """The pinned bytes."""
        ...

    def output(self, stream: str, data: bytes) -> None:
        """Hand over output: redacted, spooled and shown live. Blocks while readers are behind."""
        ...

    def conceal(self, secret: Secret) -> None:
        """Mask this value wherever it appears from now on. Raises InvalidError if too short."""
        ...

    def masked(self, text: str) -> str:
        """``text`` with every secret in it masked."""
        ...

    def detached(self, reason: str, until: float) -> None:
        """Let everybody know that the connection went, and is tried until ``until`` (monotonic)."""
        ...

    def attached(self) -> None:
        """Let everybody know that the task was picked up again."""
        ...

    def keep(self, execution: Execution) -> None:
        """Tell this execution :meth:`Execution.recorded` when the task's end is written down."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the task was asked to stop."""
        ...

    @property
    def credentials(self) -> Credentials:
        """Secrets by name."""
        ...


class Verb(Protocol):
    """One kind of thing to do, performed by a worker."""

    def perform(self, task: Task, arguments: Mapping[str, Json], tools: Tools) -> Result:
        """Do it on the task's target; ``arguments`` are ``with:`` with all values inserted.

        A connection that goes while it runs is tried again for ``plan.reattach`` seconds. Raises
        ConnectError when nothing ran, SessionLost when that is unknown.
        """
        ...

    def attach(self, task: Task, tools: Tools) -> Result:
        """Pick up a task that another process began ``task.age`` seconds ago: nothing is run.

        Its output comes from the beginning. Raises NotBegun, SessionLost (Vanished: for good) and
        ConnectError when the target could not be asked within ``plan.reattach`` seconds.
        """
        ...
