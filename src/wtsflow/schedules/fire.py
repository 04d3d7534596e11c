"""Firing what is due: each slot once, however often and from wherever it is called.

Rule 1: what becomes of a slot is decided under the schedule's lock, and written down before it is
    done. The lock is not held while a run goes on.
Rule 2: who is about to perform a claim holds the claim's lock; a killed process holds none, so
    that the next call finds what it left.
Rule 3: a run that was cut off is gone on with before its schedule begins another one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from wtsflow.errors import BusyError, Exit, RecordError, WtsflowError
from wtsflow.model.values import Json
from wtsflow.ports import Clock
from wtsflow.schedules.decide import Chosen, Live, Standing, choose, runnable
from wtsflow.schedules.due import HORIZON, Due, due, lateness
from wtsflow.schedules.entry import Entry, written
from wtsflow.schedules.ledger import Claim, Decision, Ledger

DECIDING = 30.0
"""Seconds to wait for another process that decides about the same schedule: it takes one."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run stands when it is not performed any more; ``over``: it will not go on.

    ``targets`` is how many it has.
    """

    status: str
    exit: Exit
    over: bool = True
    targets: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a slot: one line for whoever called. ``cure`` may be empty.

    ``seconds`` is how long it took this call.
    """

    entry: Entry
    slot: datetime
    run: str
    status: str
    exit: Exit
    reason: str = ""
    cure: str = ""
    seconds: float = 0.0
    targets: int = 0


class Runs(Protocol):
    """What performs runs, and knows how they stand."""

    def standing(self, run: str) -> Standing:
        """How a run stands, by its records and by whether a process performs it."""
        ...

    def ending(self, run: str) -> Ending:
        """How a run that is over ended."""
        ...

    def perform(self, entry: Entry, claim: Claim) -> Ending:
        """Plan it, and run it under the claim's id. Raises WtsflowError."""
        ...

    def resume(self, run: str) -> Ending:
        """Go on with a run whose process is gone. Raises WtsflowError."""
        ...

    def replace(self, run: str, reason: str) -> bool:
        """End a run, and wait until it is over. False: it was not, within the time for it."""
        ...

    def name(self) -> str:
        """The id of a new run."""
        ...


