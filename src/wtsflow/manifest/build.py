"""Data to :class:`~wtsflow.model.workflow.Workflow`, by plain code.

It builds what can be built from data that may be wrong, so that everything else can still be
checked; whoever calls it must not use the result when there were errors.
"""

import ast
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from wtsflow.errors import Diagnostic
from wtsflow.manifest.part import Part, seconds, share
from wtsflow.manifest.triggers import schedules
from wtsflow.model.expression import (
    Expression,
    ExpressionError,
    Template,
    parse,
    parse_template,
)
from wtsflow.model.workflow import (
    Action,
    Ending,
    Fallback,
    Group,
    Input,
    Report,
    Requirement,
    Retry,
    Rolling,
    Script,
    Share,
    Step,
    TargetSpec,
    Then,
    Type,
    Value,
    Wait,
    Workflow,
)
from wtsflow.source import Document, Path

_TYPES = {type_.value: type_ for type_ in Type}
_RULES = {"habit": "wts302", "unclosed": "wts303", "insert": "wts312", "limit": "wts314"}
_HABIT = re.compile(
    r"\$\{\{|(\$\{|\{\{)\s*(?=(?:inputs|steps|targets|item|run|ticket|actor|failure)\b)"
)


@dataclass(slots=True)
class Builder:
    """One manifest on its way. ``places`` maps each step's path to where it is in the data."""

    document: Document
    findings: list[Diagnostic] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)
    conditions: list[tuple[Path, Expression]] = field(default_factory=list)
    """``require``, with where each is."""
    reported: list[tuple[Path, Expression]] = field(default_factory=list)
    """``report: require:``, with where each is."""
    needs_ticket: bool = False
    idle: set[str] = field(default_factory=set)
    """Paths of steps without a verb of this version: said by the schema, and left at that."""

    def workflow(self) -> Workflow:
        """The whole of it."""
        top = Part(self.document.data, ())
        text = self.document.text
        workflow = Workflow(
            name=top.text("name"),
            version=top.text("version"),
            title=self.plain(top.at("title"), "a title"),
            owner=top.text("owner"),
            source=self.document.name,
            text=text,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            description=top.text("description"),
            access={key: top.at("access").texts(key) for key, _ in top.at("access").entries()},
            inputs={name: self.input(name, part) for name, part in top.at("inputs").entries()},
            targets={name: self.target(name, part) for name, part in top.at("targets").entries()},
            require=tuple(self.requirements(top.at("require"))),
            timeout=seconds(top.raw("timeout")),
            steps=self.steps(top.at("steps"), ""),
            finally_=self.steps(top.at("finally"), "finally/"),
            on_failure=Ending.UNDO if top.raw("on_failure") == "undo" else Ending.STOP,
            outputs={name: self.value(part) for name, part in top.at("outputs").entries()},
            report=self.report(top.at("report")) if "report" in top else None,
            triggers=tuple(schedules(self.document, top.at("triggers"))),
        )
        return replace(workflow, needs_ticket=self.needs_ticket)

    # --- what is declared -------------------------------------------------------------------

    def input(self, name: str, part: Part) -> Input:
        place = self.document.location(part.path, key=True)
        if isinstance(part.data, str):
            return Input(name, _TYPES.get(part.data, Type.ANY), place)
        known = isinstance(part.data, dict)
        type_ = _TYPES.get(part.text("type"), Type.ANY) if "type" in part else Type.STRING
        choices = part.raw("choices")
        return Input(
            name=name,
            type=type_ if known else Type.ANY,
            location=place,
            title=self.plain(part.at("title"), "a title"),
            help=self.plain(part.at("help"), "help"),
            default=part.raw("default"),
            has_default="default" in part,
            choices=tuple(choices) if isinstance(choices, list) else (),
            pattern=part.text("pattern"),
            min=part.number("min"),
            max=part.number("max"),
            optional=part.raw("optional") is True,
        )

    def target(self, name: str, part: Part) -> TargetSpec:
        hosts = (self.template(host) for host in part.at("hosts").items())
        group = self.template(part.at("group")) if "group" in part else None
        return TargetSpec(
            name=name,
            location=self.document.location(part.path, key=True),
            hosts=tuple(host for host in hosts if isinstance(host, str | Template)),
            group=group if isinstance(group, str | Template) else None,
            os=part.text("os"),
            run_as=part.text("run_as"),
            via=part.text("via"),
        )

    def requirements(self, part: Part) -> Iterable[Requirement]:
        for item in part.items():
            if that := self.expression(item.at("that")):
                self.conditions.append(((*item.path, "that"), that))
                yield Requirement(
                    that,
                    self.plain(item.at("else"), "this sentence"),
                    self.document.location((*item.path, "that")),
                )

    def report(self, part: Part) -> Report:
        for item in part.at("require").items():
            if expression := self.expression(item):
                self.reported.append((item.path, expression))
        return Report(
            template=part.text("template"),
            require=tuple(expression for _, expression in self.reported),
            to=part.texts("to"),
        )

    # --- steps ------------------------------------------------------------------------------

    def steps(self, part: Part, prefix: str) -> tuple[Step, ...]:
        return tuple(
            self.step(item, f"{prefix}{_name(item, index)}")
            for index, item in enumerate(part.items(), start=1)
        )

    def step(self, part: Part, path: str) -> Step:
        while path in self.places:
            path += "'"  # a second step of one id: reported by the check, never run
        self.places[path] = part.path
        step = Step(
            path=path,
            action=self.action(part, path),
            location=self.document.location(part.path),
            id=part.text("id"),
            title=self.plain(part.at("title"), "a title"),
            when=self.expression(part.at("when")),
            needs=part.texts("needs") if isinstance(part.raw("needs"), list) else None,
            arguments={name: self.value(item) for name, item in part.at("with").entries()},
            target=part.text("target"),
            run_as=part.text("run_as"),
            timeout=seconds(part.raw("timeout")),
            retry=self.retry(part.at("retry")),
            on_failure=self.handler(part.at("on_failure"), f"{path}/on_failure/"),
            on_timeout=self.handler(part.at("on_timeout"), f"{path}/on_timeout/"),
            for_each=self.expression(part.at("for_each")),
            rolling=self.rolling(part.at("rolling")),
            max_failed=share(part.raw("max_failed")),
            outputs=self.outputs(part.at("outputs")),
            tags=part.texts("tags"),
        )
        return replace(step, undo=self.undo(part.at("undo"), step)) if "undo" in part else step

    def undo(self, part: Part, step: Step) -> Step:
        """What takes ``step`` back: in its place, as its account."""
        path = f"{step.path}/undo"
        self.places[path] = part.path
        return Step(
            path=path,
            action=self.script(part.at("script") if "script" in part else part),
            location=self.document.location(part.path),
            title=f"Undo: {step.title}" if step.title else "",
            when=self.expression(part.at("when")),
            arguments={name: self.value(item) for name, item in part.at("with").entries()},
            target=step.target,
            run_as=step.run_as,
            timeout=seconds(part.raw("timeout")) if "timeout" in part else step.timeout,
        )

    def action(self, part: Part, path: str) -> Action:
        if "steps" in part and "script" not in part:
            return Group(self.steps(part.at("steps"), f"{path}/"))
        if "wait" in part and "script" not in part:
            wait = part.at("wait")
            return Wait(seconds(wait.data), wait.text("until"), wait.text("zone"))
        if "script" not in part:
            self.idle.add(path)
        return self.script(part.at("script"))

    def script(self, part: Part) -> Script:
        if isinstance(part.data, str):
            return Script({"": part.data}, {"": self.document.location(part.path)})
        pins = {os: item for os, item in part.entries() if isinstance(item.data, str)}
        return Script(
            {os: item.data for os, item in pins.items()},
            {os: self.document.location(item.path) for os, item in pins.items()},
        )

    def retry(self, part: Part) -> Retry | None:
        if isinstance(part.data, int) and not isinstance(part.data, bool):
            return Retry(part.data)
        if not isinstance(part.data, dict):
            return None
        return Retry(
            times=part.whole("times", 1),
            wait=seconds(part.raw("wait")) or 0.0,
            backoff=float(part.number("backoff") or 1.0),
            until=self.expression(part.at("until")),
        )

    def handler(self, part: Part, prefix: str) -> Fallback | None:
        if isinstance(part.data, str):
            return Fallback(then=Then.CONTINUE if part.data == "continue" else Then.STOP)
        if isinstance(part.data, list):
            return Fallback(self.steps(part, prefix))
        if isinstance(part.data, dict):
            then = Then.CONTINUE if part.raw("then") == "continue" else Then.STOP
            return Fallback(self.steps(part.at("steps"), prefix), then)
        return None

    def rolling(self, part: Part) -> Rolling | None:
        if not isinstance(part.data, dict):
            return None
        return Rolling(
            batch=share(part.raw("batch")) or Share(1),
            canary=part.whole("canary", 0),
            pause=seconds(part.raw("pause")) or 0.0,
            max_failed=share(part.raw("max_failed")) or Share(0),
        )

    def outputs(self, part: Part) -> dict[str, Type] | None:
        if not isinstance(part.data, dict):
            return None
        return {
            name: _TYPES.get(item.data, Type.ANY) if isinstance(item.data, str) else Type.ANY
            for name, item in part.entries()
        }

    # --- values and expressions -------------------------------------------------------------

    def value(self, part: Part) -> Value:
        match part.data:
            case str():
                return self.template(part)
            case dict():
                return {key: self.value(item) for key, item in part.entries()}
            case list():
                return tuple(self.value(item) for item in part.items())
            case bool() | int() | float():
                return part.data
            case _:
                return None

    def template(self, part: Part) -> str | Template | None:
        if not isinstance(part.data, str):
            return None
        if self.habits(part):
            return None
        if "$" not in part.data:
            return part.data
        try:
            parsed = parse_template(part.data)
        except ExpressionError as error:
            self.refuse(part, error)
            return None
        if isinstance(parsed, Template):
            for expression, _ in parsed.expressions:
                self.note(expression)
        return parsed

    def expression(self, part: Part) -> Expression | None:
        if not isinstance(part.data, str) or not part.data:
            return None
        try:
            return self.note(parse(part.data))
        except ExpressionError as error:
            self.refuse(part, error)
            return None

    def note(self, expression: Expression) -> Expression:
        """Remember whether it mentions ``ticket``."""
        if not self.needs_ticket and "ticket" in expression.text:
            self.needs_ticket = any(
                isinstance(node, ast.Name) and node.id == "ticket"
                for node in ast.walk(expression.tree)
            )
        return expression

    def refuse(self, part: Part, error: ExpressionError) -> None:
        """Report an expression that cannot be read."""
        rule = _RULES.get(error.kind, "wts301")
        cure = "put quotes around it if a ',' or ': ' cut it short" if rule == "wts303" else ""
        self.findings.append(
            self.document.diagnostic(
                rule, error.message, part.path, cure=cure, offset=error.offset, length=error.length
            )
        )

    def habits(self, part: Part) -> bool:
        """Report what other programs insert values with; returns whether there was any."""
        match = _HABIT.search(part.data) if "{" in part.data else None
        if match:
            sign = "${{ }}" if match.group().startswith("${{") else match.group(1) + " }}"[-3:]
            self.findings.append(
                self.document.diagnostic(
                    "wts304",
                    f"'{sign}' is not used here",
                    part.path,
                    cure="write $(...)",
                    offset=match.start(),
                    length=len(match.group()),
                )
            )
        return match is not None

    def plain(self, part: Part, what: str) -> str:
        """Text in which nothing is inserted."""
        text = part.data if isinstance(part.data, str) else ""
        if (start := text.find("$(")) >= 0:
            self.findings.append(
                self.document.diagnostic(
                    "wts313",
                    f"nothing is inserted in {what}: '$(' stays as it is",
                    part.path,
                    cure="values are inserted in 'with', 'outputs', 'hosts' and 'group'",
                    offset=start,
                    length=2,
                )
            )
        return text


def _name(part: Part, index: int) -> Any:
    return part.text("id") or f"step{index}"
