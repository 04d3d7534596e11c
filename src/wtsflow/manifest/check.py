"""Rules beyond the schema: names, types, order, handlers, inputs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wtsflow.errors import Diagnostic, Severity
from wtsflow.manifest import kinds
from wtsflow.manifest.build import Builder
from wtsflow.manifest.declared import inputs, zone
from wtsflow.manifest.expression import Finding, Names, check_expression, check_template
from wtsflow.manifest.facts import Facts
from wtsflow.manifest.kinds import ANY, Kind
from wtsflow.manifest.names import Scope
from wtsflow.manifest.order import Order, Place
from wtsflow.manifest.proofs import proofs
from wtsflow.manifest.scripts import Scripts
from wtsflow.manifest.triggers import triggers
from wtsflow.manifest.undo import something_to_undo, undoing
from wtsflow.model.expression import Expression, Template
from wtsflow.model.workflow import Fallback, Script, Wait, Workflow
from wtsflow.source import Document, Path
from wtsflow.source.phrases import near, short


@dataclass(slots=True)
class Check:
    """Looks at everything once; ``findings`` is what it found."""

    builder: Builder
    workflow: Workflow
    scripts: Scripts | None
    findings: list[Diagnostic] = field(default_factory=list)
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        found = self.scripts.found if self.scripts else None
        self.facts = Facts(self.workflow, Order(self.workflow), found)

    @property
    def document(self) -> Document:
        """The text."""
        return self.builder.document

    def all(self) -> list[Diagnostic]:
        """Every finding, in the order in which the rules were asked."""
        self.findings.extend(inputs(self.document, self.workflow))
        self.before_steps()
        self.ids()
        something_to_undo(self, self.workflow)
        self.findings.extend(triggers(self.document, self.workflow))
        for place in self.facts.order.places:
            self.step(place)
        self.ending()
        for place in self.facts.untyped.values():
            self.untyped(place)
        return self.findings

    def say(
        self,
        rule: str,
        message: str,
        path: Path,
        *,
        key: bool = False,
        cure: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Add a finding about the value at ``path``, or its key."""
        self.findings.append(
            self.document.diagnostic(rule, message, path, key=key, cure=cure, severity=severity)
        )

    # --- expressions ------------------------------------------------------------------------

    def add(self, path: Path, found: Iterable[Finding]) -> None:
        """Add what an expression's check found."""
        self.findings.extend(
            self.document.diagnostic(
                each.rule,
                each.message,
                path,
                cure=each.cure,
                offset=each.offset,
                length=each.length,
            )
            for each in found
        )

    def expression(
        self, expression: Expression | None, path: Path, names: Names, proven: Iterable[str] = ()
    ) -> Kind:
        """The kind of an expression; ANY where there is none."""
        if expression is None:
            return ANY
        kind, found = check_expression(expression, names, proven)
        self.add(path, found)
        return kind

    def condition(
        self, expression: Expression | None, path: Path, names: Names, proven: Iterable[str] = ()
    ) -> None:
        """An expression that must be true or false."""
        kind = self.expression(expression, path, names, proven)
        if kind.secret():
            self.say("wts310", "a secret is not a condition", path)
        elif not kind.open and kind.name != "boolean":
            self.say(
                "wts305",
                f"a condition must be true or false; this is {kind.described}",
                path,
                cure=f"compare it: {expression} == …",
            )
        elif kind.empty:
            self.say("wts315", "this condition may be empty", path, cure="write default(…, false)")
        elif kind.values:
            self.say(
                "wts306",
                f"this is always {short(str(kind.values[0]).lower())}",
                path,
                cure="remove it, or compare a name with something",
            )

    def value(
        self, value: object, path: Path, names: Names, proven: Iterable[str] = ()
    ) -> Iterator[tuple[Path, Kind]]:
        """The kind of each template in a value, with where it is."""
        if isinstance(value, Template):
            kind, found = check_template(value, names, proven)
            self.add(path, found)
            if isinstance(kind.fields, Mapping) and not isinstance(kind.fields, dict):
                self.say(
                    "wts202", "'steps' is no value", path, cure="write $(steps.<id>.outputs.<name>)"
                )
            yield path, kind
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from self.value(item, (*path, key), names, proven)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from self.value(item, (*path, index), names, proven)

    def raw(self, *path: str | int) -> Any:
        """The data at a path, or None."""
        part = self.document.data
        for key in path:
            try:
                part = part[key]
            except (KeyError, IndexError, TypeError):
                return None
        return part

    # --- around the steps -------------------------------------------------------------------

    def before_steps(self) -> None:
        """``targets``, ``require`` and ``access``: decided before the first step."""
        if self.raw("access", "execute") == []:
            self.say(
                "wts213",
                "nobody may start it",
                ("access", "execute"),
                cure="name a group, or leave 'execute' out: then the owner may",
            )
        if "local" in self.workflow.targets:
            self.say(
                "wts208",
                "the name 'local' is taken: it is this machine",
                ("targets", "local"),
                key=True,
            )
        if self.workflow.timeout == 0:
            self.say("wts502", "a timeout of nothing stops everything", ("timeout",))
        scope = Scope(self.facts, planning=True)
        for name, target in self.workflow.targets.items():
            self.target_texts(target.hosts, ("targets", name, "hosts"), scope)
            self.target_texts(target.group, ("targets", name, "group"), scope)
        for path, that in self.builder.conditions:
            self.condition(that, path, scope)

    def target_texts(self, value: object, path: Path, scope: Scope) -> None:
        """Names of hosts and groups: text, and no secret."""
        hosts = self.raw(*path)
        if isinstance(value, tuple) and (not isinstance(hosts, list) or len(hosts) != len(value)):
            return  # some of them could not be read, which was said
        for place, kind in self.value(value, path, _NoTargets(scope)):
            if kind.secret():
                self.say("wts311", "a secret would be shown here", place)
            elif not kind.open and kind.name not in ("string", "number"):
                self.say("wts307", f"a name is needed here; this is {kind.described}", place)
            elif kind.empty:
                self.say("wts315", "this may be empty", place, cure="write $(default(…, '…'))")

    def ending(self) -> None:
        """Workflow ``outputs``: seen by whoever called."""
        scope = Scope(self.facts, ending=True)
        for name, value in self.workflow.outputs.items():
            for path, kind in self.value(value, ("outputs", name), scope):
                if kind.secret():
                    self.say(
                        "wts311",
                        "a secret would be shown here",
                        path,
                        cure="outputs are written into records and reports",
                    )
        for path, expression in self.builder.reported:
            self.expression(expression, path, scope)

    # --- steps ------------------------------------------------------------------------------

    def path(self, place: Place) -> Path:
        """Where a step is in the data."""
        return self.builder.places[place.step.path]

    def ids(self) -> None:
        """Each id once; ``needs`` that lead somewhere."""
        first: dict[str, Path] = {}
        for place in self.facts.order.places:
            name, path = place.step.id, (*self.path(place), "id")
            if name in first:
                line = self.document.location(first[name]).line
                self.say("wts208", f"the id {short(name)} is taken by line {line}", path)
            elif name:
                first[name] = path
        told: set[int] = set()
        for place, name in self.facts.order.cycles:
            if place.number not in told:
                self.cycle(place, name, told)

    def cycle(self, place: Place, name: str, told: set[int]) -> None:
        """One finding for each circle of ``needs``."""
        told.update(
            each.number for each in place.siblings.values() if each.before >> place.number & 1
        )
        told.add(place.number)
        self.say(
            "wts210",
            f"'needs' goes in a circle: '{name}' waits for itself",
            (*self.path(place), "needs"),
        )

    def step(self, place: Place) -> None:
        """Everything about one step."""
        step, path = place.step, self.path(place)
        if step.path in self.builder.idle:
            return
        outside = Scope(self.facts, place, inside=False)
        inside = Scope(self.facts, place)
        proven = self.proven(place.parent)
        self.condition(step.when, (*path, "when"), outside, proven)
        proven |= self.proven_by(place)
        self.loop(place, path, outside, proven)
        self.needs(place, path)
        self.target(place, path)
        self.handlers(place, path)
        self.retry(place, path, inside, proven)
        undoing(self, place, path, proven)
        self.limits(place, path)
        kinds_of = self.arguments(place, path, inside, proven)
        if self.scripts is not None and isinstance(step.action, Script):
            line = self.workflow.targets.get(place.line)
            os = line.os if line else ""
            self.findings.extend(self.scripts.step(step, path, kinds_of, os))

    def proven(self, place: Place | None) -> set[str]:
        """What is known to hold inside of a group: the ``when`` of all that is around."""
        found: set[str] = set()
        for around in place.up() if place else ():
            found |= self.proven_by(around)
        return found

    def proven_by(self, place: Place) -> set[str]:
        """What a step's own ``when`` says."""
        return proofs(place.step.when.tree) if place.step.when else set()

    def arguments(
        self, place: Place, path: Path, scope: Scope, proven: set[str]
    ) -> dict[Path, Kind]:
        """The kind of each template in ``with``."""
        return dict(self.value(place.step.arguments, (*path, "with"), scope, proven))

    def loop(self, place: Place, path: Path, scope: Scope, proven: set[str]) -> None:
        """``for_each`` needs a list."""
        kind = self.expression(place.step.for_each, (*path, "for_each"), scope, proven)
        self.facts.items[place.number] = kind.item or ANY
        if kind.secret():
            self.say("wts310", "a secret is not a list of items", (*path, "for_each"))
        elif not kind.open and kind.name != "list":
            self.say(
                "wts317", f"'for_each' needs a list; this is {kind.described}", (*path, "for_each")
            )
        elif kind.empty:
            self.say(
                "wts315", "this may be empty", (*path, "for_each"), cure="write default(…, [])"
            )

    def needs(self, place: Place, path: Path) -> None:
        """``needs`` names steps of the same list."""
        for index, name in enumerate(place.step.needs or ()):
            if name in place.siblings:
                continue
            elsewhere = name in self.facts.order.by_id
            hint = near(name, place.siblings)
            message = (
                f"{short(name)} is not in the same list of steps"
                if elsewhere
                else f"there is no step {short(name)} in this list{hint}"
            )
            cure = "" if hint or not place.siblings else f"there are: {', '.join(place.siblings)}"
            self.say("wts209", message, (*path, "needs", index), cure="" if elsewhere else cure)

    def target(self, place: Place, path: Path) -> None:
        """``target`` is a name of ``targets``, or local."""
        name = place.step.target
        known = (*self.workflow.targets, "local")
        if not name or name in known:
            return
        hint = near(name, known)
        cure = "" if hint else f"there are: {', '.join(known)}"
        if name == "item":
            cure = "leave it out: in a 'for_each' over targets, a step runs on the item"
        self.say("wts207", f"there is no target {short(name)}{hint}", (*path, "target"), cure=cure)

    def handlers(self, place: Place, path: Path) -> None:
        """A handler has no handlers."""
        if place.handler() is None:
            return
        for name in ("on_failure", "on_timeout"):
            handler: Fallback | None = getattr(place.step, name)
            if handler is not None:
                self.say(
                    "wts501",
                    "a handler has no handlers of its own",
                    (*path, name),
                    key=True,
                    cure="remove it: what fails in a handler ends the run",
                )

    def retry(self, place: Place, path: Path, scope: Scope, proven: set[str]) -> None:
        """``until`` sees the attempt's own outputs."""
        retry = place.step.retry
        if retry is None or retry.until is None:
            return
        extra = {"outcome": kinds.STRING, "outputs": scope.own_outputs()}
        until = Scope(self.facts, place, extra=extra)
        self.condition(retry.until, (*path, "retry", "until"), until, proven)

    def limits(self, place: Place, path: Path) -> None:
        """Times that cannot be kept."""
        step, whole = place.step, self.workflow.timeout
        if step.timeout == 0:
            self.say("wts502", "a timeout of nothing stops everything", (*path, "timeout"))
        elif step.timeout and whole and step.timeout > whole:
            self.say(
                "wts503",
                "this is longer than the timeout of the whole run",
                (*path, "timeout"),
                severity=Severity.WARNING,
            )
        if isinstance(step.action, Wait) and step.action.zone:
            self.findings.extend(zone(self.document, step.action.zone, (*path, "wait", "zone")))

    def untyped(self, place: Place) -> None:
        """A script that does not say what it leaves."""
        action = place.step.action
        if isinstance(action, Script):
            self.say(
                "wts409",
                f"the outputs of '{place.step.id}' have no types: its script declares none",
                (*self.path(place), "script"),
                cure="add a sidecar with 'outputs:', or 'outputs:' to this step",
                severity=Severity.WARNING,
            )


@dataclass(frozen=True, slots=True)
class _NoTargets:
    """Names where targets are being found: the targets themselves are not known yet."""

    scope: Scope

    def root(self, name: str) -> Kind:
        if name == "targets":
            from wtsflow.manifest.expression import Refused

            raise Refused("wts211", "'targets' are being found here")
        return self.scope.root(name)
