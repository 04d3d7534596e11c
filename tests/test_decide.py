"""The pure engine: what begins when, who goes on, and how a run ends."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings, strategies as st

from tests.simulation import Simulation
from wtsflow.errors import Exit
from wtsflow.model.record import Task

WEB = "targets:\n  web: { group: web }\n  db: { group: db }\n"


def step(name: str, *more: str, target: str = "web", indent: int = 2) -> str:
    pad = " " * indent
    lines = [f"{pad}- id: {name}", f"{pad}  script: a/{name}.sh@1.0.0", f"{pad}  target: {target}"]
    return "\n".join([*lines, *(f"{pad}  {line}" for line in more)]) + "\n"


def fails(*names: str, outcome: str = "failed"):
    """Fails where ``path@target`` or ``path@target/attempt`` is named."""

    def says(task: Task) -> str:
        name = f"{task.path}@{task.target}"
        return outcome if name in names or f"{name}/{task.attempt}" in names else "success"

    return says


def run(text: str, says=lambda task: "success", web: int = 3, **more) -> Simulation:
    return Simulation(text, says, {"web": web, "db": 1}, **more).run()


def test_steps_run_one_after_the_other_on_all_members_at_once():
    done = run(WEB + "steps:\n" + step("one") + step("two"))
    assert done.order() == [f"{s}@web{i}" for s in ("one", "two") for i in (1, 2, 3)]
    assert done.most == 3
    assert done.verdict.exit is Exit.SUCCESS


def test_a_failing_target_leaves_its_line_and_the_healthy_ones_go_on():
    done = run(WEB + "steps:\n" + step("one") + step("two"), fails("one@web2"))
    assert done.order()[3:] == ["two@web1", "two@web3"]
    assert done.verdict.exit is Exit.PARTIAL
    assert done.verdict.targets["web2"].path == "one"
    assert done.verdict.targets["web1"].outcome == "success"


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("failed", Exit.FAILED),
        ("unreachable", Exit.UNREACHABLE),
        ("timeout", Exit.TIMEOUT),
        ("unknown", Exit.UNKNOWN),
    ],
)
def test_when_all_fail_of_one_cause_the_exit_code_is_that_causes(outcome, code):
    done = run(WEB + "steps:\n" + step("one") + step("two"), lambda task: outcome)
    assert len(done.log) == 3
    assert done.verdict.exit is code


def test_when_all_fail_of_different_causes_the_exit_code_is_1():
    says = {"web1": "failed", "web2": "timeout", "web3": "unreachable"}
    done = run(WEB + "steps:\n" + step("one") + step("two"), lambda task: says[task.target])
    assert done.verdict.exit is Exit.FAILED


def test_max_failed_stops_the_run_when_passed():
    text = WEB + "steps:\n" + step("one", "max_failed: 1") + step("two")
    one_failed = run(text, fails("one@web2"))
    two_failed = run(text, fails("one@web1", "one@web2"))
    assert "two@web1" in one_failed.order()
    assert not any(name.startswith("two") for name in two_failed.order())
    assert two_failed.verdict.targets["web3"].outcome == "skipped"


def test_max_failed_holds_back_members_that_have_not_begun():
    text = WEB + "steps:\n" + step("one", "max_failed: 10%")
    done = run(text, lambda task: "failed", web=50, parallel=5)
    assert len(done.log) <= 10


def test_needs_makes_a_graph_that_runs_in_parallel():
    text = WEB + "steps:\n" + step("one", target="db") + step("two", "needs: []")
    text += step("three", "needs: [one, two]", target="local")
    done = run(text)
    assert done.order()[:4] == ["one@db1", "two@web1", "two@web2", "two@web3"]
    assert done.order()[4] == "three@local"


def test_a_failed_branch_stops_what_has_not_begun_and_lets_the_other_branch_end():
    text = WEB + "steps:\n" + step("one", target="db") + step("two", "needs: []")
    text += step("three", "needs: [two]")

    def says(task):
        return ("failed", {}, 0.5) if task.path == "one" else ("success", {}, 2.0)

    done = run(text, says)
    assert not any(name.startswith("three") for name in done.order())
    assert sum(name.startswith("two") for name in done.order()) == 3


def test_at_most_parallel_tasks_run_at_once():
    assert run(WEB + "steps:\n" + step("one"), web=40, parallel=7).most == 7


def test_when_false_skips_the_step_and_the_next_one_runs():
    text = WEB + "inputs: { go: boolean }\nsteps:\n" + step("one", "when: inputs.go") + step("two")
    done = run(text, inputs={"go": False})
    assert done.order() == ["two@web1", "two@web2", "two@web3"]
    assert done.verdict.exit is Exit.SUCCESS


def test_when_is_asked_for_each_line_of_a_fan_out():
    text = WEB + "steps:\n" + step("one", "outputs: { n: number }")
    text += step("two", "when: steps.one.outputs.n > 1")
    done = run(text, lambda task: ("success", {"n": int(task.target[-1])}))
    assert done.order()[3:] == ["two@web2", "two@web3"]
    assert "skipped/two@web1" in done.keys


def test_a_failed_attempt_is_tried_again_after_its_wait_with_back_off():
    text = WEB + "steps:\n" + step("one", "retry: { times: 2, wait: 10s, backoff: 3 }", target="db")
    done = run(text, fails("one@db1/1", "one@db1/2"))
    assert done.log == ["one@db1/1", "one@db1/2", "one@db1/3"]
    assert done.now == 1000 + 1 + 10 + 1 + 30 + 1
    assert done.verdict.exit is Exit.SUCCESS


def test_what_is_unknown_is_never_tried_again_silently():
    text = WEB + "steps:\n" + step("one", "retry: 3", target="db")
    assert run(text, lambda task: "unknown").log == ["one@db1/1"]


def test_retry_until_polls_until_it_holds():
    text = (
        WEB
        + "steps:\n"
        + step(
            "one",
            "retry: { times: 5, wait: 2s, until: outputs.ready }",
            "outputs: { ready: boolean }",
            target="db",
        )
    )
    done = run(text, lambda task: ("success", {"ready": task.attempt == 3}))
    assert len(done.log) == 3
    never = run(text, lambda task: ("success", {"ready": False}))
    assert len(never.log) == 6
    assert never.verdict.exit is Exit.FAILED
    assert "until" in never.verdict.targets["db1"].message


def test_on_failure_continue_keeps_the_target_in_its_line():
    done = run(
        WEB + "steps:\n" + step("one", "on_failure: continue") + step("two"), fails("one@web2")
    )
    assert "two@web2" in done.order()
    assert done.verdict.exit is Exit.SUCCESS


def test_the_outcome_of_a_skipped_step_and_of_a_group_can_be_asked_for():
    text = WEB + "inputs: { go: boolean }\nsteps:\n" + step("one", "when: inputs.go", target="db")
    text += "  - id: both\n    steps:\n" + step("in1", target="db", indent=6)
    text += step("two", "when: steps.one.outcome == 'skipped'", target="db")
    text += step("three", "when: steps.both.outcome == 'success'", target="db")
    text += step("four", "when: steps.one.outcome == 'success'", target="db")
    done = run(text, inputs={"go": False})
    assert done.order() == ["both/in1@db1", "two@db1", "three@db1"]
    assert done.verdict.exit is Exit.SUCCESS


HANDLED = """steps:
  - id: one
    script: a/one.sh@1.0.0
    target: web
    on_failure:
      - id: undo
        script: a/undo.sh@1.0.0
        with: { why: $(failure.message), where: $(failure.target) }
