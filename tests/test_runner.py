"""The thread that acts: what is written before what, and what happens when parts fail."""

import threading
import time

import pytest

from tests.scripted import Forever, Log, Scripted, make, perform, wait_for
from wtsflow.engine.interrupt import Interrupt, Level
from wtsflow.errors import AuditError, Exit, SessionLost
from wtsflow.model.record import Stop
from wtsflow.model.script import Interface, Passing
from wtsflow.model.values import MASK, Secret
from wtsflow.model.workflow import Type
from wtsflow.ports import Exited, Output

ONE = """targets: { web: { group: web } }
steps:
  - { id: one, script: a/one.sh@1.0.0, target: web }
  - { id: two, script: a/two.sh@1.0.0, target: web }
"""


def test_a_run_is_records_and_lines_and_a_spool(tmp_path):
    ran = perform(tmp_path, ONE)
    assert ran.recorded()[0] == "opened"
    assert ran.recorded()[-1] == "closed"
    assert [r.seq for r in ran.records] == list(range(1, len(ran.records) + 1))
    assert {line.text for line in ran.lines} == {f"hello from web{i}" for i in (1, 2, 3)}
    finished = ran.data("finished/one@web1/1")
    assert finished["outcome"] == "success"
    assert finished["output"]["bytes"] == len("hello from web1\n")
    assert (tmp_path / "spool" / "one@web1~1.log").read_text() == "hello from web1\n"
    assert ran.data("closed")["exit"] == {"code": 0, "name": "success"}


def test_nothing_starts_before_its_record_is_in_journal_and_audit_log(tmp_path):
    log = Log()
    missing: list[str] = []

    def before(target):
        keys = [record.event.key for record in log.records]
        if f"started/one@{target}/1" not in keys:
            missing.append(target)

    perform(tmp_path, ONE, Scripted(before=before), audit=log)
    assert missing == []
    assert len(log.records) == 14


def test_T42_without_an_audit_log_nothing_starts(tmp_path):
    def fail(record):
        return AuditError("disk full") if record.event.type == "started" else None

    range_ = Scripted()
    with pytest.raises(AuditError, match="disk full"):
        perform(tmp_path, ONE, range_, audit=Log(fail=fail))
    assert range_.started == []


def test_one_down_one_failing_one_healthy_each_gets_its_own_outcome(tmp_path):
    def play(target, invocation):
        return [Exited(3 if target == "web2" else 0)]

    ran = perform(tmp_path, ONE, Scripted(play, down=frozenset({"web1"})))
    closed = ran.data("closed")
    assert closed["exit"]["name"] == "partial"
    assert {name: said["outcome"] for name, said in closed["targets"].items()} == {
        "web1": "unreachable",
        "web2": "failed",
        "web3": "success",
    }
    assert "is it up?" in closed["targets"]["web1"]["message"]
    assert closed["targets"]["web2"]["message"] == "exit code 3"


def test_a_lost_session_is_unknown_and_never_tried_again(tmp_path):
    text = ONE.replace("target: web }", "target: web, retry: 5 }")
    ran = perform(tmp_path, text, Scripted(lambda t, i: [SessionLost("cut")]), machines={"web": 1})
    assert len(ran.range.started) == 1
    assert ran.data("closed")["exit"]["name"] == "unknown"


def test_a_defect_in_a_part_is_an_unknown_outcome_and_the_run_still_closes(tmp_path):
    ran = perform(tmp_path, ONE, Scripted(lambda t, i: [ValueError("oops")]))
    assert ran.data("closed")["exit"]["name"] == "unknown"


def test_T38_a_secret_is_masked_in_lines_spool_records_and_messages(tmp_path):
    secret = "s3cr3t-Passw0rd"
    interface = Interface(passing=Passing.JSON, outputs={"token": Type.SECRET})

    def play(target, invocation):
        half = len(secret) // 2
        yield Output("stdout", b"password is " + secret[:half].encode())
        yield Output("stdout", secret[half:].encode() + b"\n")
        yield Exited(0, output=b'{"token": "another-secret-1"}')

    text = """inputs: { password: secret }
targets: { web: { group: web } }
steps:
  - { id: one, script: a/one.sh@1.0.0, target: web, with: { password: $(inputs.password) } }
  - id: two
    script: a/two.sh@1.0.0
    target: web
    with: { token: $(steps.one.outputs.token), text: "the token is $(steps.one.outputs.token)" }
"""
    ran = perform(
        tmp_path,
        text,
        Scripted(play),
        machines={"web": 1},
        interface=interface,
        values={"password": Secret(secret)},
    )
    assert ran.data("closed")["exit"]["name"] == "success"
    kept = repr(ran.records) + repr(ran.lines)
    kept += "".join(p.read_text() for p in (tmp_path / "spool").iterdir())
    kept += (tmp_path / "state" / "journal.sqlite").read_bytes().decode(errors="replace")
    assert secret not in kept
    assert "another-secret-1" not in kept
    assert f"password is {MASK}" in kept
    assert secret.encode() in ran.range.started[0][1].stdin
    assert b"another-secret-1" in ran.range.started[1][1].stdin


