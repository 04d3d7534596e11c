"""How far a run is: its top-level steps, how many targets or items each has behind it, waves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from wtsflow.model.plan import LOCAL, Plan
from wtsflow.model.workflow import Rolling, Script, Step, walk
from wtsflow.subscribers.tally import Attempt, named
from wtsflow.subscribers.words import BAD


@dataclass(slots=True)
class Part:
    """A top-level step. ``total`` is how many targets or items it has, 0 where that is unknown.

    ``last`` is the step that ends the work on one of them; ``waves`` are their sizes.
    """

    number: int
    name: str
    total: int = 0
    last: str = ""
    waves: tuple[int, ...] = ()
    begun: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    running: int = 0

    @property
    def wave(self) -> int:
        """The wave that is under way, from 1."""
        reached = 0
        for number, size in enumerate(self.waves, 1):
            reached += size
            if len(self.begun) <= reached:
                return number
        return len(self.waves)


@dataclass(slots=True)
class Progress:
    """The parts of a run by the name that their paths begin with; ``steps``: how many."""

    parts: dict[str, Part] = field(default_factory=dict)
    steps: int = 0

    @classmethod
    def of(cls, plan: Plan | None) -> "Progress":
        """What is known before it begins."""
        if plan is None or plan.undoes:
            return cls()
        steps = [step for step in plan.workflow.steps if step.path not in plan.passed]
        parts = {step.path: _part(number, step, plan) for number, step in enumerate(steps, 1)}
        return cls(parts, len(steps))

    @property
    def failed(self) -> int:
        """How many targets or items went wrong, all parts together."""
        return sum(len(part.failed) for part in self.parts.values())

    def began(self, attempt: Attempt) -> None:
        """Take in a beginning."""
        part = self._part(attempt)
        part.running += 1
        key = _key(attempt, part)
        part.begun.add(key)
        part.done.discard(key)
        part.failed.discard(key)

    def ended(self, attempt: Attempt, *, started: bool, before: str = "") -> None:
        """Take in an end. ``started``: it ran; ``before``: how it had seemed to have ended."""
        part = self._part(attempt)
        part.running -= started
        key = _key(attempt, part)
        part.begun.add(key)
        if attempt.outcome in BAD:
            part.failed.add(key)
        elif before in BAD:
            part.failed.discard(key)
        if attempt.outcome in BAD or part.last in {"", attempt.step}:
            part.done.add(key)

    def again(self, attempt: Attempt, *, started: bool) -> None:
        """Take in that it is done again; ``started``: it ran."""
        part = self._part(attempt)
        part.running -= started
        part.done.discard(_key(attempt, part))
        part.failed.discard(_key(attempt, part))

    def _part(self, attempt: Attempt) -> Part:
        name = attempt.step.partition("/")[0]
        return self.parts.setdefault(name, Part(0, name))

    def current(self) -> Iterator[Part]:
        """The parts that run; where none does, the last that has begun."""
        running = [part for part in self.parts.values() if part.running]
        begun = [part for part in self.parts.values() if part.begun]
        yield from running or begun[-1:]


def _key(attempt: Attempt, part: Part) -> str:
    """What the part counts: the item of a loop, else the target."""
    head = attempt.path.partition("/")[0]
    if part.waves and head.endswith("]"):
        return head
    return attempt.target


def _part(number: int, step: Step, plan: Plan) -> Part:
    leaves = walk((step,), handlers=False)
    inside = [
        leaf for leaf in leaves if isinstance(leaf.action, Script) and leaf.path not in plan.passed
    ]
    name = named(step.path, step.title)
    total, waves = _size(step, inside, plan)
    return Part(number, name, total, inside[-1].path if inside else "", waves)


def _size(step: Step, leaves: Iterable[Step], plan: Plan) -> tuple[int, tuple[int, ...]]:
    if step.for_each is not None:
        over = str(step.for_each).strip().removeprefix("targets.")
        total = len(plan.targets.get(over, ()))
        return total, tuple(_waves(total, step.rolling or Rolling()))
    names = {leaf.target or step.target or LOCAL.name for leaf in leaves}
    machines = {machine.name for name in names for machine in plan.targets.get(name, ())}
    return len(machines) or 1, ()


def _waves(total: int, rolling: Rolling) -> Iterator[int]:
    left = total
    if rolling.canary and left:
        yield min(rolling.canary, left)
        left -= min(rolling.canary, left)
    size = max(1, rolling.batch.of(total))
    while left > 0:
        yield min(size, left)
        left -= size
