"""A copy of the state folder while runs write, and putting it back.

The copy is consistent by order: under the audit log's lock a read transaction of the journal is
begun and the length of the log's files is noted. All that the log has then is in the journal, and
all that the journal says is in the log is there. What is written later is in neither copy.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from wtsflow import __version__
from wtsflow.audit.segment import segments
from wtsflow.audit.verify import Verdict, verify
from wtsflow.errors import JournalError, MismatchError, RecordError, UsageError
from wtsflow.files import file_lock, private_folder, sync_folder
from wtsflow.journals import copies
from wtsflow.journals.sqlite import SqliteJournal

SCHEMA = "wtsflow.backup/1"
PATIENCE = 10.0
"""Seconds to wait for the audit log's lock."""

_NAMES = re.compile(
    r"journal\.sqlite|audit/audit-\d{12}\.jsonl|objects/[0-9a-f]{2}/[0-9a-f]{62}"
    r"|spool/[A-Za-z0-9_.-]{1,64}/[^/\\\x00-\x1f]{1,255}"
)
_DOTS = frozenset({".", ".."})


@dataclass(slots=True)
class Contents:
    """What is in a copy: its files with their SHA-256, and the time that it is of."""

    time: str
    files: dict[str, str] = field(default_factory=dict)
    size: int = 0


def backup(
    folder: Path, to: IO[bytes], *, time: str, spool: bool, scratch: Path | None = None
) -> Contents:
    """Write a tar.gz with the journal, the audit log, the scripts' bytes and, if asked, output.

    ``time`` is written into it; ``scratch`` is a folder with room for a journal. Raises
    RecordError where something cannot be read, OSError where ``to`` cannot be written.
    """
    contents = Contents(time)
    with contextlib.ExitStack() as stack:
        room = tempfile.TemporaryDirectory(prefix="wtsflow-", dir=scratch)
        parts = _fixed(folder, Path(stack.enter_context(room)) / "journal.sqlite", stack)
        archive = stack.enter_context(tarfile.open(fileobj=to, mode="w|gz"))
        for name, (path, size) in parts.items():
            _add(archive, contents, name, path, size)
        for top in ("objects", "spool") if spool else ("objects",):
            for path in sorted((folder / top).rglob("*")):
                name = path.relative_to(folder).as_posix()
                if _allowed(name) and path.is_file() and not path.is_symlink():
                    with contextlib.suppress(FileNotFoundError):  # pruned just now
                        _add(archive, contents, name, path, path.stat().st_size)
        _add_list(archive, contents)
    return contents


def _fixed(folder: Path, copy: Path, stack: contextlib.ExitStack) -> Mapping[str, tuple[Path, int]]:
    """Copy the journal; the files of the log with the length that belongs to that copy."""
    parts: dict[str, tuple[Path, int]] = {"journal.sqlite": (copy, 0)}
    audit = folder / "audit"
    with contextlib.ExitStack() as locked:
        if audit.is_dir() and os.access(audit, os.W_OK):
            lock = file_lock(audit / ".lock", PATIENCE)
            try:
                locked.enter_context(lock)
            except TimeoutError:
                raise RecordError("the audit log's lock was not free for long") from None
        snapshot = stack.enter_context(copies.snapshot(folder / "journal.sqlite"))
        for path in segments(audit) if audit.is_dir() else ():
            parts[f"audit/{path.name}"] = (path, path.stat().st_size)
    copies.copy(snapshot, copy)
    parts["journal.sqlite"] = (copy, copy.stat().st_size)
    return parts


def _add(archive: tarfile.TarFile, contents: Contents, name: str, path: Path, size: int) -> None:
    """Add the first ``size`` bytes of a file: more may have come since."""
    with path.open("rb") as file:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        read = _Hashing(file)
        archive.addfile(info, read)
    contents.files[name] = read.digest.hexdigest()
    contents.size += size


class _Hashing(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _add_list(archive: tarfile.TarFile, contents: Contents) -> None:
    """Last comes what is in it: a copy that was cut off has no list."""
    said = {"schema": SCHEMA, "time": contents.time, "wtsflow": __version__}
    data = json.dumps({**said, "files": contents.files}, indent=1).encode()
    info = tarfile.TarInfo("backup.json")
    info.size, info.mode = len(data), 0o600
    archive.addfile(info, io.BytesIO(data))


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back: when the copy was made, and what the audit log in it proves."""

    time: str
    files: int
    verdict: Verdict
    runs: int
    open: int


def restore(source: IO[bytes], folder: Path) -> Restored:
    """Put a copy back as the state folder ``folder``, which must be empty or not be there.

    Everything is proven first: each file's digest, the journal, the audit log against the journal.
    Raises MismatchError where that fails, and UsageError where the folder is in use; then the
    folder is as it was.
    """
    there = folder.exists()
    if there and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty", cure="move it away, or set WTSFLOW_STATE to a new folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder if there else folder.parent  # it may be a mount of its own
    scratch = Path(tempfile.mkdtemp(prefix=".wtsflow-", dir=beside))
    try:
        done = _prove(scratch, _unpack(source, scratch))
        if there:
            for path in sorted(scratch.iterdir()):  # the journal comes behind what it speaks of
                path.rename(folder / path.name)
            scratch.rmdir()
        else:
            scratch.rename(folder)
        sync_folder(beside)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return done


def _unpack(source: IO[bytes], folder: Path) -> Mapping[str, object]:
    found: dict[str, str] = {}
    listed: Mapping[str, object] = {}
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if member.name == "backup.json" and content is not None:
                    listed = json.loads(content.read(1 << 28))
                elif content is None or not _allowed(member.name):
                    raise MismatchError(f"the copy holds what does not belong: {member.name!r}")
                else:
                    found[member.name] = _write(folder / member.name, content)
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UsageError(f"cannot write {folder}: {error.strerror}") from error
        raise MismatchError(f"this is no whole copy of a state folder: {error}") from error
    if listed.get("schema") != SCHEMA:
        raise MismatchError("this is no whole copy of a state folder: its list is missing")
    if listed.get("files") != found:
        raise MismatchError("the copy was changed: its files are not those in its list")
    return listed


def _allowed(name: str) -> bool:
    return bool(_NAMES.fullmatch(name)) and _DOTS.isdisjoint(name.split("/"))


def _write(path: Path, content: IO[bytes]) -> str:
    """Write a new private file, durably; return its digest."""
    digest = hashlib.sha256()
    private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while block := content.read(1 << 20):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _prove(folder: Path, said: Mapping[str, object]) -> Restored:
    """Prove what was unpacked, before it takes the folder's place."""
    if not (folder / "journal.sqlite").exists():
        raise MismatchError("the copy has no journal")
    with _mismatching(), SqliteJournal(folder / "journal.sqlite") as journal:
        if faults := journal.faults():
            raise MismatchError(f"the journal in the copy is damaged: {faults[0]}")
        (folder / "audit").mkdir(mode=0o700, exist_ok=True)
        verdict = verify(folder / "audit", journal)
        if not verdict.intact:
            raise MismatchError(f"the audit log in the copy: {verdict.problems[0].message}")
        runs, left = len(journal.heads()), len(journal.runs(status="open"))
    files = said["files"]
    return Restored(str(said.get("time")), len(files), verdict, runs, left)  # type: ignore[arg-type]


@contextlib.contextmanager
def _mismatching() -> Iterator[None]:
    try:
        yield
    except JournalError as error:
        raise MismatchError(f"the journal in the copy: {error.message}") from error
