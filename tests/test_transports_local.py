"""This machine as a target: what is its own, and the branch for Windows (run here by its parts)."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.transport import eventually, finish, outputs, run, script
from wtsflow.credentials import Chain
from wtsflow.errors import ConnectError, PinMismatch, PlanError
from wtsflow.model.plan import LOCAL
from wtsflow.model.record import Stop
from wtsflow.ports import CallCommand, Exited, Idle
from wtsflow.transports.local import Local
from wtsflow.transports.local_windows import AHEAD, CHUNK, WindowsSession, end_tree

posix = pytest.mark.skipif(os.name != "posix", reason="runs POSIX shells")


@posix
def test_a_missing_shell_says_so() -> None:
    target = replace(LOCAL, settings={"shell": "/no/such/shell"})
    session = Local().connect(target, Chain(()))
    with pytest.raises(ConnectError, match="/no/such/shell cannot be started here"):
        session.start(script("echo"))
    session.close()


@posix
def test_a_shell_that_is_none_says_so() -> None:
    session = Local(settings={"shell": "/bin/true"}).connect(LOCAL, Chain(()))
    with pytest.raises(ConnectError, match="did not start the supervisor"):
        session.start(script("echo"))
    session.close()


@posix
def test_scripts_get_the_environment_that_was_handed_in() -> None:
    session = Local(environment={"PATH": os.defpath, "GIVEN": "yes"}).connect(LOCAL, Chain(()))
    try:
        assert run(session, 'echo "$GIVEN ${HOME-none}"').stdout == b"yes none\n"
    finally:
        session.close()


@posix
def test_a_full_place_is_left_for_another(tmp_path: Path) -> None:
    """Nothing can be written in TMPDIR; the state goes where there is room."""
    environment = {"PATH": os.defpath, "TMPDIR": "/proc", "XDG_RUNTIME_DIR": str(tmp_path)}
    session = Local(environment=environment).connect(LOCAL, Chain(()))
    try:
        assert run(session, 'echo "${WTS_OUTPUT%/wtsflow*}"').stdout == b"/tmp\n"
    finally:
        session.close()


@posix
def test_the_place_for_state_can_be_chosen(tmp_path: Path) -> None:
    """But not where a logout empties it while the script runs on: the full place's test."""
    environment = {"PATH": os.defpath, "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": "/run"}
    session = Local(environment=environment).connect(LOCAL, Chain(()))
    assert run(session, 'echo "$WTS_OUTPUT"').stdout.startswith(f"{tmp_path}/wtsflow-".encode())
    session.close()
    assert eventually(lambda: not list(tmp_path.iterdir()))


