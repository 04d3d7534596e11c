"""What ``steps.<id>`` is at one place: whether it has run, and what it left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wtsflow.manifest import kinds
from wtsflow.manifest.expression import Refused
from wtsflow.manifest.facts import Facts, Guarded
from wtsflow.manifest.kinds import ANY, Absence, Kind
from wtsflow.manifest.order import Place
from wtsflow.manifest.proofs import guards
from wtsflow.model.record import Outcome
from wtsflow.model.workflow import Script, Step

DIVISION: Final = {"succeeded": kinds.NAMES, "failed": kinds.NAMES}
"""What every step for many leaves: the names of the items or targets."""
OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class Steps(Mapping[str, Kind]):
    """``steps`` as ``here`` sees it (None: after everything). An entry is made when asked for.

    ``inside`` is False for what is decided before ``here``'s own ``for_each`` begins.
    """

    facts: Facts
    here: Place | None
    inside: bool = True

    def __contains__(self, name: object) -> bool:
        return name in self.facts.order.by_id

    def __iter__(self) -> Iterator[str]:
        return iter(self.facts.order.by_id)

    def __len__(self) -> int:
        return len(self.facts.order.by_id)

    def __getitem__(self, name: str) -> Kind:
        there, here = self.facts.order.by_id[name], self.here
        if here is not None:
            _visible(here, there)
        around = there.loops()[1:] if there.step.for_each is not None else there.loops()
        for loop in around:
            if here is None or not loop.encloses(here) or (loop is here and not self.inside):
                raise _inside_loop(there, loop)
        if there.step.for_each is not None and not (here is not None and there.encloses(here)):
            return self._loop(there)
        if isinstance(there.step.action, Script):
            return self._script(there)
        return Kind("map", {"outcome": kinds.STRING.but(values=OUTCOMES)})

    def _loop(self, there: Place) -> Kind:
        outputs = Kind("map", DIVISION, absent=self._absence(there))
        return Kind("map", {"outcome": kinds.STRING.but(values=OUTCOMES), "outputs": outputs})

    def _script(self, there: Place) -> Kind:
        absent = self._absence(there)
        outcome = kinds.STRING.but(values=self._outcomes(there.step))
        outputs = self.outputs_of(there)
        each = Kind("map", {"outcome": outcome, "outputs": outputs})
        targets = Kind("map", item=each, absent=absent)
        if not self.facts.many(there.line):
            return Kind(
                "map",
                {"outcome": outcome, "outputs": outputs.but(absent=absent), "targets": targets},
            )
        if self.here is not None and self.here.line == there.line:
            mine = _with_division(outputs).but(absent=absent)
            return Kind("map", {"outcome": outcome, "outputs": mine, "targets": targets})
        many = _Many(there)
        division = Kind("map", Guarded(DIVISION, many.output), absent=absent)
        return Kind(
            "map",
            Guarded(
                {"outputs": division, "targets": targets}, many.outcome, frozenset(("outcome",))
            ),
        )

    def outputs_of(self, there: Place) -> Kind:
        """What a script leaves: as the step or its sidecar declares, else anything."""
        step = there.step
        if step.outputs is not None:
            return Kind("map", {name: kinds.of_type(each) for name, each in step.outputs.items()})
        pinned = [script for script in self.facts.pinned(step) if script is not None]
        if not pinned:
            return Kind("map")
        fields: dict[str, Kind] = {}
        for script in pinned:
            if script.interface.outputs is None:
                return Kind("map", Guarded({}, _Untyped(self.facts, there).output))
            fields |= {name: kinds.of_type(each) for name, each in script.interface.outputs.items()}
        return Kind("map", fields)

    def _outcomes(self, step: Step) -> tuple[str, ...]:
        pinned = self.facts.pinned(step)
        if not pinned or None in pinned:
            return ()
        own = [name for script in pinned if script for name in script.interface.outcomes.values()]
        return (*OUTCOMES, *own)

    def _absence(self, there: Place) -> Absence | None:
        """Why the outputs of a step that is before this one may still be missing."""
        name, here = there.step.id, self.here
        proof = f"steps.{name}"
        if here is not None:
            if here.in_finally() and not there.in_finally():
                return Absence(f"the run may have ended before '{name}'", proof)
            handler = here.handler()
            owner = handler.parent if handler else None
            if owner is not None and owner.encloses(there) and not here.beside(there):
                return Absence(f"'{name}' may be what failed", proof)
        apart = [place for place in there.up() if here is None or not place.encloses(here)]
        if any(place.role.startswith("on_") for place in apart) and not (
            here and here.beside(there)
        ):
            return Absence(f"'{name}' is in a handler, which runs only after a failure", proof)
        if any(place.goes_on() for place in apart):
            return Absence(f"'{name}' may have failed, and the run goes on then", proof)
        asked = [place.step.when for place in apart if place.step.when is not None]
        if asked:
            held = frozenset(guard for each in asked for guard in guards(each))
            return Absence(f"'{name}' may have been skipped by its 'when'", proof, held)
        return None


def _with_division(outputs: Kind) -> Kind:
    if outputs.fields is None or isinstance(outputs.fields, Guarded):
        return outputs
    return Kind("map", {**outputs.fields, **DIVISION})


def _visible(here: Place, there: Place) -> None:
    """Raises Refused where ``there`` has not ended when ``here`` begins."""
    if here.before >> there.number & 1:
        return
    name = there.step.id
    if here is there:
        raise Refused(
            "wts204",
            f"'{name}' is this step itself, which has not run yet",
            "'retry: until:' and 'undo:' see its 'outputs' and 'outcome'",
        )
    if there.encloses(here):
        raise Refused("wts204", f"'{name}' is the group that this step stands in")
    if there.handler() is not None and there.number < here.number:
        raise Refused("wts204", f"'{name}' is in a handler, which runs only after a failure")
    if there.number > here.number:
        raise Refused("wts204", f"'{name}' comes later than this step")
    raise Refused(
        "wts204", f"'{name}' runs at the same time as this step", f"add it: needs: [{name}]"
    )


def _inside_loop(there: Place, loop: Place) -> Refused:
    name, whole = there.step.id, loop.step.id
    instead = f"steps.{whole}.outputs.succeeded" if whole else "an id on the step with 'for_each'"
    return Refused(
        "wts206",
        f"'{name}' runs once for each item of a 'for_each', and this is outside of it",
        f"use {instead}",
    )


@dataclass(frozen=True, slots=True)
class _Many:
    """A step on many targets, seen from another line."""

    there: Place

    def output(self, name: str) -> Kind:
        raise self._refused(f"outputs.{name}")

    def outcome(self, name: str) -> Kind:
        raise self._refused(name)

    def _refused(self, name: str) -> Refused:
        step, line = self.there.step.id, self.there.line
        return Refused(
            "wts206",
            f"'{step}' runs on all of '{line}', so there are many",
            f"write steps.{step}.targets['<name>'].{name}, or give this step 'target: {line}'",
        )


@dataclass(frozen=True, slots=True)
class _Untyped:
    """Outputs of a script that does not declare them: any name, and one warning."""

    facts: Facts
    there: Place

    def output(self, _: str) -> Kind:
        self.facts.untyped.setdefault(self.there.step.path, self.there)
        return ANY