"""


def test_a_handler_runs_for_each_failed_target_and_then_it_leaves_the_line():
    done = run(WEB + HANDLED + step("two"), fails("one@web2"))
    assert "one/on_failure[web2]/undo@web2" in done.order()
    assert sum("undo" in name for name in done.order()) == 1
    assert "two@web2" not in done.order()
    assert done.verdict.exit is Exit.PARTIAL


def test_a_handler_with_then_continue_keeps_the_target_in_its_line():
    text = (
        WEB
        + """steps:
  - id: one
    script: a/one.sh@1.0.0
    target: web
    on_failure:
      then: continue
      steps:
        - { script: a/undo.sh@1.0.0 }
"""
        + step("two")
    )
    done = run(text, fails("one@web2"))
    assert "two@web2" in done.order()
    assert done.verdict.exit is Exit.SUCCESS


def test_on_timeout_is_for_timeouts_and_on_failure_for_the_rest():
    text = (
        WEB
        + """steps:
  - id: one
    script: a/one.sh@1.0.0
    target: web
    on_timeout: [ { id: late, script: a/late.sh@1.0.0 } ]
    on_failure: [ { id: bad, script: a/bad.sh@1.0.0 } ]
"""
    )
    says = {"one@web1": "timeout", "one@web2": "failed"}
    done = run(text, lambda task: says.get(f"{task.path}@{task.target}", "success"))
    assert "one/on_timeout[web1]/late@web1" in done.order()
    assert "one/on_failure[web2]/bad@web2" in done.order()


def test_finally_runs_once_on_all_targets_whatever_happened():
    text = WEB + "steps:\n" + step("one") + "finally:\n" + step("last")
    for says in (
        lambda task: "success",
        fails("one@web1"),
        fails("one@web1", "one@web2", "one@web3"),
    ):
        done = run(text, says)
        assert [n for n in done.order() if "last" in n] == [
            f"finally/last@web{i}" for i in (1, 2, 3)
        ]


LOOP = (
    WEB
    + """steps:
  - id: patch
    for_each: targets.web
    rolling: { %s }
    steps:
      - id: drain
        script: a/drain.sh@1.0.0
        target: db
        with: { server: $(item.name) }
      - id: install
        script: a/install.sh@1.0.0