@dataclass(frozen=True, slots=True)
class _Turn:
    """A claim to perform; ``lock`` holds it. ``replaces`` are runs that have to end before."""

    live: Live
    lock: ExitStack
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Firing:
    """One call. ``lock`` gives the lock of a name, and raises TimeoutError after so many seconds.

    ``tell`` is called with what became of each slot; ``stopped`` says that no more is to begin.
    """

    ledger: Ledger
    runs: Runs
    clock: Clock
    lock: Callable[[str, float], AbstractContextManager[object]]
    tell: Callable[[Told], None]
    stopped: Callable[[], bool] = lambda: False

    def fire(self, entry: Entry, now: datetime) -> None:
        """Do all that is to be done about one schedule: what was left, then what is due.

        Raises BusyError where another process decides about it for long, RecordError when it
        cannot be written down.
        """
        if self._nothing(entry, now):
            return
        tried: set[datetime] = set()
        while not self.stopped() and (turn := self._turn(entry, now, tried)):
            with turn.lock:
                tried.add(turn.live.claim.slot)
                self._perform(entry, turn)

    def _nothing(self, entry: Entry, now: datetime) -> bool:
        """Whether there is nothing to do: asked without the lock, for that is how it mostly is."""
        past = self.ledger.look(entry, now)
        return past is not None and not past.open and due(entry, past.since, now) == Due()

    # --- deciding ---------------------------------------------------------------------------

    def _turn(self, entry: Entry, now: datetime, tried: set[datetime]) -> _Turn | None:
        with self._deciding(entry):
            past = self.ledger.past(entry, now)
            live = list(self._live(entry, past.open, now))
            if not past.paused:
                found = due(entry, past.since, now)
                new = [one.claim for one in self._claimed(entry, found, live, now)]
                live += [Live(claim, Standing.PENDING) for claim in new]
            return self._taken(live, tried)

    @contextmanager
    def _deciding(self, entry: Entry) -> Iterator[None]:
        try:
            with self.lock(entry.book, DECIDING):
                yield
        except TimeoutError:
            raise BusyError(
                f"another process has been deciding about {entry.name} for long",
                cure="see which wtsflow processes run, and since when",
            ) from None

    def _live(self, entry: Entry, open_: tuple[Claim, ...], now: datetime) -> Iterator[Live]:
        """The claims that have not ended, once those have that only nobody has said it of."""
        for claim in open_:
            if not claim.run:
                self._end(entry, claim, _left_out(claim.decision))
                continue
            standing = self._standing(claim)
            if standing is Standing.OVER:
                self._end(entry, claim, self.runs.ending(claim.run))
            elif standing is Standing.PENDING and now - claim.slot > _patience(entry, claim):
                reason = "it could not begin in time: see what was said of it before"
                self._tell(entry, claim, Ending("missed", Exit.BUSY), reason)
            else:
                yield Live(claim, standing)

    def _standing(self, claim: Claim) -> Standing:
        standing = self.runs.standing(claim.run)
        if standing in {Standing.PENDING, Standing.CUT}:
            try:
                with self.lock(claim.run, 0):
                    return self.runs.standing(claim.run)
            except TimeoutError:
                return Standing.TAKEN if standing is Standing.PENDING else Standing.GOING
        return standing

    def _claimed(
        self, entry: Entry, found: Due, live: list[Live], now: datetime
    ) -> Iterator[Chosen]:
        """Write down what is decided; those of which a run is to come."""
        more: dict[str, Json] = {"missed": found.missed}
        if found.first and found.last:
            more |= {"first_missed": written(found.first), "last_missed": written(found.last)}
        for chosen in choose(entry, found, live, self.runs.name):
            claim = chosen.claim
            late = round((now - claim.slot).total_seconds() * 1000)
            extra = {**more, "late_ms": late, "reason": chosen.reason}
            if not self.ledger.claim(entry, claim, extra):
                continue
            more = {"missed": 0}
            if claim.decision.runs:
                yield chosen
            else:
                self._tell(entry, claim, _left_out(claim.decision), chosen.reason, found.missed)

    def _taken(self, live: list[Live], tried: set[datetime]) -> _Turn | None:
        """Take what is to be performed, so that nobody else does."""
        found = runnable(live)
        if found is None or found.claim.slot in tried:
            return None
        stack = ExitStack()
        try:
            stack.enter_context(self.lock(found.claim.run, 0))
        except TimeoutError:
            return None
        if self.runs.standing(found.claim.run) is not found.standing:
            stack.close()
            return None
        others = [one.claim.run for one in live if one.standing in {Standing.GOING, Standing.CUT}]
        replaces = found.claim.decision is Decision.REPLACE and found.standing is Standing.PENDING
        return _Turn(found, stack, tuple(others) if replaces else ())

    # --- doing ------------------------------------------------------------------------------

    def _perform(self, entry: Entry, turn: _Turn) -> None:
        claim, standing = turn.live.claim, turn.live.standing
        start = self.clock.monotonic()
        try:
            for run in turn.replaces:
                if not self.runs.replace(run, f"replaced by {entry.name} of {written(claim.slot)}"):
                    self._tell(
                        entry,
                        claim,
                        Ending("skipped", Exit.BUSY),
                        f"run {run} did not end when it was to be replaced",
                        cure=f"wtsflow runs show {run}",
                    )
                    return
            if standing is Standing.CUT:
                ending = self.runs.resume(claim.run)
            else:
                ending = self.runs.perform(entry, claim)
        except BusyError as error:  # the next call tries again, as long as a slot may be late
            self.tell(_told(entry, claim, Ending("waiting", Exit.SUCCESS), error.message))
        except RecordError:
            raise
        except WtsflowError as error:
            self._failed(entry, claim, error)
        except Exception as error:
            self._failed(entry, claim, WtsflowError(f"a defect in wtsflow: {error}"))
            raise
        else:
            took = self.clock.monotonic() - start
            again = "it was cut off, and has been gone on with" if standing is Standing.CUT else ""
            self._tell(entry, claim, ending, again, seconds=took)

    def _failed(self, entry: Entry, claim: Claim, error: WtsflowError) -> None:
        """It could not be begun or gone on with; who knows its run can still look after it."""
        begun = self.runs.standing(claim.run) not in {Standing.PENDING, Standing.TAKEN}
        status = "unknown" if begun else "refused"
        cure = f"wtsflow resume {claim.run}" if begun else error.cure
        self._tell(entry, claim, Ending(status, error.exit), error.message, cure=cure)

    def _tell(
        self,
        entry: Entry,
        claim: Claim,
        ending: Ending,
        reason: str = "",
        missed: int = 0,
        *,
        cure: str = "",
        seconds: float = 0.0,
    ) -> None:
        if ending.over:
            self._end(entry, claim, ending, reason)
        if missed > 1:
            reason += f" ({missed} slots)"
        self.tell(_told(entry, claim, ending, reason, cure, seconds))

    def _end(self, entry: Entry, claim: Claim, ending: Ending, reason: str = "") -> None:
        data: dict[str, Json] = {
            "status": ending.status,
            "exit": {"code": int(ending.exit), "name": ending.exit.label},
            "run": claim.run,
            "reason": reason,
        }
        self.ledger.end(entry, claim.slot, data)


_LEFT_OUT: Mapping[Decision, Ending] = {
    Decision.SKIP: Ending("skipped", Exit.SUCCESS),
    Decision.MISSED: Ending("missed", Exit.SUCCESS),
}


def _left_out(decision: Decision) -> Ending:
    return _LEFT_OUT.get(decision, Ending("missed", Exit.SUCCESS))


def _patience(entry: Entry, claim: Claim) -> timedelta:
    """How late a claim may begin that nobody has begun: what was queued waits for its turn."""
    return HORIZON if claim.decision is Decision.QUEUE else lateness(entry)


def _told(
    entry: Entry, claim: Claim, ending: Ending, reason: str, cure: str = "", seconds: float = 0.0
) -> Told:
    return Told(
        entry,
        claim.slot,
        claim.run,
        ending.status,
        ending.exit,
        reason,
        cure,
        seconds,
        ending.targets,
    )
