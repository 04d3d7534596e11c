"""A part of a workflow: --start-at, --tags, --step, --limit @failed:RUN and --rerun."""

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.planned import planned, workflow
from tests.simulation import Simulation
from tests.workspaces import Workspace
from wtsflow import planning
from wtsflow.cli.partial import Stepping
from wtsflow.engine.interrupt import Interrupt, Level
from wtsflow.errors import Exit, Location, PlanError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event, Task
from wtsflow.model.workflow import Step, Wait
from wtsflow.planning import Part

STEPS = """\
targets:
  web: { group: web }
steps:
  - { id: look, script: a/look.sh@1.0.0, tags: [read, always] }
  - id: patch
    target: web
    tags: [change]
    steps:
      - { id: drain, script: a/drain.sh@1.0.0 }
      - { id: install, script: a/install.sh@1.0.0, tags: [slow] }
      - { id: undrain, script: a/undrain.sh@1.0.0 }
  - { id: check, script: a/check.sh@1.0.0, target: web, tags: [read] }
  - { wait: 1m, tags: [slow] }
finally:
  - { id: tell, script: a/tell.sh@1.0.0 }
"""


def over(text: str = STEPS, **part: object) -> tuple[str, ...]:
    return planning.passed(workflow(text), Part(**part))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "passed"),
    [
        ("look", ()),
        ("patch", ("look",)),
        ("install", ("look", "patch/drain")),
        ("patch/install", ("look", "patch/drain")),
        ("check", ("look", "patch", "patch/drain", "patch/install", "patch/undrain")),
        ("step4", ("look", "patch", "patch/drain", "patch/install", "patch/undrain", "check")),
    ],
)
def test_starting_at_a_step_passes_over_all_that_stands_before_it(start, passed):
    assert over(start_at=start) == passed


@pytest.mark.parametrize(
    ("tags", "passed"),
    [
        (("change",), ("check", "step4")),
        (("read",), ("patch", "patch/drain", "patch/install", "patch/undrain", "step4")),
        (("slow",), ("patch/drain", "patch/undrain", "check")),
        (("read", "slow"), ("patch/drain", "patch/undrain")),
        (
            ("always",),
            ("patch", "patch/drain", "patch/install", "patch/undrain", "check", "step4"),
        ),
    ],
)
def test_tags_keep_the_steps_that_have_one_and_what_is_in_such_a_group(tags, passed):
    assert over(tags=tags) == passed


def test_skipped_tags_take_out_groups_with_all_that_is_in_them():
    inside = ("patch", "patch/drain", "patch/install", "patch/undrain")
    assert over(skip_tags=("change",)) == inside
    assert over(skip_tags=("slow",)) == ("patch/install", "step4")
    assert over(skip_tags=("always",)) == ("look",)


