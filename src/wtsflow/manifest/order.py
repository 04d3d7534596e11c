"""What has ended when a step begins, and what each step stands in.

Every step gets a number in the order of the text; a set of steps is an ``int`` with a bit for
each, so that a workflow of hundreds of steps costs little.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wtsflow.model.workflow import Fallback, Step, Then, Workflow


@dataclass(slots=True, eq=False)
class Place:
    """A step where it stands. ``end`` is the number after the last step below it.

    ``role`` is ``steps`` (also of a group), ``on_failure``, ``on_timeout`` or ``finally``;
    ``before`` are the steps that may be referred to; ``line`` is the name of the targets it runs
    on (empty: the machine itself, or the item).
    """

    step: Step
    number: int
    parent: "Place | None"
    role: str
    line: str
    end: int = 0
    before: int = 0
    siblings: "Mapping[str, Place]" = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """The set of this step and all below it."""
        return (1 << self.end) - (1 << self.number)

    def encloses(self, other: "Place") -> bool:
        """Whether ``other`` is this step or below it."""
        return self.number <= other.number < self.end

    def up(self) -> "Iterator[Place]":
        """This step and all that it stands in, innermost first."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.parent

    def loops(self) -> "tuple[Place, ...]":
        """The ``for_each`` steps that it stands in, itself included, innermost first."""
        return tuple(place for place in self.up() if place.step.for_each is not None)

    def handler(self) -> "Place | None":
        """The outermost step of the innermost handler that it stands in."""
        return next((place for place in self.up() if place.role.startswith("on_")), None)

    def beside(self, other: "Place") -> bool:
        """Whether both stand in the same handler."""
        mine, its = self.handler(), other.handler()
        return (
            mine is not None
            and its is not None
            and (mine.parent, mine.role) == (its.parent, its.role)
        )

    def in_finally(self) -> bool:
        """Whether it stands in ``finally``."""
        return any(place.role == "finally" for place in self.up())

    def goes_on(self) -> bool:
        """Whether the run may go on when it failed."""
        return any(
            handler is not None and handler.then is Then.CONTINUE
            for handler in (self.step.on_failure, self.step.on_timeout)
        )


@dataclass(slots=True)
class Order:
    """All places of a workflow, in the order of the text."""

    workflow: Workflow
    places: list[Place] = field(default_factory=list)
    by_id: dict[str, Place] = field(default_factory=dict)
    cycles: list[tuple[Place, str]] = field(default_factory=list)
    """Steps whose ``needs`` lead back to themselves, with the id that does."""

    def __post_init__(self) -> None:
        main = self._number(self.workflow.steps, None, "steps", "")
        last = self._number(self.workflow.finally_, None, "finally", "")
        self._before(main, 0)
        self._before(last, (1 << last[0].number) - 1 if last else 0)

    def _number(
        self, steps: tuple[Step, ...], parent: Place | None, role: str, line: str
    ) -> list[Place]:
        siblings: dict[str, Place] = {}
        found: list[Place] = []
        for step in steps:
            inherited = "" if step.for_each is not None else line
            place = Place(step, len(self.places), parent, role, step.target or inherited)
            self.places.append(place)
            place.siblings = siblings
            if step.id:
                siblings.setdefault(step.id, place)
                self.by_id.setdefault(step.id, place)
            self._number(step.children, place, "steps", place.line)
            for name, handler in _handlers(step):
                self._number(handler.steps, place, name, place.line)
            place.end = len(self.places)
            found.append(place)
        return found

    def _before(self, places: list[Place], above: int) -> None:
        direct = [self._direct(places, index) for index in range(len(places))]
        forwards = all(
            need.number < place.number
            for place, needs in zip(places, direct, strict=True)
            for need, _ in needs
        )
        needed: dict[int, int] = {}
        for place, needs in zip(places, direct, strict=True):
            if forwards:
                found = 0
                for need, _ in needs:
                    found |= needed[need.number] | need.bits
            else:
                found = self._needed(places, direct, place)
            needed[place.number] = found
            place.before = above | found
        for place in places:
            self._below(place)

    def _needed(
        self, places: list[Place], direct: list[list[tuple[Place, str]]], asked: Place
    ) -> int:
        """All that ends before a step of a list: what it needs, what that needs, and so on."""
        at = {place.number: needs for place, needs in zip(places, direct, strict=True)}
        reached, waiting = 0, [*at[asked.number]]
        while waiting:
            place, name = waiting.pop()
            if place is asked:
                if name:
                    self.cycles.append((place, name))
                continue
            if not reached >> place.number & 1:
                reached |= place.bits
                waiting.extend(at[place.number])
        return reached

    def _direct(self, places: list[Place], index: int) -> list[tuple[Place, str]]:
        place = places[index]
        if place.step.needs is None:
            return [(places[index - 1], "")] if index else []
        return [(place.siblings[name], name) for name in place.step.needs if name in place.siblings]

    def _below(self, place: Place) -> None:
        inside = [
            each for each in self.places[place.number + 1 : place.end] if each.parent is place
        ]
        self._before([each for each in inside if each.role == "steps"], place.before)
        handled = place.before | 1 << place.number
        for each in inside:
            if each.role == "steps":
                handled |= each.bits
        for role in ("on_failure", "on_timeout"):
            self._before([each for each in inside if each.role == role], handled)


def _handlers(step: Step) -> Iterator[tuple[str, Fallback]]:
    if step.on_failure:
        yield "on_failure", step.on_failure
    if step.on_timeout:
        yield "on_timeout", step.on_timeout
