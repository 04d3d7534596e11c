"""What every transport must do, asked of each: here, by a real sshd, by the practice range."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from tests.contracts.transport import (
    carriers,
    eventually,
    finish,
    folders,
    forget,
    outputs,
    run,
    script,
)
from tests.peers.sshd import Sshd
from wtsflow.credentials import Chain
from wtsflow.errors import ConnectError, MismatchError, NotBegun, PlanError, SessionLost
from wtsflow.lab import Hosts
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.record import Stop
from wtsflow.ports import CallCommand, Exited, Idle, Output, Session
from wtsflow.transports import TRANSPORTS, supervisor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the targets are POSIX")

SHELLS = {"dash": "/bin/dash", "bash": "/bin/bash", "busybox": "busybox"}


def _sshd(request: pytest.FixtureRequest) -> Sshd:
    server = request.getfixturevalue("sshd")
    assert isinstance(server, Sshd)
    return server


def _practice(request: pytest.FixtureRequest) -> Target:
    hosts = Hosts(1)
    request.addfinalizer(hosts.close)
    hosts.__enter__()
    (host,) = hosts.hosts.values()
    return Target(
        name=host.name,
        host=host.address,
        port=host.port,
        user="lab",
        settings={
            "known_hosts": str(hosts.known_hosts),
            "identity_file": str(hosts.key),
            "config": False,
            "agent": False,
        },
    )


TARGETS: dict[str, Callable[[pytest.FixtureRequest], Target]] = {
    "local": lambda request: LOCAL,
    "ssh": lambda request: _sshd(request).target(),
    "ssh-lab": _practice,
}


def connect(target: Target) -> Session:
    return TRANSPORTS[target.transport]().connect(target, Chain(()))


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param](request)


@pytest.fixture(scope="module")
def session(target: Target) -> Iterator[Session]:
    session = connect(target)
    yield session
    session.close()


@pytest.fixture
def own(target: Target) -> Iterator[Callable[[], Session]]:
    """Sessions that a test may break."""
    with ExitStack() as stack:

        def make() -> Session:
            made = connect(target)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    forget()


def test_every_transport_is_asked() -> None:
    assert {name.partition("-")[0] for name in TARGETS} == set(TRANSPORTS)


# --- output ---------------------------------------------------------------------------------


def test_the_first_line_comes_while_the_script_still_runs(session: Session) -> None:
    execution = session.start(script("echo first; read line; echo second", stdin=b""))
    done = finish(execution)
    assert done.stdout == b"first\nsecond\n"
    gate = f"/tmp/wtsflow-test-gate-{os.getpid()}"
    execution = session.start(script(f"echo first; while ! [ -e {gate} ]; do sleep 0.05; done"))
    try:
        assert next(outputs(execution)).data == b"first\n"
    finally:
        Path(gate).touch()
    assert finish(execution).exited.code == 0
    Path(gate).unlink()


def test_both_streams_come_apart(session: Session) -> None:
    done = run(session, "echo out; echo err >&2; echo out2")
    assert (done.stdout, done.stderr) == (b"out\nout2\n", b"err\n")


def test_nothing_printed_is_nothing(session: Session) -> None:
    done = run(session, ":")
    assert (done.stdout, done.stderr, done.exited) == (b"", b"", Exited(0))


def test_a_silent_script_lets_the_reader_look_at_the_clock(session: Session) -> None:
    signals = list(session.start(script("sleep 1.5")))
    assert Idle() in signals
    assert signals[-1] == Exited(0)


def test_bytes_that_are_no_text_come_as_they_are(session: Session) -> None:
    """Invalid UTF-8, NUL, escapes, carriage returns, no line end, and our own record's sign."""
    data = (
        bytes(range(256)) + b"\x1b[31mred\x1b[0m\r\n\xff\xfe\xed\xa0\x80\x1e0123 exit 7 0 -\n\x1e"
    )
    done = run(session, "cat; cat >&2 </dev/null", stdin=data)
    assert (done.stdout, done.stderr) == (data, b"")
    done = run(session, "cat >&2", stdin=data)
    assert (done.stdout, done.stderr) == (b"", data)


