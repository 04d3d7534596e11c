"""From a manifest's text to the workflow that everything else works with."""

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.manifests import look_up
from wtsflow import manifest
from wtsflow.errors import Diagnostic, ManifestError, WtsflowError
from wtsflow.manifest.declared import matches, unreadable
from wtsflow.manifest.part import seconds, share
from wtsflow.model.expression import Template
from wtsflow.model.script import PinnedScript
from wtsflow.model.workflow import (
    Fallback,
    Group,
    Input,
    Retry,
    Rolling,
    Schedule,
    Script,
    Share,
    Step,
    TargetSpec,
    Then,
    Type,
    Wait,
    Workflow,
)
from wtsflow.source import schema_text

HEAD = "wtsflow: 1\nname: fleet/disk\nversion: 1.0.0\ntitle: Clean\nowner: ops\n"
STEP = "steps:\n  - script: a.sh@1.0.0\n"
GOOD = Path(__file__).parent / "good"


def load(body: str) -> Workflow:
    return manifest.load(HEAD + body, "disk.yaml")


def said(body: str, *, online: bool = False) -> list[Diagnostic]:
    return list(manifest.read(HEAD + body, "disk.yaml", scripts=look_up if online else None)[1])


def messages(body: str, *, online: bool = False) -> list[str]:
    return [each.message for each in said(body, online=online)]


# --- the model ----------------------------------------------------------------------------------


def test_a_workflow_is_what_its_manifest_says() -> None:
    text = (GOOD / "everything.yaml").read_text(encoding="utf-8")
    found = manifest.load(text, "everything.yaml")
    assert (found.name, found.version, found.title) == (
        "fleet/clean-up", "2.1.0", "Clean disks of a group"
    )  # fmt: skip
    assert found.owner == "server-ops"
    assert found.description == "Frees space, some servers at a time.\n"
    assert found.access["execute"] == ("l2", "server-ops")
    assert found.timeout == 7200.0
    assert found.source == "everything.yaml"
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert found.needs_ticket
    assert found.report is not None
    assert found.report.to == ("ticket", "file")
    assert [str(each) for each in found.report.require] == ["inputs.days"]
    assert [(str(each.that), each.otherwise) for each in found.require] == [
        ("inputs.days >= 3 or actor.name != 'intern'", "Interns keep at least three days.")
    ]
    assert set(found.outputs) == {"cleaned", "counts"}


def test_inputs_have_types_defaults_and_limits() -> None:
    found = load(
        "inputs:\n  a: string\n  b: { type: number, default: 5, min: 1, max: 30, title: B, help: H }\n"
        "  c: { choices: [x, y], pattern: '[xy]' }\n  d: { type: list, optional: true }\n"
        "  e: { default: null }\n" + STEP
    ).inputs
    a, b, c, d, e = found.values()
    assert (a.type, a.required, a.location.line) == (Type.STRING, True, 7)
    assert (b.type, b.default, b.min, b.max, b.title, b.help) == (Type.NUMBER, 5, 1, 30, "B", "H")
    assert (b.required, b.has_default) == (False, True)
    assert (c.type, c.choices, c.pattern, c.required) == (Type.STRING, ("x", "y"), "[xy]", True)
    assert (d.type, d.optional, d.required, d.has_default) == (Type.LIST, True, False, False)
    assert (e.default, e.has_default, e.required) == (None, True, False)


def test_targets_have_hosts_or_a_group() -> None:
    found = load(
        "inputs: { g: string }\ntargets:\n  one: { hosts: [db01], os: linux, run_as: ops, via: ssh }\n"
        "  two: { hosts: [a, b] }\n  many: { group: $(inputs.g) }\n" + STEP
    ).targets
    assert (found["one"].hosts, found["one"].os, found["one"].run_as, found["one"].via) == (
        ("db01",), "linux", "ops", "ssh"
    )  # fmt: skip
    assert [each.many for each in found.values()] == [False, True, True]
    assert isinstance(found["many"].group, Template)


