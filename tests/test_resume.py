"""Going on with a run whose process is gone: what is picked up, asked about, and never repeated."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.scripted import Log, Nobody, Scripts
from tests.simulation import HEAD
from wtsflow import manifest
from wtsflow.clock import SystemClock
from wtsflow.engine.interrupt import Interrupt, Level
from wtsflow.engine.manner import Answer, Manner
from wtsflow.engine.runner import Parts, Runner
from wtsflow.errors import ConnectError, Exit, NotBegun, Vanished
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import LOCAL, Actor, Plan, Target
from wtsflow.model.record import Event, Line, Outcome, Record, Result, Stop, Task
from wtsflow.model.script import Interface
from wtsflow.model.values import Json, Secret
from wtsflow.ports import Tools

TIME = "2026-01-01T00:00:00.000000Z"
TWO = """targets: { web: { group: web } }
steps:
  - { id: one, script: a/one.sh@1.0.0, target: web }
  - { id: two, script: a/two.sh@1.0.0, target: web, needs: [one] }
"""


class Killed(BaseException):
    """The process is gone, here."""


class Timed:
    """The machine's clock; a test moves its wall."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> float:
        return SystemClock().now() + self.shift

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@dataclass
class Fake:
    """The verb ``script``: what is performed and picked up is listed; both end as told."""

    begin: Callable[[Task, Tools], Result] = lambda task, tools: Result(Outcome.SUCCESS)
    found: Callable[[Task, Tools], Result] = lambda task, tools: Result(Outcome.SUCCESS)
    performed: list[str] = field(default_factory=list)
    attached: list[str] = field(default_factory=list)
    given: list[Mapping[str, Json]] = field(default_factory=list)

    def perform(self, task: Task, arguments: Mapping[str, Json], tools: Tools) -> Result:
        self.performed.append(task.name)
        self.given.append(arguments)
        return self.begin(task, tools)

    def attach(self, task: Task, tools: Tools) -> Result:
        self.attached.append(task.name)
        return self.found(task, tools)


def raising(error: Exception) -> Callable[[Task, Tools], Result]:
    def found(task: Task, tools: Tools) -> Result:
        raise error

    return found


@dataclass
class Site:
    """One run, over several processes."""

    folder: Path
    text: str = TWO
    targets: int = 2
    interface: Interface = field(default_factory=Interface)
    verb: Fake = field(default_factory=Fake)
    clock: Timed = field(default_factory=Timed)
    values: Mapping[str, Json] = field(default_factory=dict)
    seen: list[Record] = field(default_factory=list)

    def journal(self) -> SqliteJournal:
        return SqliteJournal(self.folder / "state" / "journal.sqlite")

    def runner(self, journal: SqliteJournal, manner: Manner, interrupt: Interrupt | None, *told):
        workflow = manifest.load(HEAD + self.text, "case.yaml")
        scripts = Scripts(self.interface)
        machines = tuple(
            Target(f"web{n + 1}", transport="scripted", os="linux") for n in range(self.targets)
        )
        plan = Plan(
            workflow,
            {},
            {"local": (LOCAL,), "web": machines},
            {pin: scripts.resolve(pin) for pin in workflow.pins()},
        )
        parts = Parts(
            journal=journal,
            audit=Log(),
            scripts=scripts,
            verbs={"script": self.verb},
            transports={},
            credentials=Nobody(),
            clock=self.clock,
            spool=self.folder / "spool",
            subscribers=(self.see, *told),
        )
        actor = Actor("me", "1")
        return Runner(
            plan, "R", parts, actor=actor, values=self.values, interrupt=interrupt, manner=manner
        )

    def see(self, seen: Record | Line) -> None:
        if isinstance(seen, Record):
            self.seen.append(seen)

    def go(self, *, killed_at: str = "", manner=None, interrupt=None):
        """Begin the run; the process is gone when the record ``killed_at`` has been written."""

        def kill(seen: Record | Line) -> None:
            if isinstance(seen, Record) and seen.event.key == killed_at:
                raise Killed

        journal = self.journal()
        try:
            return self.runner(journal, manner or Manner(), interrupt, kill).go({})
        except Killed:
            return None
        finally:
            journal.close()

    def resume(self, *, manner=None, interrupt=None):
        journal = self.journal()
        try:
            runner = self.runner(journal, manner or Manner(), interrupt)
            return runner.resume(journal.load("R"), {"actor": {"name": "you"}})
        finally:
            journal.close()

    def write(self, *events: Event) -> None:
        """Write records as another process would."""
        journal = self.journal()
        journal.record("R", events, time=TIME)
        journal.close()

    def recorded(self) -> list[str]:
        journal = self.journal()
        try:
            return [record.event.key for record in journal.load("R")]
        finally:
            journal.close()

    def data(self, key: str) -> Mapping[str, Json]:
        return next(record.event.data for record in self.seen if record.event.key == key)


