"""A script is picked up where its output stopped: after a cut, and by another process."""

import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pytest

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
from tests.peers.sshd import Sshd, require
from tests.workspaces import Workspace
from wtsflow.credentials import Chain
from wtsflow.errors import NotBegun, SessionLost, Vanished
from wtsflow.model.plan import LOCAL, Target
from wtsflow.model.record import Stop
from wtsflow.ports import Execution, Exited, Output, RunScript, Session
from wtsflow.transports import TRANSPORTS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the targets are POSIX")

KINDS = ("ssh", "local")


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    yield
    forget()


@dataclass
class Place:
    """A target, and a way to cut what leads to it. ``sessions`` are closed afterwards."""

    target: Target
    stack: ExitStack
    server: Sshd | None = None

    def connect(self) -> Session:
        session = TRANSPORTS[self.target.transport]().connect(self.target, Chain(()))
        self.stack.callback(session.close)
        return session

    def cut(self) -> None:
        assert self.server
        for pid in self.server.children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self) -> None:
        """What is sent is no longer read, and nobody is told."""
        assert self.server
        for pid in self.server.children():
            os.kill(pid, signal.SIGSTOP)


@pytest.fixture
def place(make_sshd: Callable[..., Sshd]) -> Iterator[Place]:
    server = make_sshd()
    with ExitStack() as stack:
        yield Place(server.target(), stack, server)


@pytest.fixture(params=KINDS)
def anywhere(request: pytest.FixtureRequest) -> Iterator[Place]:
    with ExitStack() as stack:
        if request.param == "local":
            yield Place(LOCAL, stack)
        else:
            server = request.getfixturevalue("sshd")
            yield Place(server.target(), stack, server)


