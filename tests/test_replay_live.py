"""What a process knew when it wrote is what another knows that reads: with real runs and threads."""

import random
from pathlib import Path

import pytest

from tests.scripted import Scripted, make
from wtsflow.engine.replay import replay
from wtsflow.engine.scope import Names
from wtsflow.engine.state import State
from wtsflow.ports import Exited

TEXT = """\
targets: { web: { group: web } }
inputs: { names: list }
steps:
  - id: first
    script: a/a.sh@1.0.0
    target: web
    max_failed: 50%
    on_failure: continue
  - id: group
    target: web
    timeout: 10m
    steps:
      - { id: in1, script: a/a.sh@1.0.0, retry: { times: 2 } }
      - { id: in2, script: a/a.sh@1.0.0, needs: [] }
      - { id: in3, script: a/a.sh@1.0.0, needs: [in1, in2] }
    on_failure:
      then: continue
      steps:
        - { id: mend, script: a/a.sh@1.0.0 }
  - id: each
    for_each: inputs.names
    rolling: { batch: 2, max_failed: 50% }
    steps:
      - { id: a, script: a/a.sh@1.0.0 }
      - { id: b, script: a/a.sh@1.0.0, when: item != 'n2' }
  - { id: never, script: a/a.sh@1.0.0, when: "inputs.names == ['x']" }
  - { id: last, script: a/a.sh@1.0.0, target: web }
finally:
  - { id: end, script: a/a.sh@1.0.0 }
"""


@pytest.mark.parametrize("seed", range(12))
def test_who_reads_the_records_knows_what_was_known_when_they_were_written(tmp_path: Path, seed):
    chance = random.Random(seed)

    def play(target, invocation):
        return [Exited(int(chance.random() < 0.2))]

    values = {"names": ["n1", "n2", "n3", "n4", "n5"]}
    runner, _ = make(tmp_path, TEXT, Scripted(play), machines={"web": 4}, values=values, parallel=3)
    live = runner.go({})
    journal = runner.parts.journal
    records = journal.load(live.run)
    journal.close()  # type: ignore[attr-defined]
    read = State(live.run)
    replay(Names(runner.plan, read, values, {"name": "me"}), records)
    assert (read.attempts, read.skipped) == (live.attempts, live.skipped)
    assert read.closed == live.closed
    assert read.entered == live.entered
    assert read.done == live.done
    assert {path: list(one.failed) for path, one in read.tallies.items()} == {
        path: list(one.failed) for path, one in live.tallies.items()
    }
    assert {path: (one.outcomes, one.number) for path, one in read.loops.items()} == {
        path: (one.outcomes, one.number) for path, one in live.loops.items()
    }
