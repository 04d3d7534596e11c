"""The audit log's line: how it is written, and how it is read back from its bytes.

``{"v":1,"seq":N,"prev":"<64 hex>","body":{…},"hash":"<64 hex>"}`` and a newline. ``hash`` is the
SHA-256 of the bytes before ``,"hash"``, with ``}`` after them: a valid line needs no second
serialisation to be proven. ``seq`` and ``prev`` stand before the body, the hash behind it, so that
nothing nested can stand in for them. ``body`` has sorted keys; all that comes from outside sorts
before ``run``, so that the run's own chain is read from the line's end.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wtsflow.model.plan import canonical
from wtsflow.model.values import Json

GENESIS = "0" * 64
"""What stands for the hash before the first one."""

HASH_LENGTH = len(',"hash":""}\n') + 64

_HEAD = re.compile(rb'\{"v":1,"seq":(\d{1,18}),"prev":"([0-9a-f]{64})","body":\{')
_TAIL = re.compile(
    rb'"run":"([^"\\]*)","run_prev":"([0-9a-f]{64})","run_seq":(\d{1,18}),"time":"[^"\\]*","ver":"[^"\\]*"\}\Z'
)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a line says of its place. ``run`` is empty for the log's own records."""

    seq: int
    prev: str
    hash: str
    run: str = ""
    run_seq: int = 0
    run_prev: str = ""


def sealed(seq: int, prev: str, body: Mapping[str, Json]) -> tuple[bytes, str]:
    """Return a line and its hash."""
    head = b'{"v":1,"seq":%d,"prev":"%s","body":%s' % (seq, prev.encode(), canonical(body))
    digest = hashlib.sha256(head + b"}").hexdigest()
    return b'%s,"hash":"%s"}\n' % (head, digest.encode()), digest


def read(line: bytes) -> Seal | None:
    """What a whole line (with its newline) says; None when it is not a line that holds."""
    head = _HEAD.match(line)
    if head is None or line[-HASH_LENGTH : -HASH_LENGTH + 9] != b',"hash":"':
        return None
    covered = line[:-HASH_LENGTH]
    digest = hashlib.sha256(covered + b"}").hexdigest()
    if line[-HASH_LENGTH + 9 :] != b'%s"}\n' % digest.encode():
        return None
    tail = _TAIL.search(covered, max(0, len(covered) - 1024))
    run = (
        (tail[1].decode("utf-8", "backslashreplace"), int(tail[3]), tail[2].decode())
        if tail
        else ("", 0, "")
    )
    return Seal(int(head[1]), head[2].decode(), digest, *run)
