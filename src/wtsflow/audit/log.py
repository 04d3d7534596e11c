"""Writing the audit log: durable before it returns, by many processes at once, or not at all.

Rule 1: what :meth:`Log.append` returned from is on the disk; what it raised for starts nothing.
Rule 2: the log's records of a run are the journal's, in its order, without a gap: what is missing
    after a crash is appended first.
Rule 3: no file is ever rewritten. A torn last line is cut off, and a record says what it was.
Rule 4: a failed flush is never tried again on the same descriptor.
Rule 5: what waits while something is written is written next, together, with one flush.
"""

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from wtsflow.audit.chain import Chain, Origin
from wtsflow.audit.seal import GENESIS
from wtsflow.errors import AuditError
from wtsflow.files import OpenLock, network_file_system, private_folder
from wtsflow.model.plan import Actor
from wtsflow.model.record import Record
from wtsflow.model.values import Json
from wtsflow.ports import Clock

DEADLINE = 5.0
"""Seconds: how long a call may take before nothing more is started."""
CATCH_UP = 60.0
"""Seconds for the opening, which appends all that a crash left out."""
SEGMENT = 64 * 1024 * 1024


class Truth(Protocol):
    """What the log asks of the journal, to be complete after a crash."""

    def load(self, run: str, *, after: int = 0) -> list[Record]: ...

    def unaudited(self) -> Sequence[tuple[str, int]]:
        """Runs with records that may be missing here."""
        ...

    def audited(self, run: str, seq: int, *, settle: bool = False) -> None:
        """Note that records up to ``seq`` are here; ``settle``: write it down now."""
        ...


