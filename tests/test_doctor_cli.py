"""The examination of this machine: each thing that is wrong has its name and its cure."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing as shutting
from pathlib import Path

import pytest

from tests.keeping import TIME, Ticking, a_run, kept, opened, posix, unprivileged, write
from wtsflow.cli.main import main
from wtsflow.files import file_lock
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event
from wtsflow.model.values import Json
from wtsflow.upkeep import doctor as module
from wtsflow.upkeep.doctor import CHECKS, Exam, examine
from wtsflow.upkeep.finding import Finding, Level


@pytest.fixture
def state(tmp_path: Path) -> Path:
    a_run(tmp_path / "state", "01A")
    return tmp_path / "state"


def found(state: Path, *, path: str | None = None, now: float | None = None) -> dict[str, Finding]:
    clock = Ticking(wall=now) if now is not None else Ticking()
    return {one.id: one for one in examine(Exam(state, clock, path))}


def bad(state: Path, **asked: object) -> dict[str, Finding]:
    findings = found(state, **asked)  # type: ignore[arg-type]
    return {id_: one for id_, one in findings.items() if one.level is not Level.OK}


def test_where_all_is_well_nothing_but_that_is_said(state: Path) -> None:
    findings = found(state)
    assert not bad(state)
    assert {id_.partition(".")[0] for id_ in findings} == {
        "state",
        "journal",
        "audit",
        "runs",
        "clock",
        "tool",
    }
    assert all(one.message and not one.cure for one in findings.values())


def test_before_the_first_run_all_is_well_and_nothing_is_made(tmp_path: Path) -> None:
    assert not bad(tmp_path / "deep" / "state")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_changed_by_looking(state: Path) -> None:
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    examine(Exam(state, Ticking()))
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before


def damage_journal(state: Path, patch: pytest.MonkeyPatch) -> None:
    with shutting(sqlite3.connect(state / "journal.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE runs SET last=last+1")


def no_database(state: Path, patch: pytest.MonkeyPatch) -> None:
    (state / "journal.sqlite").write_bytes(b"this is no database" * 500)


def edit_log(state: Path, patch: pytest.MonkeyPatch) -> None:
    path = min((state / "audit").glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"disk"', b'"dusk"', 1))


def leave_behind(state: Path, patch: pytest.MonkeyPatch) -> None:
    with SqliteJournal(state / "journal.sqlite") as journal:
        journal.record("01A", [Event("settled/1")], time=TIME)


def cut_off(state: Path, patch: pytest.MonkeyPatch) -> None:
    with kept(state) as (journal, log):
        write(journal, log, opened(), run="01CUT")


def forget(state: Path, patch: pytest.MonkeyPatch) -> None:
    with kept(state) as (journal, log):
        due: dict[str, Json] = {
            "until_ms": int((Ticking().wall - 3600) * 1000),
            "paths": ["window"],
        }
        write(journal, log, opened(), Event("parked/1", due), run="01LATE")


def fill_up(state: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))


def nearly_fill_up(state: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 10**8))


def go_remote(state: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "network_file_system", lambda _: "nfs4")


def slow_down(state: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "SLOW", 0.0)


def lie(state: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "AT_ONCE", 60.0)


WRONG: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str, Level, str, str]] = {
    "numbers": (damage_journal, "journal.whole", Level.PROBLEM, "last record", "restore"),
    "no database": (no_database, "journal.whole", Level.PROBLEM, "not a database", "evidence"),
    "edited": (edit_log, "audit.intact", Level.PROBLEM, "match its hash", "audit verify"),
    "behind": (leave_behind, "audit.behind", Level.WARNING, "01A", "next run"),
    "cut off": (cut_off, "runs.cut-off", Level.WARNING, "01CUT", "wtsflow resume 01CUT"),
    "overdue": (forget, "runs.overdue", Level.WARNING, "01LATE since", "resume --due"),
    "full": (fill_up, "state.space", Level.PROBLEM, "0 MiB are free", "state prune"),
    "nearly full": (nearly_fill_up, "state.space", Level.WARNING, "95 MiB are free", "prune"),
    "remote": (go_remote, "state.disk", Level.PROBLEM, "(nfs4)", "WTSFLOW_STATE"),
    "slow": (slow_down, "state.flush", Level.WARNING, "ms", "faster disk"),
    "lying": (lie, "state.flush", Level.WARNING, "promises only", "real disk"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found_with_its_cure(
    state: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    spoil, id_, level, said, cure = WRONG[what]
    spoil(state, monkeypatch)
    findings = bad(state)
    assert findings[id_].level is level
    assert said in findings[id_].message
    assert cure in findings[id_].cure


def test_a_run_that_a_process_performs_was_not_cut_off(state: Path) -> None:
    with kept(state) as (journal, log):
        write(journal, log, opened(), run="01RUNS")
    (state / "locks").mkdir(mode=0o700)
    with file_lock(state / "locks" / "01RUNS.lock", 0):
        assert not bad(state)
    assert set(bad(state)) == {"runs.cut-off"}


def test_a_parked_run_that_is_not_due_yet_is_no_finding(state: Path) -> None:
    with kept(state) as (journal, log):
        due: dict[str, Json] = {"until_ms": int((Ticking().wall + 60) * 1000), "paths": ["window"]}
        write(journal, log, opened(), Event("parked/1", due), run="01WAITS")
    assert not bad(state)


@posix
@pytest.mark.parametrize("name", ["", "audit", "journal.sqlite"])
def test_T47_what_others_can_read_is_found(state: Path, name: str) -> None:
    (state / name).chmod(0o755)
    finding = bad(state)["state.private"]
    assert str(state / name) in finding.message
    assert "chmod" in finding.cure


@posix
@unprivileged
def test_a_folder_that_cannot_be_written_is_found(state: Path) -> None:
    state.chmod(0o500)
    try:
        assert "cannot be written" in bad(state)["state.disk"].message
    finally:
        state.chmod(0o700)


def test_programs_that_are_missing_are_found(state: Path, tmp_path: Path) -> None:
    findings = bad(state, path=str(tmp_path))
    assert set(findings) == {"tool.git", "tool.ssh-keygen"}
    assert findings["tool.git"].cure == "install git"


@posix
def test_a_program_that_hangs_or_fails_is_there_all_the_same(state: Path, tmp_path: Path) -> None:
    for name in ("git", "ssh-keygen"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / name).chmod(0o755)
    assert not bad(state, path=str(tmp_path))


@pytest.mark.parametrize("now", [0.0, 1_500_000_000.0])
def test_a_clock_that_was_never_set_is_found(state: Path, now: float) -> None:
    assert "never set" in bad(state, now=now)["clock.set"].message


def test_P9_a_clock_that_went_back_is_found(state: Path) -> None:
    finding = bad(state, now=Ticking().wall - 7200)["clock.set"]
    assert "run 01A began" in finding.message
    assert "time service" in finding.cure


def test_every_check_is_told_before_it_is_made(state: Path) -> None:
    told: list[str] = []
    examine(Exam(state, Ticking()), told.append)
    assert told == list(CHECKS)


def test_a_check_that_breaks_is_a_finding(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: (_ for _ in ()).throw(OSError(5, "EIO")))
    assert "EIO" in bad(state)["state.space"].message


# --- at the command line ----------------------------------------------------------------------


def test_the_exit_code_says_whether_there_are_problems(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wtsflow.clock import SystemClock

    monkeypatch.setenv("WTSFLOW_STATE", str(state))
    monkeypatch.setattr(SystemClock, "now", lambda _: Ticking().wall)
    monkeypatch.setattr(module, "SLOW", 60.0)
    monkeypatch.setattr(module, "AT_ONCE", 0.0)
    assert main(["doctor"]) == 0
    said = capsys.readouterr()
    assert "journal.whole" in said.out
    assert "all is well" in said.err
    cut_off(state, monkeypatch)
    assert main(["doctor"]) == 0
    assert "cure: wtsflow resume 01CUT" in capsys.readouterr().out
    damage_journal(state, monkeypatch)
    assert main(["doctor", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "wtsflow.doctor/1"
    assert document["healthy"] is False
    levels = {one["id"]: one["level"] for one in document["findings"]}
    assert (levels["journal.whole"], levels["runs.cut-off"]) == ("problem", "warning")
    assert {one["about"] for one in document["findings"]} == {"here"}


@posix
def test_the_whole_command_needs_no_workspace(state: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wtsflow", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "WTSFLOW_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "state.flush" in done.stdout
