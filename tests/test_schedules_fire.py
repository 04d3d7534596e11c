"""Firing on a clock that is set by hand: once, after every crash, by the policy that is written."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.test_schedules import entry
from wtsflow.errors import BusyError, Exit, JournalError, PlanError
from wtsflow.files import whole_lock
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event, Record
from wtsflow.schedules import Claim, Ending, Entry, Firing, Ledger, Standing, Told, written

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Killed(BaseException):
    """What kill -9 is to a process: nothing after it happens in it."""


@dataclass
class Scripted:
    """Fulfils ``Runs``: each begun run goes as ``plan`` says; ``begun`` is what really ran.

    ``takes`` is how long each takes (seconds), ``most`` how many there ever were at once.
    """

    takes: float = 0.0
    now: int = 0
    most: int = 0

    plan: dict[str, Any] = field(default_factory=dict)
    begun: list[tuple[str, str]] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    state: dict[str, Standing] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    mutex: threading.Lock = field(default_factory=threading.Lock)

    def standing(self, run: str) -> Standing:
        return self.state.get(run, Standing.PENDING)

    def ending(self, run: str) -> Ending:
        return Ending("success", Exit.SUCCESS)

    def name(self) -> str:
        with self.mutex:
            self.numbers.append(f"R{len(self.numbers) + 1}")
            return self.numbers[-1]

    def perform(self, entry: Entry, claim: Claim) -> Ending:
        what = self.plan.get(f"{claim.slot:%H:%M}", "success")
        if what == "killed before":
            raise Killed
        if isinstance(what, Exception):
            raise what
        self.begun.append((f"{claim.slot:%H:%M}", claim.run))
        if what == "killed after":
            self.state[claim.run] = Standing.CUT
            raise Killed
        if what == "goes on":
            self.state[claim.run] = Standing.GOING
            return Ending("waiting", Exit.WAITING, over=False)
        with self.mutex:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(self.takes)
        with self.mutex:
            self.now -= 1
        self.state[claim.run] = Standing.OVER
        return Ending(what, Exit.SUCCESS if what == "success" else Exit.FAILED)

    def resume(self, run: str) -> Ending:
        self.resumed.append(run)
        self.state[run] = Standing.OVER
        return Ending("success", Exit.SUCCESS)

    def replace(self, run: str, reason: str) -> bool:
        self.replaced.append(run)
        if self.plan.get("replace") == "resists":
            return False
        self.state[run] = Standing.OVER
        return True


class Still:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Place:
    """A state folder; each :meth:`call` is a process of its own, as far as locks and files go."""

    folder: Path
    runs: Scripted = field(default_factory=Scripted)
    told: list[Told] = field(default_factory=list)
    now: datetime = NOON
    broken: bool = False
    unlocked: set[str] = field(default_factory=set)

    def lock(self, name: str, patience: float) -> AbstractContextManager[None]:
        if name in self.unlocked:
            return nullcontext()
        return whole_lock(self.folder / f"{name.replace('/', '_')}.lock", patience)

    def call(self, one: Entry, now: datetime | None = None) -> list[str]:
        """One ``run --due``; what it told."""
        with SqliteJournal(self.folder / "journal.sqlite") as journal:

            def write(run: str, events: list[Event]) -> list[Record]:
                if self.broken:
                    raise JournalError("full")
                time = (now or self.now).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
                return journal.record(run, events, time=time)

            told: list[Told] = []
            ledger = Ledger(journal, write)  # type: ignore[arg-type]
            firing = Firing(ledger, self.runs, Still(), self.lock, told.append)
            firing.fire(one, now or self.now)
        self.told += told
        return [f"{each.slot:%H:%M} {each.status}" for each in told]

    def ledger(self, journal: SqliteJournal) -> Ledger:
        return Ledger(journal, lambda _run, _events: [])

    def ended(self, one: Entry, slot: datetime) -> Any:
        with SqliteJournal(self.folder / "journal.sqlite") as journal:
            claim = self.ledger(journal).claim_of(one, slot)
            return claim and claim.ended and claim.ended["status"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return Place(folder)


EACH_MINUTE = entry("* * * * *")


# --- once -----------------------------------------------------------------------------------------


def test_a_slot_fires_once_however_often_it_is_called(place: Place) -> None:
    assert place.call(EACH_MINUTE) == ["12:00 success"]
    for second in range(1, 60, 7):
        assert place.call(EACH_MINUTE, NOON + timedelta(seconds=second)) == []
    assert place.call(EACH_MINUTE, NOON + MINUTE) == ["12:01 success"]
    assert place.runs.begun == [("12:00", "R1"), ("12:01", "R2")]


def test_many_callers_at_once_fire_each_of_twenty_slots_once(place: Place) -> None:
    barrier = threading.Barrier(4)

    def caller() -> None:
        for number in range(20):
            barrier.wait(60)
            place.call(EACH_MINUTE, NOON + number * MINUTE)

    in_threads(*[caller] * 4)
    slots = [slot for slot, _ in place.runs.begun]
    assert sorted(slots) == [f"12:{number:02}" for number in range(20)]


def in_threads(*work: Callable[[], object]) -> None:
    """All at once; the first failure is raised."""
    with ThreadPoolExecutor(len(work)) as pool:
        for job in [pool.submit(one) for one in work]:
            job.result(120)


def test_each_slot_fires_once_even_where_the_schedules_lock_would_not_hold(place: Place) -> None:
    """The journal's key decides; the lock is for deciding about overlap."""
    place.unlocked.add(EACH_MINUTE.book)
    barrier = threading.Barrier(4)

    def caller() -> None:
        for number in range(15):
            barrier.wait(60)
            place.call(EACH_MINUTE, NOON + number * MINUTE)

    in_threads(*[caller] * 4)
    slots = [slot for slot, _ in place.runs.begun]
    assert sorted(slots) == [f"12:{number:02}" for number in range(15)]


