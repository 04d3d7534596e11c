"""From a workflow and its answers to a plan."""

from pathlib import Path

import pytest

from tests.planned import Scripts, planned
from wtsflow.errors import DeniedError, PlanError
from wtsflow.model.plan import Plan
from wtsflow.model.script import Interface, Parameter
from wtsflow.model.values import MASK
from wtsflow.model.workflow import Type

WEB = "targets: { web: { group: web } }\nsteps: [{ script: a.sh@1.0.0, target: web }]\n"


def names(plan: Plan, target: str) -> list[str]:
    return [machine.name for machine in plan.targets[target]]


def refused(folder: Path, text: str, inputs: dict | None = None, **more) -> PlanError:
    with pytest.raises(PlanError) as caught:
        planned(folder, text, inputs, **more)
    return caught.value


def test_a_group_becomes_its_machines(tmp_path: Path) -> None:
    assert names(planned(tmp_path, WEB), "web") == ["web1", "web2", "web3", "web4"]


def test_local_is_there_with_the_system_of_this_machine(tmp_path: Path) -> None:
    plan = planned(tmp_path, "steps: [{ wait: 1s }]\n")
    assert names(plan, "local") == ["local"]
    assert plan.targets["local"][0].os in ("linux", "windows", "macos")


def test_an_input_names_hosts_and_groups(tmp_path: Path) -> None:
    text = (
        "inputs: { g: string, h: string }\n"
        "targets: { a: { group: $(inputs.g) }, b: { hosts: [$(inputs.h), 'lb.$(inputs.g)'] } }\n"
        "steps: [{ script: a.sh@1.0.0, target: a }, { script: a.sh@1.0.0, target: b }]\n"
    )
    plan = planned(tmp_path, text, {"g": "db", "h": "x1"})
    assert (names(plan, "a"), names(plan, "b")) == (["db1"], ["x1", "lb.db"])


@pytest.mark.parametrize("typed", ["all", "*", "web*", "web[1:4]", "web1,web2", "!web1", "a:b"])
def test_what_a_user_types_is_a_name_and_never_a_pattern(tmp_path: Path, typed: str) -> None:
    text = (
        "inputs: { h: string }\ntargets: { t: { hosts: [$(inputs.h)] } }\n"
        "steps: [{ script: a.sh@1.0.0, target: t }]\n"
    )
    assert "cannot be a host" in refused(tmp_path, text, {"h": typed}).message


@pytest.mark.parametrize("typed", ["-oProxyCommand=x", "a b", "$(id)", "", "../a"])
def test_T03_an_input_cannot_make_an_option_of_a_host(tmp_path: Path, typed: str) -> None:
    text = (
        "inputs: { h: string }\ntargets: { t: { hosts: [$(inputs.h)] } }\n"
        "steps: [{ script: a.sh@1.0.0, target: t }]\n"
    )
    error = refused(tmp_path, text, {"h": typed})
    assert error.location is not None


def test_what_an_author_writes_may_be_a_pattern(tmp_path: Path) -> None:
    text = (
        "targets: { t: { hosts: ['web*:!web2', db1] } }\n"
        "steps: [{ script: a.sh@1.0.0, target: t }]\n"
    )
    assert names(planned(tmp_path, text), "t") == ["web1", "web3", "web4", "db1"]


def test_the_manifest_says_how_a_target_is_reached(tmp_path: Path) -> None:
    text = (
        "targets: { t: { hosts: [old1], os: linux, run_as: app } }\n"
        "steps: [{ script: a.sh@1.0.0, target: t }]\n"
    )
    (machine,) = planned(tmp_path, text).targets["t"]
    assert (machine.os, machine.run_as) == ("linux", "app")


def test_manifest_and_inventory_may_not_contradict_each_other(tmp_path: Path) -> None:
    text = (
        "targets: { t: { hosts: [win1], os: linux } }\nsteps: [{ script: a.sh@1.0.0, target: t }]\n"
    )
    assert "the inventory says that win1 runs windows" in refused(tmp_path, text).message