def test_every_step_has_a_path() -> None:
    found = load(
        "steps:\n"
        "  - script: a.sh@1.0.0\n"
        "  - id: b\n    script: b.sh@1.0.0\n"
        "    on_failure: [wait: 5s, { id: x, wait: 5s }]\n"
        "    on_timeout: { steps: [wait: 5s], then: continue }\n"
        "  - steps:\n      - wait: 5s\n      - id: y\n        steps: [wait: 5s]\n"
        "finally:\n  - wait: 5s\n  - id: z\n    wait: 5s\n    \n"
    )
    assert [step.path for step in found.walk()] == [
        "step1", "b", "b/on_failure/step1", "b/on_failure/x", "b/on_timeout/step1",
        "step3", "step3/step1", "step3/y", "step3/y/step1", "finally/step1", "finally/z",
    ]  # fmt: skip
    b = found.steps[1]
    assert isinstance(b.on_failure, Fallback)
    assert isinstance(b.on_timeout, Fallback)
    assert (b.on_failure.then, b.on_timeout.then) == (Then.STOP, Then.CONTINUE)


def test_a_step_has_its_modifiers() -> None:
    step = load(
        "inputs: { user: string }\ntargets: { web: { group: web } }\nsteps:\n"
        "  - id: a\n    title: A\n    script: { linux: a.sh@1.0.0, windows: a.ps1@2.0.0+ }\n"
        "    when: inputs.user == 'x'\n    needs: []\n    target: web\n    run_as: root\n"
        "    with: { t: x $(inputs.user), n: 3, l: [1, $(inputs.user)], m: { k: v }, z: ~ }\n"
        "    timeout: 1h30m\n    retry: { times: 3, wait: 500ms, backoff: 2, until: outputs.ok }\n"
        "    on_failure: continue\n    max_failed: 10%\n    tags: [a, b]\n"
        "    outputs: { ok: boolean, n: number }\n"
        "    for_each: targets.web\n    rolling: { canary: 1, batch: 20%, pause: 1m, max_failed: 2 }\n"
    ).steps[0]
    assert isinstance(step.action, Script)
    assert step.action.pins == {"linux": "a.sh@1.0.0", "windows": "a.ps1@2.0.0+"}
    assert step.action.pin_for("windows") == "a.ps1@2.0.0+"
    assert step.action.locations["windows"].column == 43
    assert (step.id, step.title, step.verb, step.target, step.run_as) == (
        "a", "A", "script", "web", "root"
    )  # fmt: skip
    assert str(step.when) == "inputs.user == 'x'"
    assert step.needs == ()
    arguments = {name: str(value) for name, value in step.arguments.items()}
    assert arguments.pop("l").startswith("(1, Template(")
    assert arguments == {"t": "x $(inputs.user)", "n": "3", "m": "{'k': 'v'}", "z": "None"}
    assert step.timeout == 5400.0
    assert step.retry is not None
    assert (step.retry.times, step.retry.wait, step.retry.backoff) == (3, 0.5, 2.0)
    assert str(step.retry.until) == "outputs.ok"
    assert step.on_failure == Fallback((), Then.CONTINUE)
    assert step.max_failed == Share(10.0, percent=True)
    assert step.rolling == Rolling(Share(20.0, percent=True), 1, 60.0, Share(2.0))
    assert step.outputs == {"ok": Type.BOOLEAN, "n": Type.NUMBER}
    assert step.tags == ("a", "b")
    assert str(step.for_each) == "targets.web"


def test_short_forms_are_the_long_ones() -> None:
    one, two, three = load(
        "steps:\n  - script: a.sh@1.0.0\n    retry: 3\n  - wait: 2d\n"
        '  - wait: { until: "02:30", zone: Europe/Paris }\n'
    ).steps
    assert one.retry == Retry(3)
    assert one.needs is None
    assert two.action == Wait(172800.0)
    assert three.action == Wait(None, "02:30", "Europe/Paris")


def test_pins_are_named_once_and_in_order() -> None:
    found = load(
        "steps:\n  - script: b.sh@1.0.0\n    on_failure: [{ script: c.sh@1.0.0 }]\n"
        "  - steps: [{ script: a.sh@1.0.0 }, { script: b.sh@1.0.0 }]\nfinally: [{ script: f.sh@1.0.0 }]\n"
    )
    assert found.pins() == ("b.sh@1.0.0", "c.sh@1.0.0", "a.sh@1.0.0", "f.sh@1.0.0")


