"""What is written down about schedules: known since when, and what became of each slot.

Rule 1: a slot is claimed by the record that stuck; nobody else does anything about it.
Rule 2: a claim names the run that it is for, so that whoever finds it after a crash begins no
    second one.
Rule 3: a claim names the earlier claims that had not ended: the newest one leads to all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from wtsflow.model.record import Event, Record
from wtsflow.model.values import Json
from wtsflow.schedules.entry import Entry, slot_of, written

MINUTE = timedelta(minutes=1)


class Decision(StrEnum):
    """What was decided about a slot."""

    RUN = "run"
    QUEUE = "queue"
    REPLACE = "replace"
    SKIP = "skip"
    MISSED = "missed"

    @property
    def runs(self) -> bool:
        """Whether a run is to come of it."""
        return self in (Decision.RUN, Decision.QUEUE, Decision.REPLACE)


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot that somebody took. ``ended`` is what became of it, None while that is open.

    ``run`` is empty where none is to come of it; ``going`` are the runs that went on then; ``late``
    says that it was one of several that were made up for.
    """

    slot: datetime
    decision: Decision
    run: str
    going: tuple[str, ...] = ()
    late: bool = False
    open: tuple[datetime, ...] = ()
    ended: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """``since``: slots up to it are nobody's concern any more. ``open``: claims, oldest first."""

    since: datetime
    open: tuple[Claim, ...] = ()
    newest: Claim | None = None
    paused: str = ""
    """Who paused it, or empty."""


class Pages(Protocol):
    """What is asked of the journal."""

    def load(self, run: str, *, after: int = 0) -> list[Record]: ...

    def latest(self, beginning: str, *, end: str = "", limit: int = 1) -> list[str]:
        """The greatest run ids that begin so, and are not greater than ``end``."""
        ...


@dataclass(frozen=True, slots=True)
class Ledger:
    """``write`` makes events durable in journal and audit log, and returns those that stuck."""

    pages: Pages
    write: Callable[[str, Sequence[Event]], list[Record]]

    def past(self, entry: Entry, now: datetime) -> Past:
        """What has been; a schedule that is new, or another one than before, is written down.

        It is known from the beginning of the present minute: what was before was never missed.
        """
        past = self.look(entry, now)
        if past is not None:
            return past
        since = now.astimezone(UTC).replace(second=0, microsecond=0) - MINUTE
        number = 1 + sum(one.event.type == "known" for one in self.pages.load(entry.book))
        data: dict[str, Json] = {
            "schedule": entry.name,
            "definition": entry.definition,
            "after": written(since),
            "source": entry.workflow.source,
        }
        self.write(entry.book, [Event(f"known/{number}", data)])
        return self.look(entry, now) or Past(since)

    def look(self, entry: Entry, now: datetime) -> Past | None:
        """What has been; None where this schedule is not known as it is now.

        What is dated later than ``now`` was written by a clock that was wrong: it bars nothing.
        """
        since, paused, definition = datetime.min.replace(tzinfo=UTC), "", ""
        for record in self.pages.load(entry.book):
            data = record.event.data
            if record.event.type == "known":
                after = slot_of(str(data.get("after")))
                definition = str(data.get("definition")) if after <= now else ""
                since = max(since, after) if after <= now else since
            elif record.event.type == "paused":
                paused = str(data.get("by") or "somebody")
            elif record.event.type == "unpaused":
                paused, since = "", max(since, min(now, _time(record)))
        if definition != entry.definition:
            return None
        newest = next(iter(self.newest(entry, until=now)), None)
        ahead = [one for one in self.newest(entry) if one.slot > now]
        claims = {one.slot: one for one in (*ahead, *self._chain(entry, newest))}
        still = sorted((one for one in claims.values() if not one.ended), key=lambda one: one.slot)
        since = max(since, newest.slot) if newest else since
        return Past(since, tuple(still), newest, paused)

    def _chain(self, entry: Entry, newest: Claim | None) -> Iterator[Claim]:
        """The newest claim, and those that had not ended when it was made."""
        if newest is not None:
            yield newest
            for slot in newest.open:
                if found := self.claim_of(entry, slot):
                    yield found

    def newest(self, entry: Entry, *, until: datetime | None = None, limit: int = 1) -> list[Claim]:
        """The claims of the latest slots, latest first."""
        end = entry.page(until) if until else ""
        pages = self.pages.latest(f"{entry.book}@", end=end, limit=limit)
        found = (self.claim_of(entry, slot_of(page)) for page in pages)
        return [one for one in found if one is not None]

    def claim_of(self, entry: Entry, slot: datetime) -> Claim | None:
        """The claim of a slot, or None where nobody took it."""
        records = {one.event.key: one.event.data for one in self.pages.load(entry.page(slot))}
        data = records.get("claimed")
        if data is None:
            return None
        return Claim(
            slot=slot,
            decision=Decision(str(data["decision"])),
            run=str(data.get("run") or ""),
            going=_texts(data.get("going")),
            late=bool(data.get("late")),
            open=tuple(slot_of(one) for one in _texts(data.get("open"))),
            ended=records.get("ended"),
        )

    def claim(self, entry: Entry, claim: Claim, more: Mapping[str, Json]) -> bool:
        """Take a slot. False: somebody else had it first."""
        data: dict[str, Json] = {
            "schedule": entry.name,
            "slot": written(claim.slot),
            "decision": str(claim.decision),
            "run": claim.run,
            "going": list(claim.going),
            "late": claim.late,
            "open": [written(slot) for slot in claim.open],
            "workflow": {
                "name": entry.workflow.name,
                "version": entry.workflow.version,
                "sha256": entry.workflow.sha256,
            },
            "source": entry.workflow.source,
            **more,
        }
        return bool(self.write(entry.page(claim.slot), [Event("claimed", data)]))

    def end(self, entry: Entry, slot: datetime, data: Mapping[str, Json]) -> bool:
        """Say what became of a slot. False: it has been said."""
        return bool(self.write(entry.page(slot), [Event("ended", data)]))

    def paused(self, entry: Entry) -> str:
        """Who paused it; empty where it is not paused."""
        found = ""
        for record in self.pages.load(entry.book):
            if record.event.type in {"paused", "unpaused"}:
                on = record.event.type == "paused"
                found = str(record.event.data.get("by") or "somebody") if on else ""
        return found

    def pause(self, entry: Entry, by: str, *, on: bool) -> bool:
        """Let a schedule rest (``on``), or go on. False: so it was. Raises RecordError."""
        if bool(self.paused(entry)) is on:
            return False
        word = "paused" if on else "unpaused"
        number = 1 + sum(one.event.type == word for one in self.pages.load(entry.book))
        return bool(self.write(entry.book, [Event(f"{word}/{number}", {"by": by})]))


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()


def _time(record: Record) -> datetime:
    return datetime.fromisoformat(record.time)