def test_one_machine_is_reached_in_one_way(tmp_path: Path) -> None:
    text = (
        "targets: { a: { hosts: [db1], run_as: app }, b: { hosts: [db1] } }\n"
        "steps: [{ script: a.sh@1.0.0, target: a }, { script: a.sh@1.0.0, target: b }]\n"
    )
    error = refused(tmp_path, text)
    assert "'a' and 'b'" in error.message
    assert "run_as" in error.cure


def test_a_machine_that_no_transport_reaches_is_refused(tmp_path: Path) -> None:
    text = "targets: { t: { hosts: [jea1] } }\nsteps: [{ script: a.sh@1.0.0, target: t }]\n"
    listing = "hosts: { jea1: { transport: psrp } }\n"
    error = refused(tmp_path, text, listing=listing, transports=("ssh", "local"))
    assert "jea1 is reached by 'psrp', which this version does not have" in error.message
    assert "it has local, ssh" in error.cure


# --- limit ------------------------------------------------------------------------------------


def test_a_limit_narrows_every_target(tmp_path: Path) -> None:
    plan = planned(tmp_path, WEB, limit="web[1:3]:!web2")
    assert names(plan, "web") == ["web1", "web3"]
    assert plan.limit == "web[1:3]:!web2"


def test_a_limit_may_name_an_unlisted_host_of_the_manifest(tmp_path: Path) -> None:
    text = "targets: { t: { hosts: [x1, x2] } }\nsteps: [{ script: a.sh@1.0.0, target: t }]\n"
    assert names(planned(tmp_path, text, limit="x1"), "t") == ["x1"]


def test_a_limit_that_leaves_a_used_target_empty_says_what_to_add(tmp_path: Path) -> None:
    text = (
        "targets: { web: { group: web }, lb: { hosts: [lb1] } }\n"
        "steps: [{ script: a.sh@1.0.0, target: web }, { script: a.sh@1.0.0, target: lb }]\n"
    )
    error = refused(tmp_path, text, limit="web1")
    assert error.message == "--limit web1 leaves no machine in target 'lb', which steps use"
    assert "lb1" in error.cure
    assert names(planned(tmp_path, text, limit="web1,lb1"), "lb") == ["lb1"]


def test_an_unknown_name_in_a_limit_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, WEB, limit="wbe1")
    assert (error.message, error.cure) == (
        "--limit: there is no host or group 'wbe1'",
        "did you mean 'web1'?",
    )


def test_a_target_without_a_machine_is_refused_where_a_step_uses_it(tmp_path: Path) -> None:
    text = "targets: { t: { group: empty } }\nsteps: [{ script: a.sh@1.0.0, target: t }]\n"
    assert refused(tmp_path, text).message == "target 't' has no machine"


def test_a_loop_over_a_target_uses_it(tmp_path: Path) -> None:
    text = (
        "targets: { t: { group: empty } }\n"
        "steps: [{ for_each: targets.t, script: a.sh@1.0.0, target: local }]\n"
    )
    assert refused(tmp_path, text).message == "target 't' has no machine"


# --- ticket and requirements ------------------------------------------------------------------


TICKET = "steps: [{ wait: 1s, when: ticket.id != 'x' }]\n"


def test_a_workflow_that_speaks_of_a_ticket_needs_one(tmp_path: Path) -> None:
    error = refused(tmp_path, TICKET)
    assert "none was given" in error.message
    assert error.cure.startswith("--ticket")
    assert planned(tmp_path, TICKET, ticket="INC1").ticket == "INC1"


def test_a_requirement_that_does_not_hold_denies_with_the_authors_sentence(tmp_path: Path) -> None:
    text = (
        "inputs: { n: number }\nrequire:\n"
        "  - { that: inputs.n < 5, else: Ask the team lead for more than four. }\n"
        "steps: [{ wait: 1s }]\n"
    )
    assert planned(tmp_path, text, {"n": 4}).inputs == {"n": 4}
    with pytest.raises(DeniedError) as caught:
        planned(tmp_path, text, {"n": 5})
    assert caught.value.message == "Ask the team lead for more than four."
    assert caught.value.exit == 5
    assert caught.value.location is not None