@pytest.fixture
def once(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes a script note that it was begun; at the end it must have been, once."""
    file = tmp_path / "executions"
    yield lambda text: f"echo begun >>{file}\n{text}"
    assert file.read_text() == "begun\n"


@dataclass
class Seen:
    """What came over all connections together."""

    stdout: bytes = b""
    stderr: bytes = b""
    exited: Exited | None = None
    cuts: int = 0
    started: float = field(default_factory=time.monotonic)

    def read(self, execution: Execution, until: Callable[..., bool] | None = None) -> bool:
        """Read to the end, or to where ``until`` holds or the connection goes (then False)."""
        try:
            for seen in execution:
                match seen:
                    case Output("stdout", data):
                        self.stdout += data
                    case Output("stderr", data):
                        self.stderr += data
                    case Exited():
                        self.exited = seen
                if until and until(self):
                    return True
        except Vanished:
            raise
        except SessionLost:
            self.cuts += 1
            return False
        return True

    def attach(self, session: Session, given: RunScript) -> Execution:
        age = time.monotonic() - self.started
        return session.attach(given, age=age, stdout=len(self.stdout), stderr=len(self.stderr))


# --- cuts -----------------------------------------------------------------------------------

LINES = "i=0; while [ $i -lt 30 ]; do echo line $i; echo err $i >&2; i=$((i+1)); sleep 0.05; done"
TEXTS = {
    "text without a last line end": f"{LINES}; printf 'the end'; exit 7",
    "bytes that are no text": (
        "printf '\\036\\377\\000\\001\\r\\n\\033[1m'; sleep 0.5; head -c 300000 /dev/zero; "
        "sleep 0.5; printf '\\036\\036\\303' >&2; exit 255"
    ),
    "a signal": f"{LINES}; kill -SEGV $$",
    "nothing": "sleep 1.5",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_script_whose_connection_was_cut_goes_on_byte_for_byte(
    name: str, place: Place, once: Callable[[str], str]
) -> None:
    text = TEXTS[name] + "\n"
    reference = subprocess.run(["/bin/sh", "-c", text], capture_output=True, check=False)
    given = script(once(f"echo '[1]' >$WTS_OUTPUT; {text}"))
    seen = Seen()
    execution = place.connect().start(given)
    for size in (2, 9):
        if name != "nothing":
            assert seen.read(execution, lambda so_far, size=size: len(so_far.stdout) > size)
        place.cut()
        assert not seen.read(execution)
        execution = seen.attach(place.connect(), given)
    assert seen.read(execution)
    assert seen.cuts == 2
    assert (seen.stdout, seen.stderr) == (reference.stdout, reference.stderr)
    end = seen.exited
    assert end
    code = reference.returncode if reference.returncode >= 0 else 128 - reference.returncode
    assert (end.code, end.signal) == (code, "SEGV" if name == "a signal" else "")
    assert (end.output, end.stop, end.timed_out, end.missing) == (b"[1]\n", None, False, "")


def test_ten_megabytes_that_were_cut_come_whole(place: Place, once: Callable[[str], str]) -> None:
    make = "import sys\nfor n in range(1400000): sys.stdout.write(f'{n:07d}')"
    data = b"".join(b"%07d" % n for n in range(1_400_000))
    given = script(once(f'python3 -c "{make}"; exit 3'))
    seen = Seen()
    execution = place.connect().start(given)
    for limit in (1_000_000, 4_000_000, 7_000_000):
        assert seen.read(execution, lambda so_far, limit=limit: len(so_far.stdout) > limit)
        place.cut()
        with pytest.raises(SessionLost):
            finish(execution)
        execution = seen.attach(place.connect(), given)
    assert seen.read(execution)
    assert hashlib.sha256(seen.stdout).digest() == hashlib.sha256(data).digest()
    assert seen.exited == Exited(3)


def test_what_is_printed_while_the_connection_is_gone_comes_too(
    place: Place, tmp_path: Path, once: Callable[[str], str]
) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    wait = f"while ! [ -e {gate} ]; do sleep 0.05; done"
    given = script(
        once(f"echo one; {wait}; echo two; echo three >&2; touch {done}; sleep 1; exit 4")
    )
    seen = Seen()
    execution = place.connect().start(given)
    seen.read(execution, lambda so_far: b"one" in so_far.stdout)
    place.cut()
    assert not seen.read(execution)
    gate.touch()
    assert eventually(done.exists)
    seen.read(seen.attach(place.connect(), given))
    assert (seen.stdout, seen.stderr) == (b"one\ntwo\n", b"three\n")
    assert seen.exited == Exited(4)


FROZEN = 50_000_000


def test_a_script_goes_on_while_nobody_reads_what_it_prints(
    place: Place, tmp_path: Path, once: Callable[[str], str]
) -> None:
    """50 MB into a connection that swallows nothing: the target itself notices, and keeps it."""
    done = tmp_path / "done"
    given = script(once(f"echo on; sleep 0.5; head -c {FROZEN} /dev/zero; touch {done}; exit 5"))
    seen = Seen()
    execution = place.connect().start(given)
    seen.read(execution, lambda so_far: b"on" in so_far.stdout)
    place.freeze()
    assert eventually(done.exists, 40)
    seen.read(seen.attach(place.connect(), given))
    assert len(seen.stdout) == 3 + FROZEN
    assert not seen.stdout[3:].strip(b"\0")
    assert seen.exited == Exited(5)


CAP = 64 << 20


def test_what_could_not_be_kept_is_not_hidden(place: Place, once: Callable[[str], str]) -> None:
    more = CAP + 5_000_000
    given = script(once(f"echo on; sleep 0.5; head -c {more} /dev/zero; exit 5"))
    seen = Seen()
    execution = place.connect().start(given)
    seen.read(execution, lambda so_far: b"on" in so_far.stdout)
    place.freeze()
    (folder,) = (Path(path) for path in folders(given.marker) if path.endswith(".d"))
    assert eventually(lambda: (folder / "out").stat().st_size == CAP, 30)
    seen.read(seen.attach(place.connect(), given))
    assert len(seen.stdout) == CAP
    assert seen.exited
    assert seen.exited.code == 5
    assert seen.exited.missing == "of stdout only the first 64 MiB were kept for us"


def relays(given: RunScript) -> list[int]:
    """What stands between a script's output and the connection."""
    (folder,) = (Path(path) for path in folders(given.marker) if path.endswith(".d"))
    supervisor = (folder / "self").read_text().split()[0]
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = path.read_text().split()
            if words[1] == "(cat)" and words[3] == supervisor:
                found.append(int(words[0]))
    return found


@pytest.mark.parametrize("name", ["bash", "busybox"])
def test_every_shell_picks_up_what_another_one_left(
    name: str, place: Place, tmp_path: Path
) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    shell = tmp_path / "sh"
    shell.symlink_to(program)
    there = Place(
        replace(place.target, settings={**place.target.settings, "shell": str(shell)}),
        place.stack,
        place.server,
    )
    given = script(f"cat; {LINES}; printf 'an end'; echo '1' >$WTS_OUTPUT; exit 5", stdin=b"in\n")
    seen = Seen()
    execution = there.connect().start(given)
    assert seen.read(execution, lambda so_far: len(so_far.stdout) > 20)
    place.cut()
    assert not seen.read(execution)
    assert seen.read(seen.attach(there.connect(), given))
    lines = b"".join(b"line %d\n" % n for n in range(30))
    assert seen.stdout == b"in\n" + lines + b"an end"
    assert seen.stderr == lines.replace(b"line", b"err")
    assert seen.exited == Exited(5, output=b"1\n")


def test_a_daemon_does_not_read_the_next_ones_input(anywhere: Place, tmp_path: Path) -> None:
    session, stolen = anywhere.connect(), tmp_path / "stolen"
    thief = f"exec 3<&0; setsid cat <&3 >{stolen} & echo on"
    assert run(session, thief, stdin=b"mine\n").stdout == b"on\n"
    assert run(session, "sleep 0.5; cat", stdin=b"yours\n").stdout == b"yours\n"
    assert b"yours" not in stolen.read_bytes()


def test_a_reader_who_was_too_slow_gets_the_rest_all_the_same(place: Place) -> None:
    """The target gives up waiting for who does not read; the same iteration goes on."""
    session = place.connect()
    given = script("i=0; while [ $i -lt 70 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 3")
    execution = session.start(given)
    first = next(outputs(execution)).data
    os.kill(relays(given)[0], signal.SIGKILL)
    done = finish(execution)
    assert first + done.stdout == b"".join(b"line %d\n" % n for n in range(70))
    assert done.exited == Exited(3)
    assert eventually(lambda: not folders(given.marker))
    assert run(session, "echo next").stdout == b"next\n"


# --- after the end --------------------------------------------------------------------------


def ended(place: Place, text: str, **more: object) -> RunScript:
    """A script that ran to its end, whose result nobody wrote down."""
    given = script(text, **more)
    session = place.connect()
    finish(session.start(given), recorded=False)
    session.close()
    return given


@pytest.mark.parametrize("at", [0, 1, 6, 11, 12])
def test_it_is_picked_up_at_any_byte_after_its_end(anywhere: Place, at: int) -> None:
    given = ended(
        anywhere, "printf 'hello\\n\\036 end'; printf abc >&2; echo x >$WTS_OUTPUT; exit 9"
    )
    session = anywhere.connect()
    execution = session.attach(given, age=1, stdout=at, stderr=min(at, 3))
    done = finish(execution)
    assert (done.stdout, done.stderr) == (b"hello\n\x1e end"[at:], b"abc"[at:])
    assert done.exited == Exited(9, output=b"x\n")
    assert eventually(lambda: not folders(given.marker))


def test_two_may_pick_it_up_at_once(place: Place) -> None:
    given = script(f"{LINES}; exit 2")
    first = place.connect().start(given)
    next(outputs(first))
    found: list[Seen] = []

    def work() -> None:
        seen = Seen()
        seen.read(seen.attach(place.connect(), given))
        found.append(seen)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(seen.stdout, seen.exited) for seen in found] == [
        (b"".join(b"line %d\n" % n for n in range(30)), Exited(2))
    ] * 2
    assert finish(first).exited == Exited(2)


