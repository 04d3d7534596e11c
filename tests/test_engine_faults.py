"""What the engine does when its parts fail in the middle of a run, or lie."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.scripted import Forever, Log, Scripted, make, perform, wait_for
from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.sessions import Sessions
from wtsflow.errors import AuditError, ConnectError, Exit, InvalidError, JournalError, SessionLost
from wtsflow.model.plan import Target
from wtsflow.model.record import Stop
from wtsflow.model.script import Interface, Passing
from wtsflow.model.values import Secret
from wtsflow.model.workflow import Type
from wtsflow.ports import Exited, Output

ONE = """targets: { web: { group: web } }
steps:
  - { id: one, script: a/one.sh@1.0.0, target: web }
  - { id: two, script: a/two.sh@1.0.0, target: web }
"""


# --- what cannot be written down --------------------------------------------------------------


def test_T42_when_the_audit_log_fails_what_runs_is_stopped_and_nobody_waits_for_ever(tmp_path):
    def play(target, invocation):
        if target == "web1":
            wait_for(lambda: len(range_.started) == 3)
            return [Exited(0)]
        return [Forever(Stop.CONFIRMED)]

    range_ = Scripted(play)
    log = Log(fail=lambda r: AuditError("full") if r.event.type == "finished" else None)
    begun = time.monotonic()
    with pytest.raises(AuditError, match="full"):
        perform(tmp_path, ONE, range_, audit=log)
    assert time.monotonic() - begun < 30
    wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("task")])


def test_T42_a_worker_that_hears_nothing_does_not_keep_the_process_when_records_fail(tmp_path):
    """In a process of its own: what is left running must not be waited for at its end."""
    program = f"""
import sys, threading
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from tests.scripted import Log, Scripted, perform, wait_for
from tests.test_engine_faults import ONE
from wtsflow.engine import runner
from wtsflow.errors import AuditError
from wtsflow.ports import Exited
runner.CLOSING = 1.0
def play(target, invocation):
    if target == "web1":
        wait_for(lambda: len(range_.started) == 3)
        return [Exited(0)]
    threading.Event().wait(120)
range_ = Scripted(play)
log = Log(fail=lambda r: AuditError("full") if r.event.type == "finished" else None)
try:
    perform(Path({str(tmp_path)!r}), ONE, range_, audit=log, grace=0.1)
except AuditError as error:
    sys.exit(int(error.exit))
