"""Taking back what was done: which steps, in which order, on which targets; and what is left."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.peers.sshd import Sshd
from tests.simulation import Simulation
from tests.workspaces import Workspace
from wtsflow.engine.undo import deeds
from wtsflow.errors import Exit
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Record, Task

HEAD = "on_failure: undo\ntargets:\n  web: { group: web }\n  db: { group: db }\nsteps:\n"
NAMES = ("one", "two", "three")


def step(name: str, *more: str, target: str = "web", undo: bool = True, indent: int = 2) -> str:
    pad = " " * indent
    lines = [f"{pad}- id: {name}", f"{pad}  script: a/{name}.sh@1.0.0", f"{pad}  target: {target}"]
    lines += [f"{pad}  undo: a/un{name}.sh@1.0.0"] if undo else []
    return "\n".join([*lines, *(f"{pad}  {line}" for line in more)]) + "\n"


THREE = HEAD + "".join(step(name) for name in NAMES)


def fails(*names: str, outcome: str = "failed"):
    """``outcome`` where ``path@target`` is named, else success."""

    def says(task: Task) -> str:
        return outcome if f"{task.path}@{task.target}" in names else "success"

    return says


def run(text: str = THREE, says=lambda task: "success", web: int = 2, **more) -> Simulation:
    return Simulation(text, says, {"web": web, "db": 1}, **more).run()


def undone(done: Simulation) -> list[str]:
    """What was taken back, in order."""
    return [name for name in done.order() if "/undo@" in name]


def left(done: Simulation) -> dict[str, str]:
    """What was not, and why."""
    return {
        record.event.subject: str(record.event.data["reason"])
        for record in done.records
        if record.event.type == "skipped"
    }


def test_a_run_that_succeeds_takes_nothing_back():
    assert undone(run()) == []


def test_a_run_that_halts_takes_everything_back_in_reverse():
    done = run(says=fails("three@web1", "three@web2"))
    assert undone(done) == ["two/undo@web2", "two/undo@web1", "one/undo@web2", "one/undo@web1"]
    assert done.verdict.exit is Exit.FAILED
    assert done.verdict.undo == {"done": 4}


def test_nothing_is_taken_back_where_the_workflow_does_not_say_so():
    text = THREE.removeprefix("on_failure: undo\n")
    assert undone(run(text, fails("three@web1", "three@web2"))) == []
    assert undone(run("on_failure: stop\n" + text, fails("three@web1", "three@web2"))) == []


def test_a_target_that_failed_is_taken_back_and_the_healthy_ones_keep_what_was_done():
    done = run(says=fails("three@web2"), web=3)
    assert undone(done) == ["two/undo@web2", "one/undo@web2"]
    assert done.verdict.exit is Exit.PARTIAL
    assert done.verdict.targets["web2"].path == "three"
    assert done.verdict.targets["web1"].outcome == "success"


def test_when_too_many_failed_the_healthy_ones_are_taken_back_too():
    text = THREE.replace("undo: a/unthree.sh@1.0.0", "max_failed: 0")
    done = run(text, fails("three@web2"), web=3)
    assert undone(done)[:3] == ["two/undo@web3", "two/undo@web2", "two/undo@web1"]
    assert len(undone(done)) == 6
    assert done.verdict.exit is Exit.FAILED
    assert done.verdict.targets["web1"].outcome == "skipped"
    assert done.verdict.targets["web1"].message == "what was done there was taken back"


def test_it_waits_on_one_target_for_what_was_done_later_on_another():
    def says(task: Task):
        slow = task.path == "two/undo" and task.target == "web1"
        return ("failed" if task.path == "three" else "success", {}, 9.0 if slow else 1.0)

    done = run(says=says)
    ends = [key for key in done.keys if "/undo@" in key]
    assert ends.index("started/one/undo@web2/1") > ends.index("finished/two/undo@web1/1")


def test_what_was_done_at_the_same_time_is_taken_back_at_the_same_time():
    text = HEAD + step("one") + step("two", "needs: []", target="db") + step("three")
    done = run(text, fails("three@web1", "three@web2"), web=2)
    assert done.most == 3
    assert sorted(undone(done)) == ["one/undo@web1", "one/undo@web2", "two/undo@db1"]


def test_a_step_without_undo_and_one_that_was_skipped_are_passed_by():
    text = HEAD + step("one", undo=False) + step("two", "when: inputs.go") + step("three")
    text = "inputs: { go: boolean }\n" + text
    done = run(text, fails("three@web1", "three@web2"), inputs={"go": False})
    assert undone(done) == []
    assert done.verdict.undo == {}


@pytest.mark.parametrize("outcome", ["failed", "timeout", "unreachable", "nothing_to_do"])
def test_only_what_succeeded_is_taken_back(outcome):
    text = HEAD + step("one") + step("two", "on_failure: continue") + step("three")
    done = run(text, lambda task: {"two": outcome, "three": "failed"}.get(task.path, "success"))
    assert undone(done) == ["one/undo@web2", "one/undo@web1"]


def test_a_step_may_say_after_which_outcomes_it_is_taken_back():
    text = THREE.replace(
        "undo: a/unthree.sh@1.0.0",
        "undo: { script: a/unthree.sh@1.0.0, when: \"outcome in ['success', 'failed']\" }",
    )
    assert undone(run(text, fails("three@web1"), web=1))[0] == "three/undo@web1"
    assert undone(run(text, fails("three@web1", outcome="timeout"), web=1))[0] == "two/undo@web1"
    assert "three/undo@web1" not in undone(run(text, fails("three@web1", outcome="unknown"), web=1))


def test_what_is_unknown_is_left_with_all_that_was_done_before_it_on_its_target():
    done = run(says=fails("two@web1", outcome="unknown"), web=2)
    assert undone(done) == []
    assert left(done) == {
        "two/undo@web1": "whether it took effect is not known",
        "one/undo@web1": "it was done before 'two', of which it is not known whether that took "
        "effect",
    }
    assert done.verdict.undo == {"done": 0, "left": ["one/undo@web1", "two/undo@web1"]}
    assert done.verdict.exit is Exit.PARTIAL


def test_what_is_unknown_on_one_target_does_not_keep_the_others():
    text = THREE.replace("undo: a/unthree.sh@1.0.0", "max_failed: 0")
    done = run(text, fails("three@web1", outcome="failed"), web=2)
    assert undone(done) == ["two/undo@web2", "two/undo@web1", "one/undo@web2", "one/undo@web1"]
    text = THREE.replace("undo: a/untwo.sh@1.0.0", "undo: a/untwo.sh@1.0.0\n    max_failed: 0")
    done = run(text, fails("two@web1", outcome="unknown"), web=2)
    assert undone(done) == ["two/undo@web2", "one/undo@web2"]


def test_one_that_cannot_be_taken_back_is_told_and_the_others_go_on():
    done = run(says=fails("three@web1", "two/undo@web1"), web=1)
    assert undone(done) == ["two/undo@web1", "one/undo@web1"]
    assert done.verdict.undo == {"done": 1, "failed": ["two/undo@web1"]}
    assert done.verdict.exit is Exit.FAILED
    done = run(says=fails("three@web2", "two/undo@web2"), web=2)
    assert done.verdict.exit is Exit.FAILED, "else it would be partial"


def test_where_taking_back_is_unknown_the_rest_of_that_target_is_left():
    def says(task: Task) -> str:
        return {"three": "failed"}.get(
            task.path, "unknown" if (task.path, task.target) == ("two/undo", "web1") else "success"
        )

    done = run(says=says)
    assert undone(done) == ["two/undo@web2", "two/undo@web1", "one/undo@web2"]
    assert left(done) == {"one/undo@web1": "whether 'two/undo' took effect is not known"}
    assert done.verdict.exit is Exit.UNKNOWN


def test_finally_comes_after_everything_was_taken_back_and_knows_how_the_run_went():
    text = THREE + "finally:\n  - script: a/tell.sh@1.0.0\n    with: { status: $(run.status) }\n"
    told: list[object] = []

    def given(task: Task, values: Mapping[str, object]) -> None:
        if task.path.startswith("finally"):
            told.append(values)

    done = run(text, fails("three@web1", "three@web2"), arguments=given)
    assert done.order()[-1] == "finally/step1@local"
    assert told == [{"status": "failed"}]


def test_undo_sees_what_its_step_saw_and_what_came_of_it():
    text = HEAD + step("one", "outputs: { n: number }", undo=False).rstrip() + "\n"
    text += "    with: { word: $(inputs.word) }\n"
    text += (
        "    undo:\n      script: a/unone.sh@1.0.0\n      with:\n        n: $(outputs.n)\n"
        "        how: $(outcome)\n        word: $(inputs.word)\n"
    )
    text = "inputs: { word: string }\n" + text + step("two")
    given: dict[str, object] = {}

    def says(task: Task):
        return ("failed" if task.path == "two" else "success", {"n": int(task.target[-1])})

    run(
        text,
        says,
        inputs={"word": "w"},
        arguments=lambda task, values: given.update({f"{task.path}@{task.target}": values}),
    )
    assert given["one/undo@web1"] == {"n": 1, "how": "success", "word": "w"}
    assert given["one/undo@web2"] == {"n": 2, "how": "success", "word": "w"}


def test_no_value_for_an_argument_is_a_failure_to_take_back():
    text = THREE.replace(
        "undo: a/untwo.sh@1.0.0", "undo: { script: a/u.sh@1.0.0, when: outputs.n > 1 }"
    )
    done = run(text, fails("three@web1"), web=1)
    assert undone(done) == ["one/undo@web1"]
    assert left(done) == {"two/undo@web1": "when: there is no 'n' here"}


EACH = """\
on_failure: undo
targets: { web: { group: web }, db: { group: db } }
steps:
  - id: each
    for_each: targets.web
    rolling: { batch: 1, max_failed: MAX }
    steps:
      - { id: drain, script: a/drain.sh@1.0.0, target: db, undo: a/undrain.sh@1.0.0 }
      - { id: work, script: a/work.sh@1.0.0, undo: a/unwork.sh@1.0.0 }
      - { id: check, script: a/check.sh@1.0.0 }