def test_T43_a_flood_is_held_back_by_who_does_not_read(session: Session) -> None:
    """100 MB: the script stands still while nobody reads, and every byte comes."""
    done = f"/tmp/wtsflow-test-flood-{os.getpid()}"
    execution = session.start(script(f"head -c 100000000 /dev/zero; touch {done}"))
    count = len(next(outputs(execution)).data)
    assert not eventually(lambda: Path(done).exists(), 1.0)
    largest = 0
    for output in outputs(execution):
        count += len(output.data)
        largest = max(largest, len(output.data))
    Path(done).unlink()
    assert count == 100_000_000
    assert largest <= 4 << 20


def test_T43_a_line_that_never_ends_comes_in_pieces(session: Session) -> None:
    done = run(session, "head -c 5000000 /dev/zero | tr '\\0' x; printf x >&2")
    assert (len(done.stdout), done.stdout.strip(b"x"), done.stderr) == (5_000_000, b"", b"x")


def test_megabytes_on_one_stream_do_not_block_the_other(session: Session) -> None:
    done = run(session, "head -c 4000000 /dev/zero >&2; echo end")
    assert (len(done.stderr), done.stdout) == (4_000_000, b"end\n")


# --- ending ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_the_exit_code_comes_back(session: Session, code: int) -> None:
    assert run(session, f"exit {code}").exited == Exited(code)


@pytest.mark.parametrize(("number", "name"), [(11, "SEGV"), (9, "KILL"), (15, "TERM")])
def test_death_by_a_signal_has_its_name(session: Session, number: int, name: str) -> None:
    end = run(session, f"kill -{number} $$").exited
    assert (end.code, end.signal, end.stop) == (128 + number, name, None)


def test_a_child_that_keeps_the_pipe_does_not_keep_the_step(session: Session) -> None:
    started = time.monotonic()
    done = run(session, 'echo done; sleep 30 & echo "{}" >"$WTS_OUTPUT"')
    assert time.monotonic() - started < 10
    assert (done.stdout, done.exited.code, done.exited.output) == (b"done\n", 0, b"{}\n")
    assert done.exited.stop is None


def test_a_daemon_that_keeps_the_pipe_writes_into_no_later_step(session: Session) -> None:
    run(session, "setsid sh -c 'sleep 1; echo stray; echo stray >&2' & echo here")
    done = run(session, "sleep 2; echo mine")
    assert (done.stdout, done.stderr) == (b"mine\n", b"")


def test_output_after_the_exit_is_still_waited_for(session: Session) -> None:
    assert run(session, "(sleep 0.2; echo late) & exit 4").stdout == b"late\n"


def test_what_the_script_leaves_for_later_steps_comes_back(session: Session) -> None:
    value = b'{"text": "' + "ä".encode() * 200_000 + b'"}'
    done = run(session, 'cat >"$WTS_OUTPUT"', stdin=value)
    assert done.exited == Exited(0, output=value)
    assert run(session, "exit 2").exited.output == b"", "an earlier step's output"


# --- what a script is given -----------------------------------------------------------------


def test_a_script_reads_its_own_standard_input_and_its_end(session: Session) -> None:
    done = run(session, "read first; echo [$first]; cat; echo end", stdin=b"one\ntwo\nthree")
    assert done.stdout == b"[one]\ntwo\nthreeend\n"


def test_a_script_without_standard_input_reads_an_end(session: Session) -> None:
    assert run(session, "cat; echo end").stdout == b"end\n"