"""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 74
    assert time.monotonic() - begun < 40


def test_when_the_journal_fails_nothing_more_begins(tmp_path):
    range_ = Scripted()
    runner, _ = make(tmp_path, ONE, range_, machines={"web": 3})
    real = runner.parts.journal.record

    def record(run, events, *, time):
        if any(event.key.startswith("finished/") for event in events):
            raise JournalError("disk full")
        return real(run, events, time=time)

    runner.parts.journal.record = record
    with pytest.raises(JournalError, match="disk full"):
        runner.go({})
    assert {job.name for _, job in range_.started} == {"one.sh"}


def test_a_spool_that_cannot_be_written_is_said_and_stops_nothing(tmp_path):
    (tmp_path / "spool").write_text("in the way")
    ran = perform(tmp_path, ONE)
    assert ran.data("closed")["exit"]["name"] == "success"
    assert ran.data("finished/one@web1/1")["output"]["error"]


# --- parts that break -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3)])
def test_a_session_that_breaks_while_it_is_dropped_leaves_no_run_hanging(tmp_path, error):
    class Breaks(Scripted):
        def connect(self, target, credentials):
            session = super().connect(target, credentials)

            def close():
                raise error

            session.close = close
            return session

    ran = perform(tmp_path, ONE, Breaks(lambda t, i: [SessionLost("cut")]), machines={"web": 1})
    assert ran.data("closed")["exit"]["name"] == "unknown"


def test_a_verb_that_ends_its_thread_leaves_no_run_hanging(tmp_path):
    class Ends(Scripted):
        def connect(self, target, credentials):
            raise SystemExit(1)

    ran = perform(tmp_path, ONE, Ends(), machines={"web": 1})
    assert ran.data("closed")["exit"]["name"] == "unknown"


def test_a_thread_that_cannot_be_started_fails_its_task_and_nothing_was_sent(tmp_path, monkeypatch):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("task"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ran = perform(tmp_path, ONE, machines={"web": 2})
    assert ran.range.started == []
    assert ran.data("closed")["exit"]["name"] == "failed"


def test_one_target_whose_connection_hangs_does_not_hold_up_the_others(tmp_path):
    class Slow(Scripted):
        def connect(self, target, credentials):
            if target.name == "web1":
                wait_for(lambda: {name for name, _ in self.started} == {"web2", "web3"})
            return super().connect(target, credentials)

    ran = perform(tmp_path, ONE, Slow())
    assert ran.data("closed")["exit"]["name"] == "success"


# --- sessions ---------------------------------------------------------------------------------


class Countable:
    def __init__(self) -> None:
        self.made: list[Countable.Session] = []
        self.hold = threading.Event()
        self.hold.set()
        self.connecting = threading.Event()

    class Session:
        closed = False

        def close(self) -> None:
            self.closed = True

    def connect(self, target, credentials):
        self.connecting.set()
        self.hold.wait(20)
        self.made.append(Countable.Session())
        return self.made[-1]


def sessions() -> tuple[Sessions, Countable, Target]:
    transport = Countable()
    found = Sessions({"x": lambda: transport}, credentials=None)  # type: ignore[arg-type]
    return found, transport, Target("web1", transport="x")


def test_a_lost_session_is_dropped_once_and_the_next_one_stays():
    found, transport, target = sessions()
    lost = found.get(target)
    found.drop(target, lost)
    second = found.get(target)
    found.drop(target, lost)  # another task on the same session finds out later
    assert found.get(target) is second
    assert [session.closed for session in transport.made] == [True, False]


def test_a_session_that_is_opened_after_the_end_is_closed_at_once():
    found, transport, target = sessions()
    transport.hold.clear()
    errors: list[Exception] = []

    def late():
        try:
            found.get(target)
        except ConnectError as error:
            errors.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    assert transport.connecting.wait(10)
    found.close()
    transport.hold.set()
    thread.join(10)
    assert len(errors) == 1
    assert [session.closed for session in transport.made] == [True]


def test_a_session_that_does_not_close_is_not_waited_for_for_ever():
    found, _, target = sessions()
    session = found.get(target)
    release = threading.Event()
    session.close = lambda: release.wait(60)
    begun = time.monotonic()
    found.close(patience=0.2)
    assert time.monotonic() - begun < 20
    release.set()


# --- interrupts -------------------------------------------------------------------------------


def test_an_interrupt_during_a_wait_ends_the_run_and_does_finally(tmp_path):
    text = "steps:\n  - wait: 1h\nfinally:\n  - { id: last, script: a/l.sh@1.0.0 }\n"
    interrupt = Interrupt()
    threading.Timer(0.3, lambda: interrupt(Exit.INTERRUPTED, "Ctrl-C")).start()
    ran = perform(tmp_path, text, interrupt=interrupt)
    assert ran.data("closed")["exit"]["code"] == 130
    assert [name for name, _ in ran.range.started] == ["local"]


def test_an_interrupt_during_the_wait_before_a_retry_ends_the_run(tmp_path):
    text = "steps:\n  - { script: a/l.sh@1.0.0, retry: { times: 3, wait: 1h } }\n"
    interrupt = Interrupt()
    range_ = Scripted(lambda t, i: [Exited(1)])
    threading.Timer(0.3, lambda: interrupt(Exit.TERMINATED, "SIGTERM")).start()
    ran = perform(tmp_path, text, range_, interrupt=interrupt)
    assert ran.data("closed")["exit"]["code"] == 143
    assert len(range_.started) == 1


def test_an_interrupt_during_finally_stops_what_runs_and_does_the_rest_of_it(tmp_path):
    text = """steps: [ { id: one, script: a/o.sh@1.0.0 } ]