def test_only_what_was_recorded_is_removed(anywhere: Place) -> None:
    session = anywhere.connect()
    kept, gone = script("echo kept"), script("echo gone")
    finish(session.start(kept), recorded=False)
    execution = session.start(gone)
    finish(execution)
    execution.recorded()
    session.close()
    assert eventually(lambda: not folders(gone.marker))
    execution = anywhere.connect().attach(kept, age=1)
    assert finish(execution).stdout == b"kept\n"
    assert eventually(lambda: not folders(kept.marker))


# --- another process ------------------------------------------------------------------------

CLIENT = """
import pickle, sys
from wtsflow.credentials import Chain
from wtsflow.transports import TRANSPORTS
target, given = pickle.load(sys.stdin.buffer)
session = TRANSPORTS[target.transport]().connect(target, Chain(()))
for signal in session.start(given):
    print("started", flush=True)
"""


@pytest.mark.parametrize("ending", ["while it runs", "after its end"])
def test_another_process_picks_up_what_a_killed_one_began(
    anywhere: Place, ending: str, tmp_path: Path, once: Callable[[str], str]
) -> None:
    done = tmp_path / "done"
    given = script(once(f"{LINES}; touch {done}; echo '{{}}' >$WTS_OUTPUT; exit 6"))
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert client.stdin
    assert client.stdout
    with client:
        pickle.dump((anywhere.target, given), client.stdin)
        client.stdin.flush()
        assert client.stdout.readline() == b"started\n"
        os.killpg(client.pid, signal.SIGKILL)  # what the end of its terminal would reach, too
    if ending == "after its end":
        assert eventually(done.exists)
    seen = Seen()
    execution = seen.attach(anywhere.connect(), given)
    seen.read(execution)
    assert seen.stdout == b"".join(b"line %d\n" % n for n in range(30))
    assert seen.stderr == b"".join(b"err %d\n" % n for n in range(30))
    assert seen.exited == Exited(6, output=b"{}\n")
    execution.recorded()
    assert eventually(lambda: not folders(given.marker))


