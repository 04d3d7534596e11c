"""The bytes of scripts that were planned, kept by their digest: no push or gc takes them away."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from wtsflow.errors import RecordError
from wtsflow.files import private_file, private_folder, sync_folder
from wtsflow.model.script import PinnedScript
from wtsflow.ports import ScriptSource


class Kept:
    """Fulfils :class:`wtsflow.ports.ScriptSource` for scripts that were resolved before.

    ``folder`` holds a file for each content, ``ab/cdef…`` by its sha256. What was read once is
    not read again: what was compared is what runs. ``source`` has what is not kept yet.
    """

    def __init__(self, folder: Path, source: ScriptSource) -> None:
        self._folder = folder
        self._source = source
        self._bytes: dict[str, bytes] = {}

    def resolve(self, pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        """What a pin means."""
        return self._source.resolve(pin, subject=subject, groups=groups)

    def read(self, script: PinnedScript) -> bytes:
        """The bytes, compared with their digest. Raises PinMismatch, PlanError."""
        digest = script.sha256
        if digest not in self._bytes:
            content = self._stored(digest)
            self._bytes[digest] = self._source.read(script) if content is None else content
        return self._bytes[digest]

    def keep(self, scripts: Iterable[PinnedScript]) -> None:
        """Read scripts and store them for later processes. Raises RecordError too."""
        for script in scripts:
            content = self.read(script)
            if self._stored(script.sha256) is None:
                self._store(script.sha256, content)
            else:  # what was asked for just now is not removed as old
                with suppress(OSError):
                    os.utime(self._path(script.sha256))

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest[2:]

    def _stored(self, digest: str) -> bytes | None:
        """The stored bytes; None where there are none, or others: a crash may have torn them."""
        try:
            content = self._path(digest).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == digest else None

    def _store(self, digest: str, content: bytes) -> None:
        path = self._path(digest)
        private_folder(path.parent)
        draft = path.with_name(f".{path.name}.{token_hex(4)}")
        try:
            descriptor = private_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise RecordError(
                f"scripts cannot be kept in {self._folder}: {error.strerror}",
                cure="make room there, or set WTSFLOW_STATE to a folder elsewhere",
            ) from error
        finally:
            with suppress(OSError):
                draft.unlink()
