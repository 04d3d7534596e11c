"""Taking back what was done: which steps, in which order, on which targets; and what is left."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.author import BAD, Author, Drawn
from tests.planned import ACTOR, Scripts, planned, workflow
from tests.simulation import Simulation
from wtsflow import planning
from wtsflow.engine.undo import deeds
from wtsflow.errors import Exit, PlanError
from wtsflow.model.record import Task
from wtsflow.model.script import Interface, Parameter
from wtsflow.model.workflow import Type
from wtsflow.planning.outline import as_json

HEAD = "on_failure: undo\ntargets:\n  web: { group: web }\n  db: { group: db }\nsteps:\n"
NAMES = ("one", "two", "three")


def step(name: str, *more: str, target: str = "web", undo: bool = True, indent: int = 2) -> str:
    pad = " " * indent
    lines = [f"{pad}- id: {name}", f"{pad}  script: a/{name}.sh@1.0.0", f"{pad}  target: {target}"]
    lines += [f"{pad}  undo: a/un{name}.sh@1.0.0"] if undo else []
    return "\n".join([*lines, *(f"{pad}  {line}" for line in more)]) + "\n"


THREE = HEAD + "".join(step(name) for name in NAMES)


def fails(*names: str, outcome: str = "failed"):
    """``outcome`` where ``path@target`` is named, else success."""

    def says(task: Task) -> str:
        return outcome if f"{task.path}@{task.target}" in names else "success"

    return says


def run(text: str = THREE, says=lambda task: "success", web: int = 2, **more) -> Simulation:
    return Simulation(text, says, {"web": web, "db": 1}, **more).run()


def undone(done: Simulation) -> list[str]:
    """What was taken back, in order."""
    return [name for name in done.order() if "/undo@" in name]


def left(done: Simulation) -> dict[str, str]:
    """What was not, and why."""
    return {
        record.event.subject: str(record.event.data["reason"])
        for record in done.records
        if record.event.type == "skipped"
    }


def test_a_run_that_succeeds_takes_nothing_back():
    assert undone(run()) == []


def test_a_run_that_halts_takes_everything_back_in_reverse():
    done = run(says=fails("three@web1", "three@web2"))
    assert undone(done) == ["two/undo@web2", "two/undo@web1", "one/undo@web2", "one/undo@web1"]
    assert done.verdict.exit is Exit.FAILED
    assert done.verdict.undo == {"done": 4}


def test_nothing_is_taken_back_where_the_workflow_does_not_say_so():
    text = THREE.removeprefix("on_failure: undo\n")
    assert undone(run(text, fails("three@web1", "three@web2"))) == []
    assert undone(run("on_failure: stop\n" + text, fails("three@web1", "three@web2"))) == []


def test_a_target_that_failed_is_taken_back_and_the_healthy_ones_keep_what_was_done():
    done = run(says=fails("three@web2"), web=3)
    assert undone(done) == ["two/undo@web2", "one/undo@web2"]
    assert done.verdict.exit is Exit.PARTIAL
    assert done.verdict.targets["web2"].path == "three"
    assert done.verdict.targets["web1"].outcome == "success"


def test_when_too_many_failed_the_healthy_ones_are_taken_back_too():
    text = THREE.replace("undo: a/unthree.sh@1.0.0", "max_failed: 0")
    done = run(text, fails("three@web2"), web=3)
    assert undone(done)[:3] == ["two/undo@web3", "two/undo@web2", "two/undo@web1"]
    assert len(undone(done)) == 6
    assert done.verdict.exit is Exit.FAILED
    assert done.verdict.targets["web1"].outcome == "skipped"
    assert done.verdict.targets["web1"].message == "what was done there was taken back"


def test_it_waits_on_one_target_for_what_was_done_later_on_another():
    def says(task: Task):
        slow = task.path == "two/undo" and task.target == "web1"
        return ("failed" if task.path == "three" else "success", {}, 9.0 if slow else 1.0)

    done = run(says=says)
    ends = [key for key in done.keys if "/undo@" in key]
    assert ends.index("started/one/undo@web2/1") > ends.index("finished/two/undo@web1/1")


def test_what_was_done_at_the_same_time_is_taken_back_at_the_same_time():
    text = HEAD + step("one") + step("two", "needs: []", target="db") + step("three")
    done = run(text, fails("three@web1", "three@web2"), web=2)
    assert done.most == 3
    assert sorted(undone(done)) == ["one/undo@web1", "one/undo@web2", "two/undo@db1"]


def test_a_step_without_undo_and_one_that_was_skipped_are_passed_by():
    text = HEAD + step("one", undo=False) + step("two", "when: inputs.go") + step("three")
    text = "inputs: { go: boolean }\n" + text
    done = run(text, fails("three@web1", "three@web2"), inputs={"go": False})
    assert undone(done) == []
    assert done.verdict.undo == {}


@pytest.mark.parametrize("outcome", ["failed", "timeout", "unreachable", "nothing_to_do"])
def test_only_what_succeeded_is_taken_back(outcome):
    text = HEAD + step("one") + step("two", "on_failure: continue") + step("three")
    done = run(text, lambda task: {"two": outcome, "three": "failed"}.get(task.path, "success"))
    assert undone(done) == ["one/undo@web2", "one/undo@web1"]


def test_a_step_may_say_after_which_outcomes_it_is_taken_back():
    text = THREE.replace(
        "undo: a/unthree.sh@1.0.0",
        "undo: { script: a/unthree.sh@1.0.0, when: \"outcome in ['success', 'failed']\" }",
    )
    assert undone(run(text, fails("three@web1"), web=1))[0] == "three/undo@web1"
    assert undone(run(text, fails("three@web1", outcome="timeout"), web=1))[0] == "two/undo@web1"
    assert "three/undo@web1" not in undone(run(text, fails("three@web1", outcome="unknown"), web=1))


def test_what_is_unknown_is_left_with_all_that_was_done_before_it_on_its_target():
    done = run(says=fails("two@web1", outcome="unknown"), web=2)
    assert undone(done) == []
    assert left(done) == {
        "two/undo@web1": "whether it took effect is not known",
        "one/undo@web1": "it was done before 'two', of which it is not known whether that took "
        "effect",
    }
    assert done.verdict.undo == {"done": 0, "left": ["one/undo@web1", "two/undo@web1"]}
    assert done.verdict.exit is Exit.PARTIAL


def test_what_is_unknown_on_one_target_does_not_keep_the_others():
    text = THREE.replace("undo: a/unthree.sh@1.0.0", "max_failed: 0")
    done = run(text, fails("three@web1", outcome="failed"), web=2)
    assert undone(done) == ["two/undo@web2", "two/undo@web1", "one/undo@web2", "one/undo@web1"]
    text = THREE.replace("undo: a/untwo.sh@1.0.0", "undo: a/untwo.sh@1.0.0\n    max_failed: 0")
    done = run(text, fails("two@web1", outcome="unknown"), web=2)
    assert undone(done) == ["two/undo@web2", "one/undo@web2"]


def test_one_that_cannot_be_taken_back_is_told_and_the_others_go_on():
    done = run(says=fails("three@web1", "two/undo@web1"), web=1)
    assert undone(done) == ["two/undo@web1", "one/undo@web1"]
    assert done.verdict.undo == {"done": 1, "failed": ["two/undo@web1"]}
    assert done.verdict.exit is Exit.FAILED
    done = run(says=fails("three@web2", "two/undo@web2"), web=2)
    assert done.verdict.exit is Exit.FAILED, "else it would be partial"


def test_where_taking_back_is_unknown_the_rest_of_that_target_is_left():
    def says(task: Task) -> str:
        return {"three": "failed"}.get(
            task.path, "unknown" if (task.path, task.target) == ("two/undo", "web1") else "success"
        )

    done = run(says=says)
    assert undone(done) == ["two/undo@web2", "two/undo@web1", "one/undo@web2"]
    assert left(done) == {"one/undo@web1": "whether 'two/undo' took effect is not known"}
    assert done.verdict.exit is Exit.UNKNOWN


def test_finally_comes_after_everything_was_taken_back_and_knows_how_the_run_went():
    text = THREE + "finally:\n  - script: a/tell.sh@1.0.0\n    with: { status: $(run.status) }\n"
    told: list[object] = []

    def given(task: Task, values: Mapping[str, object]) -> None:
        if task.path.startswith("finally"):
            told.append(values)

    done = run(text, fails("three@web1", "three@web2"), arguments=given)
    assert done.order()[-1] == "finally/step1@local"
    assert told == [{"status": "failed"}]


def test_undo_sees_what_its_step_saw_and_what_came_of_it():
    text = HEAD + step("one", "outputs: { n: number }", undo=False).rstrip() + "\n"
    text += "    with: { word: $(inputs.word) }\n"
    text += (
        "    undo:\n      script: a/unone.sh@1.0.0\n      with:\n        n: $(outputs.n)\n"
        "        how: $(outcome)\n        word: $(inputs.word)\n"
    )
    text = "inputs: { word: string }\n" + text + step("two")
    given: dict[str, object] = {}

    def says(task: Task):
        return ("failed" if task.path == "two" else "success", {"n": int(task.target[-1])})

    run(
        text,
        says,
        inputs={"word": "w"},
        arguments=lambda task, values: given.update({f"{task.path}@{task.target}": values}),
    )
    assert given["one/undo@web1"] == {"n": 1, "how": "success", "word": "w"}
    assert given["one/undo@web2"] == {"n": 2, "how": "success", "word": "w"}


def test_no_value_for_an_argument_is_a_failure_to_take_back():
    text = THREE.replace(
        "undo: a/untwo.sh@1.0.0", "undo: { script: a/u.sh@1.0.0, when: outputs.n > 1 }"
    )
    done = run(text, fails("three@web1"), web=1)
    assert undone(done) == ["one/undo@web1"]
    assert left(done) == {"two/undo@web1": "when: there is no 'n' here"}


EACH = """\
on_failure: undo
targets: { web: { group: web }, db: { group: db } }
steps:
  - id: each
    for_each: targets.web
    rolling: { batch: 1, max_failed: MAX }
    steps:
      - { id: drain, script: a/drain.sh@1.0.0, target: db, undo: a/undrain.sh@1.0.0 }
      - { id: work, script: a/work.sh@1.0.0, undo: a/unwork.sh@1.0.0 }
      - { id: check, script: a/check.sh@1.0.0 }
