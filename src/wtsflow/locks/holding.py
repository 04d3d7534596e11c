"""Holding all targets of a run while it is performed: got at once, waited for, or refused."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from wtsflow.errors import BusyError, Exit, RecordError, StoppedError, TerminatedError
from wtsflow.locks.store import Holder, Locks, Obstacle, Takeover
from wtsflow.model.claim import Claim
from wtsflow.model.text import shown
from wtsflow.ports import Clock

FIRST, LONGEST = 0.01, 0.1
"""Seconds between two looks at a lock that somebody has: at first, and in the end."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Runs that are in the way, and for how many seconds more they are waited for.

    No ``obstacles``: the waiting is over, whatever came of it.
    """

    obstacles: Sequence[Obstacle]
    left: float


Report: TypeAlias = Callable[[Waiting | Takeover], None]
"""Is told while it waits, at every look, and about each claim of a killed run that it took over."""


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds others are waited for, and who is told about it."""

    wait: float = 0.0
    report: Report = lambda _said: None


@contextmanager
def holding(
    locks: Locks,
    holder: Holder,
    claims: Sequence[Claim],
    *,
    clock: Clock,
    patience: Patience | None = None,
    over: Callable[[], Exit | None] = lambda: None,
) -> Iterator[None]:
    """Hold every claim while the block runs.

    ``over`` is asked while it waits whether to end, and how. Raises BusyError with who is in the
    way, StoppedError when it was to end, RecordError when locks cannot be written.
    """
    patience = patience or Patience()
    try:
        _get(locks, holder, claims, _Asking(clock, patience, over))
    except BaseException:
        if patience.wait > 0:
            _let_go(locks, holder.run)
        raise
    finally:
        patience.report(Waiting((), 0.0))
    try:
        yield
    finally:
        _let_go(locks, holder.run)


def _let_go(locks: Locks, run: str) -> None:
    with suppress(RecordError):  # soon nobody performs the run: then its rows count for nothing
        locks.release(run)


@dataclass(frozen=True, slots=True)
class _Asking:
    clock: Clock
    patience: Patience
    over: Callable[[], Exit | None]


def _get(locks: Locks, holder: Holder, claims: Sequence[Claim], how: _Asking) -> None:
    pause, left, report = FIRST, how.patience.wait, how.patience.report
    end = how.clock.monotonic() + left
    while True:
        asking = replace(holder, since=how.clock.now())
        attempt = locks.take(asking, claims, wait=left > 0)
        for taken in attempt.taken:
            report(taken)
        if not attempt.obstacles:
            return
        if left <= 0:
            raise busy(attempt.obstacles, asking.since, how.patience.wait)
        if code := how.over():
            raise _stopped(code)
        report(Waiting(attempt.obstacles, left))
        threading.Event().wait(min(pause, left))
        pause = min(pause * 1.5, LONGEST)
        left = end - how.clock.monotonic()


def _stopped(code: Exit) -> StoppedError:
    kind = TerminatedError if code is Exit.TERMINATED else StoppedError
    return kind("stopped while it waited for its targets: nothing ran")


def busy(obstacles: Sequence[Obstacle], now: float, waited: float = 0.0) -> BusyError:
    """The error that says who is in the way, since when, and what to do."""
    first = obstacles[0]
    run = first.holder.run
    more = len(obstacles) - 1
    also = f"; {more} more run{'s are' if more > 1 else ' is'} in the way" if more else ""
    after = f" (waited {lasting(waited)})" if waited else ""
    wait = "" if waited else "wait for it: --wait 5m; "
    return BusyError(
        f"{sentence(first, now)}{also}{after}",
        cure=f"{wait}see who has what: wtsflow locks; end it: wtsflow cancel {run}",
    )


def sentence(one: Obstacle, now: float) -> str:
    """``web01 (and 3 more) is locked by run 01J… of ada (disk/clean-up, INC1), for 3m 05s``."""
    holder = one.holder
    what = ", ".join(filter(None, (holder.workflow, holder.ticket)))
    targets = one.name + (f" (and {one.count - 1} more)" if one.count > 1 else "")
    verb = "is waited for, in front of us," if one.waiting else "is locked"
    who = f"run {holder.run} of {holder.actor}"
    return shown(f"{targets} {verb} by {who} ({what}), for {lasting(now - holder.since)}", 400)


def lasting(seconds: float) -> str:
    """``12s``, ``3m 05s``, ``2h 07m``, ``3d 04h``."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole}s"
    if not hours:
        return f"{minutes}m {whole % 60:02}s"
    return f"{days}d {hours % 24:02}h" if days else f"{hours}h {minutes % 60:02}m"
