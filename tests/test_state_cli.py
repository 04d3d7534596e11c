"""The state folder: copied while runs write, put back only whole, checked, read where it is still."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import closing as shutting
from pathlib import Path
from typing import Any

import pytest

from tests.keeping import TIME, a_run, closed, kept, opened, posix, write
from wtsflow.audit.verify import verify
from wtsflow.cli.main import main
from wtsflow.errors import Exit, JournalError, MismatchError, UsageError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.journals.still import still
from wtsflow.model.record import Event
from wtsflow.upkeep.backup import backup, restore

ROOT = Path(__file__).parents[1]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    a_run(folder, "01A", limit=2000)
    with kept(folder) as (journal, log):
        write(journal, log, opened(), run="01OPEN")
    for name in ("spool/01A/clean@web00~1.log", f"objects/ab/{'c' * 62}"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("kept")
    return folder


@pytest.fixture
def ask(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("WTSFLOW_STATE", str(state))

    def asked(*args: str) -> tuple[int, str, str]:
        code = main(list(args))
        said = capsys.readouterr()
        return code, said.out, said.err

    return asked


def copied(folder: Path, *, spool: bool = False) -> bytes:
    to = io.BytesIO()
    backup(folder, to, time=TIME, spool=spool)
    return to.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- copies -----------------------------------------------------------------------------------


def test_what_was_copied_is_put_back_and_proves_the_same(state: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    done = restore(io.BytesIO(copied(state)), there)
    assert (done.time, done.runs, done.open) == (TIME, 2, 1)
    with (
        SqliteJournal(there / "journal.sqlite") as journal,
        SqliteJournal(state / "journal.sqlite") as old,
    ):
        assert journal.heads() == old.heads()
        assert journal.load("01A") == old.load("01A")
        verdict = verify(there / "audit", journal)
        assert verdict.intact
        assert verdict.last == verify(state / "audit", old).last
        assert journal.record("01OPEN", [closed()], time=TIME)
    assert (there / f"objects/ab/{'c' * 62}").read_text() == "kept"
    assert not (there / "spool").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"state", "there"}


def test_kept_output_is_copied_when_asked(state: Path, tmp_path: Path) -> None:
    restore(io.BytesIO(copied(state, spool=True)), tmp_path / "there")
    assert (tmp_path / "there/spool/01A/clean@web00~1.log").read_text() == "kept"


@posix
def test_what_is_put_back_is_its_owners_alone(state: Path, tmp_path: Path) -> None:
    restore(io.BytesIO(copied(state, spool=True)), tmp_path / "there")
    for path in (tmp_path / "there").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o700


def test_an_empty_folder_is_filled_and_a_full_one_left_alone(state: Path, tmp_path: Path) -> None:
    data = copied(state)
    (tmp_path / "there").mkdir(mode=0o700)
    inode = (tmp_path / "there").stat().st_ino
    restore(io.BytesIO(data), tmp_path / "there")
    assert (tmp_path / "there").stat().st_ino == inode
    before = contents(tmp_path / "there")
    assert not any(name.startswith(".wtsflow-") for name in before)
    with pytest.raises(UsageError, match="not empty"):
        restore(io.BytesIO(data), tmp_path / "there")
    assert contents(tmp_path / "there") == before


WRITER = """
import sys, time
from pathlib import Path
from wtsflow.audit import Log
from wtsflow.clock import SystemClock
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event
folder, run = Path(sys.argv[1]), sys.argv[2]
with SqliteJournal(folder / "journal.sqlite") as journal:
    log = Log(folder / "audit", clock=SystemClock(), truth=journal, limit=20_000, deadline=30)
    number = 0
    while True:
        name, number = f"{run}{number // 7}", number + 1
        key = "closed" if number % 7 == 0 else f"k/{number}"
        log.append(journal.record(name, [Event(key, {"status": "success"})], time=sys.argv[3]))
