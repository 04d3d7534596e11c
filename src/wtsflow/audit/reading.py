"""Looking into the audit log, and taking records out of it for others."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wtsflow.audit.seal import read
from wtsflow.audit.segment import segments
from wtsflow.errors import AuditError
from wtsflow.model.plan import canonical

COLUMNS = (
    "seq",
    "time",
    "event",
    "key",
    "run",
    "run_seq",
    "actor",
    "host",
    "pid",
    "ver",
    "data",
    "hash",
)
"""Of the CSV; ``data`` is JSON."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: those that fit all that is given. ``since`` is RFC 3339, UTC."""

    run: str = ""
    since: str = ""
    event: str = ""
    actor: str = ""

    def __call__(self, body: Mapping[str, Any]) -> bool:
        """Whether a record's body fits."""
        event = str(body.get("event", ""))
        return (
            (not self.run or body.get("run") == self.run)
            and (not self.since or str(body.get("time", "")) >= self.since)
            and (not self.event or event == self.event or event.startswith(f"{self.event}."))
            and (not self.actor or actor_of(body) == self.actor)
        )


def actor_of(body: Mapping[str, Any]) -> str:
    """The name of who ran the process that wrote a record."""
    actor = body.get("actor")
    return str(actor.get("name", "")) if isinstance(actor, Mapping) else ""


def lines(folder: Path, wanted: Wanted) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
    """The lines that fit, with what they say. Raises AuditError where a record does not hold."""
    needle = b'"run":"%s"' % wanted.run.encode()
    try:
        for path in segments(folder):
            with path.open("rb") as file:
                for line in file:
                    if needle in line or not wanted.run:
                        said = _said(line, path)
                        if said is not None and wanted(said["body"]):
                            yield line, said
    except OSError as error:
        raise AuditError(f"cannot read the audit log {folder}: {error.strerror}") from error


def _said(line: bytes, path: Path) -> Mapping[str, Any] | None:
    if not line.endswith(b"\n"):  # being written, or torn
        return None
    if read(line) is None:
        raise AuditError(
            f"{path}: a record does not match its hash", cure="see: wtsflow audit verify"
        )
    found: Mapping[str, Any] = json.loads(line)
    return found


def as_jsonl(records: Iterable[tuple[bytes, Mapping[str, Any]]]) -> Iterator[bytes]:
    """The lines as they are: the hashes and the run's own chain hold outside of the log too."""
    return (line for line, _ in records)


def as_csv(records: Iterable[tuple[bytes, Mapping[str, Any]]]) -> Iterator[bytes]:
    """RFC 4180, with a head; no cell is a formula to any spreadsheet."""
    yield row(COLUMNS)
    for _, said in records:
        body = {**said["body"], "seq": said["seq"], "hash": said["hash"]}
        body["actor"] = actor_of(body)
        body["data"] = canonical(body.get("data", {})).decode()
        yield row([harmless(str(body.get(name, ""))) for name in COLUMNS])


def row(cells: Iterable[str]) -> bytes:
    """A line of CSV."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet computes: ``'`` before what begins like a formula."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n", "\0"} else cell


FORMATS: Mapping[str, Callable[[Iterable[tuple[bytes, Mapping[str, Any]]]], Iterator[bytes]]] = {
    "jsonl": as_jsonl,
    "csv": as_csv,
}
