"""Cron expressions: which minutes they name, in a time zone, and what they say in words.

Rule 1: a schedule of every hour (``*`` for the hour) goes by real time. When clocks are set back
    it fires in both of the two equal hours, when they are set forward no hour is missing from it.
Rule 2: every other schedule goes by the clock on the wall, each of its times once a day: a time
    that is skipped fires right after the gap, a time that comes twice fires the first time.

Fields, names, steps and lists are those of Debian's cron(5); ``FRI#2`` and ``5L`` (the second,
the last Friday of a month), ``L`` and ``LW`` (a month's last day, its last working day) are more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cronsim import CronSim

FIELDS: Final = ("minute", "hour", "day of the month", "month", "day of the week")
LONGEST: Final = 200
"""Characters: every expression that makes sense is far shorter."""
NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_TAKEN: Final = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31, L or LW",
    "month": "1 to 12 or JAN to DEC",
    "day of the week": "0 to 7 or SUN to SAT, with #2 for the second and 5L for the last Friday",
}
_MOST: Final = (59, 23, 31, 12, 7)
_START: Final = datetime(2024, 1, 1, tzinfo=UTC)


class CronError(ValueError):
    """A text that is no cron expression; ``offset`` and ``length`` say which part is wrong."""

    def __init__(self, message: str, cure: str, offset: int = 0, length: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.offset = offset
        self.length = length


@dataclass(frozen=True, slots=True)
class Cron:
    """``text`` is as written; ``rule`` is the same with five fields that Rules 1 and 2 fit."""

    text: str
    rule: str

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Read an expression of five fields, or a name like ``@daily``. Raises CronError."""
        said = text.strip()
        if len(said) > LONGEST:
            raise CronError("this is too long for a schedule", 'write five fields: "0 2 * * 0"')
        if said.startswith("@"):
            if said.lower() not in NAMES:
                known = ", ".join(name for name in NAMES if name != "@annually")
                raise CronError(f"there is no schedule '{said}'", f"there are: {known}")
            said = NAMES[said.lower()]
        _five(said)
        return cls(text, _by_the_wall(said, _simulated(said, text)))

    def after(self, moment: datetime, zone: tzinfo = UTC) -> Iterator[datetime]:
        """The slots later than ``moment`` (aware), in order, in UTC; it may end, if late."""
        last = moment.astimezone(UTC)
        for slot in _simulate(self.rule, last.astimezone(zone)):
            found = slot.astimezone(UTC)
            if found > last:  # who begins in the second of two equal hours meets the first
                last = found
                yield found

    @property
    def words(self) -> str:
        """In English: ``At 02:00 on Sunday``."""
        return _simulate(" ".join(_expanded(self.text)), _START).explain()


def _expanded(text: str) -> list[str]:
    return NAMES.get(text.strip().lower(), text).split()


def _five(text: str) -> None:
    found = len(text.split())
    if found != len(FIELDS):
        fields = "1 field" if found == 1 else f"{found} fields"
        raise CronError(
            f"a schedule has 5 fields; this has {fields}",
            'minute, hour, day of the month, month, day of the week: "0 2 * * 0"',
        )


def _simulated(said: str, text: str) -> "CronSim":
    """The expression as the library knows it, proven to name some time."""
    from cronsim import CronSimError

    offset = 0
    for number, word in enumerate(said.split()):
        offset = text.find(word, offset) if word in text else 0
        alone = " ".join(word if place == number else "*" for place in range(5))
        try:
            _steps(word, number)
            _simulate(alone, _START)
        except (CronSimError, ValueError):
            name = FIELDS[number]
            raise CronError(
                f"'{word}' is no {name}", f"it takes {_TAKEN[name]}", offset, len(word)
            ) from None
        offset += len(word)
    try:
        found = _simulate(said, _START)
        next(_simulate(said, _START))
    except (CronSimError, StopIteration):
        raise CronError("this time never comes", "no month that it names has such a day") from None
    return found


def _steps(word: str, number: int) -> None:
    """``*/90`` for minutes is not every 90 minutes: it is once an hour, and nobody means that."""
    for term in word.split(","):
        step = term.partition("/")[2]
        if step.isdecimal() and int(step) > _MOST[number]:
            raise ValueError(step)


def _simulate(text: str, start: datetime) -> "CronSim":
    from cronsim import CronSim

    return CronSim(text, start)


def _by_the_wall(text: str, known: "CronSim") -> str:
    """Write stars out where they would make the library go by real time, and Rule 2 holds."""
    minute, hour, *days = text.split()
    if len(known.hours) == 24 and hour.startswith("*"):
        return " ".join([minute, "*", *days])
    return " ".join([_listed(minute, known.minutes), _listed(hour, known.hours), *days])


def _listed(word: str, numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers))) if word.startswith("*") else word
