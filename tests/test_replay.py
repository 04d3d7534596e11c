"""Taken up again anywhere: a process that knows only the records goes on as the dead one would."""

import json
import re
from collections import Counter
from random import Random

import pytest

from tests.author import BAD, Author, Seeded
from tests.simulation import Simulation
from wtsflow import manifest
from wtsflow.engine.decide import decide
from wtsflow.model.record import Event, Record, Task
from wtsflow.model.workflow import Step, Workflow
from wtsflow.planning import freeze, thaw

SEEDS = 400
SHARDS = 4
"""The seeds are dealt out, so that several workers may have a share of them."""


def fate(seed: int):
    """An outcome and a time for each attempt, whoever asks and whenever."""

    def says(task: Task):
        random = Random(f"{seed}/{task.name}")
        outcome = random.choice(("success", "success", "success", random.choice(BAD)))
        return outcome, {}, min(float(random.randint(0, 6)), task.deadline)

    return says


def run_of(seed: int) -> Simulation:
    chance = Seeded(Random(seed))
    stop = 1000 + chance.number(0, 60_000) / 1000 if chance.pick(False, False, True) else None
    return Simulation(
        Author(chance).manifest(),
        fate(seed),
        {"web": chance.number(1, 4), "db": 1},
        inputs={"n": 5, "names": ["a", "web1", "a"]},
        parallel=chance.number(1, 6),
        stop_at=stop,
        disk=0.001,
    )


def some(random: Random, numbers: list[int], most: int) -> list[int]:
    return numbers if len(numbers) <= most else random.sample(numbers, most)


