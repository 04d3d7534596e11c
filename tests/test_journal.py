"""The journal: every event at most once, durable, in order, private."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.keeping import RUN, TIME, closed, opened, posix, step
from wtsflow import files
from wtsflow.errors import Exit, JournalError
from wtsflow.journals import door, schema
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event
from wtsflow.model.values import MASK, Json, Secret


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as made:
        yield made


def test_what_was_recorded_is_read_back_in_order(journal: SqliteJournal) -> None:
    first = journal.record(RUN, [opened(), *step(1)], time=TIME)
    second = journal.record(RUN, [closed()], time=TIME)
    assert [record.seq for record in first + second] == [1, 2, 3, 4]
    assert journal.load(RUN) == first + second
    assert journal.load(RUN, after=3) == second
    assert journal.load(RUN, after=1, limit=2) == first[1:]
    assert journal.load("another") == []


def test_a_key_is_recorded_once_and_only_its_writer_learns_so(journal: SqliteJournal) -> None:
    started, finished = step(1)
    assert journal.record(RUN, [started], time=TIME)
    assert journal.record(RUN, [started], time=TIME) == []
    again = journal.record(RUN, [started, finished, finished], time=TIME)
    assert [record.event.key for record in again] == [finished.key]
    assert [record.seq for record in journal.load(RUN)] == [1, 2]
    assert journal.record("OTHER", [started], time=TIME)[0].seq == 1


@settings(max_examples=40, deadline=None)
@given(calls=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), max_size=8))
def test_numbers_are_without_gaps_whatever_is_repeated(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[str]]
) -> None:
    with SqliteJournal(tmp_path_factory.mktemp("j") / "journal.sqlite") as journal:
        seen: list[str] = []
        for keys in calls:
            new = journal.record(RUN, [Event(key) for key in keys], time=TIME)
            assert [r.event.key for r in new] == [k for k in dict.fromkeys(keys) if k not in seen]
            seen += [record.event.key for record in new]
        assert [r.seq for r in journal.load(RUN)] == list(range(1, len(seen) + 1))


def test_the_order_of_keys_in_data_is_kept(journal: SqliteJournal) -> None:
    data: dict[str, Json] = {"zebra": 1, "apple": {"y": 1, "b": 2}, "mango": []}
    journal.record(RUN, [Event("opened", data)], time=TIME)
    assert json.dumps(journal.load(RUN)[0].event.data) == json.dumps(data)


def test_T38_a_secret_leaf_is_never_written(journal: SqliteJournal) -> None:
    record = journal.record(RUN, [Event("x", {"a": [Secret("hunter2x")]})], time=TIME)[0]
    assert record.event.data == {"a": [MASK]}
    journal.close()
    for path in journal.path.parent.iterdir():
        assert b"hunter2x" not in path.read_bytes()


def test_text_of_any_kind_is_kept(journal: SqliteJournal) -> None:
    data: dict[str, Json] = {"text": "Grüße \ud800 \x00 \u2028 🎉", "big": 2**70, "ratio": 0.1}
    journal.record(RUN, [Event("x", data)], time=TIME)
    assert journal.load(RUN)[0].event.data == data


@pytest.mark.parametrize("data", [{"a": float("nan")}, {"a": float("inf")}, {"a": object()}])
def test_data_that_is_not_json_writes_nothing_at_all(journal: SqliteJournal, data: dict) -> None:
    with pytest.raises(JournalError, match="cannot write"):
        journal.record(RUN, [Event("good"), Event("bad", data)], time=TIME)
    assert journal.load(RUN) == []
    assert journal.record(RUN, [Event("good")], time=TIME)[0].seq == 1


def test_runs_are_summarised(journal: SqliteJournal) -> None:
    journal.record("A", [opened(3)], time="2026-01-01T00:00:00.000000Z")
    journal.record("B", [opened(1)], time="2026-01-02T00:00:00.000000Z")
    journal.record("A", [closed()], time="2026-01-03T00:00:00.000000Z")
    newest, older = journal.runs()
    assert (newest.run, newest.status, newest.ended, newest.exit) == ("B", "", "", None)
    assert (older.run, older.status, older.exit, older.targets) == ("A", "success", 0, 3)
    assert (older.workflow, older.version, older.actor) == ("disk", "1.2.0", "alice")
    assert older.ticket == "INC1"
    assert older.ended == "2026-01-03T00:00:00.000000Z"
    assert [run.run for run in journal.runs(status="")] == ["B"]
    assert [run.run for run in journal.runs(status="success")] == ["A"]
    assert [run.run for run in journal.runs(limit=1)] == ["B"]
    assert journal.runs(workflow="other") == []


def test_threads_share_one_journal(journal: SqliteJournal) -> None:
    won: list[str] = []

    def work(name: str) -> None:
        for number in range(25):
            records = journal.record(RUN, [Event(f"key/{number}", {"by": name})], time=TIME)
            won.extend(record.event.subject for record in records)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won, key=int) == [str(number) for number in range(25)]
    assert [record.seq for record in journal.load(RUN)] == list(range(1, 26))


WRITER = """
import sys
from pathlib import Path
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event
won = 0
with SqliteJournal(Path(sys.argv[1])) as journal:
    for number in range(40):
        won += len(journal.record("RUN", [Event(f"key/{number}")], time="t"))