def test_callers_that_decide_at_once_about_two_slots_let_no_runs_overlap(place: Place) -> None:
    place.call(EACH_MINUTE, NOON - MINUTE)
    place.runs.takes = 0.03
    for number in range(0, 20, 2):
        both = [NOON + (number + more) * MINUTE for more in (0, 1)]
        in_threads(*[partial(place.call, EACH_MINUTE, now) for now in both])
    assert place.runs.most == 1


def test_a_new_schedule_fires_from_the_minute_on_in_which_it_is_seen_first(place: Place) -> None:
    assert place.call(entry("0 12 * * *"), NOON + timedelta(seconds=59)) == ["12:00 success"]


def test_a_new_schedule_makes_up_for_nothing_that_was_before_it(place: Place) -> None:
    assert place.call(entry("0 12 * * *"), NOON + MINUTE) == []


def test_a_schedule_that_changed_makes_up_for_nothing_that_was_before(place: Place) -> None:
    place.call(entry("0 18 * * *"))
    assert place.call(entry("0 12 * * *"), NOON + 30 * MINUTE) == []
    assert place.call(entry("0 13 * * *"), NOON + 60 * MINUTE) == ["13:00 success"]
    assert place.call(entry("0 12 * * *"), NOON + 65 * MINUTE) == []


# --- crashes --------------------------------------------------------------------------------------


def test_a_crash_between_claim_and_opening_is_found_and_the_same_run_begins_once(
    place: Place,
) -> None:
    place.runs.plan["12:00"] = "killed before"
    with pytest.raises(Killed):
        place.call(EACH_MINUTE)
    assert place.runs.begun == []
    place.runs.plan.clear()
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=20)) == ["12:00 success"]
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=40)) == []
    assert place.runs.begun == [("12:00", "R1")]


