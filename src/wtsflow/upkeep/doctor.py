"""Examining this machine: whether runs can be begun here and what was written down be trusted.

A check is a function of the :class:`Exam`, listed in :data:`CHECKS`; it yields findings, and the
one that breaks is a finding itself.
"""

import os
import shutil
import stat
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from wtsflow.audit.verify import Verdict, verify
from wtsflow.errors import WtsflowError
from wtsflow.files import held, network_file_system
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.journals.still import still
from wtsflow.ports import Clock
from wtsflow.upkeep.finding import Finding, ok, problem, warning

LEAST, LITTLE = 64 << 20, 1 << 30
"""Free bytes below which nothing can be begun soon, and below which somebody should know."""

SLOW, AT_ONCE = 0.050, 0.000_015
"""Seconds for one flush: above, every step is slow; below, no disk was asked."""

OVERDUE = 900.0
"""Seconds after which somebody should have gone on with a parked run."""

AHEAD = 300.0
"""Seconds that a record may be later than the clock."""

FIRST_YEAR = 1_735_689_600.0
"""2025-01-01, UTC: a clock that says less was never set."""


@dataclass
class Exam:
    """What is examined. ``path`` is where programs are looked for."""

    folder: Path
    clock: Clock
    path: str | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    @property
    def writable(self) -> bool:
        """Whether the folder and the journal may be written."""
        file = self.folder / "journal.sqlite"
        return os.access(self.folder, os.W_OK) and (not file.exists() or os.access(file, os.W_OK))

    @cached_property
    def journal(self) -> SqliteJournal | None:
        """The journal; None where nothing was run yet. Raises JournalError."""
        file = self.folder / "journal.sqlite"
        if not file.exists():
            return None
        found = SqliteJournal(file) if self.writable else still(file)
        return self.closing.enter_context(closing(found))

    @cached_property
    def verdict(self) -> Verdict | None:
        """What the audit log proves; None where there is none. Raises AuditError."""
        folder = self.folder / "audit"
        return verify(folder, self.journal) if folder.is_dir() else None

    def driven(self, run: str) -> bool:
        """Whether a process performs the run."""
        lock = self.folder / "locks" / f"{run}.lock"
        return lock.exists() and self.writable and held(lock)


def examine(exam: Exam, told: Callable[[str], object] = lambda _id: None) -> list[Finding]:
    """Everything that the checks find; ``told`` is called with the name of each as it begins."""
    found: list[Finding] = []
    with exam.closing:
        for id_, check in CHECKS.items():
            told(id_)
            try:
                found.extend(check(exam))
            except (WtsflowError, OSError) as error:
                cure = error.cure if isinstance(error, WtsflowError) else ""
                found.append(problem(id_, str(error), cure or "see: wtsflow help environment"))
    return found


def _disk(exam: Exam) -> Iterator[Finding]:
    there = next(one for one in (exam.folder, *exam.folder.parents) if one.exists())
    if kind := network_file_system(there):
        yield problem(
            "state.disk",
            f"{exam.folder} is on a network file system ({kind}), where locks do not hold",
            "set WTSFLOW_STATE to a folder on a local disk",
        )
    elif not os.access(there, os.W_OK):
        cure = "mount it for writing, or set WTSFLOW_STATE to a folder that you may write in"
        yield problem("state.disk", f"{there} cannot be written", cure)
    else:
        yield ok("state.disk", f"{exam.folder} is on a local disk")


def _private(exam: Exam) -> Iterator[Finding]:
    if os.name != "posix" or not exam.folder.exists():
        return
    ours, bad = os.geteuid(), []
    kept = (exam.folder / name for name in ("audit", "spool", "locks", "objects", "journal.sqlite"))
    for path in (exam.folder, *(path for path in kept if path.exists())):
        found = path.stat(follow_symlinks=False)
        if found.st_uid != ours:
            bad.append(f"{path} belongs to user {found.st_uid}")
        elif found.st_mode & 0o077:
            bad.append(f"{path} is open to others ({stat.filemode(found.st_mode)})")
    for said in bad:
        yield problem(
            "state.private", said, f"look at what is in it, then: chmod -R go-rwx {exam.folder}"
        )
    if not bad:
        yield ok("state.private", "what is kept is its owner's alone")


