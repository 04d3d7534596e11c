"""A task's output on the disk: redacted bytes, capped, hashed, read back only by people."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from wtsflow.engine.lines import LineSplitter
from wtsflow.errors import RecordError
from wtsflow.files import private_file, private_folder
from wtsflow.model.values import Json

CAP = 64 * 1024 * 1024
TAIL = 2048
_WINDOW = 4 * TAIL
_LONGEST = 150
_UNSAFE = re.compile(r"[^A-Za-z0-9._@~+=\[\]-]")


class Spool:
    """One file. ``path`` is made 0600 in a folder 0700; ``cap`` is how many bytes it keeps.

    Nothing here raises: when the disk refuses, the facts say ``error``, and the digest, the count
    and the tail go on.
    """

    def __init__(self, path: Path, cap: int = CAP) -> None:
        self._cap = cap
        self._sum = hashlib.sha256()
        self._bytes = 0
        self._kept = 0
        self._error = ""
        self._tail = b""
        self._file: int | None = None
        try:
            private_folder(path.parent)
            self._file = private_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        except (RecordError, OSError) as error:
            self._error = str(error)

    def write(self, data: bytes) -> None:
        """Take bytes that are redacted already."""
        self._sum.update(data)
        self._bytes += len(data)
        self._tail = (self._tail + data[-_WINDOW:])[-_WINDOW:]
        room = memoryview(data)[: max(0, self._cap - self._kept)]
        while room and self._file is not None:
            try:
                done = os.write(self._file, room)
            except OSError as error:
                self._error = str(error)
                self._let_go()
                return
            self._kept += done
            room = room[done:]

    def close(self) -> Mapping[str, Json]:
        """End the file; return its facts, for the ``finished`` record.

        ``sha256`` and ``bytes`` are of everything written, ``kept`` is what the file holds,
        ``tail`` the last lines (at most 2 KiB, safe for a terminal).
        """
        self._let_go()
        facts: dict[str, Json] = {
            "sha256": self._sum.hexdigest(),
            "bytes": self._bytes,
            "kept": self._kept,
            "truncated": self._kept < self._bytes,
            "tail": _last_lines(self._tail, cut=self._bytes > len(self._tail)),
        }
        return {**facts, "error": self._error} if self._error else facts

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def file_name(task: str) -> str:
    """The name of a task's file (``path@target/attempt``), safe and distinct on every system."""
    name = _UNSAFE.sub("_", task.replace("/", "~"))
    if len(name) > _LONGEST or name != task.replace("/", "~").lower():
        name = f"{name[:_LONGEST]}~{hashlib.sha256(task.encode()).hexdigest()[:16]}"
    return f"{name}.log"


def _last_lines(data: bytes, *, cut: bool) -> str:
    splitter = LineSplitter()
    text = "\n".join([*splitter.feed(data), *splitter.close()])
    if len(text) > TAIL or cut:
        text = text[-TAIL:]
        first, newline, rest = text.partition("\n")
        text = rest if newline and rest else first
    return text
