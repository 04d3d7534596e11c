"""How a list of steps stands: what has ended is looked at once, what cannot begin not at all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import Self

from wtsflow.engine import timing
from wtsflow.engine.status import Status, merged
from wtsflow.model.workflow import Step

NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Course:
    """Steps are their positions in the list. A step is ready when all that it needs has ended."""

    needs: Sequence[Sequence[int]]
    lost: dict[int, frozenset[str]] = field(default_factory=dict)
    """For each step that has ended, the targets that had left its line by then."""
    said: dict[int, Status] = field(default_factory=dict)
    """The statuses of the ended that say more than that all is well."""
    last: float = 0.0
    """When the last of the ended had ended."""
    _ready: list[int] = field(init=False)
    _missing: list[int] = field(init=False)
    _after: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._missing = [len(set(needs)) for needs in self.needs]
        self._after = [[] for _ in self.needs]
        for index, needs in enumerate(self.needs):
            for need in set(needs):
                self._after[need].append(index)
        self._ready = [index for index, missing in enumerate(self._missing) if not missing]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Self:
        """The course of a list of which nothing has ended."""
        numbers = {step.id: index for index, step in enumerate(steps) if step.id}
        return cls([timing.needs(step, index, numbers) for index, step in enumerate(steps)])

    def end(self, index: int, status: Status, lost: frozenset[str]) -> None:
        """Take in a step that has come to its end, for good."""
        self.lost[index] = lost
        self.last = max(self.last, status.ended)
        if status.failed or status.halts or status.unfinished or status.left:
            self.said[index] = status
        for after in self._after[index]:
            self._missing[after] -= 1
            if not self._missing[after]:
                self._ready.append(after)

    def round(self) -> Iterator[int]:
        """The ready steps in order, those among them that become ready by what ends meanwhile."""
        known = len(self._ready)
        todo = self._ready[:]
        heapify(todo)
        while todo:
            yield heappop(todo)
            for index in self._ready[known:]:
                heappush(todo, index)
            known = len(self._ready)
        self._ready = [index for index in self._ready if index not in self.lost]

    def left(self) -> list[int]:
        """The steps that have not ended."""
        return [index for index in range(len(self.needs)) if index not in self.lost]

    def ready(self) -> Sequence[int]:
        """The steps that are ready and have not ended."""
        return self._ready

    @property
    def halts(self) -> bool:
        """Whether nothing more of the list may begin."""
        return any(status.halts for status in self.said.values())

    def status(self, others: dict[int, Status]) -> Status:
        """The list's status, with that of the steps that were looked at and have not ended."""
        both = sorted({**self.said, **others}.items())
        whole = merged(status for _, status in both)
        every = len(self.lost) + len(others) == len(self.needs)
        return replace(whole, done=whole.done and every, ended=max(whole.ended, self.last))


def together(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """Their union; not a copy where one of them is all of it."""
    found = NOBODY
    for one in sets:
        if not one <= found:
            found = one if found <= one else found | one
    return found
