"""The growing end of the log. Every call here is made while its lock is held."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wtsflow.audit.profile import evidence
from wtsflow.audit.seal import GENESIS, Seal, read, sealed
from wtsflow.audit.segment import (
    is_torn,
    last_line,
    last_of_run,
    name,
    read_at,
    segments,
)
from wtsflow.errors import AuditError
from wtsflow.files import private_file, sync_folder
from wtsflow.model.record import Record
from wtsflow.model.values import Json
from wtsflow.ports import Clock


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes: goes into every body."""

    host: str
    pid: int
    boot_id: str
    version: str
    actor: Mapping[str, Json]
    clock: Clock

    def now(self) -> str:
        """The wall clock, RFC 3339."""
        moment = datetime.fromtimestamp(self.clock.now(), UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def stamp(self) -> dict[str, Json]:
        """The fields that every body has beside what happened.

        ``mono_us``: microseconds, as nanoseconds leave the profile after 104 days of uptime.
        """
        return {
            "actor": dict(self.actor),
            "boot_id": self.boot_id,
            "host": self.host,
            "mono_us": int(self.clock.monotonic() * 1_000_000),
            "pid": self.pid,
            "ver": self.version,
        }


@dataclass(slots=True)
class Chain:
    """Where the log ends: file, number and hash of the last record, last record of each run."""

    folder: Path
    origin: Origin
    limit: int
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    path: Path | None = None
    descriptor: int = -1
    size: int = 0
    seq: int = 0
    prev: str = GENESIS
    day: str = ""
    closed: bool = False
    gap: bool = False
    """Whether lines may have come that were never read here, since an error."""
    pending: list[bytes] = field(default_factory=list)

    # --- reading the end ------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in what other processes wrote; repair a torn end. Raises AuditError, OSError."""
        if self.path is None:
            self._open_newest()
            return
        if not self._in_place():
            raise AuditError(
                f"{self.path} was moved or deleted while in use",
                cure="put it back, then: wtsflow audit verify",
            )
        size = os.fstat(self.descriptor).st_size
        if size == self.size:
            return
        if size < self.size:
            raise AuditError(
                f"{self.path} was shortened while in use", cure="see: wtsflow audit verify"
            )
        self._take(read_at(self.descriptor, self.size, size - self.size))
        while self.closed:
            self._follow()

    def _in_place(self) -> bool:
        try:
            there = (self.path or self.folder).stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self.descriptor))

    def _take(self, data: bytes) -> None:
        """Read lines that were added behind the known end."""
        whole = data[: data.rfind(b"\n") + 1]
        torn = data[len(whole) :]
        for line in whole.splitlines(keepends=True):
            seal = read(line)
            if seal is None or seal.prev != self.prev or seal.seq != self.seq + 1:
                if seal is None and b"\0" in line:  # a power loss leaves zeros
                    torn = data[data.find(line) :]
                    break
                raise AuditError(
                    f"{self.path}: the record after number {self.seq} does not fit",
                    cure="see: wtsflow audit verify",
                )
            self._advance(seal, line)
        if torn:
            self._cut(torn)

    def _advance(self, seal: Seal, line: bytes) -> None:
        self.seq, self.prev = seal.seq, seal.hash
        self.size += len(line)
        self.closed = b'"event":"log.close"' in line and not seal.run
        if seal.run:
            self.heads[seal.run] = (seal.run_seq, seal.hash)

    def _open_newest(self) -> None:
        """Go to the newest file; begin one where there is none or it was closed."""
        self._let_go()
        found = segments(self.folder)
        while found:
            path = found.pop()
            if self._open(path):
                break
        if self.path is None or self.closed:
            self._begin()
        self.flush()

    def _follow(self) -> None:
        """Go on to the file that another process began, and read all of it.

        Somebody may have completed a run of ours there: it must not be written twice.
        """
        path = self.folder / name(self.seq + 1)
        try:
            descriptor = private_file(path, os.O_RDWR | os.O_APPEND, AuditError)
        except FileNotFoundError:
            self._begin()
            return
        data = read_at(descriptor, 0, os.fstat(descriptor).st_size)
        if b"\n" not in data:  # begun by a process that was killed there
            os.close(descriptor)
            self._begin()
            return
        self._let_go()
        self.path, self.descriptor, self.size, self.closed = path, descriptor, 0, False
        self.day = self._day(path)
        self._take(data)

    def _open(self, path: Path) -> bool:
        """Open a file and find its end; false when it has not even its first record."""
        descriptor = private_file(path, os.O_RDWR | os.O_APPEND, AuditError)
        size = os.fstat(descriptor).st_size
        line, end = last_line(descriptor, size)
        seal = read(line) if line else None
        if line and seal is None:
            os.close(descriptor)
            raise AuditError(
                f"{path}: the last record does not match its hash",
                cure="see: wtsflow audit verify; keep the folder as evidence and move it away",
            )
        if seal is None:
            os.close(descriptor)
            return False
        self.path, self.descriptor, self.size = path, descriptor, end
        self._advance(seal, line)
        self.size = end
        self.day = self._day(path)
        if size > end:
            self._cut(read_at(descriptor, end, size - end))
        return True

    def _day(self, path: Path) -> str:
        with path.open("rb") as file:
            line = file.readline()
        at = line.rfind(b'"time":"')
        return line[at + 8 : at + 18].decode() if at >= 0 else ""

    def head(self, run: str) -> tuple[int, str]:
        """Number and hash of the run's last record here; looked for in the files once."""
        if run not in self.heads:
            for path in reversed(segments(self.folder)):
                if seal := last_of_run(path, run):
                    self.heads[run] = (seal.run_seq, seal.hash)
                    break
            else:
                self.heads[run] = (0, GENESIS)
        return self.heads[run]

    # --- writing --------------------------------------------------------------------------

    def add(self, records: Sequence[Record], *, late: bool = False) -> int:
        """Take the records that are not here yet into the next write. Returns how many are new.

        They must follow the run's last one without a gap.
        """
        new = 0
        for record in records:
            last, run_prev = self.heads[record.run]
            if record.seq <= last:
                continue
            if record.seq != last + 1:
                raise AuditError(f"run {record.run}: record {last + 1} is missing")
            body = {**self.origin.stamp(), **evidence(record), "run_prev": run_prev}
            if late:
                body["late"] = True
            self.heads[record.run] = (record.seq, self._seal(body))
            new += 1
        return new

    def note(self, event: str, data: Mapping[str, Json]) -> None:
        """Add a record of the log's own to what is written next."""
        body: dict[str, Json] = {**self.origin.stamp(), "data": dict(data), "event": event}
        self._seal({**body, "time": self.origin.now()})

    def _seal(self, body: Mapping[str, Json]) -> str:
        line, digest = sealed(self.seq + 1, self.prev, body)
        self.seq, self.prev = self.seq + 1, digest
        self.pending.append(line)
        return digest

    def flush(self) -> None:
        """One write; after a short one the file is cut back and AuditError raised."""
        data, self.pending = b"".join(self.pending), []
        if not data:
            return
        done = os.write(self.descriptor, data)
        if done != len(data):
            os.ftruncate(self.descriptor, self.size)
            raise AuditError(f"{self.path}: only {done} of {len(data)} bytes could be written")
        self.size += done

    def _cut(self, torn: bytes) -> None:
        """Cut off what a crash left of a write, and record it."""
        if not is_torn(torn):
            raise AuditError(
                f"{self.path}: the last record was changed", cure="see: wtsflow audit verify"
            )
        os.ftruncate(self.descriptor, self.size)
        digest = hashlib.sha256(torn).hexdigest()
        self.note("log.torn_tail", {"bytes": len(torn), "sha256": digest})

    # --- files ----------------------------------------------------------------------------

    def due(self) -> bool:
        """Whether a new file is to be begun before the next record."""
        return self.size >= self.limit or self.day != self.origin.now()[:10]

    def rotate(self) -> None:
        """Close this file and begin the next."""
        self.note("log.close", {"next": name(self.seq + 2)})
        self.flush()
        os.fsync(self.descriptor)
        self.closed = True
        self._begin()
        self.flush()

    def _begin(self) -> None:
        """Make the next file; its first record ties it to the one before."""
        before = self.path
        data: dict[str, Json] = {"format": "wtsflow.audit/1", "segment_bytes": self.limit}
        if before is not None:
            data["previous"] = {"file": before.name, "hash": self.prev, **_digest(before)}
        self._let_go()
        path = self.folder / name(self.seq + 1)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        self.descriptor = private_file(path, flags, AuditError)
        self.path, self.size, self.closed = path, 0, False
        self.day = self.origin.now()[:10]
        torn = read_at(self.descriptor, 0, os.fstat(self.descriptor).st_size)
        self.note("log.open", data)
        if torn:
            self._cut(torn)
        sync_folder(self.folder)

    def reset(self) -> None:
        """Forget all: the next call reads the end from the disk again."""
        self._let_go()
        self.gap = True
        self.heads.clear()
        self.pending.clear()
        self.size, self.seq, self.prev, self.closed = 0, 0, GENESIS, False

    def _let_go(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor, self.path = -1, None


def _digest(path: Path) -> dict[str, Json]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}