print(won)
"""


def test_of_many_processes_exactly_one_records_each_key(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert sum(int(writer.communicate(timeout=60)[0]) for writer in writers) == 40
    with SqliteJournal(path) as journal:
        assert [record.seq for record in journal.load("RUN")] == list(range(1, 41))


def test_two_first_openings_that_meet_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.sqlite"
    SqliteJournal(path).close()
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, lambda: holder.execute("ROLLBACK"))
    release.start()
    with SqliteJournal(path) as journal:
        assert journal.record(RUN, [opened()], time=TIME)
    release.join()
    holder.close()


def test_a_reader_sees_records_of_a_living_writer(journal: SqliteJournal) -> None:
    with SqliteJournal(journal.path) as reader:
        journal.record(RUN, [opened()], time=TIME)
        assert [record.seq for record in reader.load(RUN)] == [1]


def test_opening_and_closing_a_second_one_drops_no_lock_of_the_first(
    journal: SqliteJournal,
) -> None:
    journal._db.execute("BEGIN IMMEDIATE")
    SqliteJournal(journal.path, busy=0.01).close()
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=0);"
        "db.execute('BEGIN IMMEDIATE')"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, journal.path], capture_output=True, check=False
    )
    journal._db.execute("ROLLBACK")
    assert b"database is locked" in other.stderr


def test_a_locked_journal_says_so_after_a_while(journal: SqliteJournal) -> None:
    with SqliteJournal(journal.path, busy=0.05) as other:
        journal._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked") as caught:
            other.record(RUN, [opened()], time=TIME)
        journal._db.execute("ROLLBACK")
        assert caught.value.cure
        assert caught.value.exit is Exit.AUDIT
        assert other.record(RUN, [opened()], time=TIME)


def test_it_flushes_every_commit(journal: SqliteJournal) -> None:
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"hello world, this is no database at all" * 100)
    path.chmod(0o600)
    with pytest.raises(JournalError, match="not a database") as caught:
        SqliteJournal(path)
    assert "evidence" in caught.value.cure


@posix
def test_T47_files_and_folders_are_ours_alone(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "deep" / "state" / "journal.sqlite") as journal:
        journal.record(RUN, [opened()], time=TIME)
        for path in journal.path.parent.iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path
        assert journal.path.parent.stat().st_mode & 0o777 == 0o700
        assert journal.path.parent.parent.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o770])
def test_T47_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(JournalError, match="written by others") as caught:
        SqliteJournal(folder / "journal.sqlite")
    assert "chmod go-rwx" in caught.value.cure
    assert list(folder.iterdir()) == []


@posix
def test_T47_a_folder_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    SqliteJournal(folder / "journal.sqlite").close()
    assert folder.stat().st_mode & 0o777 == 0o700


@posix
@pytest.mark.parametrize("what", ["folder", "file", "dangling"])
def test_T47_a_link_is_refused(tmp_path: Path, what: str) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir(mode=0o700)
    state = tmp_path / "state"
    if what == "folder":
        state.symlink_to(real)
    else:
        state.mkdir(mode=0o700)
        if what == "file":
            (real / "x").touch(mode=0o600)
        (state / "journal.sqlite").symlink_to(real / "x")
    with pytest.raises(JournalError, match=r"symbolic link|not a folder"):
        SqliteJournal(state / "journal.sqlite")
    assert [path.name for path in real.iterdir()] in ([], ["x"])
    assert all(path.stat().st_size == 0 for path in real.iterdir())


@posix
@pytest.mark.skipif(os.geteuid() != 0 if hasattr(os, "geteuid") else True, reason="needs root")
def test_T47_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "journal.sqlite").touch(mode=0o600)
    os.chown(folder / "journal.sqlite", 12345, 12345)
    with pytest.raises(JournalError, match="belongs to user 12345"):
        SqliteJournal(folder / "journal.sqlite")


MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/vda rw
30 22 0:40 / {there} rw - nfs4 server:/export rw
31 30 0:41 / {there}/local\\040disk rw - ext4 /dev/vdb rw
"""


