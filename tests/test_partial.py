"""A part of a workflow: --start-at, --tags, --step, --limit @failed:RUN and --rerun."""

from pathlib import Path

import pytest

from tests.planned import planned, workflow
from tests.simulation import Simulation
from wtsflow import planning
from wtsflow.errors import Exit, PlanError
from wtsflow.planning import Part

STEPS = """\
targets:
  web: { group: web }
steps:
  - { id: look, script: a/look.sh@1.0.0, tags: [read, always] }
  - id: patch
    target: web
    tags: [change]
    steps:
      - { id: drain, script: a/drain.sh@1.0.0 }
      - { id: install, script: a/install.sh@1.0.0, tags: [slow] }
      - { id: undrain, script: a/undrain.sh@1.0.0 }
  - { id: check, script: a/check.sh@1.0.0, target: web, tags: [read] }
  - { wait: 1m, tags: [slow] }
finally:
  - { id: tell, script: a/tell.sh@1.0.0 }
"""


def over(text: str = STEPS, **part: object) -> tuple[str, ...]:
    return planning.passed(workflow(text), Part(**part))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "passed"),
    [
        ("look", ()),
        ("patch", ("look",)),
        ("install", ("look", "patch/drain")),
        ("patch/install", ("look", "patch/drain")),
        ("check", ("look", "patch", "patch/drain", "patch/install", "patch/undrain")),
        ("step4", ("look", "patch", "patch/drain", "patch/install", "patch/undrain", "check")),
    ],
)
def test_starting_at_a_step_passes_over_all_that_stands_before_it(start, passed):
    assert over(start_at=start) == passed


@pytest.mark.parametrize(
    ("tags", "passed"),
    [
        (("change",), ("check", "step4")),
        (("read",), ("patch", "patch/drain", "patch/install", "patch/undrain", "step4")),
        (("slow",), ("patch/drain", "patch/undrain", "check")),
        (("read", "slow"), ("patch/drain", "patch/undrain")),
        (
            ("always",),
            ("patch", "patch/drain", "patch/install", "patch/undrain", "check", "step4"),
        ),
    ],
)
def test_tags_keep_the_steps_that_have_one_and_what_is_in_such_a_group(tags, passed):
    assert over(tags=tags) == passed


def test_skipped_tags_take_out_groups_with_all_that_is_in_them():
    inside = ("patch", "patch/drain", "patch/install", "patch/undrain")
    assert over(skip_tags=("change",)) == inside
    assert over(skip_tags=("slow",)) == ("patch/install", "step4")
    assert over(skip_tags=("always",)) == ("look",)


