"""What a practice host is to be called, and what the inventory says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wtsflow.lab.trouble import Trouble
from wtsflow.model.values import Json


@dataclass(frozen=True, slots=True)
class Machine:
    """A host to be made: its name, groups and variables in the inventory, and its trouble."""

    name: str
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Json] = field(default_factory=dict)
    trouble: Trouble = field(default_factory=Trouble)
