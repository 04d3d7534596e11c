"""The manifest, validated and typed. Nothing in it has been looked up yet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from wtsflow.errors import Location
from wtsflow.model.expression import Expression, Template
from wtsflow.model.values import Json

Value: TypeAlias = (
    "bool | int | float | str | Template | tuple[Value, ...] | dict[str, Value] | None"
)
"""A value as written: plain data whose strings may be templates (``$(…)``)."""


class Type(StrEnum):
    """Types of inputs, parameters and outputs. ``any`` is what could not be known."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    SECRET = "secret"  # noqa: S105 - the name of a type
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Input:
    """A declared parameter of a workflow."""

    name: str
    type: Type
    location: Location
    title: str = ""
    help: str = ""
    default: Json = None
    has_default: bool = False
    choices: tuple[Json, ...] = ()
    pattern: str = ""
    min: float | None = None
    max: float | None = None
    optional: bool = False

    @property
    def required(self) -> bool:
        """Whether a run must be given a value."""
        return not (self.has_default or self.optional)


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A named set of targets as written: exactly one of ``hosts`` and ``group``."""

    name: str
    location: Location
    hosts: tuple[str | Template, ...] = ()
    group: str | Template | None = None
    os: str = ""
    run_as: str = ""
    via: str = ""

    @property
    def many(self) -> bool:
        """Whether it may stand for more than one machine (then outputs are per target)."""
        return self.group is not None or len(self.hosts) > 1


@dataclass(frozen=True, slots=True)
class Requirement:
    """An expression that must hold before the first step, and the sentence shown when not."""

    that: Expression
    otherwise: str
    location: Location


@dataclass(frozen=True, slots=True)
class Share:
    """``5`` or ``10%``."""

    amount: float
    percent: bool = False

    def of(self, total: int) -> int:
        """How many of ``total`` it is, rounded down, but a positive share is at least 1."""
        if not self.percent:
            return int(self.amount)
        return max(1, int(total * self.amount / 100)) if self.amount > 0 else 0

    def exceeded(self, count: int, total: int) -> bool:
        """Whether ``count`` of ``total`` is more than this share."""
        return count * 100 > self.amount * total if self.percent else count > self.amount

    def __str__(self) -> str:
        return f"{self.amount:g}%" if self.percent else f"{self.amount:g}"


@dataclass(frozen=True, slots=True)
class Retry:
    """Up to ``times`` further attempts; waits are ``wait * backoff**n`` seconds."""

    times: int
    wait: float = 0.0
    backoff: float = 1.0
    until: Expression | None = None


@dataclass(frozen=True, slots=True)
class Rolling:
    """Waves over a ``for_each``: first ``canary`` items, then ``batch`` at a time."""

    batch: Share = field(default_factory=lambda: Share(1))
    canary: int = 0
    pause: float = 0.0
    max_failed: Share = field(default_factory=lambda: Share(0))

    def waves(self, total: int) -> tuple[int, ...]:
        """How many of ``total`` items each wave has, in order."""
        canary = min(self.canary, total)
        size = max(1, self.batch.of(total))
        sizes = [min(size, total - start) for start in range(canary, total, size)]
        return (canary, *sizes) if canary else tuple(sizes)


class Then(StrEnum):
    """What follows a handled failure."""

    STOP = "stop"
    CONTINUE = "continue"


class Ending(StrEnum):
    """What follows when a run fails: nothing, or what succeeded is taken back."""

    STOP = "stop"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Fallback:
    """``on_failure`` / ``on_timeout``: steps to perform, then stop or go on."""

    steps: tuple["Step", ...] = ()
    then: Then = Then.STOP


@dataclass(frozen=True, slots=True)
class Script:
    """Verb ``script``: one pin for every system, or one for each (``windows linux macos``)."""

    pins: Mapping[str, str]
    """``{"": pin}`` for the short form."""
    locations: Mapping[str, Location]

    def pin_for(self, os: str) -> str | None:
        """The pin that fits a system, or None."""
        return self.pins.get("") or self.pins.get(os)


@dataclass(frozen=True, slots=True)
class Wait:
    """Verb ``wait``: for ``seconds``, or until a time of day ``"HH:MM"`` in ``zone``."""

    seconds: float | None = None
    until: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Verb ``steps``: several steps that share modifiers."""

    steps: tuple["Step", ...]