def ends(run: Simulation) -> list[int]:
    """How many records there are after each thing that was written at once."""
    times = [record.time for record in run.records]
    return [i for i in range(1, len(times)) if times[i] != times[i - 1]]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_run_that_is_taken_up_anywhere_goes_on_as_if_nothing_had_happened(shard):
    for seed in range(shard, SEEDS, SHARDS):
        run = run_of(seed).run()
        for count in some(Random(seed), ends(run), 6):
            other = run.resumed(count)
            assert other.keys == run.keys, f"seed {seed} after {count} records"
            assert other.verdict == run.verdict, f"seed {seed} after {count} records"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_taken_up_late_and_whatever_became_of_what_ran_it_ends_with_nothing_done_twice(shard):
    """Cut after any record, even within what is written at once, and again after that."""
    for seed in range(shard, SEEDS // 2, SHARDS):
        random = Random(seed)
        run = run_of(seed).run()
        for count in some(random, list(range(1, len(run.keys))), 3):
            other = taken_up(run, count, random)
            hold(other, f"seed {seed} after {count} records")
            again = random.randrange(count, len(other.keys)) if len(other.keys) > count else count
            hold(taken_up(other, again, random), f"seed {seed} after {count}, then {again} records")


def taken_up(run: Simulation, count: int, random: Random) -> Simulation:
    """By a process that cannot learn how some of what ran has ended, some hours later or at once."""
    cut = run.records[:count]
    news = [Event(f"resumed/{1 + sum(record.event.type == 'resumed' for record in cut)}")]
    for name in open_tasks(cut):
        fate = random.choice(("known", "lost", "idempotent", "never"))
        if fate in {"lost", "idempotent"}:
            news.append(Event(f"lost/{name}", {"reason": "vanished"}))
        if fate == "idempotent":
            news.append(Event(f"again/{name}", {"begun": True}))
        if fate == "never":
            news.append(Event(f"again/{name}", {"begun": False}))
    return run.resumed(count, gap=random.choice((0.0, 1.0, 5000.0)), news=news)


def open_tasks(records: list[Record]) -> list[str]:
    found: dict[str, None] = {}
    for record in records:
        if record.event.type == "started":
            found[record.event.subject] = None
        elif record.event.type in {"finished", "lost", "again"}:
            found.pop(record.event.subject, None)
    return list(found)


def hold(run: Simulation, where: str) -> None:
    assert run.verdict is not None, where
    assert not open_tasks(run.records), where
    assert run.state.running == 0, where
    assert set(Counter(run.keys).values()) == {1}, where
    known = {record.event.key: record.event for record in run.records}
    for key in run.keys:
        kind, _, task = key.partition("/")
        name, _, number = task.rpartition("/")
        if kind == "started" and number != "1":
            before = f"{name}/{int(number) - 1}"
            again, ended = known.get(f"again/{before}"), known.get(f"finished/{before}")
            assert again or (ended and ended.data["outcome"] != "unknown"), f"{where}: {key}"
    assert run.workflow
    needs_are_kept(run.workflow, run.keys, where)


def needs_are_kept(workflow: Workflow, keys: list[str], where: str) -> None:
    """When a step begins, nothing of what it needs goes on, and nothing of it comes later."""
    last: dict[str, int] = {}
    for position, key in enumerate(keys):
        for part in above(re.sub(r"@.*|/wave\d+$", "", key.partition("/")[2])):
            last[part] = position
    upstream = dict(needed(workflow.steps)) | dict(needed(workflow.finally_))
    for position, key in enumerate(keys):
        kind, _, subject = key.partition("/")
        for part in above(subject.partition("@")[0]) if kind == "started" else ():
            place, _, own = part.rpartition("/")
            static = re.sub(r"\[[^]]*\]", "", part)
            for name in upstream.get(static, ()) if not own.endswith("]") else ():
                before = f"{place}/{name}" if place else name
                assert last.get(before, -1) < position, f"{where}: {key} before {before} is over"


def above(path: str) -> list[str]:
    parts = path.split("/")
    whole = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return [*whole, *(one.rpartition("[")[0] for one in whole if one.endswith("]"))]


def needed(steps: tuple[Step, ...]):
    for index, step in enumerate(steps):
        names = step.needs if step.needs is not None else [one.id for one in steps[:index][-1:]]
        yield step.path, tuple(names)
        yield from needed(step.children)
        for handler in (step.on_failure, step.on_timeout):
            if handler:
                yield from needed(handler.steps)


def test_decided_twice_it_is_decided_the_same():
    """What a decision leaves in memory does not change the next one: it may be thrown away."""

    class Twice(Simulation):
        def _record(self, events):
            once, again = (decide(self.scope, self.now) for _ in range(2))
            assert once.events == again.events
            assert [task for task, _ in once.begin] == [task for task, _ in again.begin]
            super()._record(events)

    for seed in range(150):
        run = run_of(seed)
        parts = ("text", "says", "machines", "inputs", "parallel", "stop_at", "disk")
        assert Twice(**{name: getattr(run, name) for name in parts}).run().verdict


def shuffled(value, random: Random):
    if isinstance(value, dict):
        keys = random.sample(list(value), len(value))
        return {key: shuffled(value[key], random) for key in keys}
    return [shuffled(one, random) for one in value] if isinstance(value, list) else value


def test_a_kept_plan_whose_keys_were_shuffled_does_the_same_in_the_same_order():
    """A store that keeps no order of keys must not make steps overtake what they need."""
    for seed in range(100):
        run = run_of(seed).run()
        kept = json.loads(json.dumps(freeze(run.scope.plan)))
        plan = thaw(shuffled(kept, Random(seed)), manifest.load)
        parts = ("text", "says", "machines", "inputs", "parallel", "stop_at", "disk")
        again = Simulation(**{name: getattr(run, name) for name in parts}, plan=plan).run()
        assert again.keys == run.keys, f"seed {seed}"


ONE = "targets: { web: { group: web } }\nsteps:\n  - { id: a, script: a/a.sh@1.0.0, target: web }\n"


def state_after(*events: Event):
    run = Simulation(ONE, machines={"web": 1})
    run._prepare()
    for number, event in enumerate((Event("opened"), *events)):
        run.state.apply(event, 1000.0 + number)
    return run.state


def test_what_comes_twice_or_late_changes_nothing_that_is_known():
    started, finished = Event("started/a@web1/1"), Event("finished/a@web1/1", {"outcome": "failed"})
    lost, again = Event("lost/a@web1/1"), Event("again/a@web1/1", {"begun": True})
    attempt = state_after(started, finished, lost).attempts["a"]["web1"]
    assert (attempt.outcome, attempt.lost) == ("failed", False)
    attempt = state_after(started, lost, finished).attempts["a"]["web1"]
    assert (attempt.outcome, attempt.lost) == ("failed", False)
    state = state_after(started, lost, again, Event("started/a@web1/2"), finished)
    assert state.attempts["a"]["web1"].number == 2
    assert state.running == 1
    state = state_after(started, finished, finished, lost, lost)
    assert state.running == 0


def test_a_group_that_had_not_begun_has_its_whole_time_after_a_resume():
    text = """targets: { web: { group: web } }
steps:
  - { id: one, script: a/a.sh@1.0.0, target: web }
  - id: two
    timeout: 10s
    steps:
      - { id: three, script: a/a.sh@1.0.0, target: web }
"""
    run = Simulation(text, machines={"web": 1}, disk=0.001).run()
    count = run.keys.index("finished/one@web1/1") + 1
    late = run.resumed(count, gap=5000.0, news=[Event("resumed/1")])
    assert late.verdict == run.verdict
    begun = run.keys.index("started/two/three@web1/1") + 1
    later = run.resumed(begun, gap=5000.0, news=[Event("resumed/1"), *never(run, begun)])
    assert later.verdict.status == "timeout"


def never(run: Simulation, count: int) -> list[Event]:
    return [Event(f"again/{name}", {"begun": False}) for name in open_tasks(run.records[:count])]


def test_a_failure_found_late_in_a_decision_is_known_to_all_of_it():
    """One machine too many has failed: in the very decision that sees it, no other one begins."""
    text = """targets: { web: { group: web } }
steps:
  - id: all
    target: web
    max_failed: 0
    steps:
      - { id: a, script: a/a.sh@1.0.0 }
"""
    run = Simulation(
        text, lambda task: "failed" if task.target == "web2" else "success", {"web": 4}, parallel=2
    ).run()
    assert run.order() == ["all/a@web1", "all/a@web2"]