"""


def test_an_item_that_failed_is_taken_back_wherever_it_was_done():
    done = run(EACH.replace("MAX", "2"), fails("each[web2]/check@web2"), web=3)
    assert undone(done) == ["each[web2]/work/undo@web2", "each[web2]/drain/undo@db1"]
    assert done.verdict.exit is Exit.PARTIAL


def test_waves_are_taken_back_in_reverse_when_too_many_failed():
    done = run(EACH.replace("MAX", "0"), fails("each[web2]/check@web2"), web=3)
    assert undone(done) == [
        "each[web2]/work/undo@web2",
        "each[web2]/drain/undo@db1",
        "each[web1]/work/undo@web1",
        "each[web1]/drain/undo@db1",
    ]


def test_an_item_that_is_no_target_is_taken_back_as_a_whole():
    text = """\
on_failure: undo
targets: { web: { group: web } }
steps:
  - id: users
    for_each: "['ann', 'bob', 'eve']"
    rolling: { batch: 3, max_failed: 1 }
    steps:
      - { id: add, script: a/add.sh@1.0.0, target: web, undo: a/drop.sh@1.0.0 }
      - { id: mail, script: a/mail.sh@1.0.0, target: web }
"""
    done = run(text, fails("users[bob]/mail@web2"))
    assert undone(done) == ["users[bob]/add/undo@web2", "users[bob]/add/undo@web1"]
    assert done.verdict.exit is Exit.PARTIAL


def test_a_failure_that_was_mended_takes_nothing_back():
    text = HEAD + step("one") + step("two", "on_failure:", "  then: continue", "  steps:")
    text += "        - { id: mend, script: a/mend.sh@1.0.0, undo: a/unmend.sh@1.0.0 }\n" + step(
        "three"
    )
    done = run(text, fails("two@web1", "two@web2"))
    assert undone(done) == []
    done = run(text, fails("two@web1", "two@web2", "three@web1", "three@web2"))
    assert undone(done) == [
        "two/on_failure[web2]/mend/undo@web2",
        "two/on_failure[web1]/mend/undo@web1",
        "one/undo@web2",
        "one/undo@web1",
    ]


def test_a_run_that_is_told_to_end_takes_nothing_back():
    done = run(stop_at=1000.5)
    assert done.order() == ["one@web1", "one@web2"]


def test_an_interrupt_lets_what_is_being_taken_back_end_and_begins_no_more():
    done = run(says=fails("three@web1", "three@web2"), stop_at=1003.5)
    assert undone(done) == ["two/undo@web2", "two/undo@web1"]
    assert done.verdict.undo["left"] == ["one/undo@web1", "one/undo@web2"]
    assert done.verdict.exit is Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("text", "says", "more"),
    [
        (THREE, fails("three@web1", "three@web2"), {}),
        (THREE, fails("three@web1", "two/undo@web2", outcome="unknown"), {"parallel": 1}),
        (THREE, fails("two@web1", outcome="unknown"), {}),
        (EACH.replace("MAX", "0"), fails("each[web2]/check@web2"), {"web": 3}),
        (EACH.replace("MAX", "2"), fails("each[web2]/check@web2"), {"web": 3}),
    ],
)
def test_a_run_that_takes_back_can_be_taken_up_anywhere(text, says, more):
    whole = run(text, says, **more)
    assert undone(whole) or left(whole)
    for count in range(1, len(whole.records)):
        again = whole.resumed(count, gap=3.0)
        assert sorted(again.keys) == sorted(whole.keys)
        assert again.verdict.undo == whole.verdict.undo


# --- a run that undoes another ----------------------------------------------------------------


def undo_of(before: Simulation, *tasks: str, says=lambda task: "success") -> Simulation:
    return Simulation(
        before.text,
        says,
        before.machines,
        inputs=before.inputs,
        before=before,
        undone=tasks or tuple(deed.name for deed in deeds(before.scope)),
    )


def test_another_run_takes_back_what_a_run_did_and_nothing_else():
    first = run()
    done = undo_of(first).run()
    assert done.order() == [f"{name}/undo@web{n}" for name in reversed(NAMES) for n in (2, 1)]
    assert done.verdict.exit is Exit.SUCCESS
    assert done.verdict.targets.keys() == {"web1", "web2"}


def test_it_takes_back_what_its_plan_names():
    done = undo_of(run(), "two/undo@web2").run()
    assert done.order() == ["two/undo@web2"]


def test_where_it_fails_on_one_target_the_run_is_partial():
    done = undo_of(run(), says=fails("three/undo@web1")).run()
    assert done.verdict.exit is Exit.PARTIAL
    assert done.verdict.targets["web1"].path == "three/undo"
    assert len(done.order()) == 6


def test_it_sees_the_outputs_of_the_run_that_it_undoes():
    text = HEAD + step("one", "outputs: { n: number }") + step("two", undo=False)
    text += "    undo: { script: a/u.sh@1.0.0, with: { n: $[steps.one.outputs.n] } }\n".replace(
        "$[", '"$('
    ).replace("] }", ')" }')
    given: list[object] = []
    first = run(text, lambda task: ("success", {"n": 7}), web=1)
    second = undo_of(first)
    second.arguments = lambda task, values: given.append((task.path, values))
    second.run()
    assert given == [("two/undo", {"n": 7}), ("one/undo", {})]


def test_it_can_be_taken_up_anywhere():
    whole = undo_of(run(), says=fails("two/undo@web1", outcome="unknown")).run()
    assert left(whole) == {"one/undo@web1": "whether 'two/undo' took effect is not known"}
    for count in range(1, len(whole.records)):
        assert sorted(whole.resumed(count, gap=3.0).keys) == sorted(whole.keys)


# --- the real command line, on real hosts -----------------------------------------------------

MAKE = """\
#!/bin/sh
set -eu
echo "make $2 $WTS_TARGET" >> "$6"
echo "{\\"file\\": \\"$4/$2-$WTS_TARGET\\"}" > "$WTS_OUTPUT"
touch "$4/$2-$WTS_TARGET"
"""
DROP = """\
#!/bin/sh
set -eu
echo "drop $(basename "$2")" >> "$4"
while [ -e "$(dirname "$2")/slow" ]; do sleep 0.1; done
rm "$2"
"""
FAIL = '#!/bin/sh\n[ ! -e "$2/fail-$WTS_TARGET" ]\n'
SCRIPTS = {"a/make.sh": MAKE, "a/drop.sh": DROP, "a/check.sh": FAIL}
FILES = """\
wtsflow: 1
name: web/files
version: 1.0.0
title: Files
owner: ops
ENDING
targets: { web: { group: web } }
steps:
"""


def files(folder: Path, ending: str = "") -> str:
    text = FILES.replace("ENDING\n", ending)
    for name in ("one", "two"):
        text += f"""\
  - id: {name}
    script: a/make.sh@1.0.0
    target: web
    outputs: {{ file: string }}
    with: {{ name: {name}, folder: {folder}, log: {folder}/log }}
    undo: {{ script: a/drop.sh@1.0.0, with: {{ file: $(outputs.file), log: {folder}/log }} }}