finally:
  - { id: long, script: a/l.sh@1.0.0, on_failure: continue }
  - { id: last, script: a/m.sh@1.0.0 }
"""
    interrupt = Interrupt()

    def play(target, invocation):
        return [Forever()] if invocation.name == "l.sh" else [Exited(0)]

    range_ = Scripted(play)

    def press():
        wait_for(lambda: len(range_.started) == 2)
        interrupt(Exit.INTERRUPTED, "Ctrl-C")
        interrupt(Exit.INTERRUPTED, "Ctrl-C")

    threading.Thread(target=press).start()
    ran = perform(tmp_path, text, range_, interrupt=interrupt)
    assert [job.name for _, job in range_.started] == ["o.sh", "l.sh", "m.sh"]
    assert ran.data("closed")["exit"]["code"] == 130


def test_three_interrupts_during_finally_let_go_of_it(tmp_path):
    text = """steps: [ { id: one, script: a/o.sh@1.0.0 } ]
finally:
  - { id: long, script: a/l.sh@1.0.0, on_failure: continue }
  - { id: last, script: a/m.sh@1.0.0 }
"""
    interrupt, release = Interrupt(), threading.Event()

    def play(target, invocation):
        if invocation.name == "l.sh":
            release.wait(30)
        return [Exited(0)]

    range_ = Scripted(play)

    def press():
        wait_for(lambda: len(range_.started) == 2)
        for _ in range(3):
            interrupt(Exit.INTERRUPTED, "Ctrl-C")

    threading.Thread(target=press).start()
    ran = perform(tmp_path, text, range_, interrupt=interrupt)
    release.set()
    assert [job.name for _, job in range_.started] == ["o.sh", "l.sh"]
    assert ran.recorded()[-1] == "left/1"
    assert ran.state.closed is None


# --- hostile outputs --------------------------------------------------------------------------

HOSTILE = {
    "infinite": b'{"n": 1e999}',
    "not a number": b'{"n": NaN}',
    "half a character": b'{"n": "\\ud800"}',
    "half a character in a key": b'{"\\udfff": 1}',
    "deep": b'{"n": ' + b"[" * 400 + b"]" * 400 + b"}",
    "deeper": b'{"n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5,000 digits": b'{"n": ' + b"9" * 5000 + b"}",
    "a number that readers disagree about": b'{"n": 9007199254740993}',
    "a key that is there twice": b'{"n": 1, "n": 2}',
    "no UTF-8": b'{"n": "\xff"}',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("way", ["file", "line"])
def test_T15_outputs_that_two_readers_understand_differently_fail_the_step_only(
    tmp_path, name, way
):
    data = HOSTILE[name]

    def play(target, invocation):
        if way == "file":
            return [Exited(0, output=data)]
        return [Output("stdout", data + b"\n"), Exited(0)]

    ran = perform(tmp_path, ONE, Scripted(play), machines={"web": 1})
    finished = ran.data("finished/one@web1/1")
    assert finished["outcome"] == ("failed" if way == "file" else "success")
    assert finished["outputs"] == {}
    assert ran.recorded()[-1] == "closed"


# --- secrets ----------------------------------------------------------------------------------

SECRET = "s3cr3t-Passw0rd-91"


def kept(folder: Path, seen: object) -> str:
    parts = [repr(seen)]
    for path in folder.rglob("*"):
        parts.append(path.name)
        if path.is_file():
            parts.append(path.read_bytes().decode(errors="replace"))
    return "".join(parts)


@pytest.mark.parametrize(
    "raised",
    [
        lambda: SessionLost(f"cut while sending {SECRET}", cure=f"ask for {SECRET}"),
        lambda: ConnectError(f"no {SECRET}", cure=SECRET),
        lambda: ValueError(SECRET),
        lambda: KeyError(SECRET.encode()),
    ],
)
def test_T38_a_secret_in_the_words_of_an_exception_is_masked(tmp_path, raised):
    text = """inputs: { password: secret }
steps:
  - id: one
    script: a/one.sh@1.0.0
    with: { password: $(inputs.password) }
    on_failure: [ { id: undo, script: a/u.sh@1.0.0, with: { why: $(failure.message) } } ]