def hang(task: Task, tools: Tools) -> Result:
    while not tools.cancelled:
        threading.Event().wait(0.005)
    return Result(Outcome.CANCELLED, "stopped on request", stop=Stop.CONFIRMED)


def cut(tmp_path: Path, **more) -> Site:
    """A run whose process was killed while its first step ran on two targets."""
    site = Site(tmp_path, verb=Fake(begin=hang), **more)
    site.go(killed_at="started/one@web2/1")
    site.verb.begin = lambda task, tools: Result(Outcome.SUCCESS)
    return site


def test_what_was_left_running_is_picked_up_and_nothing_is_begun_twice(tmp_path):
    site = cut(tmp_path)
    site.verb.performed.clear()
    state = site.resume()
    assert sorted(site.verb.attached) == ["one@web1/1", "one@web2/1"]
    assert sorted(site.verb.performed) == ["two@web1/1", "two@web2/1"]
    assert state.closed["exit"]["name"] == "success"
    assert site.recorded().count("resumed/1") == 1


def test_what_had_ended_is_not_repeated(tmp_path):
    site = Site(tmp_path)
    site.go(killed_at="finished/one@web2/1")
    before = list(site.verb.performed)
    state = site.resume()
    assert "one@web1/1" in before
    assert site.verb.performed.count("one@web1/1") == 1
    assert site.verb.performed.count("one@web2/1") == 1
    assert state.closed["exit"]["name"] == "success"


def test_what_never_began_begins_under_a_new_number(tmp_path):
    site = cut(tmp_path)
    site.verb.performed.clear()
    site.verb.found = raising(NotBegun("nothing of it is there"))
    state = site.resume()
    assert sorted(site.verb.performed)[:2] == ["one@web1/2", "one@web2/2"]
    assert site.data("again/one@web1/1")["begun"] is False
    assert state.closed["exit"]["name"] == "success"


def test_what_never_began_does_not_use_up_a_retry(tmp_path):
    site = cut(tmp_path, text=TWO.replace("one, script", "one, retry: 1, script"))
    ends = {"one@web1/2": Outcome.FAILED}
    site.verb.begin = lambda task, tools: Result(ends.get(task.name, Outcome.SUCCESS))
    site.verb.found = raising(NotBegun("nothing of it is there"))
    state = site.resume()
    assert "one@web1/3" in site.verb.performed
    assert state.closed["exit"]["name"] == "success"


def cut_one(tmp_path: Path, **more) -> Site:
    site = Site(tmp_path, verb=Fake(begin=hang), targets=1, **more)
    site.go(killed_at="started/one@web1/1")
    site.verb.begin = lambda task, tools: Result(Outcome.SUCCESS)
    site.verb.performed.clear()
    return site


UNKNOWN = Vanished("web1 was rebooted", cure="look there")


@pytest.mark.parametrize(
    ("answer", "performed", "exit_"),
    [
        (Answer.STOP, [], "unknown"),
        (Answer.DONE, ["two@web1/1"], "success"),
        (Answer.AGAIN, ["one@web1/2", "two@web1/1"], "success"),
    ],
)
def test_what_cannot_be_known_is_decided_by_whom_is_asked(tmp_path, answer, performed, exit_):
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    asked = []

    def decide(task, reason):
        asked.append((task.name, reason))
        return answer

    state = site.resume(manner=Manner(unknown=decide))
    assert asked == [("one@web1/1", "web1 was rebooted: look there")]
    assert site.verb.performed == performed
    assert state.closed["exit"]["name"] == exit_


def test_asked_to_look_once_more_it_looks_once_more(tmp_path):
    site = cut_one(tmp_path)
    tries = iter([UNKNOWN])

    def found(task, tools):
        for error in tries:
            raise error
        return Result(Outcome.SUCCESS)

    site.verb.found = found
    state = site.resume(manner=Manner(unknown=lambda task, reason: Answer.ATTACH))
    assert site.verb.attached == ["one@web1/1"] * 2
    assert state.closed["exit"]["name"] == "success"