def test_a_network_file_system_is_recognised(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(there=tmp_path / "net"))
    assert files.network_file_system(tmp_path / "net" / "state", mounts) == "nfs4"
    assert files.network_file_system(tmp_path / "net" / "local disk" / "x", mounts) == ""
    assert files.network_file_system(tmp_path / "network", mounts) == ""
    assert files.network_file_system(tmp_path, tmp_path / "absent") == ""


def test_a_journal_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "network_file_system", lambda _path: "nfs4")
    with pytest.raises(JournalError, match=r"network file system \(nfs4\)") as caught:
        SqliteJournal(tmp_path / "state" / "journal.sqlite")
    assert "local disk" in caught.value.cure


@posix
def test_T42_a_full_disk_refuses_and_writes_nothing(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from wtsflow.errors import JournalError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = SqliteJournal(Path(sys.argv[1]))
journal.record("R", [Event("opened")], time="t")
size = max(p.stat().st_size for p in journal.path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60_000, resource.RLIM_INFINITY))
written = 1
try:
    while True:
        written += len(journal.record("R", [Event(f"k/{written}", {"x": "y" * 900})], time="t"))
except JournalError as error:
    assert error.exit == 74, error.exit
print(written, len(journal.load("R")))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
journal.record("R", [Event("after")], time="t")
print(len(journal.load("R")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "state" / "journal.sqlite"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, after = done.stdout.splitlines()
    written, loaded = map(int, first.split())
    assert written == loaded > 1
    assert int(after) == loaded + 1


@posix
def test_T42_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("a file where the folder belongs")
    with pytest.raises(JournalError, match="not a folder"):
        SqliteJournal(folder / "journal.sqlite")


@posix
def test_T42_no_more_descriptors_refuses(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import wtsflow.journals.sqlite as module
from wtsflow.errors import JournalError
resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
try:
    module.SqliteJournal(Path(sys.argv[1]))
except JournalError as error:
    print("refused", error.exit.value, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "state" / "journal.sqlite"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("refused 74"), done.stderr


def test_what_the_log_holds_is_remembered(journal: SqliteJournal) -> None:
    journal.record(RUN, [opened()], time=TIME)
    assert journal.unaudited() == [(RUN, 0)]
    journal.audited(RUN, 1)
    assert journal.unaudited() == [(RUN, 0)]
    journal.record(RUN, [closed()], time=TIME)
    assert journal.unaudited() == [(RUN, 1)]
    journal.audited(RUN, 2)
    assert journal.unaudited() == []
    assert journal.heads() == [(RUN, 2, 2)]


def test_sqlite_itself_is_safe_for_threads() -> None:
    assert sqlite3.threadsafety > 0