# --- what cannot be known -------------------------------------------------------------------


def test_what_never_began_never_will(anywhere: Place, tmp_path: Path) -> None:
    given = script(f"touch {tmp_path / 'canary'}")
    for _ in range(2):
        with pytest.raises(NotBegun, match="never began there"):
            anywhere.connect().attach(given, age=3)
    with pytest.raises(SessionLost, match="begun there before"):
        anywhere.connect().start(given)
    with pytest.raises(NotBegun):
        anywhere.connect().attach(given, age=3)
    assert not (tmp_path / "canary").exists()
    for path in folders(given.marker):
        Path(path).unlink()


@pytest.mark.parametrize(
    ("age", "words"),
    [(500_000, "was started anew after that"), (700_000, "longer ago")],
)
def test_nothing_found_means_nothing_where_it_could_have_been_lost(
    place: Place, age: float, words: str
) -> None:
    given = script("echo")
    if float(Path("/proc/uptime").read_text().split()[0]) > 500_000:
        pytest.skip("this machine is up for too long")
    with pytest.raises(Vanished, match=words):
        place.connect().attach(given, age=age)
    assert not folders(given.marker)


def rebooted(given: RunScript) -> None:
    """Let the guard say that it was planted in another boot."""
    (guard,) = (Path(path) for path in folders(given.marker) if not path.endswith(".d"))
    number, boot, folder = guard.read_text().split()
    guard.write_text(f"{number} {uuid4()}:{boot.partition(':')[2]} {folder}\n")


def test_a_machine_that_was_rebooted_is_not_guessed_about(place: Place) -> None:
    given = script("echo on; sleep 30", deadline=4, grace=0.2)
    execution = place.connect().start(given)
    next(outputs(execution))
    rebooted(given)
    with pytest.raises(Vanished, match="the machine was started anew after that"):
        place.connect().attach(given, age=2)
    assert eventually(lambda: not carriers(given.marker), 15)
    assert finish(execution).exited.timed_out


def test_an_end_from_before_a_reboot_is_known(anywhere: Place) -> None:
    given = ended(anywhere, "echo done; exit 4")
    rebooted(given)
    execution = anywhere.connect().attach(given, age=2)
    done = finish(execution)
    assert (done.stdout, done.exited) == (b"done\n", Exited(4))
    assert eventually(lambda: not folders(given.marker))


@pytest.mark.parametrize(
    ("runs_on", "words"), [(True, "of its processes still run"), (False, "nothing of it runs")]
)
def test_a_killed_supervisor_cannot_say_how_it_ended(
    anywhere: Place, runs_on: bool, words: str
) -> None:
    given = script(
        "echo on; kill -9 $(ps -o ppid= -p $$); echo off; sleep 5", deadline=3, grace=0.2
    )
    execution = anywhere.connect().start(given)
    next(outputs(execution))
    if not runs_on:
        assert eventually(lambda: not carriers(given.marker), 15)
    seen = Seen()
    with pytest.raises(Vanished, match=words):
        seen.read(seen.attach(anywhere.connect(), given))
    assert seen.stdout == b"on\noff\n", "what it printed is known all the same"
    execution.close()
    assert eventually(lambda: not carriers(given.marker), 15)
    for path in folders(given.marker):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