def test_a_large_standard_input_arrives_whole(session: Session) -> None:
    data = os.urandom(1 << 20) * 8
    done = run(session, "sha256sum", stdin=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_a_large_standard_input_may_be_ignored(session: Session) -> None:
    data = bytes(8 << 20)
    assert run(session, "exec <&-; exit 5", stdin=data).exited.code == 5
    assert run(session, "echo next").stdout == b"next\n"


def test_T01_unread_standard_input_is_never_taken_for_a_command(
    session: Session, tmp_path: Path
) -> None:
    """What the script leaves of its input comes to who reads commands there."""
    canary = tmp_path / "canary"
    evil = supervisor.run(script(f"touch {canary}"))
    lines = (b"\n" + evil + b"\n0 " + evil) * 500
    for end in ("exec <&-; exit 5", "sleep 0.3; exit 5", "head -c 10; sleep 0.3; exit 5"):
        done = run(session, end, stdin=b"x" * 60_000 + lines)
        assert done.exited.code == 5
        assert run(session, "echo next").stdout == b"next\n"
    assert not canary.exists()


AWKWARD = (
    "",
    " ",
    "a b",
    "; touch /tmp/wtsflow-canary",
    "$(touch /tmp/wtsflow-canary)",
    "`touch /tmp/wtsflow-canary`",
    "'; touch /tmp/wtsflow-canary; '",
    '"$HOME" ${IFS} $$ \\ \\\\ \\n',
    "--help",
    "-",
    "+",
    "=",
    "*",
    "~",
    "!!",
    "a\nb",
    "\n",
    "\n\n a\n",
    "a\r\nb\t\v\f\x07\x1b[31m\x1e",
    "\u00c1 \u0141 \u20ac \U0001f4a9 \u202e",
    "%s %d \\x41",
    "x" * 100_000,
)
SHOW = "for a do printf '%s\\0' \"$a\"; done"


def test_T01_every_awkward_argument_arrives_byte_for_byte(session: Session) -> None:
    canary = Path("/tmp/wtsflow-canary")
    done = run(session, SHOW, arguments=AWKWARD)
    assert done.stdout.decode().split("\0")[:-1] == list(AWKWARD)
    assert not canary.exists()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
@example(["\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088"])
def test_T01_any_text_arrives_byte_for_byte(session: Session, arguments: list[str]) -> None:
    variables = {f"V{n}": value for n, value in enumerate(arguments)}
    text = SHOW + f'; n=0; while [ "$n" -lt {len(arguments)} ]; do eval "v=\\$V$n"; '
    text += "printf '%s\\0' \"$v\"; n=$((n+1)); done"
    done = run(session, text, arguments=tuple(arguments), environment=variables)
    assert done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == arguments * 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"arguments": ("a\0b",)}, "argument 1 of probe.sh holds a NUL byte"),
        ({"arguments": ("x" * 131_072,)}, "131072 bytes long"),
        ({"arguments": ("\ud800",)}, "lone surrogate"),
        ({"environment": {"A B": "x"}}, "cannot be an environment variable"),
        ({"environment": {"A=B": "x"}}, "cannot be an environment variable"),
        ({"environment": {"UID": "0"}}, "cannot be an environment variable"),
        ({"environment": {"A": "x\0"}}, "holds a NUL byte"),
    ],
)
def test_what_no_process_can_be_given_is_refused(
    session: Session, given: dict[str, object], words: str
) -> None:
    with pytest.raises(PlanError) as refused:
        session.start(script("touch /tmp/wtsflow-canary", **given))
    assert words in str(refused.value)
    assert not Path("/tmp/wtsflow-canary").exists()


def test_variables_arrive_and_stay_in_their_step(session: Session) -> None:
    given = {"PATH_LIKE": "a:b", "IFS": ",", "EMPTY": "", "token": "mine", "n": "1", "d": "2"}
    text = 'printf "%s|" "$PATH_LIKE" "${EMPTY-unset}" "$token" "$n" "$d"'
    assert run(session, text, environment=given).stdout == b"a:b||mine|1|2|"
    assert run(session, text).stdout == b"|unset||||"


def test_the_marker_is_in_the_environment(session: Session) -> None:
    given = script('printf %s "$WTS_TASK"')
    assert finish(session.start(given)).stdout.decode() == given.marker


def test_an_interpreter_is_given_the_script_by_its_name(session: Session) -> None:
    done = run(
        session,
        "import sys, os; print(os.path.basename(sys.argv[0]), sys.argv[1:], sys.stdin.read())",
        command=("python3", "-u"),
        name="dir/look here.py",
        arguments=("a", "b c"),
        stdin=b"in",
    )
    assert done.stdout == b"look_here.py ['a', 'b c'] in\n"