"""
    text = text.replace("$(outputs.file)", '"$(outputs.file)"')
    return text + (
        "  - id: check\n    script: a/check.sh@1.0.0\n    target: web\n"
        f"    with: {{ folder: {folder} }}\n"
    )


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*-web*") if "fail" not in path.name)


def log(folder: Path, target: str) -> list[str]:
    """What was done on a target, in order."""
    lines = (folder / "log").read_text().splitlines()
    return [line for line in lines if line.endswith(target)]


def site(tmp_path: Path, hosts: Mapping[str, object], ending: str = "") -> tuple[Workspace, Path]:
    folder = tmp_path / "made"
    folder.mkdir()
    inventory = {"hosts": hosts, "groups": {"web": {"hosts": list(hosts)}}}
    made = Workspace.make(
        tmp_path, SCRIPTS, {"files.yaml": files(folder, ending)}, json.dumps(inventory)
    )
    return made, folder


@pytest.fixture
def here(tmp_path: Path) -> tuple[Workspace, Path]:
    return site(tmp_path, {"web1": {"transport": "local"}, "web2": {"transport": "local"}})


def hosts(sshd: Sshd) -> dict[str, object]:
    return {
        f"web{n}": {
            "host": f"127.0.1.{n}",
            "port": sshd.port,
            "user": sshd.user,
            "os": "linux",
            "ssh": dict(sshd.settings),
        }
        for n in (1, 2)
    }


@pytest.mark.peer("sshd")
def test_files_on_real_hosts_are_removed_in_reverse_where_a_target_fails(
    sshd: Sshd, tmp_path: Path
):
    made, folder = site(tmp_path, hosts(sshd), "on_failure: undo\n")
    (folder / "fail-web2").touch()
    done = made.run("files.yaml")
    assert done["exit"]["code"] == Exit.PARTIAL
    assert there(folder) == ["one-web1", "two-web1"]
    assert log(folder, "web2") == [
        "make one web2",
        "make two web2",
        "drop two-web2",
        "drop one-web2",
    ]
    assert made.cli("audit", "verify").returncode == 0


@pytest.mark.peer("sshd")
def test_undo_takes_back_on_real_hosts_what_a_run_did_once(sshd: Sshd, tmp_path: Path):
    made, folder = site(tmp_path, hosts(sshd))
    assert made.run("files.yaml")["exit"]["code"] == 0
    assert len(there(folder)) == 4
    planned = made.cli("undo", "latest", "--plan")
    assert planned.stdout.index("two") < planned.stdout.index("one")
    assert len(there(folder)) == 4
    first = newest(made)
    done = made.cli("undo", "latest", "--yes", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert there(folder) == []
    for target in ("web1", "web2"):
        assert log(folder, target)[2:] == [f"drop two-{target}", f"drop one-{target}"]
    again = made.cli("undo", first, "--yes")
    assert again.returncode == Exit.USAGE
    assert f"run {newest(made)} did so" in again.stderr
    assert made.cli("audit", "verify").returncode == 0


def newest(made: Workspace) -> str:
    with closing(SqliteJournal(made.state / "journal.sqlite")) as journal:
        return journal.runs(limit=1)[0].run


def records(made: Workspace, run: str = "") -> list[Record]:
    with closing(SqliteJournal(made.state / "journal.sqlite")) as journal:
        return journal.load(run or newest(made))


def test_a_halted_run_leaves_nothing_and_its_summary_says_so(here: tuple[Workspace, Path]):
    made, folder = here
    path = made.root / "manifests/files.yaml"
    path.write_text(path.read_text().replace("steps:", "on_failure: undo\nsteps:", 1))
    for name in ("web1", "web2"):
        (folder / f"fail-{name}").touch()
    done = made.cli("run", "files")
    assert done.returncode == Exit.FAILED, done.stdout
    assert there(folder) == []
    assert "taken back: 4" in done.stdout
    assert records(made)[-1].event.data["undo"] == {"done": 4}
    again = made.cli("undo", "latest", "--yes")
    assert (again.returncode, "did so" in again.stderr) == (Exit.USAGE, True)


def test_undo_goes_on_where_an_earlier_one_failed(here: tuple[Workspace, Path]):
    made, folder = here
    assert made.cli("run", "files").returncode == 0
    first = newest(made)
    (folder / "two-web1").unlink()
    done = made.cli("undo", first, "--yes")
    assert done.returncode == Exit.PARTIAL
    assert there(folder) == []
    (folder / "two-web1").touch()
    seen = json.loads(made.cli("undo", first, "--plan", "--format", "json").stdout)
    assert seen["undo"] == [{"step": "two", "target": "web1", "script": "a/drop.sh@1.0.0"}]
    assert len(seen["gone"]) == 3
    assert made.cli("undo", first, "--yes").returncode == 0
    undoing = [one.event for one in records(made, first) if one.event.type == "undoing"]
    assert [event.key for event in undoing] == ["undoing/1", "undoing/2"]
    assert records(made)[0].event.data["origin"] == {"kind": "undo", "run": first}


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("undo", "latest"), "nobody can be asked", Exit.USAGE),
        (("undo", "latest", "--yes", "--limit", "web9"), "--limit", Exit.USAGE),
        (("undo", "01ZZ", "--yes"), "there is no run", Exit.USAGE),
    ],
)
def test_undo_that_makes_no_sense_is_refused(here: tuple[Workspace, Path], words, said, code):
    made, folder = here
    made.cli("run", "files")
    refused = made.cli(*words)
    assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
    assert len(there(folder)) == 4


def test_undo_of_an_undo_and_of_a_check_are_refused(here: tuple[Workspace, Path]):
    made, _folder = here
    made.cli("run", "files", "--check")
    refused = made.cli("undo", "latest", "--yes")
    assert (refused.returncode, "only checked" in refused.stderr) == (Exit.USAGE, True)
    made.cli("run", "files")
    assert made.cli("undo", "latest", "--yes").returncode == 0
    refused = made.cli("undo", "latest", "--yes")
    assert (refused.returncode, "itself undid" in refused.stderr) == (Exit.USAGE, True)


def test_undo_on_some_targets_leaves_the_others_for_later(here: tuple[Workspace, Path]):
    made, folder = here
    made.cli("run", "files")
    first = newest(made)
    assert made.cli("undo", first, "--yes", "--limit", "web2").returncode == 0
    assert there(folder) == ["one-web1", "two-web1"]
    assert made.cli("undo", first, "--yes").returncode == 0
    assert there(folder) == []


def test_a_present_that_differs_is_refused_unless_it_is_undone_as_planned(
    here: tuple[Workspace, Path],
):
    made, folder = here
    made.cli("run", "files")
    path = made.root / "inventory.yaml"
    path.write_text(path.read_text().replace('"web2": {', '"web2": {"vars": {"a": 1}, ', 1))
    refused = made.cli("undo", "latest", "--yes")
    assert refused.returncode == Exit.MISMATCH, refused.stderr
    assert len(there(folder)) == 4
    assert made.cli("undo", "latest", "--yes", "--as-planned").returncode == 0
    assert there(folder) == []


def test_an_open_run_is_not_undone(here: tuple[Workspace, Path]):
    made, _folder = here
    made.cli("run", "files")
    run = newest(made)
    with closing(SqliteJournal(made.state / "journal.sqlite")) as journal:
        opened = journal.load(run)[0].event
        journal.record("01ZZZZZZZZZZZZZZZZZZZZZZZZ", [opened], time="2030-01-01T00:00:00.000000Z")
    refused = made.cli("undo", "01ZZZZZZZZZZZZZZZZZZZZZZZZ", "--yes")
    assert (refused.returncode, "is not over" in refused.stderr) == (Exit.USAGE, True)


def test_an_undo_that_was_killed_is_held_and_gone_on_with(here: tuple[Workspace, Path]):
    made, folder = here
    made.cli("run", "files")
    first = newest(made)
    (folder / "slow").touch()
    process = made.start("undo", first, "--yes", "--format", "jsonl")
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["event"] == "started":
            break
    second = made.cli("undo", first, "--yes")
    assert second.returncode == Exit.BUSY, second.stderr
    process.kill()
    process.wait()
    run = newest(made)
    third = made.cli("undo", first, "--yes")
    assert (third.returncode, f"wtsflow resume {run}" in third.stderr) == (Exit.BUSY, True)
    (folder / "slow").unlink()
    process.communicate(timeout=60)
    done = made.cli("resume", run, "--yes", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert there(folder) == []
    for target in ("web1", "web2"):
        assert log(folder, target)[2:] == [f"drop two-{target}", f"drop one-{target}"]
    assert made.cli("audit", "verify").returncode == 0
