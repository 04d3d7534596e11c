"""Removing what is old: recorded first, so that it is never just gone.

Rule 1: only what has ended goes, and only what the audit log has whole; the log itself stays.
Rule 2: the record of the removal is in journal and log before the first row goes. It holds the
    hash of each run's last record there, so the log still proves what it has of it.
Rule 3: whoever is killed anywhere has left either all of a run or the record that it goes; the
    next removal finishes what the record says.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wtsflow.audit.verify import Verdict, verify
from wtsflow.errors import Exit, MismatchError
from wtsflow.files import held
from wtsflow.journals.removal import Ended
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.journals.summary import SCHEDULE
from wtsflow.model.record import Event
from wtsflow.model.values import Json
from wtsflow.upkeep.place import Place
from wtsflow.who import new_run_id

TOGETHER = 500
"""Runs in one record, removed in one transaction."""

YOUNG = 86_400.0
"""Seconds: a script's bytes stay that long, as a run that needs them may just be opened."""


@dataclass(slots=True)
class Choice:
    """What is to go, and how many runs stay for which reason though they are old enough."""

    runs: list[Ended] = field(default_factory=list)
    stay: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Removed:
    """What went. ``by`` is the run whose records say so, empty where nothing went."""

    by: str = ""
    runs: int = 0
    records: int = 0
    output: int = 0
    """Bytes of kept output."""
    scripts: int = 0


def choose(
    journal: SqliteJournal,
    folder: Path,
    *,
    before: str,
    keep: int = 0,
    unknown: bool = False,
    verdict: Verdict | None = None,
) -> Choice:
    """The runs that had ended ``before`` (RFC 3339, UTC) and may go, oldest first.

    The newest ``keep`` runs stay. So do runs with an attempt whose end is not known, unless
    ``unknown``; runs that a process is at; and those whose records are not all in the audit log,
    as ``verdict`` found.
    """
    newest = {run.run for run in journal.runs(limit=keep)} if keep else set()
    choice = Choice()
    for run in journal.ended(before):
        reason = _stays(journal, folder, run, unknown=unknown, verdict=verdict)
        if run.run in newest:
            reason = "newest"
        if reason:
            choice.stay[reason] += 1
        else:
            choice.runs.append(run)
    return choice


def _stays(
    journal: SqliteJournal, folder: Path, run: Ended, *, unknown: bool, verdict: Verdict | None
) -> str:
    """Why a run stays though it is old enough; empty if it goes."""
    if run.mode == SCHEDULE and _newest_slot(journal, run.run):
        return "newest slot"
    if not unknown and (run.exit == Exit.UNKNOWN or journal.unsettled(run.run)):
        return "unknown"
    if held(folder / "locks" / f"{run.run}.lock"):
        return "performed"
    if verdict is not None and verdict.runs.get(run.run, (0, ""))[0] != run.last:
        return "not in the audit log"
    return ""


def _newest_slot(journal: SqliteJournal, page: str) -> bool:
    """Whether nothing later is known of a schedule: without it, it would be as if new."""
    book, sign, _ = page.partition("@")
    return not sign or journal.latest(f"{book}@") == [page]


def proven(place: Place) -> Verdict:
    """What the audit log has of every run. Raises MismatchError if it is not intact."""
    verdict = verify(place.folder / "audit", place.journal)
    if not verdict.intact:
        raise MismatchError(
            "the audit log is not intact: nothing is removed, it would be the only evidence left",
            cure="see: wtsflow audit verify",
        )
    return verdict


def prune(
    place: Place,
    runs: Sequence[Ended],
    verdict: Verdict,
    told: Callable[[int], object] = lambda _done: None,
) -> Removed:
    """Remove these runs: rows, kept output, and script bytes that no other run needs.

    ``told`` is called with the number of runs that are gone so far. Raises RecordError.
    """
    removed = Removed()
    _finish(place)
    for number, start in enumerate(range(0, len(runs), TOGETHER), start=1):
        part = runs[start : start + TOGETHER]
        removed.by = removed.by or new_run_id(place.clock.now())
        _record(place, removed.by, number, part, verdict)
        _remove(place, {run.run: run.last for run in part}, removed)
        told(removed.runs)
    removed.scripts = _remove_scripts(place)
    return removed


def _record(place: Place, by: str, number: int, runs: Sequence[Ended], verdict: Verdict) -> None:
    listed: list[Json] = [
        {
            "run": run.run,
            "last": run.last,
            "hash": verdict.runs[run.run][1],
            "status": run.status,
            "started": run.started,
            "ended": run.ended,
        }
        for run in runs
    ]
    data: dict[str, Json] = {"actor": asdict(place.actor), "runs": listed}
    records = place.journal.record(by, [Event(f"pruned/{number}", data)], time=place.stamp())
    place.log.append(records)


def _remove(place: Place, heads: Mapping[str, int], removed: Removed) -> None:
    gone = place.journal.remove(heads)
    removed.runs += len(gone)
    removed.records += sum(heads[run] for run in gone)
    removed.output += _remove_files(place.folder, gone)


def _finish(place: Place) -> None:
    """Remove what the last record says was removed: its writer may have been killed before."""
    pruned = place.journal.pruned()
    last = next(((one.by, one.seq) for one in reversed(pruned.values())), None)
    unfinished = {run: one for run, one in pruned.items() if (one.by, one.seq) == last}
    place.journal.remove({run: one.last for run, one in unfinished.items()})
    here = {head[0] for head in place.journal.heads()}
    _remove_files(place.folder, [run for run in unfinished if run not in here])


def _remove_files(folder: Path, runs: Iterable[str]) -> int:
    """Remove the runs' kept output and locks; return how many bytes that were."""
    size = 0
    for run in runs:
        spool = folder / "spool" / run
        size += sum(file.lstat().st_size for file in _files(spool))
        shutil.rmtree(spool, ignore_errors=True)
        with suppress(OSError):
            (folder / "locks" / f"{run}.lock").unlink()
    return size


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names)


def _remove_scripts(place: Place) -> int:
    """Remove the bytes of scripts that no run names, except those that came or went just now."""
    folder, done = place.folder / "objects", 0
    for file in list(_files(folder)):
        with suppress(OSError):
            old = place.clock.now() - file.lstat().st_mtime > YOUNG
            if old and not place.journal.needed(file.parent.name + file.name):
                file.unlink()
                done += 1
    return done
