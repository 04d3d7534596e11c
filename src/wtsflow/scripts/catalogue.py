"""What a repository offers: versions, which of them is the best to move to, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass

from wtsflow.errors import WtsflowError
from wtsflow.scripts.compare import Change, changes
from wtsflow.scripts.pin import Pin, Version
from wtsflow.scripts.repository import Repository


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A later version of a pin, and everything that a caller would notice."""

    pin: Pin
    to: Version
    changes: tuple[Change, ...] = ()
    problem: str = ""
    """Why it cannot be said; then it is not compatible."""

    @property
    def compatible(self) -> bool:
        """Whether every caller stays right."""
        return not self.problem and not any(change.breaking for change in self.changes)

    @property
    def breaking(self) -> tuple[str, ...]:
        """What speaks against it, as sentences."""
        if self.problem:
            return (self.problem,)
        return tuple(change.text for change in self.changes if change.breaking)


def versions(repository: Repository, script: str) -> tuple[Version, ...]:
    """Every version of ``alias:path`` that is released or locked, oldest first."""
    alias, _, path = script.rpartition(":")
    released = set(repository.origin(alias).versions(path))
    locked = {Pin.parse(name) for name in repository.lock.entries}
    return tuple(sorted(released | {pin.version for pin in locked if pin.script == script}))


def later(repository: Repository, pin: Pin) -> tuple[Version, ...]:
    """The versions after a pin's that were not retracted, oldest first."""
    rollouts = repository.rollouts(pin.alias)
    found = versions(repository, pin.script)
    return tuple(
        one for one in found if one > pin.version and not rollouts.retracted(pin.path, one)
    )


def upgrade(repository: Repository, pin: Pin, to: Version) -> Upgrade:
    """What moving a pin to another version changes."""
    try:
        found = changes(repository.describe(pin.at(pin.version)), repository.describe(pin.at(to)))
    except WtsflowError as error:
        return Upgrade(pin, to, problem=error.message)
    return Upgrade(pin, to, found)


def best(
    repository: Repository, pin: Pin, allowed: Callable[[Upgrade], bool] | None = None
) -> Upgrade | None:
    """The newest later version that is ``allowed`` (default: compatible), or None."""
    allowed = allowed or (lambda one: one.compatible)
    ways = (upgrade(repository, pin, to) for to in reversed(later(repository, pin)))
    return next((one for one in ways if allowed(one)), None)
