"""A journal of any release: opened, brought up in one piece, and never half."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.keeping import TIME, opened, posix
from wtsflow.errors import JournalError
from wtsflow.journals import schema
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event

FROZEN = Path(__file__).parent / "journals"
V1, V2 = FROZEN / "v1/three-runs.sqlite", FROZEN / "v2/six-runs.sqlite"


def copied(frozen: Path, folder: Path) -> Path:
    """A private copy of a frozen file."""
    path = folder / "state" / "journal.sqlite"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(frozen, path)
    path.chmod(0o600)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return schema.version(db)


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {row[0] for row in db.execute("SELECT name FROM sqlite_master")}


@pytest.mark.parametrize("frozen", sorted(FROZEN.glob("v*/*.sqlite")), ids=lambda path: path.stem)
def test_a_journal_of_every_release_reads_as_it_did(frozen: Path, tmp_path: Path) -> None:
    expected = json.loads(frozen.with_suffix(".json").read_text())
    with SqliteJournal(copied(frozen, tmp_path)) as journal:
        found = {
            run: [[r.seq, r.time, r.event.key, r.event.data] for r in journal.load(run)]
            for run, _, _ in journal.heads()
        }
        statuses = {run.run: run.status for run in journal.runs()}
        assert journal.record("01NEW", [opened()], time=TIME)
        assert journal.faults() == []
    assert found == expected["records"]
    assert statuses == expected["statuses"]


def test_there_is_a_frozen_journal_of_every_version() -> None:
    for number in range(1, schema.VERSION + 1):
        assert {version(path) for path in (FROZEN / f"v{number}").glob("*.sqlite")} == {number}


def test_a_journal_of_the_second_version_answers_as_it_did(tmp_path: Path) -> None:
    expected = json.loads(V2.with_suffix(".json").read_text())
    with SqliteJournal(copied(V2, tmp_path)) as journal:
        for run in journal.runs():
            standing = [run.standing, run.due, run.waits, run.environment]
            reason = [run.mode, run.origin, run.origin_of, run.exit]
            assert standing + reason == expected["standings"][run.run]
        for target, runs in expected["targets"].items():
            assert [run.run for run in journal.runs(target=target)] == runs
        assert sorted(journal.pruned()) == expected["pruned"]
        assert sorted(map(list, journal.heads())) == expected["heads"]
        assert journal.needed("ab" * 32)
        assert not journal.needed("ef" * 32)


def test_runs_of_the_first_version_are_found_by_what_is_new(tmp_path: Path) -> None:
    with closing(sqlite3.connect(copied(V1, tmp_path))) as db:
        listed = db.execute("SELECT run, data FROM facts WHERE key='opened'").fetchall()
    assert listed
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:
        for run, text in listed:
            for target in json.loads(text)["targets"]:
                assert run in {found.run for found in journal.runs(target=target)}


KILLED = """
import os, signal, sys
from pathlib import Path
from wtsflow.journals import schema
from wtsflow.journals.sqlite import SqliteJournal
real, left = schema.index, [0]
class Cut(schema.sqlite3.Connection):
    def execute(self, sql, *values):
        done = super().execute(sql, *values)
        if self.in_transaction:
            left[0] += 1
            if left[0] == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
        return done
import wtsflow.journals.sqlite as module
module.connect = lambda path, busy: schema.sqlite3.connect(
    path, isolation_level=None, check_same_thread=False, factory=Cut)
SqliteJournal(Path(sys.argv[1])).close()
print(left[0])
"""


def migrating(path: Path, when: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", KILLED, str(path), str(when)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@posix
def test_who_is_killed_while_migrating_leaves_the_old_file(tmp_path: Path) -> None:
    done = migrating(copied(V1, tmp_path), 0)
    assert done.returncode == 0, done.stderr
    statements = int(done.stdout)
    assert statements > 20
    before = tables(V1)
    for when in (1, 2, 9, statements // 2, statements - 2, statements):
        path = copied(V1, tmp_path)
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        assert migrating(path, when).returncode == -signal.SIGKILL
        assert version(path) == 1
        assert tables(path) == before
        with SqliteJournal(path) as journal:
            assert journal.faults() == []
            assert len(journal.heads()) == 3
        assert version(path) == schema.VERSION


def test_processes_that_meet_an_old_journal_migrate_it_once(tmp_path: Path) -> None:
    path = copied(V1, tmp_path)
    code = (
        "import sys; from pathlib import Path;"
        "from wtsflow.journals.sqlite import SqliteJournal;"
        "print(len(SqliteJournal(Path(sys.argv[1])).heads()))"
    )
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for opener in openers:
        out, err = opener.communicate(timeout=60)
        assert out == b"3\n", err.decode()
    with SqliteJournal(path) as journal:
        assert journal.faults() == []


def test_a_journal_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = copied(V2, tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    with pytest.raises(JournalError, match="newer wtsflow") as caught:
        SqliteJournal(path)
    assert "install that version" in caught.value.cure
    assert version(path) == schema.VERSION + 1


def test_an_old_process_goes_on_writing_into_a_migrated_journal(tmp_path: Path) -> None:
    """One that had it open before: what it does not know of is as if it were not said."""
    path = copied(V1, tmp_path)
    SqliteJournal(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO runs (run, last, started) VALUES ('01OLD', 1, ?)", (TIME,))
        db.execute(
            "INSERT INTO facts (run, seq, key, time, data) VALUES ('01OLD',1,'x',?,'{}')", (TIME,)
        )
    with SqliteJournal(path) as journal:
        assert journal.faults() == []
        assert journal.record("01OLD", [Event("y")], time=TIME)[0].seq == 2
        assert "01OLD" in {run.run for run in journal.runs(status="open")}


# --- what is wrong with a file is found -------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM facts WHERE seq=2", "not numbered from 1"),
        ("UPDATE runs SET last=last+1 WHERE run LIKE '%001'", "the number of its last record"),
        ("DELETE FROM runs WHERE run LIKE '%001'", "not in the list of runs"),
        ("UPDATE runs SET audited=99", "said to be in the audit log"),
        ("INSERT INTO run_targets VALUES ('web9', 't', 'nowhere')", "found by a target"),
    ],
)
def test_a_journal_whose_tables_do_not_agree_is_found(
    tmp_path: Path, damage: str, said: str
) -> None:
    path = copied(V2, tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(damage).rowcount
    with SqliteJournal(path) as journal:
        assert any(said in fault for fault in journal.faults())


def test_a_journal_with_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = copied(V2, tmp_path)
    with SqliteJournal(path) as journal:
        assert journal.faults(quick=True) == []
        (page,) = journal._db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name='runs_by_status'"
        ).fetchone()
    whole = bytearray(path.read_bytes())
    start = (page - 1) * 4096
    whole[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(whole)
    with SqliteJournal(path) as journal:
        assert "the file is damaged" in journal.faults()[0]
