"""``on_failure: undo`` and ``wtsflow undo`` on the real command line, on real hosts."""

import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.peers.sshd import Sshd
from tests.workspaces import Workspace
from wtsflow.errors import Exit
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Record

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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("undo")
    return Workspace.make(folder, SCRIPTS, {"files.yaml": files(folder)})


def site(
    template: Workspace, tmp_path: Path, hosts: Mapping[str, object], ending: str = ""
) -> tuple[Workspace, Path]:
    folder = tmp_path / "made"
    folder.mkdir()
    shutil.copytree(template.root, tmp_path / "workspace")
    made = Workspace(tmp_path / "workspace")
    made.write("manifests/files.yaml", files(folder, ending))
    inventory = {"hosts": hosts, "groups": {"web": {"hosts": list(hosts)}}}
    made.write("inventory.yaml", json.dumps(inventory))
    return made, folder


@pytest.fixture
def here(template: Workspace, tmp_path: Path) -> tuple[Workspace, Path]:
    return site(template, tmp_path, {f"web{n}": {"transport": "local"} for n in (1, 2)})


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
    template: Workspace, sshd: Sshd, tmp_path: Path
):
    made, folder = site(template, tmp_path, hosts(sshd), "on_failure: undo\n")
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


@pytest.mark.peer("sshd")
def test_undo_takes_back_on_real_hosts_what_a_run_did_once(
    template: Workspace, sshd: Sshd, tmp_path: Path
):
    made, folder = site(template, tmp_path, hosts(sshd))
    assert made.run("files.yaml")["exit"]["code"] == 0
    assert len(there(folder)) == 4
    planned = made.inside("undo", "latest", "--plan")
    assert planned.stdout.index("two") < planned.stdout.index("one")
    assert len(there(folder)) == 4
    first = newest(made)
    done = made.inside("undo", "latest", "--yes", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert there(folder) == []
    for target in ("web1", "web2"):
        assert log(folder, target)[2:] == [f"drop two-{target}", f"drop one-{target}"]
    again = made.inside("undo", first, "--yes")
    assert again.returncode == Exit.USAGE
    assert f"run {newest(made)} did so" in again.stderr
    assert made.inside("audit", "verify").returncode == 0


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
    done = made.inside("run", "files")
    assert done.returncode == Exit.FAILED, done.stdout
    assert there(folder) == []
    assert "taken back: 4" in done.stdout
    assert records(made)[-1].event.data["undo"] == {"done": 4}
    again = made.inside("undo", "latest", "--yes")
    assert (again.returncode, "did so" in again.stderr) == (Exit.USAGE, True)


def test_undo_goes_on_where_an_earlier_one_failed(here: tuple[Workspace, Path]):
    made, folder = here
    assert made.inside("run", "files").returncode == 0
    first = newest(made)
    (folder / "two-web1").unlink()
    done = made.inside("undo", first, "--yes")
    assert done.returncode == Exit.PARTIAL
    assert there(folder) == []
    (folder / "two-web1").touch()
    seen = json.loads(made.inside("undo", first, "--plan", "--format", "json").stdout)
    assert seen["undo"] == [{"step": "two", "target": "web1", "script": "a/drop.sh@1.0.0"}]
    assert len(seen["gone"]) == 3
    assert made.inside("undo", first, "--yes").returncode == 0
    undoing = [one.event for one in records(made, first) if one.event.type == "undoing"]
    assert [event.key for event in undoing] == ["undoing/1", "undoing/2"]
    assert records(made)[0].event.data["origin"] == {"kind": "undo", "run": first}


def test_undo_that_makes_no_sense_is_refused(here: tuple[Workspace, Path]):
    made, folder = here
    made.inside("run", "files")
    for words, said in (
        (("undo", "latest"), "nobody can be asked"),
        (("undo", "latest", "--yes", "--limit", "web9"), "--limit"),
        (("undo", "01ZZ", "--yes"), "there is no run"),
    ):
        refused = made.inside(*words)
        assert (refused.returncode, said in refused.stderr) == (Exit.USAGE, True), refused.stderr
    assert len(there(folder)) == 4


def test_undo_of_an_undo_and_of_a_check_are_refused(here: tuple[Workspace, Path]):
    made, _folder = here
    made.inside("run", "files", "--check")
    refused = made.inside("undo", "latest", "--yes")
    assert (refused.returncode, "only checked" in refused.stderr) == (Exit.USAGE, True)
    made.inside("run", "files")
    assert made.inside("undo", "latest", "--yes").returncode == 0
    refused = made.inside("undo", "latest", "--yes")
    assert (refused.returncode, "itself undid" in refused.stderr) == (Exit.USAGE, True)


def test_undo_on_some_targets_leaves_the_others_for_later(here: tuple[Workspace, Path]):
    made, folder = here
    made.inside("run", "files")
    first = newest(made)
    assert made.inside("undo", first, "--yes", "--limit", "web2").returncode == 0
    assert there(folder) == ["one-web1", "two-web1"]
    assert made.inside("undo", first, "--yes").returncode == 0
    assert there(folder) == []


def test_a_present_that_differs_is_refused_unless_it_is_undone_as_planned(
    here: tuple[Workspace, Path],
):
    made, folder = here
    made.inside("run", "files")
    path = made.root / "inventory.yaml"
    path.write_text(path.read_text().replace('"web2": {', '"web2": {"vars": {"a": 1}, ', 1))
    refused = made.inside("undo", "latest", "--yes")
    assert refused.returncode == Exit.MISMATCH, refused.stderr
    assert len(there(folder)) == 4
    assert made.inside("undo", "latest", "--yes", "--as-planned").returncode == 0
    assert there(folder) == []


def test_an_open_run_is_not_undone(here: tuple[Workspace, Path]):
    made, _folder = here
    made.inside("run", "files")
    run = newest(made)
    with closing(SqliteJournal(made.state / "journal.sqlite")) as journal:
        opened = journal.load(run)[0].event
        journal.record("01ZZZZZZZZZZZZZZZZZZZZZZZZ", [opened], time="2030-01-01T00:00:00.000000Z")
    refused = made.inside("undo", "01ZZZZZZZZZZZZZZZZZZZZZZZZ", "--yes")
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


KEY = """\
wtsflow: 1
name: web/key
version: 1.0.0
title: Key
owner: ops
steps:
  - id: make
    script: a/key.sh@1.0.0
    outputs: { key: secret }
    undo: { script: a/burn.sh@1.0.0, with: { key: "$(outputs.key)" } }
"""


def test_a_secret_output_that_is_needed_is_missed_before_anything_is_undone(tmp_path: Path):
    scripts = {
        "a/key.sh": '#!/bin/sh\necho \'{"key": "Tr0ub4dor&3x"}\' > "$WTS_OUTPUT"\n',
        "a/burn.sh": "#!/bin/sh\n",
        "a/burn.sh.yaml": "parameters: { key: { type: secret } }\ninput: json\n",
    }
    made = Workspace.make(tmp_path, scripts, {"key.yaml": KEY})
    assert made.inside("run", "key").returncode == 0
    refused = made.inside("undo", "latest", "--yes")
    assert refused.returncode == Exit.INVALID
    assert "make/undo@local: with: key" in refused.stderr
    assert "outputs that hold a secret are not kept" in refused.stderr