@pytest.mark.parametrize(
    ("expression", "needed"),
    [("$(ticket.id)", True), ("ticket", False), ("$('ticket')", False), ("$(inputs.ticket)", False)],
)  # fmt: skip
def test_a_run_needs_a_ticket_when_an_expression_names_one(
    expression: str, *, needed: bool
) -> None:
    body = f"inputs: {{ ticket: string }}\nsteps:\n  - script: a.sh@1.0.0\n    with: {{ t: {expression} }}\n"
    assert load(body).needs_ticket is needed


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("2d", 172800.0),
     ("1d2h3m4s5ms", 93784.005), ("0s", 0.0), ("", None), ("5", None), ("m", None), ("5m1h", None),
     ("-5m", None), ("5 m", None), (5, None), (None, None), ("５m", None)],
)  # fmt: skip
def test_durations_are_seconds(text: object, value: float | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(5, Share(5.0)), ("10%", Share(10.0, percent=True)), ("2.5%", Share(2.5, percent=True)),
     ("5", None), (True, None), (None, None), ("%", None)],
)  # fmt: skip
def test_shares_are_numbers_or_percentages(text: object, value: Share | None) -> None:
    assert share(text) == value


# --- schema and model are one -------------------------------------------------------------------

RENAMED = {
    "with": "arguments",
    "finally": "finally_",
    "wtsflow": "",
    "else": "otherwise",
    "schedule": "cron",
    "env": "environment",
    "ticket": "",
    "webhook": "",
}


def keys(schema: dict[str, Any]) -> set[str]:
    found = {name for name, part in schema["properties"].items() if "x-later" not in part}
    return {RENAMED.get(name, name) for name in found} - {""}


def fields(kind: type, *without: str) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)} - set(without)


def test_every_key_of_the_schema_is_a_field_of_the_model_and_the_reverse() -> None:
    schema = json.loads(schema_text("wtsflow-1"))
    parts = schema["$defs"]
    assert keys(schema) == fields(Workflow, "source", "text", "sha256", "needs_ticket")
    verbs = {"script", "wait", "steps"}
    steps = [parts[f"{verb}_step"] for verb in ("script", "wait", "group")]
    assert {key for each in steps for key in keys(each)} - verbs == fields(
        Step, "path", "action", "location"
    )
    assert keys(parts["input"]) == fields(Input, "name", "location", "has_default")
    assert keys(parts["target"]) == fields(TargetSpec, "name", "location")
    assert keys(parts["trigger"]) - {"when"} == fields(Schedule, "location")
    assert keys(parts["retry"]) == fields(Retry)
    assert keys(parts["rolling"]) == fields(Rolling)
    assert keys(parts["wait"]) == fields(Wait, "seconds")
    assert keys(parts["on"]) == fields(Fallback)
    assert {type_.value for type_ in Type} - {"any"} == set(
        parts["input"]["properties"]["type"]["enum"]
    )
    assert Group.__name__ == "Group"


# --- findings -----------------------------------------------------------------------------------


def test_findings_come_in_the_order_of_the_text() -> None:
    found = said(
        "inputs: { days: numbr }\ntargets: { a: {} }\nsteps:\n  - scirpt: a.sh@1.0.0\n"
        "  - script: a.sh@1.0.0\n    timout: 5m\n    when: inputs.dayz > 3\n    target: wep\n"
    )
    assert [each.rule for each in found] == [
        "wts104", "wts112", "wts101", "wts101", "wts202", "wts207"
    ]  # fmt: skip
    places = [(each.location.line, each.location.column) for each in found]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("body", "message", "cure"),
    [
        ("steps:\n  - script: a.sh@1.0.0\n    timout: 5m\n",
         "unknown key 'timout' in a 'script' step (did you mean 'timeout'?)", ""),
        ("steps:\n  - script: ad/x.ps1\n",
         "'ad/x.ps1' is not a pinned script like ad/unlock-account.ps1@1.4.2", ""),
        ("steps:\n  - script: a.sh@1.0.0\n    action: x.y\n",
         "a step does one thing: 'script' and 'action' need two steps", ""),
        ("steps:\n  - script: a.sh@1.0.0\n    timeout: 5\n",
         "'timeout' is the number 5, but must be a duration like 30s, 5m or 1h30m",
         "put it in quotes if it is meant as text"),
        ("targets: { a: { hosts: [x], os: Windows } }\n" + STEP,
         "'Windows' is not allowed here (did you mean 'windows'?)", ""),
        ("inputs: { days: number }\nsteps:\n  - script: a.sh@1.0.0\n    when: inputs.days == '3'\n",
         "comparing number with text is always false", "write 3 without quotes"),
        ("inputs: { user: string }\nsteps:\n  - script: a.sh@1.0.0\n    when: inputs.user == 'a' && true\n",
         "unexpected '&&': write 'and'", ""),
        ("steps:\n  - script: a.sh@1.0.0\n  - script: b.sh@1.0.0\n    needs: []\n    with: { a: $(steps.a.x) }\n",
         "steps has no 'a'", "there are no steps"),
        ("steps:\n  - approve: { by: [l2] }\n",
         "'approve' is reserved for a later version of wtsflow",
         "the verbs of this version are: script, wait, steps"),
    ],
)  # fmt: skip
def test_a_message_says_what_and_the_cure_says_how(body: str, message: str, cure: str) -> None:
    (found,) = said(body)
    assert found.message == message
    if cure:
        assert found.cure == cure