def test_a_claim_that_nobody_begins_in_time_is_missed_and_said_so(place: Place) -> None:
    place.runs.plan["12:00"] = "killed before"
    with pytest.raises(Killed):
        place.call(EACH_MINUTE)
    told = place.call(EACH_MINUTE, NOON + timedelta(hours=2))
    assert told == ["12:00 missed", "14:00 success"]
    assert place.told[0].exit is Exit.BUSY
    assert [slot for slot, _ in place.runs.begun] == ["14:00"]


def test_a_run_that_was_cut_off_is_gone_on_with_and_never_begun_again(place: Place) -> None:
    place.runs.plan["12:00"] = "killed after"
    with pytest.raises(Killed):
        place.call(EACH_MINUTE)
    assert place.call(EACH_MINUTE, NOON + MINUTE) == ["12:01 skipped", "12:00 success"]
    assert place.runs.resumed == ["R1"]
    assert place.runs.begun == [("12:00", "R1")]
    assert place.ended(EACH_MINUTE, NOON) == "success"


def test_a_run_that_ended_though_its_caller_died_is_settled_without_a_word(place: Place) -> None:
    place.runs.plan["12:00"] = "goes on"
    place.call(EACH_MINUTE)
    place.runs.state["R1"] = Standing.OVER
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=30)) == []
    assert place.ended(EACH_MINUTE, NOON) == "success"


def test_what_another_process_is_about_to_begin_is_left_to_it(place: Place) -> None:
    place.runs.plan["12:00"] = "killed before"
    with pytest.raises(Killed):
        place.call(EACH_MINUTE)
    place.runs.plan.clear()
    with place.lock("R1", 0):
        assert place.call(EACH_MINUTE, NOON + timedelta(seconds=30)) == []
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=40)) == ["12:00 success"]


def test_what_takes_long_to_begin_is_not_missed_meanwhile(place: Place) -> None:
    place.runs.plan["12:00"] = "killed before"
    with pytest.raises(Killed):
        place.call(EACH_MINUTE)
    with place.lock("R1", 0):
        assert place.call(EACH_MINUTE, NOON + timedelta(hours=2)) == ["14:00 skipped"]


def test_a_run_whose_records_cannot_be_written_is_tried_again(place: Place) -> None:
    place.runs.plan["12:00"] = JournalError("full")
    with pytest.raises(JournalError):
        place.call(EACH_MINUTE)
    place.runs.plan.clear()
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=30)) == ["12:00 success"]


def test_nothing_begins_when_the_claim_cannot_be_written_down(place: Place) -> None:
    place.call(EACH_MINUTE, NOON - MINUTE)
    place.broken = True
    with pytest.raises(JournalError):
        place.call(EACH_MINUTE)
    assert [slot for slot, _ in place.runs.begun] == ["11:59"]
    place.broken = False
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=30)) == ["12:00 success"]


def test_a_defect_ends_the_slot_so_that_it_is_not_tried_every_minute(place: Place) -> None:
    place.runs.plan["12:00"] = ZeroDivisionError("oh")
    with pytest.raises(ZeroDivisionError):
        place.call(EACH_MINUTE)
    assert place.ended(EACH_MINUTE, NOON) == "refused"
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=30)) == []


# --- overlap --------------------------------------------------------------------------------------


def test_skip_leaves_a_slot_out_and_says_which_run_went_on(place: Place) -> None:
    place.runs.plan["12:00"] = "goes on"
    place.call(EACH_MINUTE)
    assert place.call(EACH_MINUTE, NOON + MINUTE) == ["12:01 skipped"]
    with SqliteJournal(place.folder / "journal.sqlite") as journal:
        skipped = place.ledger(journal).claim_of(EACH_MINUTE, NOON + MINUTE)
    assert skipped is not None
    assert skipped.going == ("R1",)
    place.runs.state["R1"] = Standing.OVER
    assert place.call(EACH_MINUTE, NOON + 2 * MINUTE) == ["12:02 success"]


def test_a_run_that_goes_on_for_very_many_slots_is_still_known(place: Place) -> None:
    place.runs.plan["12:00"] = "goes on"
    place.call(EACH_MINUTE)
    for number in range(1, 40):
        assert place.call(EACH_MINUTE, NOON + number * MINUTE)[0].endswith("skipped")


