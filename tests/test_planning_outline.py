"""How a plan is laid out: levels, waves, machines."""

from pathlib import Path

import pytest

from tests.planned import ACTOR, Scripts, planned
from wtsflow import planning
from wtsflow.engine.timing import waves
from wtsflow.model.workflow import Rolling, Share
from wtsflow.planning import Node, Outline


def laid_out(folder: Path, text: str, **more) -> Outline:
    return planning.outline(planned(folder, text, **more), ACTOR)


def node(shape: Outline, path: str) -> Node:
    return next(found for found in shape.walk() if found.step.path == path)


def test_steps_follow_each_other_unless_they_say_what_they_need(tmp_path: Path) -> None:
    text = """\
steps:
  - { id: a, wait: 1s }
  - { id: b, wait: 1s, needs: [] }
  - { id: c, wait: 1s, needs: [a, b] }
  - { id: d, wait: 1s }
  - { id: e, wait: 1s, needs: [b] }
"""
    levels = {found.step.id: found.level for found in laid_out(tmp_path, text).steps}
    assert levels == {"a": 1, "b": 1, "c": 2, "d": 3, "e": 2}


def test_a_loop_over_a_target_is_laid_out_in_waves(tmp_path: Path) -> None:
    text = """\
targets: { web: { group: web } }
steps:
  - id: patch
    for_each: targets.web
    rolling: { canary: 1, batch: 2 }
    steps: [{ id: one, script: a.sh@1.0.0 }]
"""
    shape = laid_out(tmp_path, text)
    found = node(shape, "patch")
    assert (found.items, found.waves) == (4, (1, 2, 1))
    inner = node(shape, "patch/one")
    assert inner.machines == ("web1", "web2", "web3", "web4")
    assert [(used.pin, used.machines) for used in inner.used] == [("a.sh@1.0.0", inner.machines)]


def test_a_loop_over_what_is_not_known_yet_has_no_waves(tmp_path: Path) -> None:
    text = """\
steps:
  - { id: look, script: a.sh@1.0.0, outputs: { found: list } }
  - { id: each, for_each: steps.look.outputs.found, script: b.sh@1.0.0 }
"""
    found = node(laid_out(tmp_path, text), "each")
    assert (found.items, found.waves, found.machines) == (None, (), ("local",))


def test_two_versions_of_one_pin_are_two_uses(tmp_path: Path) -> None:
    text = "targets: { web: { group: web } }\nsteps: [{ script: a.sh@1.0.0+, target: web }]\n"
    (found,) = laid_out(tmp_path, text, scripts=Scripts(rollout={"web2": "1.1.0"})).steps
    assert [(used.script.version, used.machines) for used in found.used] == [
        ("1.0.0", ("web1", "web3", "web4")),
        ("1.1.0", ("web2",)),
    ]


def test_handlers_and_finally_are_part_of_it(tmp_path: Path) -> None:
    text = """\
steps:
  - { id: a, script: a.sh@1.0.0, on_failure: [{ id: mend, script: b.sh@1.0.0 }] }
finally: [{ id: last, wait: 1s }]
"""
    shape = laid_out(tmp_path, text)
    assert [found.step.id for found in shape.walk()] == ["a", "mend", "last"]


@pytest.mark.parametrize("canary", [0, 1, 3, 10])
@pytest.mark.parametrize("batch", [Share(1), Share(3), Share(10, True), Share(100, True)])
@pytest.mark.parametrize("total", [0, 1, 2, 7, 20, 100])
def test_the_waves_that_are_shown_are_the_waves_that_are_run(
    canary: int, batch: Share, total: int
) -> None:
    rolling = Rolling(batch=batch, canary=canary)
    keys = [str(number) for number in range(total)]
    assert list(rolling.waves(total)) == [len(wave) for wave in waves(keys, rolling)]