Action: TypeAlias = Script | Wait | Group


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. ``path`` names it in the whole workflow: ids or numbers joined by ``/``."""

    path: str
    action: Action
    location: Location
    id: str = ""
    title: str = ""
    when: Expression | None = None
    needs: tuple[str, ...] | None = None
    """Ids of siblings; None means the step above; empty means at once."""
    arguments: Mapping[str, Value] = field(default_factory=dict)
    """``with:``."""
    target: str = ""
    """A name of ``targets``, ``local``, or empty: inherited, the item, or local."""
    run_as: str = ""
    timeout: float | None = None
    retry: Retry | None = None
    on_failure: Fallback | None = None
    on_timeout: Fallback | None = None
    for_each: Expression | None = None
    rolling: Rolling | None = None
    max_failed: Share | None = None
    outputs: Mapping[str, Type] | None = None
    tags: tuple[str, ...] = ()
    undo: "Step | None" = None
    """A script that takes it back. Its ``when`` and ``with:`` see ``outcome`` and ``outputs``."""

    @property
    def verb(self) -> str:
        """The manifest key that says what it does."""
        return {Script: "script", Wait: "wait", Group: "steps"}[type(self.action)]

    @property
    def children(self) -> tuple["Step", ...]:
        """The steps of a group; empty for every other verb."""
        return self.action.steps if isinstance(self.action, Group) else ()


@dataclass(frozen=True, slots=True)
class Report:
    """What remains of a run; parsed now, written by a later part."""

    template: str = ""
    require: tuple[Expression, ...] = ()
    to: tuple[str, ...] = ()


class Overlap(StrEnum):
    """What becomes of a slot whose schedule's last run still goes on."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """Which slots are made up for that came while nobody looked."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A trigger that fires by the clock. ``cron`` is as written; ``within`` is seconds.

    ``id`` is unique in its workflow: the written one, or the trigger's number.
    """

    id: str
    cron: str
    location: Location
    zone: str = "UTC"
    arguments: Mapping[str, Json] = field(default_factory=dict)
    """``with:``, plain values for inputs."""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LAST
    within: float = 3600.0
    environment: str = ""
    """``env:``."""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Workflow:
    """A manifest that is valid. ``text`` is exactly what was read, ``sha256`` its digest (hex)."""

    name: str
    version: str
    title: str
    owner: str
    source: str
    text: str
    sha256: str
    steps: tuple[Step, ...]
    description: str = ""
    access: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    targets: Mapping[str, TargetSpec] = field(default_factory=dict)
    require: tuple[Requirement, ...] = ()
    timeout: float | None = None
    finally_: tuple[Step, ...] = ()
    on_failure: Ending = Ending.STOP
    outputs: Mapping[str, Value] = field(default_factory=dict)
    report: Report | None = None
    triggers: tuple[Schedule, ...] = ()
    """Those that are schedules; tickets and webhooks are for a later version."""
    needs_ticket: bool = False
    """Whether an expression mentions ``ticket.``: then a run needs one."""

    def walk(self) -> Iterator[Step]:
        """Every step, depth first; handlers, what undoes a step, and ``finally`` included."""
        yield from walk(self.steps)
        yield from walk(self.finally_)

    def pins(self) -> tuple[str, ...]:
        """Every pin it names, in order, once."""
        found: dict[str, None] = {}
        for step in self.walk():
            if isinstance(step.action, Script):
                found.update(dict.fromkeys(step.action.pins.values()))
        return tuple(found)


def walk(steps: tuple[Step, ...], *, handlers: bool = True) -> Iterator[Step]:
    """Every step below ``steps``, depth first.

    With ``handlers``, also what is done after a failure: their steps, and what undoes a step.
    """
    for step in steps:
        yield step
        yield from walk(step.children, handlers=handlers)
        for handler in (step.on_failure, step.on_timeout):
            if handler and handlers:
                yield from walk(handler.steps)
        if step.undo and handlers:
            yield step.undo
