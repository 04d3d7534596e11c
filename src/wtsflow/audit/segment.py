"""The files of the log: ``audit-<first seq>.jsonl``, closed ones never touched again."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from wtsflow.audit.seal import Seal, read

_NAME = re.compile(r"audit-(\d{12})\.jsonl")
_BLOCK = 1 << 20


def segments(folder: Path) -> list[Path]:
    """The log's files, oldest first."""
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name)


def name(first: int) -> str:
    """The name of the file whose first record is number ``first``."""
    return f"audit-{first:012}.jsonl"


def first_seq(path: Path) -> int:
    """The number in a file's name."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def is_torn(rest: bytes) -> bool:
    """Whether bytes without a newline at the end of a file are a write that was cut off.

    A whole record whose newline is another byte is not: somebody changed it.
    """
    return read(rest[:-1] + b"\n") is None


def last_line(descriptor: int, size: int) -> tuple[bytes, int]:
    """The last whole line of a file (empty if there is none), and where it ends."""
    data, start = b"", size
    end = -1
    while start > 0:
        step = min(start, max(_BLOCK, len(data)))
        start -= step
        data = read_at(descriptor, start, step) + data
        end = data.rfind(b"\n")
        if end >= 0 and (begin := data.rfind(b"\n", 0, end)) >= 0:
            return data[begin + 1 : end + 1], start + end + 1
    return (data[: end + 1], end + 1) if end >= 0 else (b"", 0)


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """Read ``length`` bytes (fewer at the end) from ``offset``."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    parts = []
    while length > 0 and (part := os.read(descriptor, min(length, 1 << 24))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def last_of_run(path: Path, run: str) -> Seal | None:
    """The last record of a run in a file."""
    needle = b'"run":"%s","run_prev":"' % run.encode()
    for line in _lines_with(path, needle):
        seal = read(line)
        if seal is not None and seal.run == run:
            return seal
    return None


def _lines_with(path: Path, needle: bytes) -> Iterator[bytes]:
    """The lines that hold ``needle``, last first."""
    with path.open("rb") as file:
        data = b""
        start = file.seek(0, os.SEEK_END)
        while start > 0:
            step = min(start, 8 * _BLOCK)
            start -= step
            file.seek(start)
            data = file.read(step) + data
            at = len(data)
            while (at := data.rfind(needle, 0, at)) >= 0:
                begin = data.rfind(b"\n", 0, at) + 1
                if begin == 0 and start > 0:
                    break
                end = data.find(b"\n", at) + 1
                if end:
                    yield data[begin:end]
                at = begin
            data = data[: data.find(b"\n") + 1 or len(data)]