def test_starting_at_a_step_and_tags_go_together():
    assert over(start_at="undrain", tags=("read", "change")) == (
        "look", "patch/drain", "patch/install", "step4"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("part", "message", "cure"),
    [
        ({"start_at": "instal"}, "no step 'instal'", "did you mean 'install'?"),
        ({"start_at": "tell"}, "no step 'tell'", "'finally' are no place"),
        ({"tags": ("chnge",)}, "the tag 'chnge'", "did you mean 'change'?"),
        ({"skip_tags": ("x",)}, "the tag 'x'", "it has always, change, read, slow"),
        ({"start_at": "step4", "skip_tags": ("slow",)}, "no step is left", "wtsflow plan"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(part, message, cure):
    with pytest.raises(PlanError, match=message) as refused:
        over(**part)
    assert cure in refused.value.cure


NEEDS = """\
steps:
  - id: one
    script: a/one.sh@1.0.0
    outputs: { n: number }
  - id: two
    script: a/two.sh@1.0.0
    MORE
"""


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ('with: { n: "$(steps.one.outputs.n)" }', True),
        ('with: { n: "$(default(steps.one.outputs.n, 1))" }', False),
        ('with: { n: "$(if(has(steps.one.outputs.n), 1, 2))" }', False),
        ('with: { n: "$(steps.one.outcome)" }', False),
        ("when: steps.one.outputs.n > 1", True),
        ("when: default(steps.one.outputs.n, 2) > 1", False),
        (
            "when: steps.one.outcome == 'success'\n    with: { n: \"$(steps.one.outputs.n)\" }",
            False,
        ),
        ('undo: { script: a/back.sh@1.0.0, with: { n: "$(steps.one.outputs.n)" } }', True),
    ],
)
def test_a_kept_step_that_needs_outputs_of_one_passed_over_is_refused(tmp_path, more, refused):
    text = NEEDS.replace("MORE", more)
    passed = planning.passed(workflow(text), Part(start_at="two"))
    assert passed == ("one",)
    if not refused:
        assert planned(tmp_path, text, passed=passed).passed == passed
        return
    with pytest.raises(PlanError, match=r"'two.*' uses the outputs of 'one'") as said:
        planned(tmp_path, text, passed=passed)
    assert said.value.cure == "start at 'one' or before it, or keep it by a tag"
    assert said.value.location is not None


def sim(**part: object) -> Simulation:
    return Simulation(STEPS, machines={"web": 2}, passed=over(**part)).run()


def test_a_run_passes_over_what_the_plan_leaves_out_and_says_so_once():
    done = sim(start_at="install")
    assert done.order() == [
        "patch/install@web1", "patch/install@web2", "patch/undrain@web1", "patch/undrain@web2",
        "check@web1", "check@web2", "finally/tell@local",
    ]  # fmt: skip
    assert [key for key in done.keys if key.startswith("skipped")] == [
        "skipped/look", "skipped/patch/drain"
    ]  # fmt: skip
    assert done.verdict.exit is Exit.SUCCESS


def test_finally_is_done_whatever_the_tags_are():
    assert sim(tags=("always",)).order() == ["look@local", "finally/tell@local"]


def test_a_step_passed_over_has_the_outcome_skipped():
    text = STEPS.replace("id: check,", "id: check, when: steps.look.outcome == 'skipped',")
    passed = planning.passed(workflow(text), Part(start_at="check"))
    done = Simulation(text, machines={"web": 1}, passed=passed).run()
    assert done.order() == ["check@web1", "finally/tell@local"]


def test_in_a_loop_only_the_plan_says_what_is_passed_over():
    text = """\
targets: { web: { group: web } }
steps:
  - id: each
    for_each: targets.web
    steps:
      - { id: drain, script: a/drain.sh@1.0.0 }
      - { id: install, script: a/install.sh@1.0.0 }
"""
    passed = planning.passed(workflow(text), Part(start_at="install"))
    done = Simulation(text, machines={"web": 2}, passed=passed).run()
    assert done.order() == ["each[web1]/install@web1", "each[web2]/install@web2"]
    assert not [key for key in done.keys if key.startswith("skipped")]


def test_a_run_with_a_part_can_be_taken_up_anywhere():
    whole = sim(start_at="install")
    for count in range(1, len(whole.records)):
        assert whole.resumed(count).order() == whole.order()


def test_targets_that_only_passed_steps_use_may_be_empty(tmp_path: Path) -> None:
    text = "targets: { web: { group: web }, db: { group: db } }\nsteps:\n"
    text += "  - { id: a, script: a/a.sh@1.0.0, target: db }\n"
    text += "  - { id: b, script: a/b.sh@1.0.0, target: web }\n"
    made = workflow(text)
    with pytest.raises(PlanError, match="leaves no machine in target 'db'"):
        planned(tmp_path, text, limit="web1")
    plan = planned(tmp_path, text, limit="web1", passed=planning.passed(made, Part(start_at="b")))
    assert plan.passed == ("a",)
    assert planning.thaw(planning.freeze(plan), lambda text, source: made) == plan


def test_the_part_is_under_the_digest_of_the_plan(tmp_path: Path) -> None:
    whole = planned(tmp_path, STEPS)
    part = planned(tmp_path, STEPS, passed=("look",))
    assert whole.digest != part.digest
    assert "passed" not in whole.facts
