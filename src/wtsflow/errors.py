"""Every error that wtsflow raises on purpose, and the exit code that each one owns.

::

    WtsflowError
    ├── UsageError              2   the command line does not say what to do
    ├── InvalidError            3   something that was written down is wrong
    │   ├── ManifestError           a manifest: carries all its diagnostics
    │   │   └── LockedElse      6       only its pins are wrong: not what was locked
    │   ├── PlanError               inputs, targets or scripts do not fit the workflow
    │   └── ConfigError             wtsflow.yaml, inventory, sidecar, lock: a file beside it
    ├── ConnectError            4   nothing ran on the target: safe to try again
    │   ├── NotBegun                picked up again: what was to run there never began
    │   ├── HostKeyError            the target did not prove who it is
    │   └── LoginError              the target refused us
    ├── DeniedError             5   not allowed
    ├── MismatchError           6   what is there is not what was agreed
    │   ├── PinMismatch             a tag or a blob moved
    │   └── PlanMismatch            the frozen plan and the present differ
    ├── SessionLost            11   the connection went while something ran: its effect is unknown
    │   └── Vanished                picked up again: how it ended cannot be known any more
    ├── RecordError            74   what happened cannot be written down: nothing more is started
    │   ├── JournalError
    │   └── AuditError
    ├── BusyError              75   somebody else holds it
    └── StoppedError          130   this process was asked to end before its run began
        └── TerminatedError   143   by SIGTERM

A script that exits 1 is not an error: it is an outcome.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar, Self


class Exit(IntEnum):
    """The process's exit codes; ``label`` is the name that ``--format json`` prints."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    SUCCESS = 0, "everything asked for was done"
    FAILED = 1, "the run finished, unsuccessfully"
    USAGE = 2, "the command line is wrong"
    INVALID = 3, "what is written is invalid or cannot be planned; nothing ran"
    UNREACHABLE = 4, "a target could not be reached or refused the login"
    DENIED = 5, "not allowed"
    MISMATCH = 6, "a pin, the lock or the plan does not match what is there"
    TIMEOUT = 7, "the time limit passed; what ran was stopped"
    CANCELLED = 8, "cancelled by somebody else than this terminal"
    PARTIAL = 9, "some targets succeeded and some did not"
    WAITING = 10, "the run waits for a person or a time"
    UNKNOWN = 11, "whether a step took effect is not known"
    INTERNAL = 70, "a defect in wtsflow"
    AUDIT = 74, "journal or audit log cannot be written; nothing more started"
    BUSY = 75, "somebody else holds what is needed; try again"
    INTERRUPTED = 130, "stopped by Ctrl-C"
    TERMINATED = 143, "stopped by SIGTERM"

    @property
    def label(self) -> str:
        """The name of this code in machine output."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Location:
    """A span of a text. Lines and columns start at 1; the end is exclusive."""

    source: str
    line: int
    column: int
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


class Severity(StrEnum):
    """How bad a diagnostic is: only errors make a manifest invalid (all do with ``--strict``)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a text: what is wrong, where, and what to do.

    ``rule`` is the stable id (``wts101``) whose page ``wtsflow explain`` prints; ``excerpt`` is the
    line of the text that ``location`` starts in; ``cure`` may be empty when the message says it.
    """

    rule: str
    message: str
    location: Location
    cure: str = ""
    severity: Severity = Severity.ERROR
    excerpt: str = ""


class WtsflowError(Exception):
    """The root. ``str()`` is the one-line message; ``cure`` says what to do about it."""

    exit: ClassVar[Exit] = Exit.INTERNAL

    def __init__(self, message: str, *, cure: str = "", location: Location | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.location = location


class UsageError(WtsflowError):
    """The command line does not say what to do."""

    exit = Exit.USAGE


class InvalidError(WtsflowError):
    """Something that was written down is wrong; nothing was started."""

    exit = Exit.INVALID


class ManifestError(InvalidError):
    """A manifest is invalid. ``diagnostics`` holds every finding, sorted by place."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        first = diagnostics[0]
        more = f" (and {len(diagnostics) - 1} more)" if len(diagnostics) > 1 else ""
        super().__init__(f"{first.message}{more}", cure=first.cure, location=first.location)
        self.diagnostics = diagnostics


class LockedElse(ManifestError):
    """All that is wrong with a manifest is that its scripts are not what was locked."""

    exit = Exit.MISMATCH


class PlanError(InvalidError):
    """The workflow is valid, but these inputs, targets or scripts do not fit it."""


class ConfigError(InvalidError):
    """A file beside the manifest is wrong: wtsflow.yaml, an inventory, a sidecar, a lock."""


class ConnectError(WtsflowError):
    """The target could not be reached. Nothing ran there: safe to try again."""

    exit = Exit.UNREACHABLE


class NotBegun(ConnectError):
    """What was to be picked up never began on its target, and cannot begin any more."""


class HostKeyError(ConnectError):
    """The target did not prove who it is."""


class LoginError(ConnectError):
    """The target refused the login."""


class DeniedError(WtsflowError):
    """Not allowed."""

    exit = Exit.DENIED


class MismatchError(WtsflowError):
    """What is there is not what was agreed."""

    exit = Exit.MISMATCH


class PinMismatch(MismatchError):
    """A pinned script is not the one that was locked."""

    def __init__(self, pin: str, expected: str, found: str, *, cure: str = "") -> None:
        super().__init__(f"{pin}: locked as {expected}, found {found}", cure=cure)
        self.pin = pin
        self.expected = expected
        self.found = found


class PlanMismatch(MismatchError):
    """The frozen plan and the present differ. ``differences`` are lines fit to print."""

    def __init__(self, differences: tuple[str, ...], *, cure: str = "") -> None:
        super().__init__("the plan no longer fits: " + "; ".join(differences), cure=cure)
        self.differences = differences


class SessionLost(WtsflowError):
    """The connection went while something ran: its effect is unknown. Never retried silently."""

    exit = Exit.UNKNOWN


class Vanished(SessionLost):
    """It began on its target, and how it ended cannot be known any more: a reboot, say."""


class RecordError(WtsflowError):
    """What happened cannot be written down: nothing more is started."""

    exit = Exit.AUDIT


class JournalError(RecordError):
    """The journal cannot be written or read."""


class AuditError(RecordError):
    """The audit log cannot be written."""


class BusyError(WtsflowError):
    """Somebody else holds it."""

    exit = Exit.BUSY


class StoppedError(WtsflowError):
    """This process was asked to end before its run began: nothing ran."""

    exit = Exit.INTERRUPTED


class TerminatedError(StoppedError):
    """The same, asked by SIGTERM or because the terminal went."""

    exit = Exit.TERMINATED