def test_starting_at_a_step_and_tags_go_together():
    assert over(start_at="undrain", tags=("read", "change")) == (
        "look", "patch/drain", "patch/install", "step4"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("part", "message", "cure"),
    [
        ({"start_at": "instal"}, "no step 'instal'", "did you mean 'install'?"),
        ({"start_at": "tell"}, "no step 'tell'", "'finally' are no place"),
        ({"tags": ("chnge",)}, "the tag 'chnge'", "did you mean 'change'?"),
        ({"skip_tags": ("x",)}, "the tag 'x'", "it has always, change, read, slow"),
        ({"start_at": "step4", "skip_tags": ("slow",)}, "no step is left", "wtsflow plan"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(part, message, cure):
    with pytest.raises(PlanError, match=message) as refused:
        over(**part)
    assert cure in refused.value.cure


NEEDS = """\
steps:
  - id: one
    script: a/one.sh@1.0.0
    outputs: { n: number }
  - id: two
    script: a/two.sh@1.0.0
    MORE
"""


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ('with: { n: "$(steps.one.outputs.n)" }', True),
        ('with: { n: "$(default(steps.one.outputs.n, 1))" }', False),
        ('with: { n: "$(if(has(steps.one.outputs.n), 1, 2))" }', False),
        ('with: { n: "$(steps.one.outcome)" }', False),
        ("when: steps.one.outputs.n > 1", True),
        ("when: default(steps.one.outputs.n, 2) > 1", False),
        (
            "when: steps.one.outcome == 'success'\n    with: { n: \"$(steps.one.outputs.n)\" }",
            False,
        ),
        ('undo: { script: a/back.sh@1.0.0, with: { n: "$(steps.one.outputs.n)" } }', True),
    ],
)
def test_a_kept_step_that_needs_outputs_of_one_passed_over_is_refused(tmp_path, more, refused):
    text = NEEDS.replace("MORE", more)
    passed = planning.passed(workflow(text), Part(start_at="two"))
    assert passed == ("one",)
    if not refused:
        assert planned(tmp_path, text, passed=passed).passed == passed
        return
    with pytest.raises(PlanError, match=r"'two.*' uses the outputs of 'one'") as said:
        planned(tmp_path, text, passed=passed)
    assert said.value.cure == "start at 'one' or before it, or keep it by a tag"
    assert said.value.location is not None


def sim(**part: Any) -> Simulation:
    return Simulation(STEPS, machines={"web": 2}, passed=over(**part)).run()


def test_a_run_passes_over_what_the_plan_leaves_out_and_says_so_once():
    done = sim(start_at="install")
    assert done.order() == [
        "patch/install@web1", "patch/install@web2", "patch/undrain@web1", "patch/undrain@web2",
        "check@web1", "check@web2", "finally/tell@local",
    ]  # fmt: skip
    assert [key for key in done.keys if key.startswith("skipped")] == [
        "skipped/look", "skipped/patch/drain"
    ]  # fmt: skip
    assert done.verdict.exit is Exit.SUCCESS


def test_finally_is_done_whatever_the_tags_are():
    assert sim(tags=("always",)).order() == ["look@local", "finally/tell@local"]


def test_a_step_passed_over_has_the_outcome_skipped():
    text = STEPS.replace("id: check,", "id: check, when: steps.look.outcome == 'skipped',")
    passed = planning.passed(workflow(text), Part(start_at="check"))
    done = Simulation(text, machines={"web": 1}, passed=passed).run()
    assert done.order() == ["check@web1", "finally/tell@local"]


def test_in_a_loop_only_the_plan_says_what_is_passed_over():
    text = """\
targets: { web: { group: web } }
steps:
  - id: each
    for_each: targets.web
    steps:
      - { id: drain, script: a/drain.sh@1.0.0 }
      - { id: install, script: a/install.sh@1.0.0 }
"""
    passed = planning.passed(workflow(text), Part(start_at="install"))
    done = Simulation(text, machines={"web": 2}, passed=passed).run()
    assert done.order() == ["each[web1]/install@web1", "each[web2]/install@web2"]
    assert not [key for key in done.keys if key.startswith("skipped")]


def test_a_run_with_a_part_can_be_taken_up_anywhere():
    whole = sim(start_at="install")
    for count in range(1, len(whole.records)):
        assert whole.resumed(count).order() == whole.order()


def test_targets_that_only_passed_steps_use_may_be_empty(tmp_path: Path) -> None:
    text = "targets: { web: { group: web }, db: { group: db } }\nsteps:\n"
    text += "  - { id: a, script: a/a.sh@1.0.0, target: db }\n"
    text += "  - { id: b, script: a/b.sh@1.0.0, target: web }\n"
    made = workflow(text)
    with pytest.raises(PlanError, match="leaves no machine in target 'db'"):
        planned(tmp_path, text, limit="web1")
    plan = planned(tmp_path, text, limit="web1", passed=planning.passed(made, Part(start_at="b")))
    assert plan.passed == ("a",)
    assert planning.thaw(planning.freeze(plan), lambda text, source: made) == plan


def test_the_part_is_under_the_digest_of_the_plan(tmp_path: Path) -> None:
    whole = planned(tmp_path, STEPS)
    part = planned(tmp_path, STEPS, passed=("look",))
    assert whole.digest != part.digest
    assert "passed" not in whole.facts


# --- the real command line --------------------------------------------------------------------

MARK = """\
#!/bin/sh
echo "$2 $WTS_TARGET" >> "$MARKS"
case " $FAILS " in *" $2:$WTS_TARGET "*) exit 1 ;; esac
"""
MANIFEST = """\
wtsflow: 1
name: web/patch
version: 1.0.0
title: Patch
owner: ops
inputs: { word: { type: string, default: go }, pin: { type: secret, optional: true } }
targets: { web: { group: web } }
steps:
  - { id: look, script: a/mark.sh@1.0.0, target: web, tags: [read], with: { step: look } }
  - { id: work, script: a/mark.sh@1.0.0, target: web, with: { step: $(inputs.word) } }
  - { id: check, script: a/mark.sh@1.0.0, target: web, tags: [read], with: { step: check } }
"""
LOCALS = """\
hosts:
  web1: { transport: local }
  web2: { transport: local }
groups: { web: { hosts: [web1, web2] } }
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("partial")
    return Workspace.make(folder, {"a/mark.sh": MARK}, {"patch.yaml": MANIFEST}, LOCALS)


@pytest.fixture
def made(template: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(template.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace", {"MARKS": str(tmp_path / "marks"), "FAILS": ""})


def marks(site: Workspace) -> list[str]:
    """What was done since it was last asked, sorted."""
    path = Path(site.environ["MARKS"])
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("")
    return sorted(lines)


def opening(site: Workspace) -> Mapping[str, Any]:
    """The data of the first record of the newest run."""
    with closing(SqliteJournal(site.state / "journal.sqlite")) as journal:
        return journal.load(journal.runs(limit=1)[0].run)[0].event.data


def test_run_begins_where_it_is_told_and_shows_what_it_passed_over(made: Workspace) -> None:
    done = made.inside("run", "patch", "--start-at", "work")
    assert done.returncode == 0, done.stderr
    assert marks(made) == ["check web1", "check web2", "go web1", "go web2"]
    shown = made.inside("runs", "show", "latest").stdout
    assert "look: skipped: passed over on request" in shown
    planned = made.inside("plan", "patch", "--start-at", "work", "--format", "json").stdout
    assert [step.get("passed") for step in json.loads(planned)["steps"]] == [True, None, None]
    assert "passed over" in made.inside("plan", "patch", "--start-at", "work").stdout


def test_tags_on_the_command_line_are_words_with_commas(made: Workspace) -> None:
    assert made.inside("run", "patch", "--tags", "x, read").returncode == Exit.INVALID
    assert marks(made) == []
    assert made.inside("run", "patch", "--tags", "read").returncode == 0
    assert marks(made) == ["check web1", "check web2", "look web1", "look web2"]
    assert made.inside("run", "patch", "--skip-tags", "read", "--limit", "web2").returncode == 0
    assert marks(made) == ["go web2"]


def test_what_was_planned_in_part_is_applied_in_part(made: Workspace) -> None:
    assert made.inside("plan", "patch", "--tags", "read", "-o", "part.plan").returncode == 0
    assert made.inside("apply", "part.plan", "--check").returncode == 0
    assert made.inside("apply", "part.plan").returncode == 0
    assert marks(made) == ["check web1", "check web2", "look web1", "look web2"]


def test_limit_chooses_targets_by_how_a_run_ended_on_them(made: Workspace) -> None:
    made.environ["FAILS"] = "go:web2"
    assert made.inside("run", "patch").returncode == Exit.PARTIAL
    marks(made)
    made.environ["FAILS"] = ""
    assert made.inside("run", "patch", "--limit", "@failed:latest").returncode == 0
    assert marks(made) == ["check web2", "go web2", "look web2"]
    refused = made.inside("run", "patch", "--limit", "@failed:latest")
    assert refused.returncode == Exit.USAGE
    assert "no target of run" in refused.stderr
    assert made.inside("run", "patch", "--limit", "@succeeded:latest").returncode == 0
    assert marks(made) == ["check web2", "go web2", "look web2"]
    wrong = made.inside("run", "patch", "--limit", "@faild:latest")
    assert (wrong.returncode, "did you mean 'failed'?" in wrong.stderr) == (Exit.USAGE, True)
    assert marks(made) == []


def test_rerun_does_what_failed_once_more_with_the_recorded_text_and_inputs(
    made: Workspace,
) -> None:
    made.environ["FAILS"] = "went:web2"
    assert made.inside("run", "patch", "--input", "word=went", "-t", "INC7").returncode == 9
    first = json.loads(made.inside("runs", "show", "latest", "--format", "json").stdout)["run"]
    marks(made)
    made.environ["FAILS"] = ""
    made.write("manifests/patch.yaml", MANIFEST.replace("step: check", "step: other"))
    done = made.inside("run", "--rerun", "failed", first[:12], "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "manifests/patch.yaml changed since" in done.stderr
    assert marks(made) == ["check web2", "look web2", "went web2"]
    opened = opening(made)
    assert opened["origin"] == {"kind": "rerun", "run": first, "of": ["failed"]}
    assert opened["ticket"] == "INC7"
    again = made.inside(
        "run", "--rerun", "failed", first, "--manifest", "patch", "--start-at", "check"
    )
    assert again.returncode == 0, again.stderr
    assert marks(made) == ["other web2"]


def test_what_makes_no_sense_is_refused_before_anything_runs(made: Workspace) -> None:
    made.inside("run", "patch", "--tags", "read")
    marks(made)
    for words, said in (
        (("--rerun", "failed", "latest"), "no target of run"),
        (("--rerun", "succeeded", "latest", "--input", "word=x"), "takes the inputs of that run"),
        (("--rerun", "succeeded", "latest", "--limit", "web1"), "both choose the targets"),
        (("patch", "--manifest", "patch"), "--manifest goes with --rerun"),
        (("patch", "--step"), "--step asks at a terminal"),
    ):
        refused = made.inside("run", *words)
        assert (refused.returncode, said in refused.stderr) == (Exit.USAGE, True), refused.stderr
    assert marks(made) == []


def test_a_shell_completes_steps_tags_and_endings(made: Workspace) -> None:
    made.environ |= {"_WTSFLOW_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
    for words, said in (
        ("wtsflow run patch --start-at ", ["look", "work", "check"]),
        ("wtsflow run patch --tags r", ["read"]),
        ("wtsflow run patch --rerun un", ["unknown", "unreachable"]),
    ):
        made.environ["COMP_WORDS"] = words
        assert made.cli().stdout.split() == said


def stepping(*said: str) -> tuple[Stepping, list[str], Interrupt]:
    """What asks, with these answers; what was asked; what it wishes."""
    asked: list[str] = []
    words = iter(said)
    interrupt = Interrupt()

    def ask(question: str, choices: Sequence[str], default: str, **_: object) -> str:
        assert default == "stop", "who says nothing at all starts nothing"
        asked.append(question.partition("\n")[0])
        return next(words)

    return Stepping(ask, interrupt), asked, interrupt


def task(path: str, target: str = "web1") -> Task:
    return Task(path, target, 1, Step(path, Wait(1), Location("x", 1, 1)))


def test_a_step_is_asked_about_once_for_all_its_targets():
    confirm, asked, interrupt = stepping("yes", "no")
    assert [confirm(task("a", f"web{n}")) for n in (1, 2, 3)] == [True, True, True]
    assert [confirm(task("b", f"web{n}")) for n in (1, 2)] == [False, False]
    assert asked == ["next: a", "next: b"]
    assert interrupt.exit is None


def test_all_asks_no_more_and_stop_ends_the_run():
    confirm, asked, _ = stepping("all")
    assert [confirm(task(name)) for name in "abc"] == [True, True, True]
    assert asked == ["next: a"]
    confirm, asked, interrupt = stepping("stop")
    assert [confirm(task(name)) for name in "abc"] == [False, False, False]
    assert asked == ["next: a"]
    assert (interrupt.exit, interrupt.level) == (Exit.INTERRUPTED, Level.FINISH)


def test_each_step_waits_for_an_answer_at_a_terminal(made: Workspace) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wtsflow", "run", "patch", "--step"],
        cwd=made.root,
        env={**made.environment(), "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen, end = b"", time.monotonic() + 60
    for step, answer in ((b"look", b"yes\n"), (b"work", b"no\n"), (b"check", b"stop\n")):
        while b"next: " + step not in seen and time.monotonic() < end:
            seen += os.read(ours, 4096)
        while not seen.rstrip().endswith(b"(stop)") and time.monotonic() < end:
            seen += os.read(ours, 4096)
        os.write(ours, answer)
    with suppress(OSError):  # the other end is gone with the process
        while time.monotonic() < end and (more := os.read(ours, 4096)):
            seen += more
    assert process.wait(timeout=60) == Exit.INTERRUPTED, seen
    os.close(ours)
    assert marks(made) == ["look web1", "look web2"]


def test_what_is_unknown_is_done_again_only_where_somebody_says_so(made: Workspace) -> None:
    made.inside("run", "patch")
    marks(made)
    with closing(SqliteJournal(made.state / "journal.sqlite")) as journal:
        run = journal.runs(limit=1)[0].run
        closed: Mapping[str, Any] = journal.load(run)[-1].event.data
        ends = {**closed["targets"], "web2": {"outcome": "unknown", "step": "work", "message": ""}}
        news = Event("settled/1", {**closed, "targets": ends})
        journal.record(run, [news], time="2030-01-01T00:00:00.000000Z")
    refused = made.inside("run", "--rerun", "unknown", run)
    assert refused.returncode == Exit.USAGE
    assert "took effect on web2 is not known" in refused.stderr
    assert marks(made) == []
    assert made.inside("run", "--rerun", "unknown", run, "--yes").returncode == 0
    assert marks(made) == ["check web2", "go web2", "look web2"]