"""


def test_an_item_that_failed_is_taken_back_wherever_it_was_done():
    done = run(EACH.replace("MAX", "2"), fails("each[web2]/check@web2"), web=3)
    assert undone(done) == ["each[web2]/work/undo@web2", "each[web2]/drain/undo@db1"]
    assert done.verdict.exit is Exit.PARTIAL


def test_waves_are_taken_back_in_reverse_when_too_many_failed():
    done = run(EACH.replace("MAX", "0"), fails("each[web2]/check@web2"), web=3)
    assert undone(done) == [
        "each[web2]/work/undo@web2",
        "each[web2]/drain/undo@db1",
        "each[web1]/work/undo@web1",
        "each[web1]/drain/undo@db1",
    ]


def test_an_item_that_is_no_target_is_taken_back_as_a_whole():
    text = """\
on_failure: undo
targets: { web: { group: web } }
steps:
  - id: users
    for_each: "['ann', 'bob', 'eve']"
    rolling: { batch: 3, max_failed: 1 }
    steps:
      - { id: add, script: a/add.sh@1.0.0, target: web, undo: a/drop.sh@1.0.0 }
      - { id: mail, script: a/mail.sh@1.0.0, target: web }
"""
    done = run(text, fails("users[bob]/mail@web2"))
    assert undone(done) == ["users[bob]/add/undo@web2", "users[bob]/add/undo@web1"]
    assert done.verdict.exit is Exit.PARTIAL


def test_a_failure_that_was_mended_takes_nothing_back():
    text = HEAD + step("one") + step("two", "on_failure:", "  then: continue", "  steps:")
    text += "        - { id: mend, script: a/mend.sh@1.0.0, undo: a/unmend.sh@1.0.0 }\n" + step(
        "three"
    )
    done = run(text, fails("two@web1", "two@web2"))
    assert undone(done) == []
    done = run(text, fails("two@web1", "two@web2", "three@web1", "three@web2"))
    assert undone(done) == [
        "two/on_failure[web2]/mend/undo@web2",
        "two/on_failure[web1]/mend/undo@web1",
        "one/undo@web2",
        "one/undo@web1",
    ]


def test_a_run_that_is_told_to_end_takes_nothing_back():
    done = run(stop_at=1000.5)
    assert done.order() == ["one@web1", "one@web2"]


def test_an_interrupt_lets_what_is_being_taken_back_end_and_begins_no_more():
    done = run(says=fails("three@web1", "three@web2"), stop_at=1003.5)
    assert undone(done) == ["two/undo@web2", "two/undo@web1"]
    assert done.verdict.undo["left"] == ["one/undo@web1", "one/undo@web2"]
    assert done.verdict.exit is Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("text", "says", "more"),
    [
        (THREE, fails("three@web1", "three@web2"), {}),
        (THREE, fails("three@web1", "two/undo@web2", outcome="unknown"), {"parallel": 1}),
        (THREE, fails("two@web1", outcome="unknown"), {}),
        (EACH.replace("MAX", "0"), fails("each[web2]/check@web2"), {"web": 3}),
        (EACH.replace("MAX", "2"), fails("each[web2]/check@web2"), {"web": 3}),
    ],
)
def test_a_run_that_takes_back_can_be_taken_up_anywhere(text, says, more):
    whole = run(text, says, **more)
    assert undone(whole) or left(whole)
    for count in range(1, len(whole.records)):
        again = whole.resumed(count, gap=3.0)
        assert sorted(again.keys) == sorted(whole.keys)
        assert again.verdict.undo == whole.verdict.undo


# --- a run that undoes another ----------------------------------------------------------------


def undo_of(before: Simulation, *tasks: str, says=lambda task: "success") -> Simulation:
    return Simulation(
        before.text,
        says,
        before.machines,
        inputs=before.inputs,
        before=before,
        undone=tasks or tuple(deed.name for deed in deeds(before.scope)),
    )


def test_another_run_takes_back_what_a_run_did_and_nothing_else():
    first = run()
    done = undo_of(first).run()
    assert done.order() == [f"{name}/undo@web{n}" for name in reversed(NAMES) for n in (2, 1)]
    assert done.verdict.exit is Exit.SUCCESS
    assert done.verdict.targets.keys() == {"web1", "web2"}


def test_it_takes_back_what_its_plan_names():
    done = undo_of(run(), "two/undo@web2").run()
    assert done.order() == ["two/undo@web2"]


def test_where_it_fails_on_one_target_the_run_is_partial():
    done = undo_of(run(), says=fails("three/undo@web1")).run()
    assert done.verdict.exit is Exit.PARTIAL
    assert done.verdict.targets["web1"].path == "three/undo"
    assert len(done.order()) == 6


def test_it_sees_the_outputs_of_the_run_that_it_undoes():
    text = HEAD + step("one", "outputs: { n: number }") + step("two", undo=False)
    text += "    undo: { script: a/u.sh@1.0.0, with: { n: $[steps.one.outputs.n] } }\n".replace(
        "$[", '"$('
    ).replace("] }", ')" }')
    given: list[object] = []
    first = run(text, lambda task: ("success", {"n": 7}), web=1)
    second = undo_of(first)
    second.arguments = lambda task, values: given.append((task.path, values))
    second.run()
    assert given == [("two/undo", {"n": 7}), ("one/undo", {})]


def test_it_can_be_taken_up_anywhere():
    whole = undo_of(run(), says=fails("two/undo@web1", outcome="unknown")).run()
    assert left(whole) == {"one/undo@web1": "whether 'two/undo' took effect is not known"}
    for count in range(1, len(whole.records)):
        assert sorted(whole.resumed(count, gap=3.0).keys) == sorted(whole.keys)


# --- in plans ---------------------------------------------------------------------------------


def test_what_undoes_is_a_pin_like_any_other():
    made = workflow(THREE)
    assert made.pins() == (
        "a/one.sh@1.0.0", "a/unone.sh@1.0.0", "a/two.sh@1.0.0", "a/untwo.sh@1.0.0",
        "a/three.sh@1.0.0", "a/unthree.sh@1.0.0",
    )  # fmt: skip
    assert [step.path for step in made.walk()][:2] == ["one", "one/undo"]


def test_a_plan_shows_what_undoes_and_where(tmp_path: Path):
    plan = planned(tmp_path, THREE)
    first: Any = as_json(planning.outline(plan, ACTOR).steps)[0]
    assert first["undo"][0]["path"] == "one/undo"
    assert first["undo"][0]["targets"] == ["web1", "web2", "web3", "web4"]
    assert first["undo"][0]["scripts"][0]["pin"] == "a/unone.sh@1.0.0"
    needs = Interface(parameters={"name": Parameter("name", Type.STRING, required=True)})
    with pytest.raises(PlanError, match=r"a/unone\.sh@1\.0\.0 needs 'name'"):
        planned(tmp_path, THREE, scripts=Scripts({"a/unone.sh": needs}))


def test_a_plan_that_undoes_is_frozen_and_claims_only_what_it_touches(tmp_path: Path):
    plan = replace(planned(tmp_path, THREE), undoes="RUN", undone=("two/undo@web2",))
    assert planning.thaw(planning.freeze(plan), lambda text, source: plan.workflow) == plan
    assert plan.digest != planned(tmp_path, THREE).digest
    assert [claim.name for claim in planning.claims(plan, ACTOR)] == ["web2"]
    assert planning.opening(plan, ACTOR, {})["targets"] == ["web2"]


# --- any workflow -----------------------------------------------------------------------------


def with_undo(text: str, data: st.DataObject) -> str:
    """``text`` with some of its steps undone; ``finally`` is not."""
    main, end, last = text.partition("finally:\n")
    script = re.compile(r"^( *)(?:- )?script: a/a\.sh@1\.0\.0$", re.MULTILINE)

    def more(found: re.Match[str]) -> str:
        how = data.draw(st.sampled_from(("", "a/u.sh@1.0.0", "a/u.sh@1.0.0")))
        return found[0] + (f"\n{found[1]}undo: {how}" if how else "")

    main = script.sub(more, main)
    ending = "on_failure: undo\n" if "undo:" in main else ""
    return ending + main + end + last


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_in_any_workflow_what_is_taken_back_succeeded_and_goes_backwards_once(data):
    text = with_undo(Author(Drawn(data)).manifest(), data)
    said: dict[str, tuple[str, float]] = {}

    def says(task: Task):
        if task.name not in said:
            bad = data.draw(st.integers(0, 3)) == 0
            outcome = data.draw(st.sampled_from(BAD)) if bad else "success"
            said[task.name] = outcome, float(data.draw(st.integers(0, 4)))
        outcome, seconds = said[task.name]
        return outcome, {}, min(seconds, task.deadline)

    done = Simulation(
        text,
        says,
        {"web": data.draw(st.integers(1, 3)), "db": 1},
        inputs={"n": 5, "names": ["a", "web1", "b"]},
        parallel=data.draw(st.integers(1, 6)),
        stop_at=data.draw(st.none() | st.floats(1000, 1040)),
        disk=0.001,
    ).run()

    back = undone(done)
    assert len(back) == len(set(back)), "twice"
    known = {deed.name: deed.attempt for deed in deeds(done.scope)}
    place = {key: index for index, key in enumerate(done.keys)}
    for name in back:
        assert known[name].outcome == "success"
    for one in back:
        for other in back:
            if known[other].first > known[one].last:
                ended, began = place[f"finished/{other}/1"], place[f"started/{one}/1"]
                assert ended < began, f"{one} before {other}"
    for name in back:
        target = name.rpartition("@")[2]
        for other, attempt in known.items():
            if other.endswith(f"@{target}") and attempt.outcome == "unknown":
                assert attempt.last < known[name].last, f"{name} under {other}"
    if done.verdict.exit is Exit.SUCCESS:
        assert not back
    if any(said[f"{name}/1"][0] != "success" for name in back):
        assert done.verdict.exit in (Exit.FAILED, Exit.UNKNOWN, Exit.INTERRUPTED)
    times = [record.time for record in done.records]
    whole = [n for n in range(1, len(times)) if times[n] != times[n - 1]]
    again = done.resumed(data.draw(st.sampled_from(whole)))
    assert again.keys == done.keys
    assert again.verdict == done.verdict
