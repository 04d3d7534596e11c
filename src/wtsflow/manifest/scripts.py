"""Steps against the scripts that they pin: parameters, types, systems."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from wtsflow.errors import Diagnostic, MismatchError, Severity, WtsflowError
from wtsflow.manifest import kinds
from wtsflow.manifest.declared import misfit
from wtsflow.manifest.kinds import Kind
from wtsflow.model.expression import Template
from wtsflow.model.script import Parameter, PinnedScript
from wtsflow.model.workflow import Input, Script, Step, Type, Workflow
from wtsflow.source import Document, Path
from wtsflow.source.phrases import near, short

Lookup = Callable[[str], PinnedScript]
_PIN = re.compile(r"[A-Za-z0-9_.:/-]+@[0-9]+\.[0-9]+\.[0-9]+\+?")
"""Whether it is worth asking; the schema holds the full form."""


@dataclass(slots=True)
class Scripts:
    """The scripts of one workflow. ``found`` maps a pin to what it means, None if to nothing."""

    document: Document
    found: dict[str, PinnedScript | None] = field(default_factory=dict)
    problems: dict[str, WtsflowError] = field(default_factory=dict)

    def look_up(self, workflow: Workflow, lookup: Lookup) -> None:
        """Look every pin up, once; what is no pin is not looked up."""
        for pin in workflow.pins():
            self.found[pin] = None
            if not _PIN.fullmatch(pin):
                continue
            try:
                self.found[pin] = lookup(pin)
            except WtsflowError as error:
                self.problems[pin] = error

    def step(
        self,
        step: Step,
        path: Path,
        given: Mapping[Path, Kind],
        os: str,
        *,
        at: Path | None = None,
    ) -> Iterator[Diagnostic]:
        """What is wrong between a step and its scripts; ``os`` is the targets', if known.

        ``at`` is where its pins stand, where that is not ``script:``.
        """
        action, at = step.action, at or (*path, "script")
        if not isinstance(action, Script):
            return
        seen: dict[str, Diagnostic] = {}
        for system, pin in action.pins.items():
            place = (*at, system) if system else at
            for each in self._pin(step, pin, place, system or os):
                yield each
            script = self.found.get(pin)
            if script is not None:
                for each in self._parameters(step, script, path, given, at):
                    seen.setdefault(f"{each.rule} {each.location}", each)
        yield from seen.values()
        if os and "" not in action.pins and os not in action.pins and action.pins:
            yield self.document.diagnostic(
                "wts408",
                f"there is no script for {os}, which '{step.target}' is",
                at,
                key=True,
                cure=f"add '{os}:'",
            )

    def _pin(self, step: Step, pin: str, path: Path, os: str) -> Iterator[Diagnostic]:
        if problem := self.problems.get(pin):
            rule = "wts402" if isinstance(problem, MismatchError) else "wts401"
            yield self.document.diagnostic(rule, problem.message, path, cure=problem.cure)
        script = self.found.get(pin)
        if script is None:
            return
        if script.warning:
            yield self.document.diagnostic(
                "wts403", script.warning, path, severity=Severity.WARNING
            )
        known = script.interface.os
        if os and known and os not in known:
            yield self.document.diagnostic(
                "wts408",
                f"{script.path} runs on {' and '.join(known)}, not on {os}",
                path,
                cure="choose another target, or a script for each: { windows: …, linux: … }",
            )
        if step.outputs is not None and script.interface.outputs is not None:
            yield self.document.diagnostic(
                "wts412",
                f"{script.path} declares its outputs itself",
                (*path[: path.index("script")], "outputs"),
                key=True,
                cure="remove 'outputs'",
            )

    def _parameters(
        self, step: Step, script: PinnedScript, path: Path, given: Mapping[Path, Kind], at: Path
    ) -> Iterator[Diagnostic]:
        declared = script.interface.parameters
        if declared is None:
            return
        yield from self._missing(step, script, (*path, "with") if step.arguments else at, declared)
        for name, value in step.arguments.items():
            place: Path = (*path, "with", name)
            if name not in declared:
                hint = near(name, declared)
                cure = "" if hint else f"it takes: {', '.join(declared) or 'nothing'}"
                yield self.document.diagnostic(
                    "wts404",
                    f"{script.path} has no parameter {short(name)}{hint}",
                    place,
                    key=True,
                    cure=cure,
                )
                continue
            yield from self._value(declared[name], value, place, given)

    def _missing(
        self, step: Step, script: PinnedScript, place: Path, declared: Mapping[str, Parameter]
    ) -> Iterator[Diagnostic]:
        names = [
            each.name
            for each in declared.values()
            if each.required and not each.has_default and each.name not in step.arguments
        ]
        if names:
            listed = ", ".join(short(name) for name in names)
            yield self.document.diagnostic(
                "wts405",
                f"{script.path} needs {listed}",
                place,
                key=True,
                cure=f"with: {{ {', '.join(f'{name}: …' for name in names)} }}",
            )

    def _value(
        self, declared: Parameter, value: object, path: Path, given: Mapping[Path, Kind]
    ) -> Iterator[Diagnostic]:
        inside = [(place, kind) for place, kind in given.items() if place[: len(path)] == path]
        leaks = [place for place, kind in inside if kind.secret() and not declared.secret]
        for place in leaks:
            yield self.document.diagnostic(
                "wts311",
                f"a secret goes into '{declared.name}', which is not secret",
                place,
                cure="declare the parameter as 'type: secret' in the script's sidecar",
            )
        if leaks:
            return
        if declared.secret and isinstance(value, str):
            yield self.document.diagnostic(
                "wts410",
                "a secret is written in the manifest",
                path,
                cure="give it as an input of 'type: secret'",
            )
            return
        yield from self._type(declared, value, path, given)

    def _type(
        self, declared: Parameter, value: object, path: Path, given: Mapping[Path, Kind]
    ) -> Iterator[Diagnostic]:
        written = not isinstance(value, Template)
        kind = _of_value(value) if written else given.get(path, kinds.ANY)
        wanted = kinds.of_type(declared.type)
        if kind.open or wanted.open or kind.name in (wanted.name, "null"):
            if written and kind.name != "null":
                yield from self._limits(declared, value, path)
        elif not (wanted.name == "secret" and kind.name == "string"):
            yield self.document.diagnostic(
                "wts406",
                f"'{declared.name}' takes {wanted}, not {kind}",
                path,
                cure=_conversion(wanted, kind, value),
            )

    def _limits(self, declared: Parameter, value: object, path: Path) -> Iterator[Diagnostic]:
        stand_in = Input(
            declared.name,
            declared.type,
            self.document.location(path),
            choices=declared.choices,
            pattern=declared.pattern,
            min=declared.min,
            max=declared.max,
        )
        plain = list(value) if isinstance(value, tuple) else value
        if isinstance(plain, str | int | float | list) and (problem := misfit(stand_in, plain)):
            yield self.document.diagnostic("wts407", f"'{declared.name}': {problem}", path)


def _of_value(value: object) -> Kind:
    match value:
        case tuple():
            return Kind("list", item=kinds.ANY)
        case dict():
            return Kind("map")
        case bool() | int() | float() | str() | None:
            return kinds.of_literal(value)
    return kinds.ANY


def _conversion(wanted: Kind, kind: Kind, value: object) -> str:
    if wanted.name == Type.STRING and kind.name in ("number", "boolean"):
        return "put it in quotes" if not isinstance(value, Template) else "write $(string(…))"
    if wanted.name == Type.NUMBER and kind.name == "string" and not isinstance(value, Template):
        return "write it without quotes"
    return "write a list: [ … ]" if wanted.name == Type.LIST else ""
