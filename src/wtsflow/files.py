"""Private folders and files: where what is kept is kept. POSIX checks fall away on Windows."""

import os
import stat
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from wtsflow.errors import RecordError

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs"}
    | {"beegfs", "davfs", "ncpfs", "ocfs2", "gfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"}
    | {"fuse.davfs2", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse"}
)
"""File systems whose locks or flushes do not hold between machines."""

_PLAIN = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
)


def private_folder(path: Path, error: type[RecordError] = RecordError) -> Path:
    """Make a folder 0700 (parents with it) or prove that it is ours alone; return it.

    A folder of ours that others may read is closed to them; one that others may write, or that is
    not ours, is refused with ``error``.
    """
    try:
        made = _make(path)
        found = path.stat(follow_symlinks=False)
    except OSError as problem:
        raise error(
            f"cannot make the folder {path}: {problem.strerror}",
            cure="set WTSFLOW_STATE to a folder that you may write in",
        ) from problem
    if not stat.S_ISDIR(found.st_mode):
        raise error(f"{path} is not a folder", cure="move it away; a symbolic link is not followed")
    _owned(found, path, error)
    if found.st_mode & 0o077 and not made and os.name == "posix":
        try:
            path.chmod(0o700)
        except OSError as problem:
            raise error(f"cannot close {path} to others: {problem.strerror}") from problem
    return path


def _make(path: Path) -> bool:
    try:
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            _make(path.parent)
            path.mkdir(mode=0o700)  # not for ever: below /proc this is its answer again
    except FileExistsError:
        return False
    return True


def private_file(path: Path, flags: int, error: type[RecordError] = RecordError) -> int:
    """Open (``flags`` of :func:`os.open`) a file that is ours alone, 0600; return the descriptor.

    Raises FileNotFoundError without ``O_CREAT``, ``error`` when it is a link, not ours, or
    writable by others; other OSErrors pass.
    """
    if os.name != "posix" and path.is_symlink():
        raise error(f"{path} is a symbolic link", cure="move it away")
    try:
        descriptor = os.open(path, flags | _PLAIN, 0o600)
    except OSError as problem:
        if path.is_symlink():
            raise error(f"{path} is a symbolic link", cure="move it away") from problem
        raise
    try:
        found = os.fstat(descriptor)
        _plain_and_owned(found, path, error)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_private(path: Path, error: type[RecordError] = RecordError) -> None:
    """Look at a file without opening it. Raises ``error`` as :func:`private_file` does."""
    found = path.stat(follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise error(f"{path} is a symbolic link", cure="move it away")
    _plain_and_owned(found, path, error)


def _plain_and_owned(found: os.stat_result, path: Path, error: type[RecordError]) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{path} is not a plain file", cure="move it away")
    _owned(found, path, error)


def _owned(found: os.stat_result, path: Path, error: type[RecordError]) -> None:
    if os.name != "posix":
        return
    if found.st_uid != os.geteuid():
        raise error(
            f"{path} belongs to user {found.st_uid}, you are user {os.geteuid()}",
            cure="run as its owner, or set WTSFLOW_STATE to a folder of your own",
        )
    if found.st_mode & 0o022:
        raise error(
            f"{path} can be written by others ({stat.filemode(found.st_mode)})",
            cure=f"look at what is in it, then: chmod go-rwx {path}",
        )


def sync_folder(path: Path) -> None:
    """Make a new name in a folder survive a power loss; nothing to do on Windows."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | _PLAIN)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_lock(path: Path, patience: float) -> AbstractContextManager[object]:
    """A lock between processes and threads, held by the operating system: a dead holder has none.

    Entering waits up to ``patience`` seconds, then raises TimeoutError. The file stays.
    """
    with warnings.catch_warnings():  # where there is neither fcntl nor msvcrt: a soft lock
        warnings.simplefilter("ignore", UserWarning)
        from filelock import FileLock

    return FileLock(path, timeout=patience, mode=0o600, poll_interval=0.001, fallback_to_soft=False)


class OpenLock:
    """A :func:`file_lock` for who takes it again and again: its file stays open in between.

    Not for several threads. Entering waits up to ``patience`` seconds, then raises TimeoutError.
    """

    def __init__(self, path: Path, patience: float) -> None:
        from filelock import has_fcntl

        self._path = path
        self._patience = patience
        self._file = -1
        self._plain = None if has_fcntl or sys.platform == "win32" else file_lock(path, patience)

    def __enter__(self) -> None:
        if self._plain is not None:
            self._plain.__enter__()
            return
        end = time.monotonic() + self._patience
        while not self._taken():
            if time.monotonic() > end:
                raise TimeoutError(self._path)
            threading.Event().wait(0.001)

    def _taken(self) -> bool:
        from filelock import lock_descriptor

        if self._file < 0:
            self._file = private_file(self._path, os.O_RDWR | os.O_CREAT)
        if not lock_descriptor(self._file, blocking=False):
            return False
        if os.fstat(self._file).st_nlink:
            return True
        self.close()  # somebody removed it: what was taken is nobody's lock
        return False

    def __exit__(self, *exc: object) -> None:
        from filelock import unlock_descriptor

        if self._plain is not None:
            self._plain.__exit__(None, None, None)
        else:
            unlock_descriptor(self._file)

    def close(self) -> None:
        """Close the file; what was held is free."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


@contextmanager
def whole_lock(path: Path, patience: float) -> Iterator[None]:
    """:func:`file_lock` on a file that its holder removes: who waited for it takes the new one.

    Raises TimeoutError like it.
    """
    while True:
        with file_lock(path, patience) as lock:
            if _same_file(path, lock):
                yield
                return


def _same_file(path: Path, lock: object) -> bool:
    descriptor = getattr(getattr(lock, "_context", None), "lock_file_fd", None)
    try:
        return descriptor is None or os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def held(path: Path) -> bool:
    """Whether somebody holds the :func:`file_lock` of this path; a file that is not there: no."""
    if not path.exists():
        return False
    try:
        with file_lock(path, 0):
            return False
    except (TimeoutError, OSError):  # not ours to lock: then nothing is known against it
        return True


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the network file system that ``path`` is on, or nothing.

    Linux says it; elsewhere only a UNC path is recognised, so an answer of nothing is no proof.
    """
    full = path.resolve()
    if str(full).startswith("\\\\"):
        return "UNC"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode().decode("unicode_escape")
        if full.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind if kind in NETWORK else ""