def _space(exam: Exam) -> Iterator[Finding]:
    there = next(one for one in (exam.folder, *exam.folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    said = f"{free >> 20} MiB are free for {exam.folder}"
    cure = "make room, or remove old runs: wtsflow state prune --older-than 90d"
    if free < LEAST:
        yield problem("state.space", said, cure)
    elif free < LITTLE:
        yield warning("state.space", said, cure)
    else:
        yield ok("state.space", said)


def _flush(exam: Exam) -> Iterator[Finding]:
    """How long the disk takes to promise something: each step waits for that four times."""
    if not exam.folder.exists() or not exam.writable:
        return
    times = []
    with tempfile.TemporaryFile(dir=exam.folder, buffering=0) as file:
        for _ in range(15):
            file.write(b"\0" * 4096)
            begun = exam.clock.monotonic()
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            times.append(exam.clock.monotonic() - begun)
    took = statistics.median(times)
    said = f"a flush to the disk takes {took * 1000:.3g} ms"
    if took > SLOW:
        cure = "set WTSFLOW_STATE to a folder on a faster disk: every step waits for it"
        yield warning("state.flush", said, cure)
    elif took < AT_ONCE:
        cure = "keep the state on a real disk: after a power loss memory holds nothing"
        yield warning("state.flush", f"{said}: this is memory, or a disk that promises only", cure)
    else:
        yield ok("state.flush", said)


def _journal(exam: Exam) -> Iterator[Finding]:
    if exam.journal is None:
        yield ok("journal.whole", "nothing was run yet")
        return
    faults = exam.journal.faults(quick=True)
    for said in faults:
        yield problem("journal.whole", said, "keep the folder as evidence; restore a back-up")
    if not faults:
        yield ok("journal.whole", f"the journal is whole: {len(exam.journal.heads())} runs")


def _audit(exam: Exam) -> Iterator[Finding]:
    verdict = exam.verdict
    if verdict is None:
        yield ok("audit.intact", "there is no audit log yet")
    elif not verdict.intact:
        first = verdict.problems[0].message
        cure = "keep the folder as evidence; see: wtsflow audit verify"
        yield problem("audit.intact", f"{verdict.count} differences, the first: {first}", cure)
    else:
        yield ok("audit.intact", f"the audit log is intact: {verdict.records} records")
    behind = [run for run, _, _ in verdict.pending if not exam.driven(run)] if verdict else []
    if behind:
        said = f"{len(behind)} runs have records that the audit log does not have yet: {behind[0]}"
        yield warning("audit.behind", said, "the next run, resume or cancel appends them")


def _cut_off(exam: Exam) -> Iterator[Finding]:
    if exam.journal is None:
        return
    gone = [run.run for run in exam.journal.runs(status="active") if not exam.driven(run.run)]
    if gone:
        said = f"{_runs(len(gone))} cut off: the process is gone, the newest is {gone[0]}"
        yield warning("runs.cut-off", said, f"wtsflow resume {gone[0]}")
    else:
        yield ok("runs.cut-off", "no run was cut off")


def _overdue(exam: Exam) -> Iterator[Finding]:
    if exam.journal is None:
        return
    late = [run for run in exam.journal.due(exam.clock.now() - OVERDUE) if not exam.driven(run.run)]
    if late:
        since = datetime.fromtimestamp((late[0].due or 0) / 1000).astimezone()
        said = f"{_runs(len(late))} overdue, {late[0].run} since {since:%Y-%m-%d %H:%M}"
        yield warning("runs.overdue", said, "let cron call every minute: wtsflow resume --due")
    else:
        yield ok("runs.overdue", "no parked run is overdue")


def _runs(number: int) -> str:
    return f"{number} runs are" if number > 1 else "1 run is"


def _clock(exam: Exam) -> Iterator[Finding]:
    now = exam.clock.now()
    newest = exam.journal.runs(limit=1) if exam.journal else []
    latest = datetime.fromisoformat(newest[0].started).timestamp() if newest else 0.0
    cure = "set the clock, and let a time service keep it"
    if now < FIRST_YEAR:
        yield problem("clock.set", "the clock was never set", cure)
    elif latest > now + AHEAD:
        said = f"run {newest[0].run} began {latest - now:.0f} s after what the clock says now"
        yield problem("clock.set", said, cure)
    else:
        yield ok("clock.set", "the clock agrees with what was recorded")


TOOLS: Mapping[str, tuple[str, str]] = {
    "git": ("scripts are read from their repository with it", "--version"),
    "ssh-keygen": ("signatures of scripts are verified with it", ""),
}


def _tools(exam: Exam) -> Iterator[Finding]:
    for name, (why, asked) in TOOLS.items():
        found = shutil.which(name, path=exam.path)
        if found is None:
            yield problem(f"tool.{name}", f"{name} is not on the PATH: {why}", f"install {name}")
        else:
            said = _answer([found, asked]) if asked else ""
            yield ok(f"tool.{name}", said or found)


def _answer(words: list[str]) -> str:
    """The first line that a program says; empty where it does not answer."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0]


CHECKS: Mapping[str, Callable[[Exam], Iterator[Finding]]] = {
    "state.disk": _disk,
    "state.private": _private,
    "state.space": _space,
    "state.flush": _flush,
    "journal.whole": _journal,
    "audit.intact": _audit,
    "runs.cut-off": _cut_off,
    "runs.overdue": _overdue,
    "clock.set": _clock,
    "tool": _tools,
}
"""In the order in which they are told."""
