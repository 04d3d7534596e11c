"""``triggers:`` that are schedules: built, and proven to need nobody when they fire."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from wtsflow.cron import Cron, CronError
from wtsflow.errors import Diagnostic
from wtsflow.manifest.declared import fits_type, misfit, wanted, zone
from wtsflow.manifest.part import Part, seconds
from wtsflow.model.workflow import CatchUp, Input, Overlap, Schedule, Type, Workflow
from wtsflow.source import BROKEN, Document, Path
from wtsflow.source.phrases import near, short

WITHIN: Final = 3600.0
LONGEST: Final = timedelta(days=7).total_seconds()
"""How late a slot may be made up for at most: what is older was somebody's concern long ago."""
ONLY_SCHEDULES: Final = ("zone", "overlap", "catch_up", "within", "env", "enabled")


def schedules(document: Document, part: Part) -> Iterator[Schedule]:
    """The triggers that fire by the clock."""
    for number, item in enumerate(part.items(), start=1):
        if not isinstance(item.raw("schedule"), str):
            continue
        given = item.raw("with")
        within = seconds(item.raw("within"))
        yield Schedule(
            id=item.text("id") or str(number),
            cron=item.text("schedule"),
            location=document.location((*item.path, "schedule")),
            zone=item.text("zone") or "UTC",
            arguments=given if isinstance(given, dict) else {},
            overlap=_known(Overlap, item.text("overlap"), Overlap.SKIP),
            catch_up=_known(CatchUp, item.text("catch_up"), CatchUp.LAST),
            within=WITHIN if within is None else within,
            environment=item.text("env"),
            enabled=item.raw("enabled") is not False,
        )


def _known(kind: Any, text: str, otherwise: Any) -> Any:
    return kind(text) if text in set(kind) else otherwise


def triggers(document: Document, workflow: Workflow) -> Iterator[Diagnostic]:
    """What is wrong with the triggers."""
    yield from _ids(document)
    for item in Part(document.data, ()).at("triggers").items():
        if "schedule" in item:
            yield from _schedule(document, workflow, item)
        elif isinstance(item.data, dict):
            for key in ONLY_SCHEDULES:
                if key in item:
                    yield document.diagnostic(
                        "wts112", f"'{key}' goes with 'schedule'", (*item.path, key), key=True
                    )


def _ids(document: Document) -> Iterator[Diagnostic]:
    first: dict[str, Path] = {}
    for item in Part(document.data, ()).at("triggers").items():
        name, path = item.text("id"), (*item.path, "id")
        if name in first:
            line = document.location(first[name]).line
            yield document.diagnostic(
                "wts208", f"the id {short(name)} is taken by line {line}", path
            )
        elif name:
            first[name] = path


def _schedule(document: Document, workflow: Workflow, item: Part) -> Iterator[Diagnostic]:
    path = (*item.path, "schedule")
    text = item.raw("schedule")
    if isinstance(text, str) and text:
        try:
            Cron.parse(text)
        except CronError as error:
            yield document.diagnostic(
                "wts505",
                error.message,
                path,
                cure=error.cure,
                offset=error.offset,
                length=error.length,
            )
    if item.text("zone"):
        yield from zone(document, item.text("zone"), (*item.path, "zone"))
    if "when" in item:
        yield document.diagnostic(
            "wts112",
            "'when' looks at a ticket or an event, and a schedule has neither",
            (*item.path, "when"),
            key=True,
            cure="put the condition on the steps",
        )
    yield from _within(document, item)
    if workflow.needs_ticket:
        yield document.diagnostic(
            "wts506",
            "this workflow reads 'ticket', and a schedule has none",
            path,
            cure="give the scheduled part a workflow of its own",
        )
    yield from _inputs(document, workflow, item)


def _within(document: Document, item: Part) -> Iterator[Diagnostic]:
    within = seconds(item.raw("within"))
    if within is None:
        return
    if item.raw("catch_up") == CatchUp.NONE:
        yield document.diagnostic(
            "wts112",
            "'within' says what is made up for, and 'catch_up: none' that nothing is",
            (*item.path, "within"),
            key=True,
        )
    elif not 60 <= within <= LONGEST:
        yield document.diagnostic(
            "wts109", "a slot is made up for within 1m to 7d", (*item.path, "within")
        )


def _inputs(document: Document, workflow: Workflow, item: Part) -> Iterator[Diagnostic]:
    given = item.raw("with")
    values: Mapping[str, Any] = given if isinstance(given, dict) else {}
    for name, value in values.items():
        path = (*item.path, "with", name)
        declared = workflow.inputs.get(name)
        if declared is None:
            hint = near(name, workflow.inputs)
            known = f"there are: {', '.join(workflow.inputs)}" if workflow.inputs else ""
            yield document.diagnostic(
                "wts202",
                f"there is no input {short(name)}{hint}",
                path,
                key=True,
                cure="" if hint else known,
            )
        else:
            yield from _value(document, declared, value, path)
    open_ = left_open(workflow, values)
    if open_ and not item.text("env"):  # an environment may fill them: known when it fires
        names = ", ".join(f"'{name}'" for name in open_)
        yield document.diagnostic(
            "wts506",
            f"nobody is asked when it fires, and {names} {'has' if len(open_) == 1 else 'have'}"
            " no value",
            (*item.path, "schedule"),
            cure=f"with: {{ {open_[0]}: … }}, a default, or an 'env:' that has it",
        )


def left_open(workflow: Workflow, given: Mapping[str, Any]) -> list[str]:
    """The inputs that a run needs, of those that may stand in a file, and that are not given."""
    return [
        one.name
        for one in workflow.inputs.values()
        if one.required and one.type is not Type.SECRET and given.get(one.name) is None
    ]


def _value(document: Document, declared: Input, value: Any, path: Path) -> Iterator[Diagnostic]:
    if value is None or value is BROKEN:
        return
    if declared.type is Type.SECRET:
        yield document.diagnostic(
            "wts410",
            "a secret is written in the manifest",
            path,
            cure=f"remove it: it comes from WTSFLOW_INPUT_{declared.name.upper()}",
        )
    elif "$(" in repr(value):
        yield document.diagnostic(
            "wts313",
            "nothing is inserted in what a schedule gives: '$(' stays as it is",
            path,
            cure="write the value itself",
        )
    elif declared.type is not Type.ANY and not fits_type(declared, value):
        yield document.diagnostic("wts507", f"{short(value)} is not {wanted(declared)}", path)
    elif problem := misfit(declared, value):
        yield document.diagnostic("wts507", problem, path)
