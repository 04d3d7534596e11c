"""Targets by name, group and pattern."""

from collections.abc import Mapping

from wtsflow.errors import Diagnostic, PlanError
from wtsflow.inventory.graph import Graph
from wtsflow.inventory.names import is_name
from wtsflow.model.pattern import ALL, PatternError, choose
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.text import did_you_mean, shown


class Listing:
    """An inventory that was read: fulfils :class:`wtsflow.ports.Inventory`.

    ``warnings`` are findings that do not make it unusable; ``sources`` are the files read.
    """

    def __init__(
        self,
        graph: Graph,
        warnings: tuple[Diagnostic, ...] = (),
        sources: tuple[str, ...] = (),
    ) -> None:
        self.graph = graph
        self.warnings = warnings
        self.sources = sources
        self.members: Mapping[str, tuple[str, ...]] = graph.members()
        self._made: dict[str, Target] = {}

    def select(self, pattern: str) -> tuple[Target, ...]:
        """Targets by pattern, sorted by name. Raises PlanError if unknown."""
        try:
            names = choose(pattern, self.members, self.graph.groups)
        except PatternError as error:
            raise PlanError(error.message, cure=error.cure) from None
        return tuple(self._target(name) for name in sorted(names))

    def group(self, name: str) -> tuple[Target, ...]:
        """A group's targets, nested groups included. Raises PlanError if there is none."""
        if name == "all":
            return tuple(self._target(host) for host in sorted(self.members))
        if name not in self.graph.groups:
            raise PlanError(
                f"the inventory has no group '{shown(name)}'",
                cure=did_you_mean(name, (*self.graph.groups, "all")) or "add it under 'groups:'",
            )
        return tuple(self._target(host) for host in sorted(self.graph.below(name)))

    def host(self, name: str) -> Target:
        """The listed target, or one made from the name with the defaults.

        Raises PlanError when the name could be taken for an option or a pattern.
        """
        if name == LOCAL.name:
            return LOCAL
        if name in self.members:
            return self._target(name)
        if not is_name(name) or name in ALL:
            raise PlanError(
                f"'{shown(name)}' cannot be a host",
                cure="a host's name has letters, digits, '.', '_' and '-', a letter or digit first",
            )
        return self._target(name)

    def _target(self, name: str) -> Target:
        if name not in self._made:
            self._made[name] = self.graph.target(name, self.members.get(name, ()))
        return self._made[name]
