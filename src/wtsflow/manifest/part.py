"""A careful hand on data that may be wrong: what does not fit is as if it were not there.

The schema has already said what is wrong; nothing here says it again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from wtsflow.model.workflow import Share
from wtsflow.source import Path

_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"([0-9]+)(ms|[dhms])")
_WHOLE_DURATION = re.compile(r"(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


def seconds(text: Any) -> float | None:
    """``1h30m`` → 5400.0 seconds; None where it is not a duration."""
    if not isinstance(text, str) or not text or not _WHOLE_DURATION.fullmatch(text):
        return None
    total = sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    return round(total, 3)


def share(value: Any) -> Share | None:
    """``5`` or ``10%``; None where it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Share(float(value))
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return Share(float(match.group(1)), percent=True)
    return None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the document: its data and its path."""

    data: Any
    path: Path

    def __contains__(self, key: str) -> bool:
        return isinstance(self.data, dict) and key in self.data

    def raw(self, key: str) -> Any:
        """The value of a key, or None."""
        return self.data.get(key) if isinstance(self.data, dict) else None

    def at(self, key: str) -> "Part":
        """The part under a key; its data is None where there is none."""
        return Part(self.raw(key), (*self.path, key))

    def text(self, key: str) -> str:
        """The text under a key, or an empty one."""
        value = self.raw(key)
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts of a list."""
        value = self.raw(key)
        return (
            tuple(item for item in value if isinstance(item, str))
            if isinstance(value, list)
            else ()
        )

    def number(self, key: str) -> float | None:
        """The number under a key."""
        value = self.raw(key)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return value if fits else None

    def whole(self, key: str, default: int) -> int:
        """The whole number under a key."""
        value = self.raw(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def entries(self) -> Iterator[tuple[str, "Part"]]:
        """Keys and parts of a map; nothing where it is none."""
        if isinstance(self.data, dict):
            for key, value in self.data.items():
                yield key, Part(value, (*self.path, key))

    def items(self) -> Iterator["Part"]:
        """The parts of a list; nothing where it is none."""
        if isinstance(self.data, list):
            for index, value in enumerate(self.data):
                yield Part(value, (*self.path, index))
