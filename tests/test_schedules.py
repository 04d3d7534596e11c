"""What is due, and what becomes of it: tables, on a clock that is set by hand."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from wtsflow.errors import ConfigError
from wtsflow.manifest import load
from wtsflow.model.workflow import Overlap, Workflow
from wtsflow.schedules import Claim, Decision, Due, Entry, Standing, due, entries, upcoming
from wtsflow.schedules.decide import Chosen, Live, choose, runnable
from wtsflow.schedules.entry import slot_of, written

MANIFEST = """\
wtsflow: 1
name: disk/clean-up
version: 1.0.0
title: Clean
owner: ops
triggers:
  - { schedule: "%s" %s}
steps:
  - script: a.sh@1.0.0
"""
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def workflow(cron: str = "* * * * *", more: str = "", name: str = "disk/clean-up") -> Workflow:
    text = MANIFEST % (cron, f", {more} " if more else "")
    return load(text.replace("disk/clean-up", name), f"{name}.yaml")


def entry(cron: str = "* * * * *", more: str = "") -> Entry:
    made = workflow(cron, more)
    return Entry.of(made, made.triggers[0], Path("/srv/runbooks"))


def at(text: str) -> datetime:
    """``11:30`` of the day."""
    hour, minute = map(int, text.split(":"))
    return NOON.replace(hour=hour, minute=minute)


def hours(found: Due) -> list[str]:
    return [f"{slot:%H:%M}" for slot in found.fire]


# --- due ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "more", "since", "now", "fire", "missed"),
    [
        # nothing new, one that has just come, and the very second of it
        ("0 * * * *", "", "11:00", "11:59", [], 0),
        ("0 * * * *", "", "11:00", "12:00", ["12:00"], 0),
        ("0 * * * *", "", "10:59", "11:30", ["11:00"], 0),
        # asleep for three hours: the last one, within the hour
        ("0 * * * *", "", "08:00", "11:30", ["11:00"], 2),
        ("0 2 * * *", "", "01:00", "02:59", ["02:00"], 0),
        ("0 2 * * *", "", "01:00", "03:01", [], 1),
        ("0 2 * * *", "within: 4h", "01:00", "05:59", ["02:00"], 0),
        ("0 2 * * *", "within: 4h", "01:00", "06:01", [], 1),
        # nothing is made up for, but five minutes are not late
        ("0 2 * * *", "catch_up: none", "01:00", "02:05", ["02:00"], 0),
        ("0 2 * * *", "catch_up: none", "01:00", "02:06", [], 1),
        ("* * * * *", "catch_up: none", "02:00", "02:04", ["02:04"], 3),
        # all of them, as far back as it is said
        ("0 * * * *", "catch_up: all, within: 3h", "06:00", "11:30", ["09:00", "10:00", "11:00"], 2),
        ("0 * * * *", "catch_up: all", "06:00", "11:30", ["11:00"], 4),
        # off
        ("0 * * * *", "enabled: false", "06:00", "11:30", [], 0),
        # the clock was set back
        ("0 * * * *", "", "11:00", "09:30", [], 0),
    ],
)  # fmt: skip
def test_what_is_due_is_what_came_since_and_is_not_too_late(
    cron: str, more: str, since: str, now: str, fire: list[str], missed: int
) -> None:
    found = due(entry(cron, more), at(since), at(now))
    assert hours(found) == fire
    assert found.missed == missed


def test_a_year_of_sleep_is_looked_back_on_for_a_week_only() -> None:
    found = due(entry("0 * * * *"), NOON - timedelta(days=365), NOON)
    assert hours(found) == ["12:00"]
    assert found.missed == 7 * 24 - 1
    assert found.first == NOON - timedelta(days=7) + timedelta(hours=1)


def test_not_more_than_a_hundred_slots_are_made_up_for() -> None:
    found = due(entry("* * * * *", "catch_up: all, within: 1d"), NOON - timedelta(days=1), NOON)
    assert len(found.fire) == 100
    assert found.fire[-1] == NOON
    assert found.missed == 24 * 60 - 100


def test_the_next_slot_is_later_than_now() -> None:
    assert upcoming(entry("0 12 * * *"), NOON) == NOON + timedelta(days=1)


def test_a_slot_is_written_in_utc_and_read_again() -> None:
    one = entry("0 2 * * *", "zone: Europe/Paris")
    slot = next(one.cron.after(NOON, one.zone))
    assert written(slot) == "2026-11-23T01:00Z"
    assert slot_of(one.page(slot)) == slot
    assert one.page(slot) < one.page(slot + timedelta(minutes=1))


# --- names ----------------------------------------------------------------------------------------


def test_two_workspaces_with_one_state_folder_do_not_meet() -> None:
    made = workflow()
    books = {Entry.of(made, made.triggers[0], Path(root)).book for root in ("/srv/a", "/srv/b")}
    assert len(books) == 2


def test_of_two_files_with_one_name_neither_fires_and_the_others_do() -> None:
    twice = [workflow(), workflow(), workflow(name="other")]
    found, wrong = entries(twice, Path("/srv"))
    assert [one.name for one in found] == ["other#1"]
    assert [type(one) for one in wrong] == [ConfigError]


def test_a_schedule_is_called_by_its_id_or_its_number() -> None:
    assert entry(more="id: nightly").name == "disk/clean-up#nightly"
    assert entry().name == "disk/clean-up#1"


# --- overlap --------------------------------------------------------------------------------------


def claim(slot: str, decision: Decision = Decision.RUN, *, late: bool = False) -> Claim:
    return Claim(at(slot), decision, f"run-{slot}", late=late)


def chosen(overlap: Overlap, live: list[Live], fire: tuple[str, ...] = ("12:00",)) -> list[Chosen]:
    numbers = count(1)
    found = Due(tuple(at(slot) for slot in fire))
    return choose(entry(more=f"overlap: {overlap}"), found, live, lambda: f"new-{next(numbers)}")


GOING, PENDING = Standing.GOING, Standing.PENDING


@pytest.mark.parametrize(
    ("overlap", "live", "decision"),
    [
        (Overlap.SKIP, [], Decision.RUN),
        (Overlap.SKIP, [GOING], Decision.SKIP),
        (Overlap.SKIP, [Standing.CUT], Decision.SKIP),
        (Overlap.SKIP, [PENDING], Decision.SKIP),
        (Overlap.QUEUE, [], Decision.RUN),
        (Overlap.QUEUE, [GOING], Decision.QUEUE),
        (Overlap.QUEUE, [GOING, PENDING], Decision.SKIP),
        (Overlap.QUEUE, [PENDING], Decision.QUEUE),
        (Overlap.QUEUE, [PENDING, PENDING], Decision.SKIP),
        (Overlap.REPLACE, [], Decision.RUN),
        (Overlap.REPLACE, [GOING], Decision.REPLACE),
        (Overlap.REPLACE, [Standing.CUT], Decision.REPLACE),
        (Overlap.REPLACE, [Standing.TAKEN], Decision.SKIP),
        (Overlap.REPLACE, [PENDING], Decision.SKIP),
    ],
)  # fmt: skip
def test_what_becomes_of_a_slot_while_earlier_ones_have_not_ended(
    overlap: Overlap, live: list[Standing], decision: Decision
) -> None:
    kept = [Live(claim(f"{10 + number}:00"), one) for number, one in enumerate(live)]
    (one,) = chosen(overlap, kept)
    assert one.claim.decision is decision
    assert bool(one.claim.run) is decision.runs
    assert one.claim.open == tuple(each.claim.slot for each in kept)
    assert bool(one.reason) is not decision.runs


def test_slots_that_are_made_up_for_run_one_after_another_whatever_overlap_says() -> None:
    numbers = count(1)
    found = Due((at("10:00"), at("11:00"), at("12:00")))
    one = entry("0 * * * *", "catch_up: all, within: 3h, overlap: skip")
    picked = choose(one, found, [], lambda: f"new-{next(numbers)}")
    assert [each.claim.decision for each in picked] == ["run", "queue", "queue"]
    assert [each.claim.run for each in picked] == ["new-1", "new-2", "new-3"]
    assert picked[2].claim.open == (at("10:00"), at("11:00"))


def test_a_slot_that_is_too_late_is_written_down_as_missed() -> None:
    found = Due((), 3, at("09:00"), at("11:00"))
    (one,) = choose(entry(), found, [], lambda: "never")
    assert one.claim == Claim(at("11:00"), Decision.MISSED, "")


def test_what_was_cut_off_is_gone_on_with_before_anything_begins() -> None:
    cut = Live(claim("11:00"), Standing.CUT)
    waiting = Live(claim("10:00", Decision.QUEUE), PENDING)
    assert runnable([waiting, cut]) is cut


def test_what_waits_begins_when_nothing_goes_on_oldest_first() -> None:
    first, second = (Live(claim(slot, Decision.QUEUE), PENDING) for slot in ("10:00", "11:00"))
    going = Live(claim("09:00"), GOING)
    assert runnable([going, first, second]) is None
    assert runnable([first, second]) is first
    replacing = Live(claim("11:30", Decision.REPLACE), PENDING)
    assert runnable([going, replacing]) is replacing