@posix
def test_results_that_nobody_received_are_forgotten_after_a_week(tmp_path: Path) -> None:
    old, new = (tmp_path / f"wtsflow-{letter * 24}.d" for letter in "ab")
    other = tmp_path / "wtsflow-other-folder.d"
    for folder in (old, new, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    transport = Local(environment={"PATH": os.defpath, "TMPDIR": str(tmp_path)})

    def forgotten() -> bool:
        session = transport.connect(LOCAL, Chain(()))
        run(session, "echo")
        session.close()
        return not old.exists()

    assert eventually(forgotten, 30)
    assert eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    assert new.exists()
    assert other.exists()


@posix
def test_windows_takes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtsflow.transports.local.sys.platform", "win32")
    assert isinstance(Local().connect(LOCAL, Chain(())), WindowsSession)


# --- the branch for Windows -----------------------------------------------------------------


@pytest.fixture
def windows() -> WindowsSession:
    """The session of Windows; where there is no taskkill the process itself is killed."""
    kill: Callable[[subprocess.Popen[bytes]], None] = subprocess.Popen.kill
    return WindowsSession("here", None, end=end_tree if sys.platform == "win32" else kill)


PYTHON = (sys.executable,)


def test_a_script_runs_without_a_shell(windows: WindowsSession) -> None:
    text = (
        "import os, sys\n"
        "print(sys.argv[1:], sys.stdin.read(), os.environ['GIVEN'])\n"
        "print('err', file=sys.stderr)\n"
        "open(os.environ['WTS_OUTPUT'], 'w').write(os.environ['WTS_TASK'])\n"
        "sys.exit(3)\n"
    )
    given = script(
        text,
        command=PYTHON,
        name="x.py",
        arguments=("a b", '"; &|<>^%'),
        stdin=b"in",
        environment={"GIVEN": "yes"},
    )
    done = finish(windows.start(given))
    assert done.stdout.split() == b"['a b', '\"; &|<>^%'] in yes".split()
    assert done.stderr.strip() == b"err"
    assert done.exited == Exited(3, output=given.marker.encode())


def test_a_deadline_ends_a_script(windows: WindowsSession) -> None:
    end = run(windows, "import time; time.sleep(60)", command=PYTHON, deadline=0.5).exited
    assert (end.timed_out, end.stop) == (True, Stop.UNCONFIRMED)


def test_a_stop_ends_a_script_and_confirms_nothing(windows: WindowsSession) -> None:
    text = "import time; print(1, flush=True); time.sleep(60)"
    execution = windows.start(script(text, command=PYTHON))
    next(outputs(execution))
    execution.stop()
    execution.stop()
    assert finish(execution).exited.stop is Stop.UNCONFIRMED


def test_a_silent_script_lets_us_look_at_the_clock(windows: WindowsSession) -> None:
    assert Idle() in list(windows.start(script("import time; time.sleep(1)", command=PYTHON)))


def test_T43_a_flood_is_held_back(windows: WindowsSession) -> None:
    text = "import sys\nfor n in range(640): sys.stdout.buffer.write(bytes(65536))"
    execution = windows.start(script(text, command=PYTHON))
    time.sleep(0.5)
    assert execution._pieces.qsize() <= AHEAD
    assert sum(len(output.data) for output in outputs(execution)) == 640 * CHUNK


def test_a_child_that_keeps_the_pipe_does_not_keep_us(windows: WindowsSession) -> None:
    text = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(5)'])\n"
        "child.returncode = 0\n"
        "print('done')\n"
    )
    started = time.monotonic()
    assert run(windows, text, command=PYTHON).stdout.strip() == b"done"
    assert time.monotonic() - started < 4


def test_nothing_stays(
    windows: WindowsSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run(windows, "print(1)", command=PYTHON)
    execution = windows.start(script("import time; time.sleep(0.2)", command=PYTHON))
    execution.close()
    execution.close()
    with pytest.raises(ConnectError, match="cannot be started"):
        windows.start(script("x", command=("no-such-program",)))
    with pytest.raises(PinMismatch):
        windows.start(replace(script("x", command=PYTHON), sha256="0" * 64))
    assert eventually(lambda: not list(tmp_path.iterdir()))
    windows.close()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ((), "deploy.bat"),
        ((), "deploy.CMD"),
        ((), "deploy.cmd "),
        (("tool.cmd",), "x.txt"),
        (("C:\\bin\\tool.BAT", "-x"), "x.txt"),
    ],
)
def test_T05_a_batch_file_gets_no_parameters(
    windows: WindowsSession, command: tuple[str, ...], name: str
) -> None:
    with pytest.raises(PlanError, match="batch files get no parameters"):
        windows.start(script("echo", command=command, name=name, arguments=('"&calc&"',)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run_as": "admin"}, "no sudo on Windows"),
        ({"arguments": ("a\0b",), "command": PYTHON}, "NUL byte"),
    ],
)
def test_what_cannot_be_done_here_is_refused(
    windows: WindowsSession, given: dict[str, object], words: str
) -> None:
    with pytest.raises(PlanError, match=words):
        windows.start(script("x", **given))
    with pytest.raises(PlanError, match="endpoint's command"):
        windows.start(CallCommand("Get-Thing", {}, "m"))


def test_no_thread_is_left_reading(windows: WindowsSession) -> None:
    before = threading.active_count()
    run(windows, "print(1)", command=PYTHON)
    assert eventually(lambda: threading.active_count() <= before)
