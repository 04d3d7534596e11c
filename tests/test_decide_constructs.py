"""What the constructs of the language do inside each other: loops, handlers, groups, waits."""

import time

import pytest

from tests.simulation import Simulation
from tests.test_decide import LOOP, WEB, fails, run, step
from wtsflow.engine import timing
from wtsflow.errors import Exit

# --- items ------------------------------------------------------------------------------------


def test_no_item_of_a_loop_is_lost_to_another_with_the_same_key():
    found = timing.items(["a_3", "a", "a", "x" * 70 + "1", "x" * 70 + "2", "a/b", "a@b", "a[b"])
    assert list(found.values()) == [
        "a_3",
        "a",
        "a",
        "x" * 70 + "1",
        "x" * 70 + "2",
        "a/b",
        "a@b",
        "a[b",
    ]
    assert not any(sign in key for key in found for sign in "/@[]")


TEXTS = """inputs: { names: list }
targets: { web: { group: web } }
steps:
  - id: each
    for_each: inputs.names
    rolling: { batch: 100%, max_failed: 100% }
    steps:
      - { id: do, script: a/do.sh@1.0.0, with: { name: $(item) } }
  - id: tell
    script: a/tell.sh@1.0.0
    with: { bad: $(steps.each.outputs.failed), good: $(steps.each.outputs.succeeded) }
"""


def test_a_text_that_is_called_like_a_machine_does_not_say_where_a_step_runs():
    done = run(TEXTS, inputs={"names": ["web1", "local", "other"]})
    assert {task.rpartition("@")[2] for task in done.order()} == {"local"}


def test_a_machine_with_a_very_long_name_is_where_its_steps_run():
    name = "w" * 80
    done = Simulation(LOOP % "batch: 1", machines={"db": 1}, names={"web": (name,)}).run()
    assert [task.rpartition("@")[2] for task in done.order() if "install" in task] == [name]


def test_an_item_called_like_a_set_of_targets_runs_on_itself_alone():
    done = Simulation(LOOP % "batch: 1", machines={"db": 1}, names={"web": ("web", "web2")}).run()
    assert [task for task in done.order() if "install" in task] == [
        "patch[web]/install@web",
        "patch[web2]/install@web2",
    ]


def test_the_handler_of_a_machine_called_like_a_set_runs_on_it_alone():
    text = WEB + "steps:\n" + step("one", "on_failure: [ { id: undo, script: a/u.sh@1.0.0 } ]")
    done = Simulation(
        text, fails("one@web"), machines={"db": 1}, names={"web": ("web", "web2")}
    ).run()
    assert [task for task in done.order() if "undo" in task] == ["one/on_failure[web]/undo@web"]


def test_what_a_loop_tells_of_its_items_are_their_own_names():
    seen = []
    done = run(
        TEXTS,
        lambda task: "failed" if task.path == "each[b_c]/do" else "success",
        inputs={"names": ["a", "b/c", "é f"]},
        arguments=lambda task, values: seen.append((task.path, values)),
    )
    assert dict(seen)["tell"] == {"bad": ["b/c"], "good": ["a", "é f"]}
    assert done.order()[-1] == "tell@local"


def test_a_loop_does_the_list_that_it_began_with():
    text = (
        WEB
        + "steps:\n"
        + step("one", "outputs: { l: list }", "needs: []", target="local")
        + """  - id: each
    needs: []
    for_each: default(steps.one.outputs.l, ['x', 'y'])
    steps:
      - { script: a/do.sh@1.0.0 }
"""
    )
    # the checker refuses such a reference; the engine must not change a list under a loop either
    items = []
    done = run(
        text.replace("default(steps.one.outputs.l, ['x', 'y'])", "inputs.names").replace(
            "targets:\n", "inputs: { names: list }\ntargets:\n"
        ),
        lambda task: (items.append(task.path), names.append("z"), "success")[2],
        inputs={"names": (names := ["x", "y"])},
    )
    assert [path for path in items if path.startswith("each")] == ["each[x]/step1", "each[y]/step1"]
    assert done.verdict.exit is Exit.SUCCESS


# --- who leaves the line ----------------------------------------------------------------------


