"""What a run works with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wtsflow.ports import (
    AuditLog,
    Clock,
    Credentials,
    Journal,
    ScriptSource,
    Subscriber,
    Transport,
    Verb,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with; ``spool`` is the folder for the output of this run's tasks.

    ``spawn`` begins a worker that goes on beside the run's own thread; None: in a thread.
    """

    journal: Journal
    audit: AuditLog
    scripts: ScriptSource
    verbs: Mapping[str, Verb]
    transports: Mapping[str, Callable[[], Transport]]
    credentials: Credentials
    clock: Clock
    spool: Path
    subscribers: Sequence[Subscriber] = ()
    spawn: Callable[[Callable[[], None], str], None] | None = None