def test_left_undecided_the_run_stays_open_and_is_asked_about_again(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    state = site.resume(manner=Manner(unknown=lambda task, reason: Answer.LEAVE))
    assert state.closed is None
    assert site.recorded()[-1] == "left/1"
    site.verb.found = lambda task, tools: Result(Outcome.SUCCESS)
    assert site.resume().closed["exit"]["name"] == "success"
    assert site.verb.performed == ["two@web1/1"]


def test_a_target_that_cannot_be_asked_is_no_failure_but_unknown(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = raising(ConnectError("web1: no route to host"))
    state = site.resume()
    assert state.closed["targets"]["web1"]["outcome"] == "unknown"
    assert "no route to host" in state.closed["targets"]["web1"]["message"]


def test_an_idempotent_script_is_run_once_more_without_a_question(tmp_path):
    site = cut_one(tmp_path, interface=Interface(idempotent=True))
    site.verb.found = raising(UNKNOWN)

    def never(task, reason):
        raise AssertionError(reason)

    state = site.resume(manner=Manner(unknown=never))
    assert site.verb.performed == ["one@web1/2", "two@web1/1"]
    assert site.data("lost/one@web1/1")["outcome"] == "unknown"
    assert state.closed["exit"]["name"] == "success"


def test_a_failure_found_on_the_target_is_a_failure(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = lambda task, tools: Result(Outcome.FAILED, "exit code 3", 3)
    state = site.resume()
    assert state.closed["exit"]["name"] == "failed"
    assert site.verb.performed == []


def test_what_became_known_after_the_end_settles_the_run(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    assert site.resume().closed["exit"]["name"] == "unknown"
    site.verb.found = lambda task, tools: Result(Outcome.FAILED, "exit code 3", 3)
    state = site.resume()
    assert state.closed["exit"]["name"] == "failed"
    assert site.data("settled/1")["targets"]["web1"]["message"] == "exit code 3"
    assert site.verb.performed == []


def test_settling_learns_nothing_where_nothing_can_be_known(tmp_path):
    site = cut_one(tmp_path)
    site.verb.found = raising(UNKNOWN)
    site.resume()
    assert site.resume().closed["exit"]["name"] == "unknown"
    assert "settled/1" not in site.recorded()


def test_a_masked_output_is_never_given_to_a_later_step(tmp_path):
    token = "with: { p: $(steps.one.outputs.token) }"
    text = TWO.replace("needs: [one] }", f"needs: [one, rest], {token} }}")
    text = text.replace("id: one,", "id: one, outputs: { token: string },")
    text += "  - { id: rest, wait: 2h, needs: [one] }\n"
    site = Site(tmp_path, text=text, targets=1)
    secret = Secret("hunter2-and-more")

    def begin(task, tools):
        tools.conceal(secret)
        return Result(Outcome.SUCCESS, outputs={"token": secret})

    site.verb.begin = begin
    site.go(manner=Manner(park=60.0))
    site.clock.shift += 7200
    state = site.resume()
    assert site.verb.performed == ["one@web1/1"]
    assert "do not outlive a process" in state.closed["targets"]["web1"]["message"]


# --- parking ----------------------------------------------------------------------------------

WAIT = "steps:\n  - wait: 2h\n  - { id: one, script: a/one.sh@1.0.0 }\n"


def test_a_long_wait_lets_the_process_go_and_only_records_remain(tmp_path):
    site = Site(tmp_path, text=WAIT)
    before = site.clock.now()
    state = site.go(manner=Manner(park=60.0))
    assert state.closed is None
    assert site.recorded() == ["opened", "waiting/step1", "parked/1"]
    assert 7200 <= site.data("parked/1")["until_ms"] / 1000 - before < 7260


def test_a_parked_run_goes_on_when_its_time_has_come(tmp_path):
    site = Site(tmp_path, text=WAIT)
    site.go(manner=Manner(park=60.0))
    site.clock.shift += 7200
    state = site.resume(manner=Manner(park=60.0))
    assert site.verb.performed == ["one@local/1"]
    assert state.closed["exit"]["name"] == "success"


def test_a_parked_run_that_is_resumed_early_parks_again_for_the_same_time(tmp_path):
    site = Site(tmp_path, text=WAIT)
    site.go(manner=Manner(park=60.0))
    site.clock.shift += 600
    site.resume(manner=Manner(park=60.0))
    assert site.data("parked/2") == site.data("parked/1")


def test_a_clock_that_was_set_back_does_not_take_the_run_back(tmp_path):
    site = Site(tmp_path, text=WAIT)
    site.go(manner=Manner(park=60.0))
    site.clock.shift -= 86_400
    site.resume(manner=Manner(park=60.0))
    journal = site.journal()
    times = [record.time for record in journal.load("R")]
    journal.close()
    assert times == sorted(times)


# --- ends -------------------------------------------------------------------------------------


def test_a_cancel_from_another_process_stops_what_runs_and_ends_the_run(tmp_path):
    site = Site(tmp_path, verb=Fake(begin=hang))

    def cancel():
        site.write(Event("cancel/1", {"by": "alice", "level": 2}))

    timer = threading.Timer(0.5, cancel)
    timer.start()
    state = site.go()
    assert state.closed["exit"] == {"code": 8, "name": "cancelled"}
    assert site.data("finished/one@web1/1")["outcome"] == "cancelled"
    assert site.data("stopping/2")["reason"] == "cancelled by alice"


def test_a_cancelled_run_without_a_process_is_ended_by_who_resumes_it(tmp_path):
    site = cut(tmp_path)
    site.verb.performed.clear()
    site.write(Event("cancel/1", {"by": "alice", "level": 2}))
    site.verb.found = hang
    state = site.resume()
    assert sorted(site.verb.attached) == ["one@web1/1", "one@web2/1"]
    assert site.verb.performed == []
    assert state.closed["exit"]["name"] == "cancelled"


def test_a_run_that_was_let_go_of_goes_on_with_the_rest(tmp_path):
    interrupt = Interrupt()
    site = Site(tmp_path, verb=Fake(begin=hang))
    release = threading.Event()

    def begin(task, tools):
        interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.DETACH)
        release.wait(10)
        return Result(Outcome.SUCCESS)

    site.verb.begin = begin
    state = site.go(interrupt=interrupt)
    release.set()
    assert (state.closed, state.left) == (None, True)
    site.verb.begin = lambda task, tools: Result(Outcome.SUCCESS)
    state = site.resume()
    assert state.closed["exit"]["name"] == "success"
    assert sorted(site.verb.attached) == ["one@web1/1", "one@web2/1"]


def test_a_run_that_was_being_stopped_is_stopped_by_who_resumes_it(tmp_path):
    site = cut(tmp_path)
    site.verb.performed.clear()
    site.write(Event("stopping/2", {"reason": "SIGTERM", "exit": "terminated", "level": 2}))
    site.verb.found = hang
    state = site.resume()
    assert site.verb.performed == []
    assert state.closed["exit"]["name"] == "terminated"


def test_finally_that_hangs_does_not_keep_a_stopped_run_alive(tmp_path):
    text = TWO + "finally: [ { id: last, script: a/last.sh@1.0.0 } ]\n"
    interrupt = Interrupt()
    limits = []
    site = Site(tmp_path, text=text, targets=1)

    def begin(task, tools):
        if task.path.startswith("finally"):
            limits.append(round(task.deadline))
            return Result(Outcome.TIMEOUT, "still running")
        interrupt(Exit.INTERRUPTED, "Ctrl-C", Level.STOP)
        return hang(task, tools)

    site.verb.begin = begin
    state = site.go(interrupt=interrupt)
    assert limits == [300]
    assert state.closed["exit"]["name"] == "interrupted"


def test_who_is_in_a_hurry_lets_go_of_what_does_not_end(tmp_path):
    site = Site(tmp_path)
    interrupt, release = Interrupt(), threading.Event()

    def begin(task, tools):
        interrupt(Exit.TERMINATED, "SIGTERM", Level.STOP, 0.2)
        release.wait(20)
        return Result(Outcome.SUCCESS)

    site.verb.begin = begin
    state = site.go(interrupt=interrupt)
    release.set()
    assert state.closed is None
    assert site.data("left/1")["exit"] == "terminated"


def test_a_step_that_is_not_confirmed_is_skipped_with_that_reason(tmp_path):
    site = Site(tmp_path)
    asked = []

    def confirm(task):
        asked.append(task.path)
        return task.path != "one"

    state = site.go(manner=Manner(confirm=confirm))
    assert asked == ["one", "two"]
    assert sorted(site.verb.performed) == ["two@web1/1", "two@web2/1"]
    assert site.data("skipped/one") == {"reason": "not confirmed"}
    assert state.closed["exit"]["name"] == "success"