def test_a_missing_interpreter_says_so(session: Session) -> None:
    done = run(session, "x", command=("wtsflow-no-such-program",))
    assert done.exited.code == 127
    assert b"wtsflow-no-such-program" in done.stderr


def test_a_script_that_is_a_program_by_itself_runs(session: Session) -> None:
    assert run(session, "#!/bin/sh\necho itself $1", command=(), arguments=("x",)).stdout == (
        b"itself x\n"
    )


def test_the_script_is_checked_on_the_target_before_it_runs(session: Session) -> None:
    given = replace(script("touch /tmp/wtsflow-canary"), sha256="0" * 64)
    with pytest.raises(MismatchError, match="0000000"):
        session.start(given)
    assert not Path("/tmp/wtsflow-canary").exists()
    assert run(session, "echo still").stdout == b"still\n"
    assert eventually(lambda: not folders(given.marker))


def test_an_endpoints_command_is_refused(session: Session) -> None:
    with pytest.raises(PlanError, match="runs scripts"):
        session.start(CallCommand("Get-Thing", {}, "m"))


def test_an_attempt_that_was_begun_is_not_begun_again(own: Callable[[], Session]) -> None:
    first, second = own(), own()
    given = script("echo ran; sleep 5")
    execution = first.start(given)
    with pytest.raises(SessionLost, match="begun there before"):
        second.start(given)
    execution.stop()
    assert finish(execution).stdout == b"ran\n"


# --- time and stopping ----------------------------------------------------------------------

STUBBORN = """
trap '' TERM
setsid sh -c 'trap "" TERM; (trap "" TERM; sleep 300) & sleep 300' &
(trap '' TERM HUP; nohup sleep 300 >/dev/null 2>&1 &) &
echo ready
while :; do sleep 0.1; done
"""


def test_stop_ends_grandchildren_that_ignore_term_and_left_the_session(session: Session) -> None:
    given = script(STUBBORN, grace=0.4)
    execution = session.start(given)
    assert next(outputs(execution)).data == b"ready\n"
    assert eventually(lambda: len(carriers(given.marker)) >= 5)
    execution.stop()
    execution.stop()
    end = finish(execution).exited
    assert (end.stop, end.signal, end.timed_out) == (Stop.CONFIRMED, "KILL", False)
    assert carriers(given.marker) == []
    assert run(session, "echo next").stdout == b"next\n"


def test_stop_gives_a_script_the_grace_to_clean_up(session: Session) -> None:
    given = script(
        "trap 'sleep 0.3; echo cleaned; exit 9' TERM; echo ready; sleep 60 & wait", grace=5
    )
    execution = session.start(given)
    next(outputs(execution))
    execution.stop()
    done = finish(execution)
    assert (done.stdout, done.exited.code) == (b"cleaned\n", 9)
    assert done.exited.stop is Stop.CONFIRMED


def test_stop_from_another_thread_ends_the_iteration(session: Session) -> None:
    execution = session.start(script("sleep 60", grace=0.2))
    threading.Timer(0.3, execution.stop).start()
    assert finish(execution).exited.stop is Stop.CONFIRMED


def test_stop_after_the_end_changes_nothing(session: Session) -> None:
    execution = session.start(script("exit 3"))
    assert finish(execution).exited == Exited(3)
    execution.stop()
    execution.close()
    assert run(session, "echo next").stdout == b"next\n"


def test_the_target_ends_a_script_whose_time_is_over(session: Session) -> None:
    given = script(STUBBORN, deadline=1.0, grace=0.4)
    end = finish(session.start(given)).exited
    assert (end.timed_out, end.stop, end.signal) == (True, Stop.CONFIRMED, "KILL")
    assert carriers(given.marker) == []