def test_queue_lets_one_wait_and_leaves_the_next_out(place: Place) -> None:
    one = entry("* * * * *", "overlap: queue")
    place.runs.plan["12:00"] = "goes on"
    place.call(one)
    assert place.call(one, NOON + MINUTE) == []
    assert place.call(one, NOON + 2 * MINUTE) == ["12:02 skipped"]
    place.runs.state["R1"] = Standing.OVER
    assert place.call(one, NOON + timedelta(minutes=2, seconds=30)) == ["12:01 success"]
    assert [slot for slot, _ in place.runs.begun] == ["12:00", "12:01"]


def test_replace_ends_the_run_before_and_only_then_begins(place: Place) -> None:
    one = entry("* * * * *", "overlap: replace")
    place.runs.plan["12:00"] = "goes on"
    place.call(one)
    assert place.call(one, NOON + MINUTE) == ["12:01 success"]
    assert place.runs.replaced == ["R1"]
    assert place.runs.begun == [("12:00", "R1"), ("12:01", "R2")]


def test_a_run_that_resists_is_not_run_beside(place: Place) -> None:
    one = entry("* * * * *", "overlap: replace")
    place.runs.plan |= {"12:00": "goes on", "replace": "resists"}
    place.call(one)
    assert place.call(one, NOON + MINUTE) == ["12:01 skipped"]
    assert place.told[-1].exit is Exit.BUSY
    assert [slot for slot, _ in place.runs.begun] == ["12:00"]


def test_a_run_that_was_cut_off_is_replaced_like_one_that_goes_on(place: Place) -> None:
    one = entry("* * * * *", "overlap: replace")
    place.runs.plan["12:00"] = "killed after"
    with pytest.raises(Killed):
        place.call(one)
    assert place.call(one, NOON + MINUTE) == ["12:01 success"]
    assert place.runs.replaced == ["R1"]
    assert place.runs.resumed == []


# --- late -----------------------------------------------------------------------------------------


def test_after_sleep_the_last_slot_is_made_up_for_within_the_hour(place: Place) -> None:
    place.call(EACH_MINUTE)
    assert place.call(EACH_MINUTE, NOON + timedelta(minutes=45, seconds=10)) == ["12:45 success"]
    nightly = entry("0 2 * * *")
    place.call(nightly, NOON)
    assert place.call(nightly, NOON + timedelta(hours=15, minutes=30)) == ["02:00 missed"]


def test_all_slots_that_were_slept_through_run_in_order(place: Place) -> None:
    one = entry("*/10 * * * *", "catch_up: all, within: 1h")
    place.call(one)
    assert place.call(one, NOON + timedelta(minutes=35)) == [
        "12:10 success", "12:20 success", "12:30 success",
    ]  # fmt: skip


def test_slots_to_make_up_for_survive_a_crash_among_them(place: Place) -> None:
    one = entry("*/10 * * * *", "catch_up: all, within: 1h")
    place.call(one)
    place.runs.plan["12:20"] = "killed before"
    with pytest.raises(Killed):
        place.call(one, NOON + timedelta(minutes=35))
    place.runs.plan.clear()
    assert place.call(one, NOON + timedelta(minutes=36)) == ["12:20 success", "12:30 success"]
    assert [slot for slot, _ in place.runs.begun] == ["12:00", "12:10", "12:20", "12:30"]


def test_a_clock_that_is_set_back_fires_nothing_twice(place: Place) -> None:
    for number in range(3):
        place.call(EACH_MINUTE, NOON + number * MINUTE)
    for number in range(3):
        assert place.call(EACH_MINUTE, NOON + number * MINUTE) == []
    assert len(place.runs.begun) == 3