"""


def test_copies_that_are_made_while_runs_write_are_of_one_moment(tmp_path: Path) -> None:
    state = tmp_path / "state"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(state), f"RUN{i}-", TIME])
        for i in range(2)
    ]
    try:
        while not (state / "audit").is_dir() or not any((state / "audit").glob("*.jsonl")):
            time.sleep(0.01)
        sizes = []
        for number in range(8):
            time.sleep(0.1)
            done = restore(io.BytesIO(copied(state)), tmp_path / f"copy{number}")
            assert done.verdict.intact
            assert not done.verdict.torn
            sizes.append(done.verdict.records)
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]
        assert all(writer.poll() is None for writer in writers)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def rebuilt(data: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """The copy with other contents."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    change(files)
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return to.getvalue()


def listed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same, with a list that agrees with what is there."""
    import hashlib

    said = json.loads(files.pop("backup.json"))
    said["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files["backup.json"] = json.dumps(said).encode()
    return files


def first_log(files: dict[str, bytes]) -> str:
    return min(name for name in files if name.startswith("audit/"))


def edit_log(files: dict[str, bytes]) -> None:
    name = first_log(files)
    files[name] = files[name].replace(b'"disk"', b'"dusk"', 1)
    listed(files)


def stranger(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files[name] = b"x"
        listed(files)

    return change


BAD: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "an edited record": (edit_log, "does not match its hash"),
    "an edited file": (lambda f: f.update({first_log(f): b"x"}), "not those in its list"),
    "a file less": (lambda f: f.pop(first_log(f)), "not those in its list"),
    "no list": (lambda f: f.pop("backup.json"), "its list is missing"),
    "no journal": (lambda f: (f.pop("journal.sqlite"), listed(f)), "no journal"),
    "a journal that is none": (
        lambda f: (f.update({"journal.sqlite": b"x" * 9000}), listed(f)),
        "not a database",
    ),
    "a log file less": (lambda f: (f.pop(first_log(f)), listed(f)), "missing before this file"),
    "a path outside": (stranger("../evil"), "does not belong"),
    "a path outside below": (stranger("spool/../../evil"), "does not belong"),
    "dots": (stranger("spool/../evil"), "does not belong"),
    "an absolute path": (stranger("/tmp/evil"), "does not belong"),
    "another file": (stranger(".bashrc"), "does not belong"),
    "a file of the database": (stranger("journal.sqlite-wal"), "does not belong"),
}


@pytest.mark.parametrize("what", BAD)
def test_T16_a_copy_that_is_not_whole_is_not_put_back(
    state: Path, tmp_path: Path, what: str
) -> None:
    change, said = BAD[what]
    with pytest.raises(MismatchError, match=said):
        restore(io.BytesIO(rebuilt(copied(state), change)), tmp_path / "in" / "there")
    assert list((tmp_path / "in").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_T16_only_plain_files_are_put_back(state: Path, tmp_path: Path, kind: bytes) -> None:
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w:gz") as archive:
        info = tarfile.TarInfo("audit/audit-000000000001.jsonl")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(MismatchError, match="does not belong"):
        restore(io.BytesIO(to.getvalue()), tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_copy_that_was_cut_off_anywhere_is_not_put_back(state: Path, tmp_path: Path) -> None:
    data = copied(state)
    for size in (0, 10, len(data) // 3, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(MismatchError):
            restore(io.BytesIO(data[:size]), tmp_path / "in" / "there")
        assert list((tmp_path / "in").iterdir()) == []


# --- at the command line ----------------------------------------------------------------------


def test_a_back_up_goes_into_a_new_file_and_comes_back(
    ask: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "copy.tar.gz"
    assert ask("state", "backup", str(file))[0] == 0
    assert os.name != "posix" or file.stat().st_mode & 0o777 == 0o600
    code, _, err = ask("state", "backup", str(file))
    assert (code, "exists" in err) == (Exit.USAGE, True)
    assert ask("state", "backup", str(tmp_path / "no" / "folder"))[0] == Exit.USAGE
    code, _, err = ask("state", "restore", str(file))
    assert (code, "is not empty" in err) == (Exit.USAGE, True)
    monkeypatch.setenv("WTSFLOW_STATE", str(tmp_path / "there"))
    code, out, err = ask("state", "restore", str(file))
    assert code == 0
    assert "2 runs" in out
    assert "still open then: 1" in err
    assert ask("audit", "verify")[0] == 0
    assert ask("state", "restore", str(tmp_path / "none"))[0] == Exit.USAGE
    assert {path.name for path in tmp_path.iterdir()} >= {"state", "there", "copy.tar.gz"}
    assert not list(tmp_path.glob(".*"))


@posix
def test_a_back_up_goes_through_a_pipe(state: Path, tmp_path: Path) -> None:
    words = f"{sys.executable} -m wtsflow state"
    line = f"{words} backup - | WTSFLOW_STATE={tmp_path}/there {words} restore - --format json"
    done = subprocess.run(
        ["sh", "-c", line],
        env={**os.environ, "WTSFLOW_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 2
    cut = subprocess.run(
        ["sh", "-c", f"{words} backup - | head -c 10 >/dev/null"],
        env={**os.environ, "WTSFLOW_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in cut.stderr


def test_the_state_is_checked(ask: Callable[..., Any], state: Path) -> None:
    code, out, _ = ask("state", "check")
    assert (code, out.startswith("whole: 2 runs")) == (0, True)
    with shutting(sqlite3.connect(state / "journal.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE facts SET data='{}' WHERE run='01A' AND seq=2")
        db.execute("DELETE FROM facts WHERE run='01A' AND seq=3")
    code, out, _ = ask("state", "check", "--format", "json")
    said = json.loads(out)
    assert (code, said["whole"]) == (Exit.MISMATCH, False)
    assert any("not numbered from 1" in fault for fault in said["faults"])
    assert any("says something else in the journal" in fault for fault in said["faults"])


def test_the_folder_is_printed(ask: Callable[..., Any], state: Path) -> None:
    assert ask("state", "path")[1] == f"{state}\n"
    said = json.loads(ask("state", "path", "--format", "json")[1])
    assert (said["folder"], said["exists"]) == (str(state), True)


def test_pruning_asks_says_and_removes(ask: Callable[..., Any], state: Path) -> None:
    assert ask("state", "prune")[0] == Exit.USAGE
    code, out, err = ask("state", "prune", "--older-than", "1d", "--dry-run")
    assert (code, "01A" in out, "1 run would be removed" in err) == (0, True, True)
    code, _, err = ask("state", "prune", "--older-than", "1d")
    assert (code, "nobody can be asked" in err) == (Exit.USAGE, True)
    code, out, _ = ask("state", "prune", "--older-than", "1d", "--yes", "--format", "json")
    said = json.loads(out)
    assert (code, said["runs"], said["removed"], said["output_bytes"]) == (0, ["01A"], 1, 4)
    code, out, _ = ask("audit", "verify")
    assert code == 0
    assert f"1 run pruned by record 1 of run {said['record']}" in out
    whole = json.loads(ask("audit", "verify", "--format", "json")[1])
    assert whole["pruned"] == [{"by": said["record"], "record": 1, "runs": 1}]
    shown = json.loads(ask("audit", "show", "--event", "pruned", "--format", "json")[1])
    assert [one["body"]["run"] for one in shown["records"]] == [said["record"]]
    listed_ = json.loads(ask("runs", "list", "--format", "json")[1])["runs"]
    assert [run["run"] for run in listed_] == ["01OPEN"]
    code, out, _ = ask("state", "prune", "--keep", "5", "--yes")
    assert (code, out) == (0, "nothing was removed\n")


def test_nothing_is_pruned_where_the_log_was_changed(ask: Callable[..., Any], state: Path) -> None:
    path = min((state / "audit").glob("audit-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"disk"', b'"dusk"', 1))
    code, _, err = ask("state", "prune", "--older-than", "1d", "--yes")
    assert (code, "not intact" in err) == (Exit.MISMATCH, True)


@pytest.mark.parametrize(
    "args", [["check"], ["backup", "x.tar.gz"], ["prune", "--older-than", "1d", "--yes"]]
)
def test_before_the_first_run_there_is_nothing_to_look_after(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, args: list[str]
) -> None:
    monkeypatch.setenv("WTSFLOW_STATE", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    code, _, err = ask("state", *args)
    assert code == Exit.USAGE
    assert "nothing was run yet" in err
    assert not (tmp_path / "none").exists()


# --- where nobody can write -------------------------------------------------------------------


def test_a_still_journal_answers_and_refuses_to_be_written(state: Path) -> None:
    with shutting(still(state / "journal.sqlite")) as journal:
        assert {run.run for run in journal.runs()} == {"01A", "01OPEN"}
        assert not journal.changed()
        with pytest.raises(JournalError, match="readonly"):
            journal.record("01A", [Event("x")], time=TIME)
    assert not list(state.glob("journal.sqlite-*"))


def test_a_still_journal_has_what_was_committed_last(state: Path, tmp_path: Path) -> None:
    """A crash leaves it in the log of the database only."""
    with SqliteJournal(state / "journal.sqlite") as journal:
        journal.record("01LAST", [opened()], time=TIME)
        shutil.copytree(state, tmp_path / "crashed")
    (tmp_path / "crashed" / "journal.sqlite-shm").unlink()
    before = contents(tmp_path / "crashed")
    with shutting(still(tmp_path / "crashed" / "journal.sqlite")) as journal:
        assert "01LAST" in {run.run for run in journal.runs()}
    assert contents(tmp_path / "crashed") == before


def test_a_still_journal_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old" / "journal.sqlite"
    path.parent.mkdir(mode=0o700)
    shutil.copyfile(ROOT / "tests/journals/v1/three-runs.sqlite", path)
    path.chmod(0o600)
    before = path.read_bytes()
    with shutting(still(path)) as journal:
        assert len(journal.runs(environment="")) == 3
    assert path.read_bytes() == before


READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
shift
for words in "runs list --format json" "runs show 01A" "audit verify" "state check" \
             "audit show" "state backup -" "runs list --status open"; do
    "$@" $words >/dev/null 2>>"$OUT" || { echo "failed: $words"; exit 1; }
done
"$@" doctor
echo "doctor $?"
"$@" state prune --older-than 1d --yes
echo "prune $?"
"""