CLIENT = """
import pickle, sys
from wtsflow.credentials import Chain
from wtsflow.transports import TRANSPORTS
target, given = pickle.load(sys.stdin.buffer)
session = TRANSPORTS[target.transport]().connect(target, Chain(()))
for signal in session.start(given):
    print("started", flush=True)
"""


def test_T45_the_target_ends_a_script_whose_client_is_dead(target: Target) -> None:
    import pickle

    given = script(STUBBORN, deadline=2.0, grace=0.4)
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert client.stdin
    assert client.stdout
    with client:
        pickle.dump((target, given), client.stdin)
        client.stdin.flush()
        assert client.stdout.readline() == b"started\n"
        client.kill()
    assert carriers(given.marker), "a client that dies does not end what it began"
    assert eventually(lambda: not carriers(given.marker), 15)
    kept = folders(given.marker)
    assert kept, "a result that nobody received is kept"
    for path in kept:
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


def test_what_was_finished_while_nobody_listened_is_kept(own: Callable[[], Session]) -> None:
    gate = Path(f"/tmp/wtsflow-test-kept-{os.getpid()}")
    given = script(f"echo one; while ! [ -e {gate} ]; do sleep 0.05; done; echo two; exit 6")
    session = own()
    execution = session.start(given)
    next(outputs(execution))
    execution.close()
    session.close()
    gate.touch()
    (folder,) = (Path(path) for path in folders(given.marker) if path.endswith(".d"))
    assert eventually((folder / "code").exists)
    assert eventually(lambda: (folder / "code").read_text() == "1 6 0 -\n")
    gate.unlink()
    assert (folder / "out").read_bytes() == b"one\ntwo\n"
    for path in folders(given.marker):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


# --- picking up -----------------------------------------------------------------------------


def test_what_runs_is_picked_up_on_another_session(own: Callable[[], Session]) -> None:
    gate = Path(f"/tmp/wtsflow-test-attach-{os.getpid()}")
    text = f"echo one; echo err >&2; while ! [ -e {gate} ]; do sleep 0.05; done; echo two"
    given = script(f"{text}; echo '{{}}' >$WTS_OUTPUT; exit 6")
    session = own()
    execution = session.start(given)
    assert next(outputs(execution)).data
    execution.close()
    session.close()
    again = own().attach(given, age=1, stdout=2)
    first = next(outputs(again))
    gate.touch()
    done = finish(again, recorded=False)
    gate.unlink()
    streams = {"stdout": done.stdout, "stderr": done.stderr}
    streams[first.stream] = first.data + streams[first.stream]
    assert streams == {"stdout": b"e\ntwo\n", "stderr": b"err\n"}
    assert done.exited == Exited(6, output=b"{}\n")
    assert folders(given.marker), "it is kept until it is recorded"
    again.recorded()
    assert eventually(lambda: not folders(given.marker))


def test_what_has_ended_is_picked_up_until_it_is_recorded(own: Callable[[], Session]) -> None:
    session = own()
    given = script("echo all; exit 3")
    finish(session.start(given), recorded=False)
    for _ in range(2):
        again = session.attach(given, age=1)
        done = finish(again, recorded=False)
        assert (done.stdout, done.exited) == (b"all\n", Exited(3))
    again.recorded()
    again.recorded()
    assert eventually(lambda: not folders(given.marker))
    assert run(session, "echo next").stdout == b"next\n"


def test_what_is_picked_up_is_stopped_like_any_other(own: Callable[[], Session]) -> None:
    given = script(STUBBORN, grace=0.4)
    execution = own().start(given)
    assert next(outputs(execution)).data == b"ready\n"
    again = own().attach(given, age=1, stdout=6)
    threading.Timer(0.3, again.stop).start()
    end = finish(again).exited
    assert (end.stop, end.signal) == (Stop.CONFIRMED, "KILL")
    assert carriers(given.marker) == []
    execution.close()


def test_what_never_began_is_kept_from_beginning(own: Callable[[], Session]) -> None:
    given = script("touch /tmp/wtsflow-canary")
    session = own()
    with pytest.raises(NotBegun):
        session.attach(given, age=1)
    with pytest.raises(SessionLost, match="begun there before"):
        session.start(given)
    assert run(session, "echo next").stdout == b"next\n"
    assert not Path("/tmp/wtsflow-canary").exists()