def test_a_machine_whose_item_failed_elsewhere_leaves_the_line_and_the_shared_one_stays():
    text = LOOP % "batch: 1, max_failed: 100%" + step("after") + step("tell", target="db")
    done = run(text, fails("patch[web2]/drain@db1"))
    assert done.order()[-3:] == ["after@web1", "after@web3", "tell@db1"]
    assert done.verdict.targets["web2"].outcome == "failed"
    assert done.verdict.exit is Exit.PARTIAL


def test_the_machine_that_did_the_items_goes_on_when_some_of_them_failed():
    done = run(TEXTS, fails("each[b]/do@local"), inputs={"names": ["a", "b"]})
    assert done.order()[-1] == "tell@local"
    assert done.verdict.targets["local"].outcome == "failed"
    assert done.verdict.exit is Exit.FAILED


def test_a_target_that_fails_in_a_handler_that_goes_on_leaves_its_line():
    text = (
        WEB
        + """steps:
  - id: g
    target: web
    steps: [ { id: one, script: a/a.sh@1.0.0 } ]
    on_failure: { steps: [ { id: undo, script: a/u.sh@1.0.0 } ], then: continue }
"""
        + step("two")
    )
    bad = fails("g/one@web1", "g/one@web2", "g/one@web3", "g/on_failure/undo@web2")
    done = run(text, bad)
    assert [name for name in done.order() if "two" in name] == ["two@web1", "two@web3"]
    assert done.verdict.targets["web2"].path == "g/on_failure/undo"


def test_the_machines_of_a_loop_that_never_began_are_named():
    text = LOOP % "batch: 1"
    text = text.replace(
        "steps:\n  - id: patch", "steps:\n" + step("pre", target="db") + "  - id: patch"
    )
    done = run(text, fails("pre@db1"))
    assert [name for name, end in done.verdict.targets.items() if end.outcome == "skipped"] == [
        "web1",
        "web2",
        "web3",
    ]


def test_the_machines_of_a_handler_that_was_not_needed_are_not_named():
    handler = "on_failure: [ { id: undo, script: a/u.sh@1.0.0, target: db } ]"
    done = run(WEB + "steps:\n" + step("one") + step("two", handler), lambda task: "failed")
    assert "db1" not in done.verdict.targets


@pytest.mark.parametrize("where", ["on_failure", "finally"])
def test_what_a_handler_or_finally_did_elsewhere_completes_no_target(where):
    text = WEB + "steps:\n"
    if where == "finally":
        text += step("one") + "finally:\n" + step("last", target="db")
    else:
        text += step("one", "on_failure: [ { id: undo, script: a/u.sh@1.0.0, target: db } ]")
    done = run(text, lambda task: "unreachable" if task.path == "one" else "success")
    assert any("@db1" in name for name in done.order())
    assert done.verdict.exit is Exit.UNREACHABLE


# --- expressions without a value --------------------------------------------------------------


def test_a_step_whose_when_has_no_value_is_not_run_by_its_retry():
    text = (
        "inputs: { n: list }\n"
        + WEB
        + "steps:\n"
        + step("one", "when: inputs.n[5] == 'x'", "retry: 2")
    )
    done = run(text, inputs={"n": []})
    assert done.log == []
    assert done.verdict.exit is Exit.FAILED


@pytest.mark.parametrize("key", ["when: inputs.n[5] == 'x'", "for_each: inputs.n[5]"])
def test_a_group_that_has_no_value_is_named_with_its_message(key):
    text = "inputs: { n: list }\n" + WEB + "steps:\n" + step("one")
    text += f"  - id: g\n    {key}\n    steps: [ {{ script: a/a.sh@1.0.0 }} ]\n"
    done = run(text, inputs={"n": []})
    assert done.verdict.targets["local"].outcome == "failed"
    assert done.verdict.targets["local"].path == "g"
    assert key.partition(":")[0] in done.verdict.targets["local"].message


def test_on_failure_continue_is_also_for_a_group_whose_when_has_no_value():
    text = "inputs: { n: list }\n" + WEB + "steps:\n"
    text += "  - id: g\n    when: inputs.n[5] == 'x'\n    on_failure: continue\n"
    text += "    steps: [ { script: a/a.sh@1.0.0 } ]\n" + step("two")
    done = run(text, inputs={"n": []})
    assert done.order() == ["two@web1", "two@web2", "two@web3"]
    assert done.verdict.exit is Exit.SUCCESS