"""
    first = iter([raised()])

    def play(target, invocation):
        return [next(first, Exited(0))]

    ran = perform(
        tmp_path,
        text,
        Scripted(play),
        values={"password": Secret(SECRET)},
        interface=Interface(passing=Passing.JSON),
    )
    (end,) = {"finished/one@local/1", "lost/one@local/1"}.intersection(ran.recorded())
    assert "********" in ran.data(end)["message"]
    assert SECRET not in kept(tmp_path, (ran.records, ran.lines, ran.runner.detached))


def test_T38_a_secret_among_the_items_of_a_loop_is_in_no_path_and_no_file_name(tmp_path):
    text = """inputs: { password: secret }
steps:
  - id: one
    script: a/one.sh@1.0.0
    with: { password: $(inputs.password) }
    outputs: { names: list }
  - id: each
    for_each: steps.one.outputs.names
    steps:
      - { id: do, script: a/do.sh@1.0.0, with: { n: $(item) } }
"""
    written = json.dumps({"names": [SECRET, f"x {SECRET}"]}).encode()

    def play(target, invocation):
        return [Output("stdout", b"hello\n"), Exited(0, output=written)]

    ran = perform(
        tmp_path,
        text,
        Scripted(play),
        values={"password": Secret(SECRET)},
        interface=Interface(passing=Passing.JSON),
    )
    assert len(ran.range.started) == 3
    assert SECRET not in kept(tmp_path, (ran.records, ran.lines))


def test_T38_a_secret_in_the_outputs_of_the_workflow_is_masked(tmp_path):
    text = """steps:
  - { id: one, script: a/one.sh@1.0.0, outputs: { names: list, n: number } }
outputs: { all: $(steps.one.outputs.names), run: $(run.id) }
"""
    interface = Interface(outputs={"token": Type.SECRET, "names": Type.LIST})

    def play(target, invocation):
        return [Exited(0, output=json.dumps({"names": [SECRET], "n": 1}).encode())]

    ran = perform(tmp_path, text, Scripted(play), values={"p": Secret(SECRET)}, interface=interface)
    assert ran.data("closed")["outputs"]["all"] == ["********"]
    assert str(ran.data("closed")["outputs"]["run"]).startswith("RUN")


@pytest.mark.parametrize("weak", ["", "abc", "password"])
def test_T38_a_secret_that_cannot_be_masked_is_refused_before_anything_is_written(tmp_path, weak):
    with pytest.raises(InvalidError):
        perform(tmp_path, ONE, values={"p": Secret(weak)})
    assert not (tmp_path / "spool").exists()


def test_T38_the_very_first_record_is_masked(tmp_path):
    runner, _ = make(tmp_path, ONE, Scripted(), machines={"web": 1}, values={"p": Secret(SECRET)})
    runner.go({"words": f"x {SECRET} y", "value": Secret(SECRET)})
    opened = runner.parts.journal.load(runner.state.run)[0]
    assert opened.event.data == {"words": "x ******** y", "value": "********"}


# --- floods -----------------------------------------------------------------------------------


def test_T43_an_interrupt_is_heard_through_an_endless_flood_of_output(tmp_path):
    interrupt, release = Interrupt(), threading.Event()

    def play(target, invocation):
        while not release.is_set():
            yield Output("stdout", b"flood\n" * 100)
        yield Exited(0)

    range_ = Scripted(play)

    def press():
        wait_for(lambda: len(range_.started) == 3)
        time.sleep(0.3)
        for _ in range(3):
            interrupt(Exit.INTERRUPTED, "Ctrl-C")

    threading.Thread(target=press).start()
    guard = threading.Timer(20, release.set)
    guard.start()
    ran = perform(
        tmp_path, ONE, range_, interrupt=interrupt, subscribers=(lambda seen: time.sleep(0.001),)
    )
    assert not release.is_set(), "the run ended only because the flood did"
    release.set()
    guard.cancel()
    assert ran.data("left/1")["exit"] == "interrupted"
