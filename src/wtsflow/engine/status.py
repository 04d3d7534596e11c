"""How a part of a run stands, as :mod:`decide` sees it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wtsflow.model.record import Outcome

BAD = frozenset(
    {Outcome.FAILED, Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.CANCELLED, Outcome.UNKNOWN}
)
"""Outcomes that end a target's line. A script's own outcomes are answers, not failures."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a target left its line: at which step, with which outcome."""

    outcome: str
    path: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How a step or a list of steps stands.

    ``failed`` are the targets that something failed on; ``lost`` those of them that left their
    line here (None: all); ``halts`` says that nothing after it may begin; ``unfinished`` are
    targets for which something was left undone; ``ended`` is when its last attempt ended (run
    clock).
    """

    done: bool = False
    outcome: str = Outcome.SUCCESS
    failed: Mapping[str, Failure] = field(default_factory=dict)
    halts: bool = False
    unfinished: frozenset[str] = frozenset()
    begun: bool = True
    ended: float = 0.0
    lost: frozenset[str] | None = None

    @property
    def left(self) -> frozenset[str]:
        """The targets that left their line here."""
        return frozenset(self.failed) if self.lost is None else self.lost


PENDING = Status()
ENDED = Status(done=True)


def skipped() -> Status:
    """A step that was not to be done."""
    return Status(done=True, outcome=Outcome.SKIPPED)


def untouched(targets: Iterable[str] = ()) -> Status:
    """A step that will not begin any more."""
    return Status(done=True, outcome=Outcome.SKIPPED, unfinished=frozenset(targets), begun=False)


def merged(statuses: Iterable[Status]) -> Status:
    """The status of a list of steps from its steps' own."""
    done, halts = True, False
    failed: dict[str, Failure] = {}
    unfinished: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    outcome, ended = str(Outcome.SUCCESS), 0.0
    for status in statuses:
        done = done and status.done
        failed = {**status.failed, **failed}
        lost |= status.left
        unfinished |= status.unfinished
        ended = max(ended, status.ended)
        if status.halts and not halts:
            halts, outcome = True, status.outcome
    return Status(done, outcome, failed, halts, unfinished, ended=ended, lost=lost)


@dataclass(slots=True)
class Tally:
    """How a script step stands on its members: those settled are looked at once."""

    open: list[str]
    total: int = field(init=False)
    failed: dict[str, Failure] = field(default_factory=dict)
    first: str = ""
    ended: float = 0.0

    def __post_init__(self) -> None:
        self.total = len(self.open)

    def settle(self, status: Status) -> None:
        """Take in a member that has come to its end."""
        self.failed.update(status.failed)
        self.first = self.first or str(status.outcome)
        self.ended = max(self.ended, status.ended)

    def status(self, unsettled: list[Status], *, halts: bool) -> Status:
        """The step's status with that of the members still open."""
        rest = merged(unsettled)
        outcome = next(iter(self.failed.values())).outcome if self.failed else self.first
        return Status(
            done=rest.done,
            outcome=outcome if self.total == 1 or self.failed else Outcome.SUCCESS,
            failed=dict(self.failed),
            halts=halts,
            unfinished=rest.unfinished,
            begun=len(self.open) < self.total or any(status.begun for status in unsettled),
            ended=self.ended,
        )
