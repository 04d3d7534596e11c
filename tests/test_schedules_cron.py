"""Cron expressions against an oracle that knows nothing but sets and the clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest

from wtsflow.cron import NAMES, Cron, CronError

MINUTE = timedelta(minutes=1)
PARIS, NEW_YORK = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York")
EVERY = range(60)

#: text → minutes, hours, days, months, weekdays (0 is Sunday); None: every.
SHAPES = {
    "30 2 * * *": ({30}, {2}, None, None, None),
    "0,30 2,3 * * *": ({0, 30}, {2, 3}, None, None, None),
    "*/15 1-3 * * *": ({0, 15, 30, 45}, {1, 2, 3}, None, None, None),
    "0 */2 * * *": ({0}, set(range(0, 24, 2)), None, None, None),
    "*/20 * * * *": ({0, 20, 40}, None, None, None, None),
    "5 * * * SUN": ({5}, None, None, None, {0}),
    "59 23 * * SAT,SUN": ({59}, {23}, None, None, {0, 6}),
    "10 2 * MAR,OCT,NOV SUN": ({10}, {2}, None, {3, 10, 11}, {0}),
    "* 2 * * 0": (set(EVERY), {2}, None, None, {0}),
    "15 0,1,2 29 3 *": ({15}, {0, 1, 2}, {29}, {3}, None),
}


def days(shape: tuple, start: datetime, end: datetime) -> Iterator[datetime]:
    """Midnights (without a zone) of the days that fit; the OR of cron is not among the shapes."""
    _, _, dates, months, weekdays = shape
    day = start.replace(hour=0, minute=0)
    while day <= end:
        fits = (dates is None or day.day in dates) and (months is None or day.month in months)
        if fits and (weekdays is None or day.isoweekday() % 7 in weekdays):
            yield day
        day += timedelta(days=1)


def instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Every moment at which clocks show this: none in a gap, two in a doubled hour."""
    both = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(one for one in both if one.astimezone(zone).replace(tzinfo=None) == wall)