class Log:
    """Fulfils :class:`wtsflow.ports.AuditLog`; for any number of threads and processes.

    ``folder`` is made 0700; ``truth`` is the journal that the log must be complete against;
    ``limit`` (bytes) begins a new file, as does a new day; ``deadline`` (seconds) bounds every
    call. Open it before the run's first record is written: opening proves that it can be written
    and appends what a crash left out. Raises AuditError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        truth: Truth | None = None,
        actor: Actor | None = None,
        version: str = "",
        limit: int = SEGMENT,
        deadline: float = DEADLINE,
    ) -> None:
        self.folder = private_folder(folder, AuditError)
        if kind := network_file_system(folder):
            raise AuditError(
                f"{folder} is on a network file system ({kind}), where locks do not hold",
                cure="set WTSFLOW_STATE to a folder on a local disk",
            )
        self._chain = Chain(folder, _origin(clock, actor, version), limit)
        self._truth = truth
        self._deadline = deadline
        self._broken: AuditError | None = None
        self._lock = OpenLock(folder / ".lock", deadline)
        self._work: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="audit", daemon=True)
        self._thread.start()
        try:
            self._ask(_Asked(self._catch_up), max(deadline, CATCH_UP))
        except BaseException:
            self._work.put(None)
            raise

    def append(self, records: Sequence[Record]) -> None:
        """Durably append; on return they are on the disk. Raises AuditError: begin nothing."""
        if not records:
            return
        self._ask(_Asked(None, records))
        if self._truth is not None:
            for run, seq in {record.run: record.seq for record in records}.items():
                self._truth.audited(run, seq)

    def close(self) -> None:
        """Let go of the files; idempotent."""
        self._broken = self._broken or AuditError("the audit log is closed")
        self._work.put(None)
        self._thread.join(self._deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the writing thread: a disk that hangs must not hang the caller -------------------

    def _ask(self, asked: "_Asked", patience: float = 0.0) -> None:
        patience = patience or self._deadline
        if self._broken is not None:
            raise self._broken
        self._work.put(asked)
        if not asked.answered(patience):
            self._broken = AuditError(
                f"the audit log {self.folder} did not answer within {patience:g} s",
                cure="see whether its disk is overloaded or failing",
            )
            raise self._broken
        if asked.error is not None:
            raise asked.error

    def _serve(self) -> None:
        while (asked := self._work.get()) is not None:
            together = [asked]
            over = False
            with contextlib.suppress(queue.Empty):
                while together[-1].work is None and not over:
                    more = self._work.get_nowait()
                    over = more is None
                    together += [more] if more is not None else []
            self._answer(together)
            if over:
                break
        self._chain.reset()
        self._lock.close()

    def _answer(self, together: "Sequence[_Asked]") -> None:
        """Do what was asked; what fails together is done one by one: the error is only its own."""
        *appends, last = together
        if last.work is None:
            appends.append(last)
        if len(appends) > 1 and self._broken is None:
            with contextlib.suppress(Exception):
                self._append(appends)
                for one in appends:
                    one.answer()
                appends = []
        for one in (*appends, last):
            if not one.done:
                self._answer_one(one)

    def _answer_one(self, asked: "_Asked") -> None:
        try:
            if self._broken is not None:
                raise self._broken  # noqa: TRY301 - it goes to the one who asked
            if asked.work is not None:
                asked.work()
            else:
                self._append([asked])
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            asked.answer(error)
        else:
            asked.answer()

    def _append(self, together: "Sequence[_Asked]") -> None:
        with self._translating():
            with self._lock:
                self._chain.refresh()
                if self._chain.due():
                    self._chain.rotate()
                for one in together:
                    self._complete(one.records)
                    self._chain.add(one.records)
                self._chain.flush()
                descriptor = os.dup(self._chain.descriptor)
            self._sync(descriptor)

    def _complete(self, records: Sequence[Record]) -> None:
        """Append first what the journal has of these runs and the log has not."""
        for run in dict.fromkeys(record.run for record in records):
            first = next(record.seq for record in records if record.run == run)
            if first == 1 and not self._chain.gap:
                self._chain.heads.setdefault(run, (0, GENESIS))
            last, _ = self._chain.head(run)
            if last + 1 < first and self._truth is not None:
                missing = self._truth.load(run, after=last)
                self._chain.add([one for one in missing if one.seq < first], late=True)

    def _catch_up(self) -> None:
        with self._translating():
            with self._lock:
                self._chain.refresh()
                late = list(self._truth.unaudited()) if self._truth is not None else []
                caught = [(run, self._catch_up_run(run)) for run, _ in late]
                descriptor = os.dup(self._chain.descriptor)
            self._sync(descriptor)
        for run, seq in caught:
            if self._truth is not None:
                self._truth.audited(run, seq, settle=True)

    def _catch_up_run(self, run: str) -> int:
        last, _ = self._chain.head(run)
        missing = self._truth.load(run, after=last) if self._truth is not None else []
        self._chain.add(missing, late=True)
        self._chain.flush()
        return missing[-1].seq if missing else last

    def _sync(self, descriptor: int) -> None:
        try:
            getattr(os, "fdatasync", os.fsync)(descriptor)
        except OSError as error:
            self._broken = self._said(error)
            raise self._broken from error
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._chain.reset()
            if isinstance(error, OSError):
                raised = self._said(error)
                if error.errno == errno.EIO:
                    self._broken = raised
                raise raised from error
            raise

    def _said(self, error: OSError) -> AuditError:
        if isinstance(error, TimeoutError):
            return AuditError(
                f"the audit log's lock was not free within {self._deadline:g} s",
                cure="see which process holds it: fuser -v " + str(self.folder / ".lock"),
            )
        return AuditError(
            f"cannot write the audit log {self.folder}: {error.strerror or error}",
            cure=_CURES.get(error.errno or 0, ""),
        )


@dataclass(slots=True)
class _Asked:
    """Records to append; or, where ``work`` is given, that."""

    work: Callable[[], None] | None
    records: Sequence[Record] = ()
    error: BaseException | None = None
    done: bool = False
    _open: threading.Lock = field(default_factory=threading.Lock)
    """Held until it is done: a bare lock wakes who waits in half the time that a Future takes."""

    def __post_init__(self) -> None:
        self._open.acquire()

    def answer(self, error: BaseException | None = None) -> None:
        """It is done, or ``error`` was in its way."""
        self.error, self.done = error, True
        self._open.release()

    def answered(self, patience: float) -> bool:
        """Wait until it is done; False after ``patience`` seconds."""
        return self._open.acquire(timeout=patience)


_CURES = {
    errno.ENOSPC: "make room on the disk, then run it again",
    errno.EDQUOT: "make room in your quota, then run it again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EROFS: "the file system is mounted read-only",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk is failing: run `wtsflow audit verify` before going on",
}


def _origin(clock: Clock, actor: Actor | None, version: str) -> Origin:
    import platform

    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    who: dict[str, Json] = {"name": actor.name, "uid": actor.uid} if actor else {}
    return Origin(platform.node(), os.getpid(), boot, version, who, clock)
