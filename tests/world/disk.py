"""The disk: the journal as a store that fails like one, and the system calls of the audit log."""

import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.world.stage import Crash, Stage
from wtsflow.errors import JournalError
from wtsflow.model.record import Event, Record
from wtsflow.model.values import masked


@dataclass
class Disk:
    """What is stored, by whom, and when storing fails.

    ``peril(place)`` is asked at each call: it may kill the process. ``full``: no space is left.
    """

    stage: Stage
    peril: Callable[[str], None]
    facts: list[Record] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    full: bool = False
    refused: int = 0

    def refuse(self) -> None:
        """Count a call that failed for want of space."""
        self.refused += 1


@dataclass
class Journal:
    """Fulfils :class:`wtsflow.ports.Journal` with the promises of the real one, and its truth."""

    disk: Disk
    marks: dict[str, int] = field(default_factory=dict)
    """What this process knows to be in the audit log, and has not written down yet."""

    def record(self, run: str, events: Sequence[Event], *, time: str) -> list[Record]:
        """All or nothing; a crash may come before it is written, or before that is known."""
        self.disk.peril("journal: before")
        if self.disk.full:
            self.disk.refuse()
            raise JournalError("cannot write the journal: no space left on device")
        known = {one.event.key for one in self.disk.facts if one.run == run}
        seq = max((one.seq for one in self.disk.facts if one.run == run), default=0)
        stuck: list[Record] = []
        for event in events:
            if event.key not in known:
                known.add(event.key)
                data = json.loads(json.dumps(masked(event.data)))
                stuck.append(Record(run, seq + len(stuck) + 1, time, Event(event.key, data)))
        self.disk.facts += stuck
        self._flush()
        self.disk.peril("journal: after")
        return stuck

    def load(self, run: str, *, after: int = 0, limit: int = -1) -> list[Record]:
        found = [one for one in self.disk.facts if one.run == run and one.seq > after]
        return found if limit < 0 else found[:limit]

    def unaudited(self) -> list[tuple[str, int]]:
        return [(run, seq) for run, last, seq in self.heads() if seq < last]

    def audited(self, run: str, seq: int, *, settle: bool = False) -> None:
        self.marks[run] = max(seq, self.marks.get(run, 0))
        if settle:
            self.disk.peril("journal: mark")
            self._flush()

    def _flush(self) -> None:
        for run, seq in self.marks.items():
            self.disk.marks[run] = max(seq, self.disk.marks.get(run, 0))
        self.marks.clear()

    def heads(self) -> list[tuple[str, int, int]]:
        last: dict[str, int] = {}
        for one in self.disk.facts:
            last[one.run] = max(one.seq, last.get(one.run, 0))
        return [(run, seq, self.disk.marks.get(run, 0)) for run, seq in last.items()]

    def pruned(self) -> Mapping[str, Any]:
        return {}


class System:
    """Stands for the module ``os`` in the audit log: its writes tear, fail, and are died in."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        self._disk.peril("audit: write")
        if self._disk.full:
            self._disk.refuse()
            if self._disk.stage.random.random() < 0.5:
                return os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "no space left on device")
        try:
            self._disk.peril("audit: torn")
        except Crash:
            os.write(descriptor, data[: self._disk.stage.random.randrange(len(data))])
            raise
        return os.write(descriptor, data)

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._disk.peril("audit: truncate")
        os.ftruncate(descriptor, size)

    def fdatasync(self, descriptor: int) -> None:
        self._disk.peril("audit: sync")

    def fsync(self, descriptor: int) -> None:
        self._disk.peril("audit: sync")


def tear(folder: Path, size: int) -> None:
    """Take the newest file of an audit log back to ``size`` bytes: what a lying disk had."""
    newest = max(folder.glob("audit-*.jsonl"))
    with newest.open("r+b") as file:
        file.truncate(max(0, min(size, newest.stat().st_size)))


def newest_size(folder: Path) -> int:
    """How long the newest file of an audit log is."""
    found: Iterable[Path] = folder.glob("audit-*.jsonl")
    return max(found).stat().st_size