def after_the_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment after the gap that swallowed this time."""
    while not (found := instants(wall, zone)):
        wall += MINUTE
    return found[0]


def oracle(shape: tuple, start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """The slots later than ``start``, not later than ``end`` (UTC), by brute force."""
    minutes, hours = shape[0], shape[1]
    found: set[datetime] = set()
    margin = timedelta(days=2)
    walls = [(one.astimezone(zone)).replace(tzinfo=None) for one in (start - margin, end + margin)]
    for day in days(shape, walls[0], walls[1]):
        for hour in sorted(hours) if hours else range(24):
            for minute in sorted(minutes):
                wall = day.replace(hour=hour, minute=minute)
                came = instants(wall, zone)
                if hours is None:
                    found.update(came)
                else:
                    found.add(came[0] if came else after_the_gap(wall, zone))
    return sorted(one for one in found if start < one <= end)


def slots(text: str, start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    return list(takewhile(lambda one: one <= end, Cron.parse(text).after(start, zone)))


@pytest.mark.parametrize("zone", [PARIS, NEW_YORK], ids=str)
@pytest.mark.parametrize("text", SHAPES)
def test_slots_are_those_of_an_oracle_through_years_of_changing_clocks(
    text: str, zone: ZoneInfo
) -> None:
    dense = SHAPES[text][1] is None and len(SHAPES[text][0]) > 1
    years = [(datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))]
    weeks = [
        (datetime(year, month, 1, tzinfo=UTC), datetime(year, month + 1, 6, tzinfo=UTC))
        for year in (2025, 2026)
        for month in (3, 10)
    ]
    for start, end in weeks if dense else years:
        found = slots(text, start, end, zone)
        assert found == oracle(SHAPES[text], start, end, zone)
        assert len(found) > 1


ODD = {
    "Africa/Cairo": (datetime(2026, 4, 23, tzinfo=UTC), datetime(2026, 10, 29, tzinfo=UTC)),
    "America/Havana": (datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 31, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)),
    "Antarctica/Troll": (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)),
}


@pytest.mark.parametrize("name", ODD)
def test_zones_that_change_at_midnight_by_half_or_two_hours_are_right_too(name: str) -> None:
    zone = ZoneInfo(name)
    for text in ("30 0 * * *", "15,45 1-2 * * *", "*/10 * * * *", "0 0 * * *"):
        shape = (
            SHAPES.get(text)
            or {
                "30 0 * * *": ({30}, {0}, None, None, None),
                "15,45 1-2 * * *": ({15, 45}, {1, 2}, None, None, None),
                "*/10 * * * *": (set(range(0, 60, 10)), None, None, None, None),
                "0 0 * * *": ({0}, {0}, None, None, None),
            }[text]
        )
        for start in ODD[name]:
            end = start + timedelta(days=3)
            assert slots(text, start, end, zone) == oracle(shape, start, end, zone), (text, start)


def test_a_slot_in_the_gap_fires_once_right_after_it() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    found = [
        one.astimezone(PARIS) for one in islice(Cron.parse("0,30 2 * * *").after(start, PARIS), 3)
    ]
    assert [f"{one:%d %H:%M}" for one in found] == ["29 03:00", "30 02:00", "30 02:30"]


def test_a_slot_in_the_doubled_hour_fires_the_first_time_only() -> None:
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    found = [
        one.astimezone(PARIS) for one in islice(Cron.parse("30 2 * * *").after(start, PARIS), 2)
    ]
    assert [f"{one:%d %H:%M%z}" for one in found] == ["25 02:30+0200", "26 02:30+0100"]


def test_wherever_one_begins_to_look_the_next_slot_is_the_same() -> None:
    """Also from within the doubled hour, and from every minute around both changes."""
    for text in ("30 2 * * *", "*/20 * * * *", "0 */2 * * *"):
        cron = Cron.parse(text)
        for day in (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)):
            line = slots(text, day, day + timedelta(days=2), PARIS)
            for minute in range(0, 8 * 60, 7):
                moment = day + minute * MINUTE
                expected = next(one for one in line if one > moment)
                assert next(cron.after(moment, PARIS)) == expected, (text, moment)


def test_every_hour_has_a_slot_also_when_clocks_are_set_back() -> None:
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    found = list(islice(Cron.parse("0 * * * *").after(start, PARIS), 6))
    assert {b - a for a, b in pairwise(found)} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("text", "offset", "length"),
    [
        ("60 * * * *", 0, 2), ("0 24 * * *", 2, 2), ("0 0 0 * *", 4, 1), ("0 0 * 13 *", 6, 2),
        ("0 0 * * 8", 8, 1), ("0 0 * * FOO", 8, 3), ("*/0 * * * *", 0, 3), ("5-1 * * * *", 0, 3),
        ("1,,2 * * * *", 0, 4), ("*/90 * * * *", 0, 4), ("0  25 * * *", 3, 2), ("² * * * *", 0, 1),
        ("0 0 31 2 *", 0, 0), ("0 0 30,31 FEB *", 0, 0), ("* * * *", 0, 0), ("* * * * * *", 0, 0),
        ("@reboot", 0, 0), ("", 0, 0), ("0 0 * * " + "1," * 200 + "1", 0, 0),
        ("9" * 5000 + " * * * *", 0, 0), ("0 0 L-3 * *", 4, 3), ("٣ * * * *", 0, 1),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused_at_its_place_with_a_cure(
    text: str, offset: int, length: int
) -> None:
    with pytest.raises(CronError) as caught:
        Cron.parse(text)
    assert (caught.value.offset, caught.value.length) == (offset, length)
    assert caught.value.cure


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_for_five_fields(name: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert next(Cron.parse(name).after(start)) == next(Cron.parse(NAMES[name]).after(start))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 2 * * 0", "At 02:00 on Sunday"),
        ("@daily", "At 00:00 every day"),
        ("0 22 * * TUE#2", "At 22:00 on the second Tuesday of the month"),
        ("*/15 8-17 * * 1-5", "Every 15th minute from 08:00 through 17:59 on Monday through Friday"),
    ],
)  # fmt: skip
def test_a_schedule_is_said_in_words(text: str, words: str) -> None:
    assert Cron.parse(text).words == words


def test_the_second_tuesday_and_the_last_working_day_are_found() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [f"{one:%m-%d}" for one in islice(Cron.parse("0 22 * * TUE#2").after(start), 3)] == [
        "01-13",
        "02-10",
        "03-10",
    ]
    assert [f"{one:%m-%d}" for one in islice(Cron.parse("0 4 LW * *").after(start), 3)] == [
        "01-30",
        "02-27",
        "03-31",
    ]
    assert [f"{one:%m-%d}" for one in islice(Cron.parse("0 4 * * 5L").after(start), 2)] == [
        "01-30",
        "02-27",
    ]