@pytest.fixture
def read_only() -> list[str]:
    names = ["unshare", "-m"] if os.name == "posix" and os.geteuid() == 0 else ["unshare", "-Urm"]
    if not shutil.which("unshare") or subprocess.run([*names, "true"], check=False).returncode:
        pytest.skip("needs unshare, and to be allowed to mount")
    return names


def test_a_state_folder_on_a_read_only_mount_is_read(
    state: Path, tmp_path: Path, read_only: list[str]
) -> None:
    (state / "locks").mkdir()
    (state / "locks" / "01OPEN.lock").touch()
    with SqliteJournal(state / "journal.sqlite") as journal:  # as a crash leaves it
        journal.record("01OPEN", [Event("x")], time=TIME)
        shutil.copytree(state, tmp_path / "still")
    out = tmp_path / "out.txt"
    done = subprocess.run(
        [
            *(*read_only, "sh", "-c", READ_ONLY, "sh", str(tmp_path / "still")),
            *(sys.executable, "-m", "wtsflow"),
        ],
        env={**os.environ, "WTSFLOW_STATE": str(tmp_path / "still"), "OUT": str(out)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip(f"may not mount: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr + out.read_text()
    assert "cannot be written" in done.stdout
    assert "doctor 1" in done.stdout
    assert f"prune {int(Exit.AUDIT)}" in done.stdout