@pytest.mark.parametrize(
    ("that", "held"),
    [
        ("actor.name == 'ann'", True),
        ("actor.name == 'bob'", False),
        ("size(targets.web) == 4", True),
        ("'web' in targets.web[0].groups", True),
        ("ticket.id == 'INC1'", True),
    ],
)
def test_a_requirement_sees_actor_targets_and_ticket(tmp_path: Path, that: str, held: bool) -> None:
    text = (
        f'require: [{{ that: "{that}", else: "No." }}]\ntargets: {{ web: {{ group: web }} }}\n'
        "steps: [{ script: a.sh@1.0.0, target: web }]\n"
    )
    if held:
        assert planned(tmp_path, text, ticket="INC1").ticket == "INC1"
    else:
        with pytest.raises(DeniedError, match=r"No\."):
            planned(tmp_path, text, ticket="INC1")


# --- scripts ----------------------------------------------------------------------------------


BOTH = "{ linux: a.sh@1.0.0, windows: a.ps1@1.0.0 }"


def test_each_system_gets_its_script_and_no_other_is_pinned(tmp_path: Path) -> None:
    text = (
        f"targets: {{ t: {{ hosts: [web1, win1] }} }}\nsteps: [{{ script: {BOTH}, target: t }}]\n"
    )
    assert set(planned(tmp_path, text).scripts) == {"a.sh@1.0.0", "a.ps1@1.0.0"}
    assert set(planned(tmp_path, text, limit="win1").scripts) == {"a.ps1@1.0.0"}


def test_an_unknown_system_is_asked_for_where_the_script_depends_on_it(tmp_path: Path) -> None:
    text = f"targets: {{ t: {{ hosts: [old1] }} }}\nsteps: [{{ script: {BOTH}, target: t }}]\n"
    error = refused(tmp_path, text)
    assert "which system old1 runs is not known" in error.message
    assert "os:" in error.cure


def test_a_system_without_a_script_is_refused(tmp_path: Path) -> None:
    text = (
        "targets: { t: { hosts: [win1] } }\nsteps: [{ script: { linux: a.sh@1.0.0 }, target: t }]\n"
    )
    assert "has no script for windows, which win1 runs" in refused(tmp_path, text).message


def test_a_script_for_another_system_is_refused(tmp_path: Path) -> None:
    text = "targets: { t: { hosts: [win1] } }\nsteps: [{ script: a.sh@1.0.0, target: t }]\n"
    scripts = Scripts({"a.sh": Interface(os=("linux", "macos"))})
    error = refused(tmp_path, text, scripts=scripts)
    assert error.message == "a.sh@1.0.0 is for linux, macos, but win1 runs windows"


def test_a_plus_pin_is_decided_for_each_target(tmp_path: Path) -> None:
    scripts = Scripts(rollout={"web2": "1.1.0"})
    text = "targets: { web: { group: web } }\nsteps: [{ script: a.sh@1.0.0+, target: web }]\n"
    plan = planned(tmp_path, text, scripts=scripts, ticket="INC1", groups=("l1",))
    assert plan.script_for("a.sh@1.0.0+", "web1").version == "1.0.0"
    assert plan.script_for("a.sh@1.0.0+", "web2").version == "1.1.0"
    assert ("a.sh@1.0.0+", "INC1", ("l1",)) in scripts.asked
    assert ("a.sh@1.0.0+", "web2", ("l1",)) in scripts.asked


def test_an_exact_pin_is_asked_for_once_however_many_targets(tmp_path: Path) -> None:
    scripts = Scripts()
    planned(tmp_path, WEB, scripts=scripts)
    assert scripts.asked == [("a.sh@1.0.0", "ann", ())]


def test_steps_in_a_loop_over_targets_run_on_the_items(tmp_path: Path) -> None:
    text = (
        "targets: { t: { hosts: [web1, win1] } }\n"
        f"steps: [{{ for_each: targets.t, steps: [{{ script: {BOTH} }}] }}]\n"
    )
    assert set(planned(tmp_path, text).scripts) == {"a.sh@1.0.0", "a.ps1@1.0.0"}


