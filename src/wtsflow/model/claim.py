"""What a run asks of its targets: to have them for itself, or together with others."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Shared claims of several runs go together; an exclusive one goes with no other."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


@dataclass(frozen=True, slots=True)
class Claim:
    """One machine that a run needs.

    ``target`` says which machine it is, whatever inventories call it (``ssh://web01.corp:22``);
    ``name`` is what this run calls it.
    """

    target: str
    name: str
    mode: Mode = Mode.SHARED
