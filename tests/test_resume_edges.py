"""Where several things befall one run: wishes to end it, handlers, changes, and other processes."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace

import pytest

from tests.scripted import wait_for
from tests.test_resume import TIME, TWO, Site, cut_one, hang, raising
from tests.test_resume_cli import HEAD, POSIX, Case
from tests.workspaces import Workspace
from wtsflow import reopening
from wtsflow.app import App
from wtsflow.cli.cancel import _result
from wtsflow.cli.performing import OnUnknown, _judge
from wtsflow.clock import SystemClock
from wtsflow.engine.interrupt import Interrupt, Level
from wtsflow.engine.manner import Manner
from wtsflow.errors import DeniedError, Exit, PlanMismatch, Vanished
from wtsflow.files import file_lock
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import Actor
from wtsflow.model.record import Event, Outcome, Record, Result
from wtsflow.runs import driver
from wtsflow.workspace import Workspace as Folder

LAST = TWO + "finally: [ { id: last, script: a/last.sh@1.0.0 } ]\n"


def good(task, tools):
    return Result(Outcome.SUCCESS)


def heeded(site, level):
    """Wait until a wish of this level is written down."""
    wait_for(lambda: any(r.event.data.get("level") == level for r in tuple(site.seen)))


def let_go(site):
    """A run whose first process was asked three times to end, and let go of its first step."""
    interrupt, release = Interrupt(), threading.Event()

    def begin(task, tools):
        for level in (1, 2, 3):
            interrupt(Exit.INTERRUPTED, "Ctrl-C")
            heeded(site, level)
        release.wait(10)
        return Result(Outcome.SUCCESS)

    site.verb.begin = begin
    state = site.go(interrupt=interrupt)
    release.set()
    assert (state.closed, state.left) == (None, True)
    site.verb.begin = good
    site.verb.performed.clear()


def test_a_wish_to_end_is_heeded_again_after_a_run_was_let_go_of(tmp_path):
    site = Site(tmp_path, targets=1)
    let_go(site)
    interrupt = Interrupt()

    def found(task, tools):
        interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.STOP)
        return hang(task, tools)

    site.verb.found = found
    state = site.resume(interrupt=interrupt)
    assert site.verb.performed == []
    assert state.closed["exit"]["name"] == "interrupted"


def test_a_run_that_was_let_go_of_can_be_cancelled(tmp_path):
    site = Site(tmp_path, targets=1)
    let_go(site)
    site.write(Event("cancel/1", {"by": "alice", "level": 1}))
    state = site.resume()
    assert site.verb.attached == ["one@web1/1"]
    assert site.verb.performed == []
    assert state.closed["exit"]["name"] == "cancelled"


def left_in_finally(folder: Path, before: Callable[[Interrupt], None] = lambda wish: None) -> Site:
    """A run that was let go of while its ``finally`` ran; ``before`` is called in its steps."""
    site, interrupt = Site(folder, text=LAST, targets=1), Interrupt()
    release = threading.Event()

    def begin(task, tools):
        if task.path.startswith("finally"):
            interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.DETACH)
            release.wait(10)
        else:
            before(interrupt)
        return Result(Outcome.SUCCESS)

    site.verb.begin = begin
    site.go(interrupt=interrupt)
    release.set()
    return site


def test_what_was_stopped_is_not_gone_on_with_behind_its_finally(tmp_path):
    site = left_in_finally(tmp_path, lambda wish: wish(Exit.INTERRUPTED, "Ctrl-C"))
    assert site.recorded()[-1] == "left/1"
    site.verb.performed.clear()
    state = site.resume()
    assert site.verb.attached == ["finally/last@local/1"]
    assert site.verb.performed == []
    assert state.closed["exit"]["name"] == "interrupted"


def test_a_run_that_was_let_go_of_in_its_finally_ends_as_its_steps_did(tmp_path):
    site = left_in_finally(tmp_path)
    assert site.recorded()[-1] == "left/1"
    assert site.resume().closed["exit"]["name"] == "success"


def test_a_handler_in_finally_of_a_stopped_run_has_no_more_time_than_finally(tmp_path):
    handler = "on_failure: { steps: [ { id: mend, script: a/mend.sh@1.0.0 } ] }"
    site = Site(tmp_path, text=LAST.replace("id: last,", f"id: last, {handler},"), targets=1)
    interrupt, limits = Interrupt(), {}

    def begin(task, tools):
        limits[task.path.rpartition("/")[2]] = task.deadline
        if task.path == "one":
            interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.STOP)
            return hang(task, tools)
        return Result(Outcome.FAILED)

    site.verb.begin = begin
    site.go(interrupt=interrupt)
    assert 290 <= limits["last"] <= 300
    assert 290 <= limits["mend"] <= 300


def test_the_hurry_of_sigterm_begins_with_sigterm(tmp_path):
    site, interrupt = Site(tmp_path, targets=1), Interrupt()
    now = site.clock.monotonic
    later = [0.0]
    site.clock.monotonic = lambda: now() + later[0]

    def begin(task, tools):
        interrupt(Exit.INTERRUPTED, "Ctrl-C")
        heeded(site, 1)
        later[0] = 60.0
        interrupt(Exit.TERMINATED, "SIGTERM", Level.STOP, 15.0)
        return hang(task, tools)

    site.verb.begin = begin
    state = site.go(interrupt=interrupt)
    assert site.data("finished/one@web1/1")["outcome"] == "cancelled"
    assert state.closed["exit"]["name"] == "interrupted"


def test_what_is_allowed_no_more_is_denied_although_the_plan_does_not_fit_either(tmp_path):
    mine = HEAD.format(name="case") + "require: [ { that: actor.name != 'eve', else: 'Not you.' } ]"
    mine += "\ntargets: { all: { group: web } }\nsteps:\n  - wait: 1h\n"
    mine += "  - { script: a.sh@1.0.0, target: all }\n"
    hosts = "hosts: { here: { transport: local } }\ngroups: { web: { hosts: [here] } }\n"
    site = Workspace.make(tmp_path, {"a.sh": "#!/bin/sh\n"}, {"case.yaml": mine}, hosts)
    site.environ["WTSFLOW_PARK"] = "1s"
    assert site.cli("run", "manifests/case.yaml").returncode == 10
    site.write("inventory.yaml", "hosts: {}\n")
    app = App(Folder.find(site.root), site.state, tmp_path / "cache")
    app.__dict__["actor"] = Actor("eve", "1")
    with closing(app):
        run = app.journal.runs()[0].run
        with pytest.raises(DeniedError, match="Not you"):
            reopening.reopened(app, run, lambda plan: plan.inputs, as_planned=True)
        app.__dict__["actor"] = Actor("adam", "2")
        with pytest.raises(PlanMismatch, match="web"):
            reopening.reopened(app, run, lambda plan: plan.inputs)
        assert reopening.reopened(app, run, lambda plan: plan.inputs, as_planned=True).plan


def test_a_run_that_was_told_to_end_does_not_park(tmp_path):
    text = LAST.replace("{ id: last, script: a/last.sh@1.0.0 }", "{ id: last, wait: 2h }")
    site, interrupt = Site(tmp_path, text=text, targets=1), Interrupt()
    now = site.clock.monotonic
    later = [0.0]
    site.clock.monotonic = lambda: now() + later[0]

    def begin(task, tools):
        interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.STOP)
        return Result(Outcome.SUCCESS)

    def waited(seen):
        if isinstance(seen, Record) and seen.event.type == "waiting":
            threading.Timer(0.3, later.__setitem__, (0, 301.0)).start()

    site.see, see = lambda seen: (see(seen), waited(seen)), site.see
    site.verb.begin = begin
    state = site.go(interrupt=interrupt, manner=Manner(park=60.0))
    assert state.closed["exit"]["name"] == "interrupted"


def test_a_step_that_was_asked_about_when_the_run_was_stopped_is_not_called_skipped(tmp_path):
    site, interrupt = Site(tmp_path, targets=1), Interrupt()

    def confirm(task):
        if task.path == "one":
            return True
        interrupt(Exit.INTERRUPTED, "Ctrl-C")
        return False

    state = site.go(interrupt=interrupt, manner=Manner(confirm=confirm))
    assert site.verb.performed == ["one@web1/1"]
    assert "skipped/two" not in site.recorded()
    assert state.closed["targets"]["web1"]["outcome"] == "skipped"


@pytest.mark.parametrize("key", ["stopping", "stopping/hard"])
def test_what_an_older_version_was_stopping_is_stopped(tmp_path, key):
    site = cut_one(tmp_path, text=LAST)
    data = {"reason": "Ctrl-C", "exit": "interrupted"}
    hard = {"hard": True} if key.endswith("hard") else {}
    site.write(Event(key, {**data, **hard}))

    def found(task, tools):
        wait_for(lambda: tools.cancelled)
        return hang(task, tools)

    site.verb.found = found
    state = site.resume()
    assert site.data("finished/one@web1/1")["outcome"] == "cancelled"
    assert site.verb.performed == ([] if hard else ["finally/last@local/1"])
    assert state.closed["exit"]["name"] == "interrupted"


UNKNOWN = Vanished("web1 was rebooted", cure="look there")


def unknown(tmp_path):
    """A run that is over, and of whose first step nobody knows how it ended."""
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    assert site.resume().closed["exit"]["name"] == "unknown"
    return site


def test_who_no_longer_waits_for_the_truth_does_not_change_it(tmp_path):
    site, interrupt = unknown(tmp_path), Interrupt()
    release = threading.Event()

    def found(task, tools):
        interrupt(Exit.INTERRUPTED, "Ctrl-C")
        release.wait(10)
        return Result(Outcome.SUCCESS)

    site.verb.found = found
    state = site.resume(interrupt=interrupt)
    release.set()
    assert state.closed["exit"]["name"] == "unknown"
    assert not any(key.startswith("stopping") for key in site.recorded())
    site.verb.found = lambda task, tools: Result(Outcome.FAILED, "exit code 3", 3)
    assert site.resume().closed["exit"]["name"] == "failed"


def test_a_connection_lost_in_two_processes_is_recorded_twice(tmp_path):
    site = cut_one(tmp_path)
    site.write(Event("detached/one@web1/1/1", {"reason": "cut", "until_ms": 1}))

    def found(task, tools):
        tools.detached("cut again", tools.clock.monotonic() + 5)
        tools.attached()
        tools.detached("and again", tools.clock.monotonic() + 5)
        tools.attached()
        return Result(Outcome.SUCCESS)

    site.verb.found = found
    site.resume()
    told = [key for key in site.recorded() if key.startswith(("detached", "attached"))]
    assert [key.replace("one@web1/1/", "") for key in told] == [
        "detached/1", "detached/2", "attached/2", "detached/3", "attached/3"
    ]  # fmt: skip


def test_to_look_once_more_is_to_look_once_more(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    judge = _judge(OnUnknown.ATTACH, None, Interrupt())
    state = site.resume(manner=Manner(unknown=judge))
    assert site.verb.attached == ["one@web1/1"] * 2
    assert state.closed["exit"]["name"] == "unknown"


# --- other processes --------------------------------------------------------------------------

WAITS = "steps:\n  - wait: 1h\n  - { script: quick.sh@1.0.0 }\n"


def parked(tmp_path, text=WAITS):
    case = Case(tmp_path, text)
    case.site.environ["WTSFLOW_PARK"] = "1s"
    assert case.site.cli("run", "manifests/case.yaml").returncode == 10
    return case


def test_two_who_cancel_at_once_are_both_written_down(tmp_path, monkeypatch):
    case = parked(tmp_path)
    app = App(Folder.find(case.site.root), case.site.state, tmp_path / "cache")
    with closing(app):
        run = app.journal.runs()[0].run
        known = app.journal.load(run)
        reopening.cancel(app, run, "gently", Level.FINISH)
        stale = iter([known])
        load = app.journal.load
        monkeypatch.setattr(app.journal, "load", lambda name: next(stale, None) or load(name))
        reopening.cancel(app, run, "now", Level.STOP)
        said = [one.event.data["reason"] for one in load(run) if one.event.type == "cancel"]
    assert said == ["gently", "now"]


def test_a_cancel_waits_for_who_resumes_the_run_just_then(tmp_path, monkeypatch):
    case = parked(tmp_path)
    with SqliteJournal(case.site.state / "journal.sqlite") as journal:
        path = driver(case.site.state, journal.runs()[0].run)
    real, taken, over = reopening.cancel, threading.Event(), threading.Event()

    def resume():
        with file_lock(path, 5):
            taken.set()
            over.wait(1)

    def cancel(*args):
        alive = real(*args)
        threading.Thread(target=resume).start()
        taken.wait(10)
        return alive

    monkeypatch.setattr(reopening, "cancel", cancel)
    monkeypatch.setattr("wtsflow.app.DRIVER", 0.1)
    done = case.site.inside("cancel", "latest")
    assert done.returncode == 0, done.stderr
    assert "cancelled; nothing of it is left" in done.stdout


def test_what_was_lost_for_a_while_and_then_stopped_is_known_to_have_stopped(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    site.resume()
    with closing(site.journal()) as journal:
        app = SimpleNamespace(journal=journal)
        assert _result(app, "R")["unconfirmed"] == ["web1"]
        site.verb.found = good
        site.resume()
        assert _result(app, "R")["unconfirmed"] == []


def test_due_runs_are_told_of_in_one_document_and_one_that_cannot_go_on_stops_none(tmp_path):
    case = parked(tmp_path, WAITS.replace("1h", "2s"))
    assert case.site.cli("run", "manifests/case.yaml").returncode == 10
    with SqliteJournal(case.site.state / "journal.sqlite") as journal:
        second, first = (one.run for one in journal.runs())
        wait_for(lambda: len(journal.due(SystemClock().now())) == 2)
        journal.record(first, [Event("cancel/1", {"by": "ann", "level": 2})], time=TIME)
    done = case.site.inside("resume", "--due", "--format", "json")
    said = json.loads(done.stdout)
    assert [(one["run"], one["exit"]["name"]) for one in said["runs"]] == [
        (first, "cancelled"),
        (second, "success"),
    ]
    assert (done.returncode, said["exit"]["code"]) == (8, 8)


def test_a_due_run_that_is_refused_is_told_of_although_it_is_quiet(tmp_path):
    case = parked(tmp_path, WAITS.replace("1h", "2s"))
    with SqliteJournal(case.site.state / "journal.sqlite") as journal:
        wait_for(lambda: bool(journal.due(SystemClock().now())))
    case.site.write("manifests/case.yaml", "other: 1\n")
    done = case.site.inside("--quiet", "resume", "--due")
    assert done.returncode == 6
    assert "the manifest manifests/case.yaml changed" in done.stderr


def limited():
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


@POSIX
def test_scripts_that_cannot_be_kept_begin_nothing(tmp_path):
    text = HEAD.format(name="case") + "steps: [ { script: big.sh@1.0.0 } ]\n"
    big = "#!/bin/sh\n" + "# much\n" * 100_000
    site = Workspace.make(tmp_path, {"big.sh": big}, {"case.yaml": text})
    process = site.start("run", "manifests/case.yaml", preexec_fn=limited)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 74, err
    assert "cannot be kept" in err


@POSIX
def test_a_run_of_an_older_version_that_cannot_be_read_is_refused_with_one_message(tmp_path):
    case = Case(tmp_path)
    case.site.state.mkdir(mode=0o700, exist_ok=True)
    old = Path(__file__).with_name("journals") / "v1" / "three-runs.sqlite"
    copyfile(old, case.site.state / "journal.sqlite")
    (case.site.state / "journal.sqlite").chmod(0o600)
    for command in ("resume", "cancel"):
        done = case.site.inside(command, "01JOPEN0000000000000000000")
        assert done.returncode in (2, 3), done.stderr
        assert "defect" not in done.stderr


STUBBORN = "#!/bin/sh\ntrap '' TERM INT\necho hangs >>'LOG'\nwhile :; do sleep 0.1; done\n"
HANDLED = """steps:
  - { script: bad.sh@1.0.0, on_failure: { steps: [ { script: hang.sh@1.0.0 } ] } }
finally:
  - script: bad.sh@1.0.0
    on_failure: { steps: [ { script: hang.sh@1.0.0 } ] }
"""


@POSIX
def test_handlers_and_finally_that_hang_do_not_make_a_run_uncancellable(tmp_path):
    log = tmp_path / "log"
    scripts = {"hang.sh": STUBBORN.replace("LOG", str(log)), "bad.sh": "#!/bin/sh\nexit 3\n"}
    text = HEAD.format(name="case") + HANDLED
    site = Workspace.make(tmp_path, scripts, {"case.yaml": text})
    site.environ.update(WTSFLOW_CLOSING="1s", WTSFLOW_GRACE="1s")
    process = site.start("run", "manifests/case.yaml")
    wait_for(log.exists, 30)
    assert site.cli("cancel", "latest", timeout=60).returncode == 0
    out, err = process.communicate(timeout=60)
    assert process.returncode == 8, err
    assert out.count("stopped (confirmed)") == 2
    assert log.read_text().splitlines() == ["hangs", "hangs"]
