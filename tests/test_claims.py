"""Which machines a plan claims, and how."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.planned import ACTOR, Scripts, planned
from wtsflow.model.claim import Mode
from wtsflow.model.plan import Target
from wtsflow.model.script import Interface
from wtsflow.planning import claims
from wtsflow.planning.claims import identity

ALONE = Scripts(interfaces={"alone.sh": Interface(exclusive=True)})
LISTING = """\
hosts:
  web1: { host: Web1.corp., os: linux }
  web2: { os: linux }
  alias: { host: web1.corp, port: 22, os: linux }
  here: { transport: local }
groups:
  web: { hosts: [web1, web2] }
  both: { hosts: [web1, alias] }
"""


def claimed(folder: Path, text: str, **more: object) -> dict[str, str]:
    plan = planned(folder, text, scripts=ALONE, listing=LISTING, **more)  # type: ignore[arg-type]
    return {one.target: str(one.mode) for one in claims(plan, ACTOR)}


def test_a_machine_is_shared_unless_a_script_there_must_be_alone(tmp_path: Path) -> None:
    text = """\
targets: { web: { group: web }, one: { hosts: [web2] } }
steps:
  - { id: a, script: plain.sh@1.0.0, target: web }
  - { id: b, script: alone.sh@1.0.0, target: one }
"""
    assert claimed(tmp_path, text) == {
        "ssh://web1.corp:22": "shared",
        "ssh://web2:22": "exclusive",
    }


def test_two_names_of_one_machine_are_one_claim_and_the_stronger_one_holds(tmp_path: Path) -> None:
    text = """\
targets: { both: { group: both }, other: { hosts: [alias] } }
steps:
  - { id: a, script: plain.sh@1.0.0, target: both }
  - { id: b, script: alone.sh@1.0.0, target: other }
"""
    assert claimed(tmp_path, text) == {"ssh://web1.corp:22": "exclusive"}


def test_this_machine_is_claimed_only_to_be_alone_on_it(tmp_path: Path) -> None:
    assert claimed(tmp_path, "steps: [{ id: a, script: plain.sh@1.0.0 }]\n") == {}
    assert claimed(tmp_path, "steps: [{ id: a, script: alone.sh@1.0.0 }]\n") == {
        "local": "exclusive"
    }
    text = "targets: { here: { hosts: [here] } }\nsteps: [{ script: alone.sh@1.0.0, target: here }]"
    assert claimed(tmp_path, text) == {"local": "exclusive"}


def test_handlers_undoing_and_the_end_are_counted(tmp_path: Path) -> None:
    text = """\
targets: { web: { group: web }, one: { hosts: [web2] } }
steps:
  - id: a
    script: plain.sh@1.0.0
    target: web
    on_failure: [{ script: alone.sh@1.0.0, target: one }]
finally: [{ script: plain.sh@1.0.0, target: web }]
"""
    assert claimed(tmp_path, text)["ssh://web2:22"] == "exclusive"


def test_what_is_passed_over_is_not_claimed(tmp_path: Path) -> None:
    text = """\
targets: { web: { group: web }, one: { hosts: [alias] } }
steps:
  - { id: a, script: alone.sh@1.0.0, target: one }
  - { id: b, script: plain.sh@1.0.0, target: web }
"""
    assert claimed(tmp_path, text)["ssh://web1.corp:22"] == "exclusive"
    assert claimed(tmp_path, text, passed=["a"]) == {
        "ssh://web1.corp:22": "shared",
        "ssh://web2:22": "shared",
    }


def test_a_check_never_has_to_be_alone(tmp_path: Path) -> None:
    text = "targets: { web: { group: web } }\nsteps: [{ script: alone.sh@1.0.0, target: web }]\n"
    plan = planned(tmp_path, text, scripts=ALONE, listing=LISTING)
    assert {one.mode for one in claims(plan, ACTOR)} == {Mode.EXCLUSIVE}
    assert {one.mode for one in claims(replace(plan, check=True), ACTOR)} == {Mode.SHARED}


def test_where_only_the_run_knows_the_machine_every_one_of_the_plan_is_claimed(
    tmp_path: Path,
) -> None:
    text = """\
targets: { web: { group: web } }
steps:
  - { id: look, script: plain.sh@1.0.0, outputs: { found: list } }
  - id: each
    for_each: steps.look.outputs.found
    steps: [{ id: do, script: alone.sh@1.0.0 }]
  - { id: all, script: plain.sh@1.0.0, target: web }
"""
    assert claimed(tmp_path, text) == {
        "local": "exclusive",
        "ssh://web1.corp:22": "exclusive",
        "ssh://web2:22": "exclusive",
    }


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (Target("web01"), "ssh://web01:22"),
        (Target("a", host="WEB01."), "ssh://web01:22"),
        (Target("a", host="web01", port=2222), "ssh://web01:2222"),
        (Target("a", host="fe80::1"), "ssh://[fe80::1]:22"),
        (Target("a", host="web01", transport="other"), "other://web01"),
        (Target("anything", transport="local"), "local"),
    ],
)
def test_a_machine_is_where_it_is_and_not_what_it_is_called(machine: Target, said: str) -> None:
    assert identity(machine) == said