def test_a_clock_that_was_wrong_for_a_moment_stops_no_schedule(place: Place) -> None:
    place.call(EACH_MINUTE)
    future = NOON + timedelta(days=3650)
    assert place.call(EACH_MINUTE, future)[-1].endswith("success")
    assert place.call(EACH_MINUTE, NOON + MINUTE) == ["12:01 success"]


def test_a_schedule_seen_first_by_a_clock_that_was_wrong_fires_when_it_is_right(
    place: Place,
) -> None:
    place.call(EACH_MINUTE, NOON + timedelta(days=3650))
    assert place.call(EACH_MINUTE) == ["12:00 success"]
    nightly = entry("0 2 * * *", "within: 1d, id: nightly")
    place.call(nightly, NOON + timedelta(days=3650))
    assert place.call(nightly) == []
    assert place.call(nightly, NOON + timedelta(hours=14)) == ["02:00 success"]


# --- trouble --------------------------------------------------------------------------------------


def test_targets_that_somebody_has_are_waited_for_by_the_next_calls(place: Place) -> None:
    place.runs.plan["12:00"] = BusyError("web01 is locked by run X of anna")
    assert place.call(EACH_MINUTE) == ["12:00 waiting"]
    assert place.told[0].exit is Exit.SUCCESS
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=30)) == ["12:00 waiting"]
    place.runs.plan.clear()
    assert place.call(EACH_MINUTE, NOON + timedelta(seconds=50)) == ["12:00 success"]


def test_what_cannot_be_planned_is_refused_once_and_not_every_minute(place: Place) -> None:
    place.runs.plan["12:00"] = PlanError("no such group", cure="add it")
    hourly = entry("0 * * * *")
    assert place.call(hourly) == ["12:00 refused"]
    assert place.told[0].exit is Exit.INVALID
    assert place.told[0].cure == "add it"
    assert place.call(hourly, NOON + MINUTE) == []


def test_a_cut_run_that_cannot_be_gone_on_with_ends_unknown_and_holds_nothing_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.runs.plan["12:00"] = "killed after"
    with pytest.raises(Killed):
        place.call(EACH_MINUTE)

    def refuse(_run: str) -> Ending:
        raise PlanError("the manifest changed")

    monkeypatch.setattr(place.runs, "resume", refuse)
    assert place.call(EACH_MINUTE, NOON + MINUTE) == ["12:01 skipped", "12:00 unknown"]
    assert place.told[-1].cure == "wtsflow resume R1"
    assert place.call(EACH_MINUTE, NOON + 2 * MINUTE) == ["12:02 success"]


def test_a_paused_schedule_rests_and_makes_up_for_nothing(place: Place) -> None:
    place.call(EACH_MINUTE)

    def pause(now: datetime, *, on: bool) -> bool:
        with SqliteJournal(place.folder / "journal.sqlite") as journal:
            time = now.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
            ledger = Ledger(journal, lambda run, events: journal.record(run, events, time=time))
            return ledger.pause(EACH_MINUTE, "anna", on=on)

    assert pause(NOON + timedelta(seconds=10), on=True)
    assert not pause(NOON + timedelta(seconds=11), on=True)
    assert place.call(EACH_MINUTE, NOON + 5 * MINUTE) == []
    assert pause(NOON + timedelta(minutes=10, seconds=30), on=False)
    assert place.call(EACH_MINUTE, NOON + timedelta(minutes=10, seconds=40)) == []
    assert place.call(EACH_MINUTE, NOON + 11 * MINUTE) == ["12:11 success"]


def test_slots_are_written_beside_the_runs_and_in_no_list_of_them(place: Place) -> None:
    place.call(EACH_MINUTE)
    with SqliteJournal(place.folder / "journal.sqlite") as journal:
        assert journal.runs() == []
        assert journal.latest(f"{EACH_MINUTE.book}@") == [EACH_MINUTE.page(NOON)]
        keys = [one.event.key for one in journal.load(EACH_MINUTE.page(NOON))]
    assert keys == ["claimed", "ended"]
    assert written(NOON) in EACH_MINUTE.page(NOON)