def test_an_output_that_was_promised_and_not_given_fails_the_step(tmp_path):
    ran = perform(tmp_path, ONE, interface=Interface(outputs={"n": Type.NUMBER}))
    assert "did not give its output 'n'" in ran.data("finished/one@web1/1")["message"]
    assert ran.data("closed")["exit"]["name"] == "failed"


def test_a_scripts_own_outcome_is_an_answer_and_not_a_failure(tmp_path):
    ran = perform(
        tmp_path,
        ONE,
        Scripted(lambda t, i: [Exited(4)]),
        interface=Interface(outcomes={4: "lossy"}),
    )
    assert ran.data("finished/one@web1/1")["outcome"] == "lossy"
    assert ran.data("closed")["exit"]["name"] == "success"


def test_sensitive_output_is_withheld_entirely(tmp_path):
    ran = perform(tmp_path, ONE, interface=Interface(sensitive=True))
    assert ran.lines == []
    assert ran.data("finished/one@web1/1")["output"] == {}


def test_a_reader_that_breaks_is_let_go_and_the_run_goes_on(tmp_path):
    def broken(seen):
        raise BrokenPipeError

    ran = perform(tmp_path, ONE, subscribers=(broken,))
    assert ran.data("closed")["exit"]["name"] == "success"
    assert len(ran.runner.detached) == 1


@pytest.mark.parametrize("end", [Stop.CONFIRMED, Stop.UNCONFIRMED])
def test_an_interrupt_stops_what_runs_and_says_whether_it_stopped(tmp_path, end):
    interrupt = Interrupt()
    range_ = Scripted(lambda t, i: [Output("stdout", b"begun\n"), Forever(end)])
    threading.Thread(
        target=lambda: (
            wait_for(lambda: len(range_.started) == 3),
            interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.STOP),
        )
    ).start()
    ran = perform(tmp_path, ONE, range_, interrupt=interrupt)
    assert ran.data("finished/one@web1/1")["stop"] == str(end)
    assert ran.data("finished/one@web1/1")["outcome"] == "cancelled"
    assert ran.data("closed")["exit"] == {"code": 130, "name": "interrupted"}
    assert not any("two" in key for key in ran.recorded())


def test_the_first_interrupt_lets_what_runs_finish_and_starts_nothing(tmp_path):
    interrupt, release = Interrupt(), threading.Event()

    def play(target, invocation):
        release.wait(20)
        yield Exited(0)

    range_ = Scripted(play)

    def press():
        wait_for(lambda: len(range_.started) == 3)
        interrupt(Exit.INTERRUPTED, "Ctrl-C")
        time.sleep(0.2)
        release.set()

    threading.Thread(target=press).start()
    ran = perform(tmp_path, ONE, range_, interrupt=interrupt)
    assert ran.data("finished/one@web1/1")["outcome"] == "success"
    assert ran.data("closed")["exit"]["code"] == 130
    assert ran.data("stopping/1")["level"] == 1
    assert not any("two" in key for key in ran.recorded())


def test_the_third_interrupt_lets_go_of_what_runs_and_leaves_the_run_open(tmp_path):
    interrupt, release = Interrupt(), threading.Event()

    def play(target, invocation):
        release.wait(20)
        yield Exited(0)

    range_ = Scripted(play)

    def press():
        wait_for(lambda: len(range_.started) == 3)
        for _ in range(3):
            interrupt(Exit.INTERRUPTED, "Ctrl-C")

    threading.Thread(target=press).start()
    ran = perform(tmp_path, ONE, range_, interrupt=interrupt)
    release.set()
    assert ran.data("left/1") == {"reason": "Ctrl-C", "exit": "interrupted"}
    assert not any(key.startswith(("finished", "closed", "lost")) for key in ran.recorded())


def test_a_flood_of_output_holds_the_workers_back_and_loses_nothing(tmp_path):
    count = 3000
    peak = 0

    def play(target, invocation):
        for number in range(count):
            yield Output("stdout", f"line {number}\n".encode())
        yield Exited(0)

    def slow(seen):
        nonlocal peak
        peak = max(peak, runner._inbox.qsize())

    runner, seen = make(tmp_path, ONE, Scripted(play), machines={"web": 3}, subscribers=(slow,))
    runner.go({})
    assert sum(hasattr(one, "text") for one in seen) == 3 * 2 * count
    assert peak <= 300


def test_with_that_has_no_value_fails_the_step_and_sends_nothing(tmp_path):
    text = ONE.replace(
        "- { id: two, script: a/two.sh@1.0.0, target: web }",
        "- { id: two, script: a/two.sh@1.0.0, target: web, with: { n: $(steps.one.outputs.n) } }",
    )
    ran = perform(tmp_path, text, machines={"web": 1})
    assert len(ran.range.started) == 1
    assert "with:" in ran.data("finished/two@web1/1")["message"]
    runner, _ = make(tmp_path, ONE, Scripted(), machines={"web": 1})
    assert runner.state.closed is None
