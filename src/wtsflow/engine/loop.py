"""How a ``for_each`` stands: its items, its waves, and what has come of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wtsflow.engine import timing
from wtsflow.engine.status import BAD, Failure, Status, merged
from wtsflow.model.plan import Target
from wtsflow.model.record import Outcome
from wtsflow.model.values import Json
from wtsflow.model.workflow import Rolling


@dataclass(slots=True)
class Loop:
    """Items that are settled are looked at once; ``open`` are the others of the present wave.

    ``machines`` maps the key of an item that is a target to the target's name.
    """

    items: Mapping[str, Json]
    machines: Mapping[str, str]
    waves: Sequence[Sequence[str]]
    number: int = 0
    open: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    bad: int = 0
    ended: float = 0.0
    failed: dict[str, Failure] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.open = list(self.waves[0]) if self.waves else []

    def settle(self, key: str, path: str, status: Status) -> None:
        """Take in an item that has come to its end; ``path`` is its own.

        Rule: an item that is a target leaves the line when its steps fail, wherever they ran. What
        else failed is named, and goes on with what follows the loop.
        """
        outcome = _outcome(status)
        self.outcomes[key] = outcome
        self.ended = max(self.ended, status.ended)
        self.unfinished |= status.unfinished
        self.failed |= status.failed
        if outcome not in BAD:
            return
        self.bad += 1
        machine = self.machines.get(key)
        if machine:
            cause = next(iter(status.failed.values()), Failure(outcome, path))
            self.failed.setdefault(machine, cause)
            self.lost.add(machine)

    def over(self, rolling: Rolling) -> bool:
        """Whether so many failed that nothing more may begin."""
        total = len(self.items)
        return self.bad > 0 and (self.bad == total or rolling.max_failed.exceeded(self.bad, total))

    def advance(self) -> None:
        """Go on to the next wave."""
        self.number += 1
        self.open = list(self.waves[self.number])

    @property
    def last(self) -> bool:
        """Whether there is no further wave."""
        return self.number + 1 >= len(self.waves)

    def status(self, untouched: Sequence[Status], *, halts: bool) -> Status:
        """The step's status, with that of items that will not begin any more."""
        rest = merged(untouched)
        worst = next((one for one in self.outcomes.values() if one in BAD), Outcome.SUCCESS)
        return Status(
            done=True,
            outcome=str(worst),
            failed=dict(self.failed),
            halts=halts,
            unfinished=frozenset(self.unfinished) | rest.unfinished,
            ended=self.ended,
            lost=frozenset(self.lost),
        )


def begin(items: Mapping[str, Json], rolling: Rolling, machines: Mapping[str, Target]) -> Loop:
    """A loop of which nothing is done. An item is a target only when it came from ``targets``."""
    return Loop(
        items,
        {key: name for key, item in items.items() if (name := target_of(item, machines))},
        timing.waves(tuple(items), rolling),
    )


def target_of(item: Json, machines: Mapping[str, Target]) -> str:
    """The name of the target that an item is; empty for any other data, whatever it is called."""
    if not isinstance(item, Mapping):
        return ""
    name = item.get("name")
    machine = machines.get(name) if isinstance(name, str) else None
    return machine.name if machine is not None and machine.described == item else ""


def labels(loop: Loop, *, bad: bool) -> list[str]:
    """What the settled items that failed (or did not) are called."""
    return [
        timing.label(loop.items[key], key)
        for key, outcome in loop.outcomes.items()
        if (outcome in BAD) is bad
    ]


def stopped(status: Status, cause: Failure, where: str) -> Status:
    """``status`` of something that was itself cut short, not only its targets."""
    return replace(
        status, outcome=cause.outcome, failed={where: cause, **status.failed}, halts=True
    )


def _outcome(status: Status) -> str:
    """An item's outcome: bad when its steps halted or a target left in them."""
    if status.halts and status.outcome in BAD:
        return str(status.outcome)
    return next((failure.outcome for failure in status.failed.values()), str(status.outcome))