"""
)


def test_rolling_does_the_canary_first_then_batches():
    done = run(LOOP % "canary: 1, batch: 50%", web=5)
    installs = [n for n in done.order() if "install" in n]
    assert installs == [f"patch[web{i}]/install@web{i}" for i in (1, 2, 3, 4, 5)]
    at = {name: done.order().index(name) for name in done.order()}
    assert at["patch[web2]/drain@db1"] > at["patch[web1]/install@web1"]
    assert at["patch[web4]/drain@db1"] > max(
        at["patch[web2]/install@web2"], at["patch[web3]/install@web3"]
    )


def test_rolling_pauses_between_waves_without_a_thread():
    done = run(LOOP % "batch: 1, pause: 1m", web=3)
    assert done.now == pytest.approx(1000 + 3 * 2 + 2 * 60)
    assert "waiting/patch/wave2" in done.keys


def test_a_failed_canary_stops_the_rollout():
    done = run(LOOP % "canary: 1, batch: 50%", fails("patch[web1]/install@web1"), web=5)
    assert not any("web2" in name for name in done.order())
    assert done.verdict.exit is Exit.FAILED
    assert done.verdict.targets["web4"].outcome == "skipped"


def test_a_rollout_with_max_failed_goes_on_and_names_who_failed():
    done = run(LOOP % "batch: 1, max_failed: 50%", fails("patch[web2]/install@web2"), web=4)
    assert "patch[web4]/install@web4" in done.order()
    assert done.verdict.exit is Exit.PARTIAL
    assert [t for t, f in done.verdict.targets.items() if f.outcome == "failed"] == ["web2"]


def test_without_rolling_a_loop_goes_one_at_a_time_and_stops_at_the_first_failure():
    text = LOOP.replace("    rolling: { %s }\n", "")
    done = run(text, fails("patch[web2]/install@web2"))
    assert done.most == 1
    assert "patch[web3]/install@web3" not in done.order()
    assert done.verdict.exit is Exit.PARTIAL


def test_the_handler_of_a_loop_runs_for_each_failed_item():
    text = (
        LOOP % "batch: 100%, max_failed: 100%"
        + """    on_failure:
      - id: back
        script: a/back.sh@1.0.0