def test_handlers_run_where_their_step_ran(tmp_path: Path) -> None:
    text = (
        "targets: { t: { hosts: [win1] } }\nsteps:\n"
        "  - { script: a.ps1@1.0.0, target: t, on_failure: [{ script: b.ps1@1.0.0 }] }\n"
    )
    scripts = Scripts({"b.ps1": Interface(os=("linux",))})
    assert "b.ps1@1.0.0 is for linux" in refused(tmp_path, text, scripts=scripts).message


# --- arguments --------------------------------------------------------------------------------

PARAMETERS = {
    "days": Parameter("days", Type.NUMBER, required=True, min=1, max=30),
    "mode": Parameter("mode", Type.STRING, choices=("fast", "slow")),
    "password": Parameter("password", Type.SECRET),
}


def with_(arguments: str, inputs: str = "{}") -> str:
    return f"inputs: {inputs}\nsteps: [{{ script: a.sh@1.0.0, with: {{ {arguments} }} }}]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mode: fast", "a.sh@1.0.0 needs 'days'"),
        ("days: 31", "'days' is '31', which is more than 30"),
        ("days: many", "'days' is 'many', not a number"),
        ("days: true", "'days' is 'True', not a number"),
        ("days: 3, mode: quick", "'mode' is 'quick', which is not one of its choices"),
        ("days: 3, mod: fast", "has no parameter 'mod'"),
    ],
)
def test_a_constant_that_does_not_fit_the_script_is_refused(
    tmp_path: Path, arguments: str, message: str
) -> None:
    scripts = Scripts({"a.sh": Interface(parameters=PARAMETERS)})
    assert message in refused(tmp_path, with_(arguments), scripts=scripts).message


def test_an_input_is_held_to_the_scripts_parameter(tmp_path: Path) -> None:
    scripts = Scripts({"a.sh": Interface(parameters=PARAMETERS)})
    text = with_("days: $(inputs.n)", "{ n: number }")
    assert planned(tmp_path, text, {"n": 30}, scripts=scripts).inputs == {"n": 30}
    assert "more than 30" in refused(tmp_path, text, {"n": 31}, scripts=scripts).message


def test_a_secret_goes_to_secret_parameters_only_and_never_into_the_plan(tmp_path: Path) -> None:
    scripts = Scripts({"a.sh": Interface(parameters=PARAMETERS)})
    inputs = "{ p: secret }"
    good = with_("days: 3, password: $(inputs.p)", inputs)
    assert planned(tmp_path, good, {"p": "hunter2!"}, scripts=scripts).inputs == {"p": MASK}
    # The manifest's own check refuses this too; planning does it again for successors of a pin.
    error = refused(
        tmp_path, with_("days: 3, mode: $(inputs.p)", inputs), {"p": "hunter2!"}, scripts=scripts
    )
    assert "would show a secret" in error.message
    assert "hunter2" not in error.message


def test_the_successor_of_a_pin_is_held_to_its_own_parameters(tmp_path: Path) -> None:
    scripts = Scripts({"a.sh@1.1.0": Interface(parameters=PARAMETERS)}, rollout={"web2": "1.1.0"})
    text = "targets: { web: { group: web } }\nsteps: [{ script: a.sh@1.0.0+, target: web }]\n"
    assert refused(tmp_path, text, scripts=scripts).message == "a.sh@1.1.0 needs 'days'"


def test_a_default_for_what_is_known_only_later_is_no_value_yet(tmp_path: Path) -> None:
    scripts = Scripts({"a.sh": Interface(parameters=PARAMETERS)})
    text = (
        "steps:\n  - { id: one, script: b.sh@1.0.0, outputs: { n: number } }\n"
        "finally:\n  - script: a.sh@1.0.0\n"
        "    with: { days: '$(default(steps.one.outputs.n, null))' }\n"
    )
    assert len(planned(tmp_path, text, scripts=scripts).scripts) == 2


def test_what_is_known_only_later_is_left_to_the_run(tmp_path: Path) -> None:
    scripts = Scripts({"a.sh": Interface(parameters=PARAMETERS)})
    text = (
        "steps:\n  - { id: one, script: b.sh@1.0.0, outputs: { n: number } }\n"
        "  - { script: a.sh@1.0.0, with: { days: $(steps.one.outputs.n) } }\n"
    )
    assert len(planned(tmp_path, text, scripts=scripts).scripts) == 2
