"""What happened: events with a key, the records they become, and what is only seen live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wtsflow.model.values import Json
from wtsflow.model.workflow import Step


class Outcome(StrEnum):
    """How a step ended. A sidecar may declare more names, never these."""

    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Stop(StrEnum):
    """Whether what was to be stopped is known to have stopped."""

    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Task:
    """One planned step on one target, one attempt: what a worker performs.

    ``path`` is the step's place in this run, e.g. ``patch[web01]/install``; ``deadline`` is how
    many seconds it may take; ``age`` how many seconds ago it was started, when it is picked up.
    """

    path: str
    target: str
    attempt: int
    step: Step
    deadline: float = 3600.0
    age: float = 0.0

    @property
    def name(self) -> str:
        """The part of its events' keys that is the task's."""
        return f"{self.path}@{self.target}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, recorded at most once per run and key.

    Types and keys: ``opened``; ``started/<task>``, ``finished/<task>``, ``lost/<task>``,
    ``again/<task>``; ``detached/<task>/<n>`` and ``attached/<task>/<n>``; ``skipped/<path>``;
    ``waiting/<path>`` and ``waited/<path>``; ``looped/<path>``; ``cancel/<n>``,
    ``stopping/<level>``, ``stopping/<level>/<n>`` after the n-th ``left``; ``parked/<n>``,
    ``left/<n>``, ``resumed/<n>``; ``closed``, ``settled/<n>``, ``undoing/<n>``; ``pruned/<n>``.
    Of schedules: ``known/<n>``, ``paused/<n>``, ``unpaused/<n>``, ``refused/<what>/<hour>``; of
    each of their slots: ``claimed``, ``ended``.
    """

    key: str
    data: Mapping[str, Json] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The key's first word."""
        return self.key.partition("/")[0]

    @property
    def subject(self) -> str:
        """The key's rest: the task or the path."""
        return self.key.partition("/")[2]


@dataclass(frozen=True, slots=True)
class Record:
    """An event, numbered (from 1, per run), dated (RFC 3339, UTC, microseconds) and redacted."""

    run: str
    seq: int
    time: str
    event: Event


@dataclass(frozen=True, slots=True)
class Line:
    """A line of output, live. Transient: what lasts is the spool file.

    ``text`` is redacted, and safe for a terminal: control bytes are escaped.
    """

    run: str
    path: str
    target: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker hands back for a task: the data of its ``finished`` record.

    ``duration`` is seconds. ``outputs`` may hold secrets in memory; their records are masked.
    """

    outcome: str
    message: str = ""
    exit_code: int | None = None
    signal: str = ""
    stop: Stop | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    output: Mapping[str, Json] = field(default_factory=dict)
    """The spool's facts: ``sha256 bytes kept truncated redactions tail``."""
    duration: float = 0.0
    changes: Mapping[str, Json] = field(default_factory=dict)
    """What it changed, or in a check would: ``state count list reason`` (see ``finished``)."""
