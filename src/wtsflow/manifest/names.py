"""The names that one place of a workflow sees, with their kinds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wtsflow.manifest import kinds
from wtsflow.manifest.expression import Refused
from wtsflow.manifest.facts import Facts, Guarded
from wtsflow.manifest.kinds import ANY, Kind
from wtsflow.manifest.order import Place
from wtsflow.manifest.steps import Steps
from wtsflow.source.phrases import near, short

LATER = {"event": "webhooks", "requester": "tickets", "affected": "tickets"}
EVERYWHERE = ("inputs", "targets", "ticket", "actor", "steps", "run")


@dataclass(slots=True)
class Scope:
    """The names at one place. ``place`` is None outside of every step.

    ``inside`` is False for what is decided before a ``for_each`` begins; ``extra`` are names of
    this place alone; ``planning`` means that no step has run.
    """

    facts: Facts
    place: Place | None = None
    inside: bool = True
    extra: Mapping[str, Kind] = field(default_factory=dict)
    planning: bool = False
    ending: bool = False
    """After everything: workflow ``outputs``."""

    def root(self, name: str) -> Kind:
        """The kind of a name. Raises Refused."""
        if name in self.extra:
            return self.extra[name]
        if name in self.facts.roots:
            return self.facts.roots[name]
        if special := _SPECIAL.get(name):
            return special(self)
        if name in LATER:
            raise Refused(
                "wts212",
                f"'{name}' is reserved for a later version of wtsflow",
                f"it comes with {LATER[name]}",
            )
        raise self._unknown(name)

    def _unknown(self, name: str) -> Refused:
        if name in self.facts.workflow.inputs:
            return Refused(
                "wts201", f"there is no name {short(name)} (did you mean 'inputs.{name}'?)"
            )
        if name in self.facts.workflow.targets:
            return Refused(
                "wts201", f"there is no name {short(name)} (did you mean 'targets.{name}'?)"
            )
        if name in self.facts.order.by_id:
            return Refused(
                "wts201", f"there is no name {short(name)} (did you mean 'steps.{name}'?)"
            )
        known = (*EVERYWHERE, *self.extra, "item", "failure", "true", "false", "null")
        hint = near(name, known)
        cure = "" if hint else "texts go in quotes; names begin with " + ", ".join(EVERYWHERE)
        return Refused("wts201", f"there is no name {short(name)}{hint}", cure)

    def steps(self) -> Kind:
        if self.planning:
            raise Refused("wts211", "no step has run when this is decided")
        return Kind("map", Steps(self.facts, self.place, self.inside))

    def item(self) -> Kind:
        loops = self.place.loops() if self.place else ()
        if loops and loops[0] is self.place and not self.inside:
            loops = loops[1:]
        if not loops:
            raise Refused("wts211", "there is an 'item' only inside of a step with 'for_each'")
        return self.facts.items.get(loops[0].number, ANY)

    def failure(self) -> Kind:
        if self.place is None or self.place.handler() is None:
            raise Refused("wts211", "there is a 'failure' only in 'on_failure' and 'on_timeout'")
        texts = dict.fromkeys(("message", "target", "step"), kinds.STRING)
        return Kind("map", {**texts, "outcome": kinds.STRING})

    def run(self) -> Kind:
        if self.planning:
            raise Refused("wts211", "there is no run yet when this is decided")
        fields = {"id": kinds.STRING}
        if self.ending or (self.place is not None and self.place.in_finally()):
            fields |= {"status": kinds.STRING, "success": kinds.BOOLEAN}
        return Kind("map", Guarded(fields, _too_early, frozenset(("status", "success", "report"))))

    def own_outputs(self) -> Kind:
        """What ``outputs`` is in ``retry: until:``."""
        return Steps(self.facts, self.place).outputs_of(self.place) if self.place else ANY

    def of_attempt(self) -> Kind:
        raise Refused(
            "wts211",
            "this name is only known in 'retry: until:' and in 'undo:'",
            "write steps.<id>.outputs for the outputs of another step",
        )


_SPECIAL = {
    "steps": Scope.steps,
    "item": Scope.item,
    "failure": Scope.failure,
    "run": Scope.run,
    "outputs": Scope.of_attempt,
    "outcome": Scope.of_attempt,
}


def _too_early(name: str) -> Kind:
    if name == "report":
        raise Refused("wts212", "'run.report' is reserved for a later version of wtsflow")
    raise Refused("wts211", f"'run.{name}' is known only in 'finally' and in 'outputs'")
