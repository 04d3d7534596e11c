"""Which runs: a question as SQL that an index answers, newest first, without sorting.

Rule: what is compared with one value is found by its index, which is in the order of the start;
alternatives are looked for along the index of the start, so that the newest come at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from wtsflow.journals.summary import COLUMNS, PRUNE, SCHEDULE

LAST_CHARACTER = "\U0010ffff"
"""Sorts behind every other one: the end of the range of the texts with a common beginning."""

HIDDEN = f"('{PRUNE}','{SCHEDULE}')"
"""The modes of what is kept like a run, and is none."""

OPEN = "open"

_STANDINGS: Mapping[str, str] = {
    OPEN: "{plus}runs.status=''",
    "": "{plus}runs.status=''",
    "active": "({plus}runs.status='' AND runs.standing='')",
    "parked": "({plus}runs.standing='parked' AND runs.standing<>'')",
    "left": "({plus}runs.standing='left' AND runs.standing<>'')",
}
_SELECT = f"SELECT {', '.join(f'runs.{name}' for name in COLUMNS)} FROM "  # noqa: S608 - columns


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs: those that fit all that is given.

    ``statuses`` are alternatives: how runs ended, ``open`` (or empty text: not ended), ``active``
    (open, with a process or killed), ``parked`` and ``left``. ``since`` (from then on) and
    ``until`` (before) are RFC 3339, UTC, and mean the start. ``environment`` of None: any; the
    same for the other texts when empty.
    """

    statuses: Collection[str] = ()
    since: str = ""
    until: str = ""
    ticket: str = ""
    actor: str = ""
    target: str = ""
    workflow: str = ""
    environment: str = ""
    origin: str = ""
    origin_of: str = ""
    limit: int = 0

    def sql(self) -> tuple[str, list[str | int]]:
        """The statement and its values."""
        terms: list[str] = []
        values: list[str | int] = []
        source, order = "runs", "runs.started DESC, runs.rowid DESC"
        start = "runs.started"
        if self.target:
            source = "run_targets AS place CROSS JOIN runs ON runs.run=place.run"
            order, start = "place.started DESC, place.run DESC", "place.started"
            terms.append("place.target=?")
            values.append(self.target)
        for term, value in self._texts(start):
            if value:
                terms.append(term)
                values.append(value)
        if self.statuses:
            terms.append(_statuses(self.statuses, values))
        terms.append(f"runs.mode NOT IN {HIDDEN}")
        where = " AND ".join(terms)
        values.append(self.limit or -1)
        return f"{_SELECT}{source} WHERE {where} ORDER BY {order} LIMIT ?", values

    def _texts(self, start: str) -> tuple[tuple[str, str], ...]:
        return (
            (f"{start}>=?", self.since),
            (f"{start}<?", self.until),
            # The unequal terms let the planner take an index that leaves out what is empty.
            ("runs.ticket<>'' AND runs.ticket=?", self.ticket),
            ("runs.actor=?", self.actor),
            ("runs.workflow=?", self.workflow),
            ("runs.environment<>'' AND runs.environment=?", self.environment),
            ("runs.origin=?", self.origin),
            ("runs.origin_of=?", self.origin_of),
        )


def _statuses(wanted: Collection[str], values: list[str | int]) -> str:
    plus = "+" if len(wanted) > 1 else ""
    terms = []
    for status in wanted:
        if status in _STANDINGS:
            terms.append(_STANDINGS[status].format(plus=plus))
        else:
            terms.append(f"{plus}runs.status=?")
            values.append(status)
    return f"({' OR '.join(terms)})" if len(terms) > 1 else terms[0]


WAITING = (
    f"{_SELECT}runs WHERE runs.standing='parked' AND runs.standing<>'' ORDER BY runs.due LIMIT ?"
)
"""What is parked, soonest first; before them what waits for no time."""

DUE = (
    f"{_SELECT}runs WHERE runs.standing='parked' AND runs.standing<>'' AND runs.due<=?"
    " ORDER BY runs.due LIMIT ?"
)
"""What is parked until a time that has come, longest overdue first."""

BEGINNING = (
    f"{_SELECT}runs WHERE runs.run>=? AND runs.run<? AND runs.mode NOT IN {HIDDEN}"
    " ORDER BY runs.run LIMIT ?"
)
"""The runs whose ids are in a range."""

LATEST = "SELECT run FROM runs WHERE run>=? AND run<=? ORDER BY run DESC LIMIT ?"
"""The greatest ids in a range, whatever is kept under them."""
