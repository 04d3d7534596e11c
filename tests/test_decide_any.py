"""Any workflow at all: nested groups, loops, handlers, needs, retries, waits, limits, interrupts."""

import re
from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st

from tests.simulation import Simulation
from wtsflow.errors import Exit
from wtsflow.model.record import Task

BAD = ("failed", "timeout", "unreachable", "unknown")
SETS = ("web", "db", "local")


@dataclass
class Author:
    """Writes a workflow from what hypothesis draws."""

    data: st.DataObject
    number: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def draw(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def steps(self, depth: int, indent: int, *, handler: bool = False) -> str:
        text = ""
        ids: list[str] = []
        for _ in range(self.data.draw(st.integers(1, 3))):
            name = f"s{self.number}"
            self.number += 1
            text += self.step(name, depth, indent, ids, handler=handler)
            ids.append(name)
        return text

    def step(self, name: str, depth: int, indent: int, ids: list[str], *, handler: bool) -> str:
        pad = " " * indent
        kind = self.draw("script", "script", "script", "wait", "group") if depth else "script"
        lines = [f"id: {name}"]
        if ids and self.draw(True, False):
            needs = self.data.draw(st.sets(st.sampled_from(ids), max_size=2))
            lines.append(f"needs: [{', '.join(sorted(needs))}]")
        if self.draw(*range(6)) == 0:
            lines.append(f"when: inputs.n > {self.draw(0, 9)}")
        if kind == "wait":
            lines.append(f"wait: {self.draw('1s', '20s')}")
        else:
            lines += self.modifiers(kind)
        text = f"{pad}- " + f"\n{pad}  ".join(lines) + "\n"
        if kind == "group":
            text += f"{pad}  steps:\n" + self.steps(depth - 1, indent + 4, handler=handler)
        if kind != "wait" and not handler and self.draw(*range(4)) == 0:
            text += self.fallback(pad, depth, indent)
        return text

    def modifiers(self, kind: str) -> list[str]:
        lines = []
        if self.data.draw(st.booleans()):
            lines.append(f"target: {self.draw(*SETS)}")
        if self.draw(*range(4)) == 0:
            lines.append(f"max_failed: {self.draw('0', '1', '50%')}")
        if self.draw(*range(3)) == 0:
            lines.append(f"for_each: {self.draw('targets.web', 'inputs.names')}")
            if self.data.draw(st.booleans()):
                rolling = ("batch: 2", "batch: 100%, max_failed: 50%", "canary: 1, pause: 3s")
                lines.append(f"rolling: {{ {self.draw(*rolling)} }}")
        if self.draw(*range(5)) == 0:
            lines.append(f"timeout: {self.draw('2s', '30s')}")
        if kind == "script":
            lines.append("script: a/a.sh@1.0.0")
            if self.draw(*range(4)) == 0:
                lines.append(f"retry: {self.draw('1', '{ times: 2, wait: 2s }')}")
        return lines

    def fallback(self, pad: str, depth: int, indent: int) -> str:
        key = self.draw("on_failure", "on_timeout")
        if self.data.draw(st.booleans()):
            return f"{pad}  {key}: continue\n"
        then = self.draw("stop", "continue")
        body = self.steps(max(0, depth - 1), indent + 6, handler=True)
        return f"{pad}  {key}:\n{pad}    then: {then}\n{pad}    steps:\n{body}"


def in_line(path: str) -> bool:
    return not re.search(r"/on_(failure|timeout)\b", path) and not path.startswith("finally/")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_workflow_ends_with_an_exit_code_that_its_targets_bear_out(data):
    author = Author(data)
    text = "inputs: { n: number, names: list }\n"
    text += "targets:\n  web: { group: web }\n  db: { group: db }\n"
    if author.draw(0, 1, 2) == 0:
        text += "timeout: 40s\n"
    text += "steps:\n" + author.steps(2, 2)
    if data.draw(st.booleans()):
        text += "finally:\n" + author.steps(1, 2)
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
