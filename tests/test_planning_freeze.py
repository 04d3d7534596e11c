"""A plan is written down, read back, and nothing in it changes unnoticed."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.planned import Scripts, planned
from wtsflow import manifest, planning
from wtsflow.errors import InvalidError, PlanError, PlanMismatch
from wtsflow.model.plan import Plan, canonical
from wtsflow.model.script import Interface, Parameter, Passing
from wtsflow.model.workflow import Type

TEXT = """\
inputs: { days: number, share: { type: number, default: 0.25 }, tags: list, p: secret }
targets: { web: { group: web, run_as: app }, lb: { hosts: [lb1], os: linux } }
steps:
  - { id: look, script: a.sh@1.0.0+, target: web, with: { days: $(inputs.days) } }
  - { script: b.py@2.1.0, target: lb, with: { password: $(inputs.p), half: 0.5 } }
"""
LISTING = """\
defaults: { user: ops, ssh: { keepalive_interval: 10, connect_timeout: 2.5 } }
groups:
  web:
    hosts: ["web[1:3]"]
    os: linux
    vars: { site: paris, weight: 0.75, nested: { list: [1, 2.5, null, true] } }
"""
INTERFACES = {
    "a.sh": Interface(
        title="Look",
        os=("linux",),
        parameters={"days": Parameter("days", Type.NUMBER, required=True, min=0.5, max=30)},
        outputs={"found": Type.LIST},
        outcomes={3: "nothing_found"},
        passing=Passing.ENV,
        source="sidecar",
    ),
    "b.py": Interface(
        parameters={
            "password": Parameter("password", Type.SECRET),
            "half": Parameter("half", Type.NUMBER, default=0.5, has_default=True, choices=(0.5, 1)),
        }
    ),
}
INPUTS = {"days": "7", "tags": "a,b", "p": "hunter2!"}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    scripts = Scripts(INTERFACES, rollout={"web2": "1.1.0"})
    return planned(tmp_path, TEXT, INPUTS, scripts=scripts, ticket="INC1", listing=LISTING)


def load(text: str, source: str) -> Any:
    return manifest.load(text, source)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def written(plan: Plan) -> Any:
    return json.loads(json.dumps(planning.freeze(plan)))


def test_a_plan_comes_back_as_it_was(plan: Plan) -> None:
    back = planning.thaw(written(plan), load)
    assert back.digest == plan.digest
    assert back.targets == plan.targets
    assert back.scripts == plan.scripts
    assert back.inputs == plan.inputs
    assert back.timeout == plan.timeout
    assert planning.differences(plan, back) == ()


def test_no_float_is_in_a_frozen_plan(plan: Plan) -> None:
    frozen = written(plan)
    assert [path for path in leaves(frozen) if isinstance(at(frozen, path), float)] == []
    assert frozen["plan"]["inputs"]["share"] == {"$float": "0.25"}


def test_no_secret_is_in_a_frozen_plan(plan: Plan) -> None:
    assert "hunter2" not in json.dumps(planning.freeze(plan))


def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    """The value is written down here: a change of it breaks every plan that was approved."""
    made = planned(tmp_path, "steps: [{ wait: 1s }]\n")
    fixed = replace(made, targets={})
    assert canonical(fixed.facts) == (
        b'{"grace":5,"inputs":{},"limit":"","manifest":"'
        + made.workflow.sha256.encode()
        + b'","parallel":50,"scripts":{},"targets":{},"ticket":"","timeout":3600}'
    )
    assert fixed.digest == ("11d9f0b0455bb41a960e90d9667a259349518b50f4fc59707fd32561f76f3b64")


def test_the_order_of_keys_does_not_change_the_digest(plan: Plan) -> None:
    turned = replace(
        plan,
        inputs=dict(reversed(list(plan.inputs.items()))),
        scripts=dict(reversed(list(plan.scripts.items()))),
        targets=dict(reversed(list(plan.targets.items()))),
    )
    assert turned.digest == plan.digest


def test_another_order_of_machines_is_another_plan(plan: Plan) -> None:
    turned = replace(plan, targets={**plan.targets, "web": plan.targets["web"][::-1]})
    assert turned.digest != plan.digest
    assert planning.differences(plan, turned) == ("target 'web' has another order",)


def mutations(value: Any) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, str(value))
        case str():
            yield from (value + "x", value[:-1] if value else "y", value.swapcase() + " ")
        case None:
            yield from (0, "", False)
        case _:
            yield "x"
    yield ["x"]


def all_mutations(frozen: Any) -> list[tuple[tuple[Any, ...], Any]]:
    return [
        (path, other)
        for path in leaves(frozen)
        if path != ("workflow", "source")  # what the manifest is called: shown, decides nothing
        for other in mutations(at(frozen, path))
    ]


def test_any_one_leaf_that_is_changed_is_noticed(plan: Plan) -> None:
    frozen = written(plan)
    changes = all_mutations(frozen)
    assert len(changes) > 300
    for path, other in changes:
        changed = copy.deepcopy(frozen)
        at(changed, path[:-1])[path[-1]] = other
        with pytest.raises((PlanMismatch, InvalidError)):
            planning.thaw(changed, load)


def test_any_one_leaf_that_is_removed_is_noticed(plan: Plan) -> None:
    frozen = written(plan)
    for path in leaves(frozen):
        changed = copy.deepcopy(frozen)
        del at(changed, path[:-1])[path[-1]]
        with pytest.raises((PlanMismatch, InvalidError)):
            planning.thaw(changed, load)


def test_any_one_fact_that_is_changed_changes_the_digest(plan: Plan) -> None:
    facts = written(plan)["plan"]
    before = canonical(facts)
    for path in leaves(facts):
        for other in mutations(at(facts, path)):
            changed = copy.deepcopy(facts)
            at(changed, path[:-1])[path[-1]] = other
            assert canonical(changed) != before


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_anything_else_is_refused_with_one_message(plan: Plan, data: Any) -> None:
    for document in (data, {"schema": "wtsflow.plan/1", "workflow": data, "plan": data}):
        if isinstance(document, dict):
            with pytest.raises(PlanError):
                planning.thaw(document, load)


def test_a_changed_plan_says_how_to_make_a_new_one(plan: Plan) -> None:
    frozen = written(plan)
    frozen["plan"]["ticket"] = "INC2"
    with pytest.raises(PlanMismatch) as caught:
        planning.thaw(frozen, load)
    assert caught.value.exit == 6
    assert "wtsflow plan" in caught.value.cure


# --- differences ------------------------------------------------------------------------------


def differs(folder: Path, text: str = TEXT, listing: str = LISTING, **more: Any) -> list[str]:
    def made(said: str, machines: str, scripts: Scripts, ticket: str) -> Plan:
        return planned(folder, said, INPUTS, scripts=scripts, listing=machines, ticket=ticket)

    old = made(TEXT, LISTING, Scripts(INTERFACES), "INC1")
    new = made(text, listing, more.get("scripts", Scripts(INTERFACES)), more.get("ticket", "INC1"))
    return list(planning.differences(old, new))


def test_equal_plans_have_no_differences(tmp_path: Path) -> None:
    assert differs(tmp_path) == []


def test_each_difference_is_a_line_that_names_it(tmp_path: Path) -> None:
    assert differs(tmp_path, listing=LISTING.replace("web[1:3]", "web[2:4]")) == [
        "target 'web' lost web1",
        "target 'web' gained web4",
    ]
    assert differs(tmp_path, listing=LISTING.replace("user: ops", "user: root")) == [
        "web1, web2, web3: user was 'ops', is 'root'",
        "lb1: user was 'ops', is 'root'",
    ]
    assert differs(tmp_path, ticket="INC2") == ["ticket was 'INC1', is 'INC2'"]


def test_a_script_that_moved_is_shown_with_both_digests(tmp_path: Path) -> None:
    (said,) = differs(tmp_path, scripts=Scripts(INTERFACES, rollout={"INC1": "1.1.0"}))[:1]
    assert said.startswith("script a.sh@1.0.0+ was 1.0.0 sha256 ")
    assert "is 1.1.0 sha256 " in said


def test_a_sidecar_that_changed_is_a_difference(tmp_path: Path) -> None:
    changed = {**INTERFACES, "b.py": replace(INTERFACES["b.py"], sensitive=True)}
    assert differs(tmp_path, scripts=Scripts(changed)) == ["script b.py@2.1.0: interface changed"]


def test_a_manifest_that_changed_is_a_difference(tmp_path: Path) -> None:
    assert "the manifest test.yaml changed" in differs(tmp_path, text=TEXT + "# more\n")