def test_input_that_came_in_part_is_never_taken_for_all_of_it(place: Place, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    given = script(f"echo on; cat >/dev/null; echo all >{canary}", stdin=bytes(20 << 20), grace=0.2)
    execution = place.connect().start(given)
    assert next(outputs(execution)).data == b"on\n"
    place.cut()
    with pytest.raises(SessionLost):
        finish(execution)
    with pytest.raises(Vanished, match="before all of its standard input was there"):
        finish(place.connect().attach(given, age=1))
    assert not canary.exists()
    assert carriers(given.marker) == []


# --- stopping, and other accounts -----------------------------------------------------------


def test_what_was_picked_up_can_be_stopped(place: Place) -> None:
    given = script(
        "trap '' TERM; echo on; setsid sleep 60 & while :; do sleep 0.1; done", grace=0.4
    )
    execution = place.connect().start(given)
    next(outputs(execution))
    place.cut()
    with pytest.raises(SessionLost):
        finish(execution)
    again = place.connect().attach(given, age=1, stdout=3)
    threading.Timer(0.5, again.stop).start()
    end = finish(again).exited
    assert (end.stop, end.signal) == (Stop.CONFIRMED, "KILL")
    assert carriers(given.marker) == []


def test_the_target_says_that_the_time_was_over_meanwhile(place: Place) -> None:
    given = script("echo on; sleep 60", deadline=1, grace=0.2)
    execution = place.connect().start(given)
    next(outputs(execution))
    place.cut()
    assert eventually(lambda: not carriers(given.marker), 15)
    end = finish(place.connect().attach(given, age=5, stdout=3)).exited
    assert (end.timed_out, end.stop) == (True, Stop.CONFIRMED)


def test_what_another_account_ran_is_picked_up_by_it(place: Place) -> None:
    require(shutil.which("sudo"), "sudo")
    if os.getuid() != 0:
        pytest.skip("only root becomes somebody else without being asked")
    given = script("id -un; sleep 1; id -un; exit 8", run_as="nobody")
    seen = Seen()
    execution = place.connect().start(given)
    seen.read(execution, lambda so_far: b"nobody" in so_far.stdout)
    place.cut()
    assert not seen.read(execution)
    with pytest.raises(Vanished, match="belongs to another account"):
        place.connect().attach(replace(given, run_as=""), age=2)
    execution = seen.attach(place.connect(), given)
    seen.read(execution)
    assert (seen.stdout, seen.exited) == (b"nobody\nnobody\n", Exited(8))
    execution.recorded()
    assert eventually(lambda: not folders(given.marker))


# --- through the command line ---------------------------------------------------------------

HEAD = "wtsflow: 1\nname: peer/again\nversion: 1.0.0\ntitle: T\nowner: ops\n"
SCRIPTS = {
    "a/long.sh": (
        '#!/bin/sh\necho "$WTS_TARGET" >>"$2"\ni=0\n'
        "while [ $i -lt 20 ]; do echo line $i; i=$((i+1)); sleep 0.1; done\nprintf end\n"
    ),
    "a/short.sh": '#!/bin/sh\necho "$WTS_TARGET" >>"$2"\n',
    "a/sleep.sh": "#!/bin/sh\nsleep 1.5\n",
}
LONG = b"".join(b"line %d\n" % n for n in range(20)) + b"end"


def workspace(place: Place, folder: Path, steps: str) -> Workspace:
    hosts: dict[str, object] = {"box": {"transport": "local"}}
    if place.server:
        ssh = place.server.settings
        hosts["box"] = {"host": "127.0.1.1", "port": place.server.port, "ssh": ssh}
    text = f"{HEAD}targets: {{ box: {{ hosts: [box] }} }}\nsteps:\n{steps}"
    return Workspace.make(folder, SCRIPTS, {"again.yaml": text}, json.dumps({"hosts": hosts}))


def test_a_connection_that_died_between_two_steps_costs_nothing(
    place: Place, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    steps = f"""  - {{ id: one, script: a/short.sh@1.0.0, target: box, with: {{ note: {note} }} }}
  - {{ id: idle, script: a/sleep.sh@1.0.0 }}
  - {{ id: two, script: a/short.sh@1.0.0, target: box, with: {{ note: {note} }} }}
"""
    made = workspace(place, tmp_path, steps)
    process = made.start("run", "manifests/again.yaml", "--format", "jsonl")
    assert eventually(lambda: note.exists() and note.read_text())
    time.sleep(0.3)
    place.cut()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert note.read_text() == "box\nbox\n"
    ends = [json.loads(line) for line in out.splitlines()]
    assert [end["subject"] for end in ends if end.get("event") == "finished"] == [
        "one@box/1",
        "idle@local/1",
        "two@box/1",
    ]


def test_a_run_that_was_killed_goes_on_with_the_script_that_still_runs(
    anywhere: Place, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    steps = f"""  - {{ id: one, script: a/long.sh@1.0.0, target: box, with: {{ note: {note} }} }}
  - {{ id: two, script: a/short.sh@1.0.0, target: box, with: {{ note: {note} }} }}
"""
    made = workspace(anywhere, tmp_path, steps)
    process = made.start("run", "manifests/again.yaml", start_new_session=True)
    assert eventually(lambda: note.exists() and note.read_text())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = made.cli("resume", "latest")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert note.read_text() == "box\nbox\n", "each ran once"
    shown = json.loads(made.cli("runs", "show", "latest", "--format", "json").stdout)
    (kept,) = (step["output"] for step in shown["steps"] if step["path"] == "one")
    assert (kept["bytes"], kept["sha256"]) == (len(LONG), hashlib.sha256(LONG).hexdigest())
    assert made.cli("audit", "verify").returncode == 0
