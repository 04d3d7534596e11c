"""What a run is begun with, what becomes of it, and how it is held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wtsflow.engine.state import State
from wtsflow.errors import Exit
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.values import Json
from wtsflow.ports import Subscriber


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan that can be performed: with the values of its inputs, secrets among them."""

    plan: Plan
    values: Mapping[str, Json]
    actor: Actor
    origin: Mapping[str, Json] = field(default_factory=dict)
    """Why it is run: ``kind`` (``rerun``, ``undo``, ``schedule``) and what goes with it."""
    withhold: bool = False
    """Output may hold secrets that are not known here: none is shown or kept."""
    filled: Sequence[str] = ()
    """Inputs whose values came from the environment's variables."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended. ``state`` holds what happened; ``exit`` is the process's code."""

    run: str
    exit: Exit
    state: State
    detached: Sequence[tuple[Subscriber, Exception]] = ()
    """Subscribers that broke and were let go, with what broke them."""


def driver(state: Path, run: str) -> Path:
    """The file that the process which performs a run holds locked."""
    return state / "locks" / f"{run}.lock"
