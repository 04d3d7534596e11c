"""The state folder, opened to be looked after: no workspace is needed for that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wtsflow import __version__
from wtsflow.audit import Log
from wtsflow.errors import BusyError, RecordError
from wtsflow.files import file_lock
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import Actor
from wtsflow.ports import Clock


@dataclass(frozen=True, slots=True)
class Place:
    """A state folder with its journal and its audit log, both to be written."""

    folder: Path
    journal: SqliteJournal
    log: Log
    clock: Clock
    actor: Actor

    def stamp(self) -> str:
        """The present, as records have it."""
        return rfc3339(self.clock.now())


def rfc3339(seconds: float) -> str:
    """A moment (since the epoch) as records have it: UTC, microseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


@contextmanager
def opened(folder: Path, clock: Clock, actor: Actor) -> Iterator[Place]:
    """Open a state folder, and complete its audit log. Raises RecordError.

    Raises BusyError when another process looks after it.
    """
    lock = file_lock(folder / ".upkeep.lock", 0)
    try:
        lock.__enter__()
    except TimeoutError:
        raise BusyError(
            f"another process looks after {folder}", cure="wait until it has ended"
        ) from None
    except OSError as error:
        raise RecordError(
            f"cannot write {folder}: {error.strerror}",
            cure="make the folder and its files writable (a read-only mount?)",
        ) from error
    try:
        with SqliteJournal(folder / "journal.sqlite") as journal:
            log = Log(
                folder / "audit", clock=clock, truth=journal, actor=actor, version=__version__
            )
            with log:
                yield Place(folder, journal, log, clock, actor)
    finally:
        lock.__exit__(None, None, None)
