"""Taken up again anywhere: a process that knows only the records goes on as the dead one would."""

from random import Random

from hypothesis import given, settings, strategies as st

from tests.author import BAD, Author, Drawn
from tests.simulation import Simulation
from wtsflow.engine.decide import decide
from wtsflow.model.record import Task


def fate(seed: int):
    """An outcome and a time for each attempt, whoever asks and whenever."""

    def says(task: Task):
        random = Random(f"{seed}/{task.name}")
        outcome = random.choice(("success", "success", "success", random.choice(BAD)))
        return outcome, {}, min(float(random.randint(0, 6)), task.deadline)

    return says


def drawn(data: st.DataObject) -> Simulation:
    chance = Drawn(data)
    stop = 1000 + chance.number(0, 60_000) / 1000 if chance.pick(False, False, True) else None
    return Simulation(
        Author(chance).manifest(),
        fate(chance.number(0, 1000)),
        {"web": chance.number(1, 4), "db": 1},
        inputs={"n": 5, "names": ["a", "web1", "a"]},
        parallel=chance.number(1, 6),
        stop_at=stop,
        disk=0.001,
    )


def together(run: Simulation) -> list[int]:
    """How many records there are after each thing that was written at once."""
    times = [record.time for record in run.records]
    return [i for i in range(1, len(times)) if times[i] != times[i - 1]]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_run_that_is_taken_up_anywhere_goes_on_as_if_nothing_had_happened(data):
    run = drawn(data).run()
    for count in together(run):
        other = run.resumed(count)
        assert other.keys == run.keys
        assert other.verdict == run.verdict


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_decided_twice_it_is_decided_the_same(data):
    """What a decision leaves in memory does not change the next one: it may be thrown away."""

    class Twice(Simulation):
        def _record(self, events):
            said = [[(one.key, one.data) for one in again.events] for again in self.again()]
            assert said[0] == said[1]
            super()._record(events)

        def again(self):
            return [decide(self.scope, self.now) for _ in range(2)]

    run = drawn(data)
    Twice(**{name: getattr(run, name) for name in ("text", "says", "machines", "inputs")}).run()