def test_a_step_that_is_wrong_is_still_known_to_the_others() -> None:
    found = messages(
        "steps:\n  - id: a\n    script: a.sh\n    outputs: { x: nmber }\n"
        "  - script: b.sh@1.0.0\n    with: { t: $(steps.a.outputs.x) }\n"
    )
    assert len(found) == 2
    assert not [each for each in found if "steps" in each]


def test_an_input_that_is_wrong_is_still_known_to_the_steps() -> None:
    found = messages(
        "inputs: { days: { typ: number } }\nsteps:\n  - script: a.sh@1.0.0\n    with: { t: $(inputs.days) }\n"
    )
    assert found == ["unknown key 'typ' (did you mean 'type'?)"]


# --- what steps may know of each other ------------------------------------------------------------


def test_a_script_without_types_is_told_of_once() -> None:
    body = (
        "steps:\n  - id: a\n    script: disk/raw.sh@1.0.0\n"
        "  - script: b.sh@1.0.0\n    with: { t: $(steps.a.outputs.x), u: $(steps.a.outputs.y) }\n"
    )
    (found,) = said(body, online=True)
    assert (found.rule, found.severity) == ("wts409", "warning")
    declared = body.replace(
        "raw.sh@1.0.0\n", "raw.sh@1.0.0\n    outputs: { x: string, y: number }\n"
    )
    assert said(declared, online=True) == []
    assert said(body) == []


def test_offline_nothing_is_said_about_scripts() -> None:
    assert messages("steps:\n  - { id: a, script: no/such.sh@9.9.9, with: { nope: 1 } }\n") == []


def test_a_script_is_looked_up_once() -> None:
    asked: list[str] = []

    def counting(pin: str) -> PinnedScript:
        asked.append(pin)
        return look_up(pin)

    body = (
        "steps:\n"
        + "  - { script: disk/raw.sh@1.0.0 }\n" * 3
        + "  - { script: disk/nope.sh@1.0.0 }\n" * 2
    )
    _, findings = manifest.read(HEAD + body, "x", scripts=counting)
    assert asked == ["disk/raw.sh@1.0.0", "disk/nope.sh@1.0.0"]
    assert [each.rule for each in findings] == ["wts401", "wts401"]
    assert findings[0].cure == "wtsflow lock"


def test_each_script_of_a_step_is_held_against_its_system() -> None:
    body = (
        "targets: { one: { hosts: [db], os: linux } }\nsteps:\n"
        "  - script: { windows: win/clean.ps1@1.0.0, linux: disk/clean.sh@1.0.0 }\n    target: one\n"
        "    with: { days: 3, force: true }\n"
    )
    assert messages(body, online=True) == ["win/clean.ps1 has no parameter 'force'"]


# --- T13 ----------------------------------------------------------------------------------------

EVIL = ("(a+)+", "(a|aa)+", "(a|a?)+", "(.*a){20}", "([a-zA-Z]+)*", "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(x+x+)+y", "(.*)*=", "a{0,500}a{0,500}", "(?:a*)*b")  # fmt: skip


@pytest.mark.parametrize("pattern", EVIL)
def test_T13_a_pattern_needs_time_in_proportion_to_the_text(pattern: str) -> None:
    assert not unreadable(pattern)
    matches(pattern, "a")
    began = time.process_time()
    matches(pattern, "a" * 20_000 + "!")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "pattern", ["(?=a)", "(?!a)", "(?<=a)b", r"(a)\1", "(?P=x)", "a++", "(?>a)", "["]
)
def test_T13_what_cannot_be_linear_is_refused(pattern: str) -> None:
    body = f"inputs: {{ a: {{ pattern: {json.dumps(pattern)} }} }}\n" + STEP
    (found,) = said(body)
    assert found.rule == "wts316"