# --- time -------------------------------------------------------------------------------------


def test_the_timeout_of_a_group_bounds_a_wait_in_it():
    text = (
        WEB
        + "steps:\n  - id: g\n    timeout: 10s\n    steps: [ { id: nap, wait: 1h } ]\n"
        + step("two")
    )
    done = run(text)
    assert done.now == 1010
    assert done.log == []
    assert done.verdict.exit is Exit.TIMEOUT


def test_the_timeout_of_the_run_bounds_a_wait_and_finally_is_still_done():
    text = WEB + "timeout: 10s\nsteps:\n" + step("one") + "  - wait: 1h\n" + step("two")
    done = run(text + "finally:\n" + step("last", target="local"))
    assert done.now == 1011
    assert done.order()[3:] == ["finally/last@local"]
    assert done.verdict.status == "timeout"
    assert done.verdict.exit is Exit.TIMEOUT


def test_the_timeout_of_the_run_bounds_the_pause_of_a_rollout():
    text = (LOOP % "batch: 1, pause: 1h").replace("targets:", "timeout: 10s\ntargets:", 1)
    done = run(text)
    assert done.now == 1010
    assert done.verdict.targets["web3"].outcome == "skipped"


def test_the_time_of_an_item_begins_when_it_does():
    text = """targets: { web: { group: web } }
steps:
  - for_each: targets.web
    rolling: { batch: 100%, max_failed: 100% }
    timeout: 5s
    steps: [ { id: one, script: a/a.sh@1.0.0 } ]
"""
    done = run(text, lambda task: ("success", {}, 4.0), web=6, parallel=2)
    assert done.verdict.exit is Exit.SUCCESS


def test_a_retry_without_a_wait_may_be_tried_a_thousand_times():
    text = WEB + "steps:\n" + step("one", "retry: { times: 1000, backoff: 100 }", target="db")
    done = run(text, lambda task: ("failed", {}, 0.001))
    assert len(done.log) == 1001


# --- how many may fail ------------------------------------------------------------------------


def test_max_failed_of_a_group_counts_what_failed_in_all_its_steps():
    text = (
        WEB
        + """steps:
  - id: g
    target: web
    max_failed: 1
    steps:
      - { id: one, script: a/a.sh@1.0.0 }
      - { id: two, script: a/b.sh@1.0.0 }
      - { id: three, script: a/c.sh@1.0.0 }
"""
        + step("after")
    )
    stopped = run(text, fails("g/one@web1", "g/two@web2"), web=4)
    assert not any("three" in name or "after" in name for name in stopped.order())
    assert stopped.verdict.targets["web3"].outcome == "skipped"
    went_on = run(text, fails("g/one@web1"), web=4)
    assert went_on.order()[-1] == "after@web4"


def test_a_group_that_its_handler_mends_does_not_hold_up_another_branch_for_good():
    text = (
        WEB
        + """steps:
  - id: a
    target: db
    needs: []
    steps: [ { id: one, script: a/a.sh@1.0.0 } ]
    on_failure: { steps: [ { id: undo, script: a/u.sh@1.0.0 } ], then: continue }
  - id: b
    needs: []
    for_each: targets.web
    steps: [ { id: two, script: a/b.sh@1.0.0 } ]
"""
    )

    def says(task):
        if task.path == "a/one":
            return "failed", {}, 0.5
        return "success", {}, 5.0 if "undo" in task.path else 1.0

    done = run(text, says)
    assert [name for name in done.order() if "two" in name] == [
        f"b[web{i}]/two@web{i}" for i in (1, 2, 3)
    ]
    assert done.verdict.exit is Exit.SUCCESS


# --- cost -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rolling", ["batch: 1", "batch: 100%"])
def test_a_thousand_items_are_decided_in_a_moment(rolling):
    begun = time.process_time()
    done = run(LOOP % rolling, web=1000)
    assert len(done.log) == 2000
    assert time.process_time() - begun < 20


def test_a_thousand_targets_that_fail_are_decided_in_a_moment():
    begun = time.process_time()
    done = run(WEB + "steps:\n" + step("one") + step("two"), fails(), web=1000)
    assert len(done.log) == 2000
    assert time.process_time() - begun < 20
