"""Any workflow at all: nested groups, loops, handlers, needs, retries, waits, limits, interrupts."""

import re

from hypothesis import given, settings, strategies as st

from tests.author import BAD, Author, Drawn
from tests.simulation import Simulation
from wtsflow.errors import Exit
from wtsflow.model.record import Task


def in_line(path: str) -> bool:
    return not re.search(r"/on_(failure|timeout)\b", path) and not path.startswith("finally/")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_workflow_ends_with_an_exit_code_that_its_targets_bear_out(data):
    text = Author(Drawn(data)).manifest()
    said: dict[str, str] = {}

    def says(task: Task):
        bad = data.draw(st.integers(0, 3)) == 0
        said[task.name] = data.draw(st.sampled_from(BAD)) if bad else "success"
        seconds = min(float(data.draw(st.integers(0, 6))), task.deadline)
        return said[task.name], {}, seconds

    parallel = data.draw(st.integers(1, 6))
    stop = data.draw(st.none() | st.floats(1000, 1060))
    done = Simulation(
        text,
        says,
        {"web": data.draw(st.integers(1, 4)), "db": 1},
        inputs={"n": 5, "names": ["a", "web1", "a"]},
        parallel=parallel,
        stop_at=stop,
    ).run()

    assert done.most <= parallel
    assert done.state.running == 0
    ends = {name: failure.outcome for name, failure in done.verdict.targets.items()}
    failed = {name for name, outcome in ends.items() if outcome in BAD}
    if done.state.stopping is not None:
        assert done.verdict.exit is Exit.INTERRUPTED
    elif done.verdict.exit is Exit.SUCCESS:
        assert set(ends.values()) <= {"success"}
    else:
        assert failed
        if done.verdict.exit is Exit.PARTIAL:
            assert "success" in {ends[name] for name in ends if name != "local"}
    handled = "on_failure" in text or "on_timeout" in text
    if not handled and "retry" not in text and stop is None:
        assert {
            name.rpartition("@")[2].rpartition("/")[0] for name in said if said[name] in BAD
        } <= failed


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_target_that_failed_never_does_a_later_step_of_its_line(data):
    """Plain lists of steps on targets, in any graph: what a step needs has ended well there."""
    count = data.draw(st.integers(2, 5))
    needs: dict[str, set[str]] = {}
    text = "targets:\n  web: { group: web }\nsteps:\n"
    for index in range(count):
        known = [f"s{i}" for i in range(index)]
        needs[f"s{index}"] = (
            data.draw(st.sets(st.sampled_from(known), max_size=2)) if known else set()
        )
        text += f"  - id: s{index}\n    script: a/a.sh@1.0.0\n    target: web\n"
        text += f"    needs: [{', '.join(sorted(needs[f's{index}']))}]\n"
    order: list[tuple[str, str, str]] = []

    def says(task: Task):
        outcome = data.draw(st.sampled_from(("success", "success", *BAD)))
        order.append((task.path, task.target, outcome))
        return outcome, {}, float(data.draw(st.integers(0, 3)))

    done = Simulation(text, says, {"web": 3}, parallel=data.draw(st.integers(1, 5))).run()
    outcome = {(path, target): said for path, target, said in order}
    position = {(path, target): index for index, (path, target, _) in enumerate(order)}
    for path, target, _ in order:
        for before in needs[path]:
            assert outcome[before, target] == "success"
            finished = done.keys.index(f"finished/{before}@{target}/1")
            assert finished < done.keys.index(f"started/{path}@{target}/1")
    assert len(position) == len(order)