"""
    )
    done = run(text, fails("patch[web2]/install@web2"))
    assert [n for n in done.order() if "back" in n] == ["patch[web2]/on_failure/back@web2"]


def test_outputs_of_a_loop_tell_who_succeeded():
    text = LOOP % "batch: 1, max_failed: 100%" + step(
        "tell", "with: { ok: $(steps.patch.outputs.succeeded) }", target="local"
    )
    seen: list[Mapping] = []
    run(
        text,
        fails("patch[web2]/install@web2"),
        arguments=lambda task, values: seen.append(values) if task.path == "tell" else None,
    )
    assert seen == [{"ok": ["web1", "web3"]}]


def test_a_wait_is_a_record_and_not_a_thread():
    done = run(WEB + "steps:\n" + step("one") + "  - { id: nap, wait: 10m }\n" + step("two"))
    assert done.now == 1000 + 1 + 600 + 1
    assert done.most == 3
    assert {"waiting/nap", "waited/nap"} <= set(done.keys)


def test_a_groups_timeout_bounds_all_its_steps():
    text = (
        WEB
        + """steps:
  - id: g
    timeout: 10s
    steps:
      - { id: one, script: a/a.sh@1.0.0, target: web, timeout: 1m }
      - { id: two, script: a/a.sh@1.0.0, target: web }
"""
    )
    limits: dict[str, float] = {}

    def says(task):
        limits[task.path] = task.deadline
        return ("success", {}, 12.0)

    done = run(text, says)
    assert limits == {"g/one": 10.0}
    assert done.verdict.exit is Exit.TIMEOUT


def test_an_interrupt_lets_nothing_more_begin_and_still_does_finally():
    text = (
        WEB + "steps:\n" + step("one") + step("two") + "finally:\n" + step("last", target="local")
    )
    done = run(text, stop_at=1000.5)
    assert done.order() == ["one@web1", "one@web2", "one@web3", "finally/last@local"]
    assert done.verdict.exit is Exit.INTERRUPTED
    assert done.verdict.status == "cancelled"


def test_an_expression_without_a_value_fails_its_step_and_sends_nothing():
    text = WEB + "inputs: { n: { type: list } }\nsteps:\n" + step("one", "when: inputs.n[5] == 'x'")
    done = run(text, inputs={"n": []})
    assert done.log == []
    assert done.verdict.exit is Exit.FAILED


outcomes = st.sampled_from(["success", "failed", "timeout", "unreachable", "unknown"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_run_ends_and_starts_nothing_twice(data):
    """Random graphs, outcomes, loops and interrupts: the simulation asserts one record a key."""
    count = data.draw(st.integers(1, 5))
    text = WEB + "steps:\n"
    for index in range(count):
        needs = data.draw(st.none() | st.sets(st.integers(0, max(0, index - 1)), max_size=2))
        more = (
            [] if needs is None or not index else [f"needs: [{', '.join(f's{n}' for n in needs)}]"]
        )
        more += data.draw(
            st.sampled_from([[], ["retry: 1"], ["on_failure: continue"], ["max_failed: 1"]])
        )
        text += step(f"s{index}", *more, target=data.draw(st.sampled_from(["web", "db", "local"])))
    text += LOOP[LOOP.index("  - id: patch") :] % data.draw(
        st.sampled_from(
            ["batch: 1", "canary: 1, batch: 2", "batch: 2, max_failed: 100%, pause: 1s"]
        )
    )
    said: dict[str, str] = {}

    def says(task):
        return said.setdefault(task.name, data.draw(outcomes)), {}, data.draw(st.floats(0, 3))

    stop = data.draw(st.none() | st.floats(1000, 1010))
    done = run(
        text,
        says,
        web=data.draw(st.integers(1, 4)),
        parallel=data.draw(st.integers(1, 9)),
        stop_at=stop,
    )
    assert done.verdict is not None
    assert done.state.running == 0