def test_results_that_nobody_records_leave_room_for_more(own: Callable[[], Session]) -> None:
    session = own()
    given = [script(f"echo {n}") for n in range(10)]
    assert [finish(session.start(each), recorded=False).stdout for each in given] == [
        b"%d\n" % n for n in range(10)
    ]


# --- one session ----------------------------------------------------------------------------


def test_executions_on_one_session_overlap(session: Session) -> None:
    first = session.start(script("echo a; sleep 0.5; echo b"))
    second = session.start(script("echo c"))
    assert finish(second).stdout == b"c\n"
    assert finish(first).stdout == b"a\nb\n"


def test_more_executions_than_the_connection_takes_wait_their_turn(session: Session) -> None:
    found: list[bytes] = []

    def work(number: int) -> None:
        found.append(run(session, f"sleep 0.3; echo {number}").stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=int) == [b"%d\n" % number for number in range(14)]


def test_thirty_steps_one_after_the_other(own: Callable[[], Session]) -> None:
    session = own()
    assert [run(session, f"echo {n}").stdout for n in range(30)] == [b"%d\n" % n for n in range(30)]


def test_nothing_stays_on_the_target(own: Callable[[], Session]) -> None:
    session = own()
    given = [script(f'echo {n}; echo x >"$WTS_OUTPUT"') for n in range(3)]
    for each in given:
        finish(session.start(each))
    state = [path for each in given for path in folders(each.marker)]
    assert state
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in state if path.endswith(".d"))
    session.close()
    session.close()
    assert eventually(lambda: not any(folders(each.marker) for each in given))


def test_a_closed_session_starts_nothing(own: Callable[[], Session]) -> None:
    session = own()
    session.close()
    with pytest.raises((ConnectError, SessionLost)):
        session.start(script("touch /tmp/wtsflow-canary"))
    assert not Path("/tmp/wtsflow-canary").exists()


def test_an_execution_that_is_let_go_leaves_the_session_usable(session: Session) -> None:
    execution = session.start(script("sleep 2"))
    execution.close()
    execution.close()
    assert run(session, "echo next").stdout == b"next\n"


# --- secrets --------------------------------------------------------------------------------


def test_T37_standard_input_is_in_no_argument_and_no_environment(session: Session) -> None:
    secret = f"hunter2-{os.urandom(8).hex()}".encode()
    execution = session.start(script("echo ready; sleep 0.6; cat >/dev/null", stdin=secret))
    next(outputs(execution))
    seen = b""
    for pid in os.listdir("/proc"):
        for name in ("cmdline", "environ"):
            try:
                seen += Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
    finish(execution)
    assert secret not in seen
    assert b"WTS_TASK=" in seen, "the look at the processes sees nothing"


# --- shells ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHELLS)
def test_the_supervisor_works_in_every_shell(name: str, tmp_path: Path) -> None:
    program = shutil.which(SHELLS[name])
    if program is None:
        pytest.skip(f"{name} is not installed")
    shell = tmp_path / "sh"
    shell.symlink_to(program)
    target = replace(LOCAL, settings={"shell": str(shell)})
    session = connect(target)
    try:
        done = run(session, SHOW + "; cat; exit 3", arguments=AWKWARD, stdin=b"in")
        assert done.stdout.decode() == "".join(f"{word}\0" for word in AWKWARD) + "in"
        assert done.exited.code == 3
        given = script(STUBBORN, deadline=1.0, grace=0.4)
        end = finish(session.start(given)).exited
        assert (end.timed_out, end.stop) == (True, Stop.CONFIRMED)
        assert carriers(given.marker) == []
        assert run(session, "sleep 30 & echo x").stdout == b"x\n"
    finally:
        session.close()


def test_the_reader_sees_each_signal_once(session: Session) -> None:
    signals = list(session.start(script("echo a")))
    assert [type(signal) for signal in signals if not isinstance(signal, Idle)] == [Output, Exited]
