"""What is the same at every place of one workflow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wtsflow.manifest import kinds
from wtsflow.manifest.kinds import Kind
from wtsflow.manifest.order import Order, Place
from wtsflow.model.script import PinnedScript
from wtsflow.model.workflow import Script, Step, Workflow


@dataclass(slots=True)
class Facts:
    """The workflow, its order, and what its pins mean."""

    workflow: Workflow
    order: Order
    scripts: Mapping[str, PinnedScript | None] | None
    """What each pin means (None: it could not be found); None as a whole: not looked up."""
    untyped: dict[str, Place] = field(default_factory=dict)
    """Steps whose outputs were referred to and have no types."""
    items: dict[int, Kind] = field(default_factory=dict)
    """What 'item' is in a ``for_each`` step, by its number."""
    roots: dict[str, Kind] = field(init=False)

    def __post_init__(self) -> None:
        inputs = {name: kinds.of_input(each) for name, each in self.workflow.inputs.items()}
        targets = dict.fromkeys((*self.workflow.targets, "local"), kinds.MACHINES)
        self.roots = {
            "inputs": Kind("map", inputs),
            "targets": Kind("map", targets),
            "ticket": kinds.TICKET,
            "actor": kinds.ACTOR,
        }

    def many(self, line: str) -> bool:
        """Whether a name of ``targets`` may stand for several machines."""
        spec = self.workflow.targets.get(line)
        return spec is not None and spec.many

    def pinned(self, step: Step) -> list[PinnedScript | None]:
        """What a step's pins mean; empty where nothing was looked up."""
        if self.scripts is None or not isinstance(step.action, Script):
            return []
        return [self.scripts.get(pin) for pin in step.action.pins.values()]


class Guarded(dict[str, Kind]):
    """Entries of a map, and others that are answered by ``otherwise`` (which may refuse).

    ``names`` are the others (None: every name).
    """

    def __init__(
        self,
        known: Mapping[str, Kind],
        otherwise: Callable[[str], Kind],
        names: frozenset[str] | None = None,
    ) -> None:
        super().__init__(known)
        self.otherwise = otherwise
        self.names = names

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self.names is None or name in self.names

    def __missing__(self, name: str) -> Kind:
        return self.otherwise(name)