def test_T13_a_pattern_never_reaches_pythons_re(monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    seen: list[str] = []
    real = re.compile

    def watching(pattern: Any, flags: Any = 0) -> Any:
        seen.append(str(pattern))
        return real(pattern, flags)

    monkeypatch.setattr(re, "compile", watching)
    said('inputs: { a: { pattern: "(zq+)+z", default: zqz } }\n' + STEP)
    assert not [each for each in seen if "zq" in each]


# --- nothing else comes out -----------------------------------------------------------------------

WORDS = st.sampled_from(
    ["wtsflow: 1\n", "name: a\n", "steps:\n", "  - script: a.sh@1.0.0\n", "    when: ", "    with: ",
     "inputs: ", "targets: ", "{ a: string }\n", "{ group: $(inputs.a) }\n", "$(steps.a.outputs.x)\n",
     "inputs.a == 'b'\n", "    id: a\n", "    needs: [a]\n", "    on_failure: [wait: 5s]\n", "finally:\n",
     "    for_each: targets.a\n", "    rolling: { batch: 1 }\n", "    retry: { times: 1, until: outputs.x }\n",
     "  - steps:\n      - wait: 5s\n", "outputs: { a: $(run.status) }\n", "require: [{ that: a, else: b }]\n",
     "- x\n", "[]\n", "{}\n", "~\n", "5\n", "access: { execute: [] }\n", "    target: item\n", "    ",
     "report: { require: [inputs.a] }\n", "    script: { linux: a@1.0.0 }\n", "\t", "&a ", "*a\n"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(WORDS, max_size=14).map("".join))
def test_T12_nothing_but_findings_comes_out_of_a_manifest(text: str) -> None:
    for full in (text, HEAD + text, HEAD + STEP + text):
        workflow, findings = manifest.read(full, "x.yaml", scripts=look_up)
        assert workflow is not None or findings
        try:
            manifest.load(full, "x.yaml")
        except ManifestError as error:
            assert error.diagnostics  # noqa: PT017 - both ways are right


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", "", "$(a)", "1.0.0", "5m"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["steps", "script", "with", "a", "hosts", "until"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
PATHS = (("steps",), ("steps", 0), ("steps", 0, "script"), ("steps", 0, "when"), ("steps", 0, "with"),
         ("steps", 0, "retry"), ("steps", 0, "on_failure"), ("steps", 0, "for_each"),
         ("steps", 0, "rolling"), ("steps", 0, "needs"), ("steps", 0, "id"), ("inputs",),
         ("inputs", "a"), ("targets",), ("targets", "a"), ("targets", "a", "hosts"), ("require",),
         ("access",), ("outputs",), ("report",), ("finally",), ("title",), ("timeout",))  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(PATHS), JSON)
def test_T12_any_value_in_any_place_gives_findings(path: tuple[str | int, ...], value: Any) -> None:
    data: dict[str, Any] = {
        "wtsflow": 1, "name": "a", "version": "1.0.0", "title": "A", "owner": "o", "access": {},
        "inputs": {"a": {}}, "targets": {"a": {"hosts": ["x"]}}, "require": [], "outputs": {},
        "report": {}, "finally": [{"wait": "5s"}], "timeout": "5m",
        "steps": [{"id": "a", "script": "a.sh@1.0.0", "with": {}}],
    }  # fmt: skip
    part: Any = data
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    workflow, findings = manifest.read(json.dumps(data), "x.yaml", scripts=look_up)
    assert workflow is not None or findings
    lines = [(each.location.line, each.location.column) for each in findings]
    assert lines == sorted(lines)


def test_an_error_of_the_lookup_is_a_finding_and_anything_else_is_a_defect() -> None:
    def broken(pin: str) -> PinnedScript:
        raise WtsflowError(f"no {pin}", cure="do this")

    (found,) = manifest.read(HEAD + STEP, "x", scripts=broken)[1]
    assert (found.rule, found.message, found.cure) == ("wts401", "no a.sh@1.0.0", "do this")

    def defect(pin: str) -> PinnedScript:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        manifest.read(HEAD + STEP, "x", scripts=defect)


def test_a_manifest_of_100_lines_takes_milliseconds() -> None:
    steps = "".join(
        f"  - id: s{n}\n    script: disk/clean.sh@1.{n}.0\n    when: inputs.days > {n}\n"
        f'    with: {{ days: $(inputs.days), t: "$(default(steps.s{n - 1}.outputs.x, {n}))" }}\n'
        if n
        else "  - id: s0\n    script: a.sh@1.0.0\n"
        for n in range(24)
    )
    text = HEAD + "inputs: { days: number }\nsteps:\n" + steps
    assert manifest.read(text, "x")[1] == ()
    began = time.process_time()
    for _ in range(20):
        manifest.read(text, "x")
    assert (time.process_time() - began) / 20 < 0.02
