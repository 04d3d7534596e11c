"""Proving the audit log: by its bytes, and against the journal.

What the files alone prove: no record was changed, put in, taken out or moved, no file is missing
in between, and each run's records are whole. What they cannot prove, and a journal only proves as
far as nobody touched it too: that no records were cut off at the end, and that nobody rewrote
everything from some record on. :data:`UNPROVEN` says so in every result.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wtsflow.audit.profile import evidence
from wtsflow.audit.seal import GENESIS
from wtsflow.audit.segment import first_seq, is_torn, segments
from wtsflow.errors import AuditError
from wtsflow.model.record import Record

UNPROVEN = (
    "that no whole records were cut off at the end",
    "that the log was not rewritten as a whole by somebody who can write its folder",
)
"""What only a checkpoint, signed and kept elsewhere, could prove."""

SHOWN = 100
"""Problems that are told one by one; the others are counted."""

_BLOCK = 1 << 20
_TRAIL = 75
"""Bytes of ``,"hash":"<64 hex>"}``."""
_TIME = len("2026-01-01T00:00:00.000000Z")
_PLACE = re.compile(rb'\{"v":1,"seq":(\d{1,18}),"prev":"([0-9a-f]{64})","body":\{')
_RUN = re.compile(
    rb',"run":"([^"\\]*)","run_prev":"([0-9a-f]{64})","run_seq":(\d{1,18}),"time":"[^"\\]{27}'
    rb'(","ver":"[^"\\]*"\})\Z'
)


class Truth(Protocol):
    """What is asked of the journal."""

    def heads(self) -> Iterable[tuple[str, int, int]]:
        """Every run with its last record and the last one that was acknowledged as logged."""
        ...

    def load(self, run: str, *, after: int = 0, limit: int = -1) -> list[Record]: ...

    def pruned(self) -> Mapping[str, "Pruned"]:
        """The runs that its records say were removed from it."""
        ...


class Pruned(Protocol):
    """That a run was removed from the journal.

    Record ``seq`` of run ``by`` says so; ``last`` and ``hash`` are of the run's last record here.
    """

    @property
    def by(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def hash(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written.

    ``kind``: ``changed`` (the hash), ``order`` (number or previous hash), ``run`` (a run's own
    chain), ``file`` (names, links, missing ones), ``journal`` (it says something else).
    """

    kind: str
    file: str
    seq: int
    message: str


@dataclass(slots=True)
class Verdict:
    """The result. ``intact`` is what decides; ``pending`` and ``torn`` are the marks of a crash."""

    records: int = 0
    files: int = 0
    last: str = GENESIS
    runs: dict[str, tuple[int, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    torn: int = 0
    """Bytes of an unfinished last line: the next writer cuts them off and records that."""
    repaired: list[tuple[int, int]] = field(default_factory=list)
    """Record and length of each torn end that was cut off."""
    pending: list[tuple[str, int, int]] = field(default_factory=list)
    """Run, first and last record that the journal has and the log does not have yet."""
    pruned: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Run that was removed from the journal → run and number of the record that says so."""
    journal: bool = False
    """Whether it was held against the journal."""

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.count

    def add(self, kind: str, file: str, seq: int, message: str) -> None:
        """Note a problem."""
        self.count += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Problem(kind, file, seq, message))


def verify(folder: Path, truth: Truth | None = None) -> Verdict:
    """Prove the log in ``folder``, and against the journal. Raises AuditError if unreadable."""
    heads = list(truth.heads()) if truth is not None else []  # before: it only grows
    verdict = Verdict(journal=truth is not None)
    try:
        files = segments(folder)
        compare = _Compare(verdict, truth, {run for run, _, _ in heads}) if truth else None
        check = _Check(verdict, _Runs(verdict), compare)
        for path in files:
            check.file(path, last=path is files[-1])
    except OSError as error:
        raise AuditError(f"cannot read the audit log {folder}: {error.strerror}") from error
    if compare is not None:
        compare.end()
        _ends(verdict, [head for head in heads if head[0] not in verdict.pruned])
    return verdict


def _ends(verdict: Verdict, heads: Iterable[tuple[str, int, int]]) -> None:
    """Hold the end of each run in the log against the journal's."""
    for run, last, acknowledged in heads:
        logged = verdict.runs.get(run, (0, ""))[0]
        if logged < acknowledged:
            message = (
                f"run {run}: its records {logged + 1} to {acknowledged} were here and are gone"
            )
            verdict.add("journal", "", 0, message)
        elif logged < last:
            verdict.pending.append((run, logged + 1, last))


class _Runs:
    """The runs' own chains. What the next record of the present run must say is kept ready."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._heads = verdict.runs
        self._end = b""
        self.run = ""
        self.number = 0
        self.next = b"\xff"
        self.length = 0
        """How many bytes before the body's end ``next`` begins."""

    def follows(self, line: bytes, covered: int) -> bool:
        """Whether the line is the present run's next record."""
        return line.startswith(self.next, covered - self.length) and line.endswith(
            self._end, 0, covered
        )

    def advance(self, digest: bytes) -> None:
        """Take in a record of the present run."""
        self.number += 1
        self._heads[self.run] = (self.number, digest.decode())
        self.next = b',"run":"%b","run_prev":"%b","run_seq":%d,"time":"' % (
            self.run.encode(),
            digest,
            self.number + 1,
        )
        self.length = len(self.next) + _TIME + len(self._end)

    def switch(self, line: bytes, covered: int, digest: bytes, file: str, seq: int) -> bool:
        """Take in a record of another run; false when it is the log's own."""
        found = _RUN.search(line, max(0, covered - 1024), covered)
        if found is None:
            return False
        run, run_prev, number, self._end = found.groups()
        self.run = run.decode("utf-8", "backslashreplace")
        last, expected = self._heads.get(self.run, (0, GENESIS))
        if last + 1 != int(number) or expected.encode() != run_prev:
            message = f"run {self.run}: record {int(number)} follows record {last}"
            self._verdict.add("run", file, seq, message)
        self.number = int(number) - 1
        self.advance(digest)
        return True


@dataclass(slots=True)
class _Check:
    """Where the proof is: the number and the hash (empty: any) that the next line must follow."""

    verdict: Verdict
    runs: _Runs
    compare: "_Compare | None"
    seq: int = 0
    prev: bytes = GENESIS.encode()
    before: tuple[str, int] | None = None
    """Name and size of the file before."""

    def file(self, path: Path, *, last: bool) -> None:
        """Prove one file."""
        self.verdict.files += 1
        if first_seq(path) != self.seq + 1:
            there = f"records {self.seq + 1} to {first_seq(path) - 1} are missing before this file"
            self.verdict.add("file", path.name, self.seq, there)
            self.seq, self.prev = first_seq(path) - 1, b""
        first, size, rest = True, 0, b""
        for lines, rest in _blocks(path):  # noqa: B007 - the last rest is what counts
            if first and lines:
                self._opening(lines[0], path.name)
                first = False
            self._lines(lines, path.name)
            size += sum(map(len, lines)) + len(lines)
        if rest and last and is_torn(rest):
            self.verdict.torn = len(rest)
        elif rest or first:
            what = f"{len(rest)} bytes that are no record" if rest else "no records"
            self.verdict.add("file", path.name, self.seq, f"the file ends with {what}")
        self.before = (path.name, size + len(rest))
        self.verdict.last = self.prev.decode() or self.verdict.last

    def _opening(self, line: bytes, file: str) -> None:
        """The first record of a file ties it to the one before.

        The digest of that one need not be computed again: the chain covers each of its bytes.
        """
        body = _body(line)
        if body.get("event") != "log.open":
            self.verdict.add("file", file, self.seq + 1, "the file does not begin with log.open")
        elif self.before is not None:
            said = _mapping(_mapping(body.get("data")).get("previous"))
            if (said.get("file"), said.get("bytes")) != self.before:
                message = f"the file before it, {self.before[0]}, is not what it was when closed"
                self.verdict.add("file", file, self.seq + 1, message)

    def _lines(self, lines: list[bytes], file: str) -> None:
        """Prove lines. Hot: a million must take three seconds."""
        seq, prev, sha256 = self.seq, self.prev, hashlib.sha256
        follows, advance, compare = self.runs.follows, self.runs.advance, self.compare
        for line in lines:
            seq += 1
            covered = len(line) - _TRAIL
            digest = sha256(line[:covered] + b"}").hexdigest().encode()
            if line[covered:] != b',"hash":"%b"}' % digest or not line.startswith(
                b'{"v":1,"seq":%d,"prev":"%b","body":{' % (seq, prev)
            ):
                seq, prev = self._diagnose(line, digest, file, seq)
                if not prev:
                    continue
            prev = self.prev = digest
            if follows(line, covered):
                advance(digest)
            elif not self.runs.switch(line, covered, digest, file, seq):
                self._own(line, file, seq)
                continue
            if compare is not None:
                compare(line, file, seq, self.runs.run, self.runs.number)
        self.verdict.records += len(lines)
        self.seq, self.prev = seq, prev

    def _diagnose(self, line: bytes, digest: bytes, file: str, seq: int) -> tuple[int, bytes]:
        """Say what is wrong with a line; return its number and, if it holds by itself, its hash."""
        place = _PLACE.match(line)
        if place is None or line[-_TRAIL:] != b',"hash":"%b"}' % digest:
            self.verdict.add("changed", file, seq, "the record does not match its hash")
            self.prev = b""
            return seq, b""
        said = int(place[1])
        if said != seq:
            self.verdict.add("order", file, said, f"record {said} stands where {seq} belongs")
        elif self.prev and place[2] != self.prev:
            self.verdict.add("order", file, seq, "it does not follow the record before it")
        return said, digest

    def _own(self, line: bytes, file: str, seq: int) -> None:
        """A record of the log's own."""
        body = _body(line)
        event = str(body.get("event", ""))
        if event == "log.torn_tail":
            size = _mapping(body.get("data")).get("bytes")
            self.verdict.repaired.append((seq, size if isinstance(size, int) else 0))
        elif not event.startswith("log."):
            self.verdict.add("run", file, seq, "a record without its run")


class _Compare:
    """Holds the log's records against the journal's; reads ahead in each run."""

    AHEAD = 200

    def __init__(self, verdict: Verdict, truth: Truth, present: AbstractSet[str]) -> None:
        self._verdict = verdict
        self._truth = truth
        self._ahead: dict[str, Iterator[Record]] = {}
        self._next: dict[str, int] = {}
        self._asked: set[str] = set()
        self._pruned = dict(truth.pruned())
        self._gone = self._pruned.keys() - present

    def __call__(self, line: bytes, file: str, seq: int, run: str, number: int) -> None:
        if run in self._gone:
            return
        record = self._record(run, number)
        if record is None:
            if not self._pruned_meanwhile(run):
                message = f"run {run}: the journal has no record {number}"
                self._verdict.add("journal", file, seq, message)
            return
        body = _body(line)
        expected = evidence(record)
        if any(body.get(key) != value for key, value in expected.items()):
            message = f"run {run}: record {number} says something else in the journal"
            self._verdict.add("journal", file, seq, message)

    def _pruned_meanwhile(self, run: str) -> bool:
        """Whether it was removed since the beginning: is asked once for each run."""
        if run in self._asked:
            return False
        self._asked.add(run)
        self._pruned = dict(self._truth.pruned())
        if run in self._pruned and not self._truth.load(run, limit=1):
            self._gone.add(run)
        return run in self._gone

    def end(self) -> None:
        """Hold what the log has of removed runs against the records that say what it had."""
        for run in sorted(self._gone):
            said = self._pruned[run]
            self._verdict.pruned[run] = (said.by, said.seq)
            if self._verdict.runs.get(run) != (said.last, said.hash):
                last = self._verdict.runs.get(run, (0, ""))[0]
                message = (
                    f"run {run}: it had {said.last} records when it was pruned (run {said.by}, "
                    f"record {said.seq}); here are {last}, or others"
                )
                self._verdict.add("journal", "", 0, message)
            if self._verdict.runs.get(said.by, (0, ""))[0] < said.seq:
                message = f"run {run}: what says that it was pruned is not in the log"
                self._verdict.add("journal", "", 0, message)

    def _record(self, run: str, number: int) -> Record | None:
        if self._next.get(run) == number:
            found = next(self._ahead[run], None)
            if found is not None and found.seq == number:
                self._next[run] = number + 1
                return found
        records = iter(self._truth.load(run, after=number - 1, limit=self.AHEAD))
        found = next(records, None)
        if found is None or found.seq != number:
            self._next.pop(run, None)
            return None
        self._ahead[run], self._next[run] = records, number + 1
        return found


def _body(line: bytes) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(line).get("body"))
    except (ValueError, AttributeError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _blocks(path: Path) -> Iterator[tuple[list[bytes], bytes]]:
    """The lines of a file without their newlines, block by block, and what has no newline yet."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            *lines, rest = (rest + block).split(b"\n")
            yield lines, rest
