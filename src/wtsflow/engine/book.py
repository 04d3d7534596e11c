"""A run's records: written down, taken into its state, and shown, in one order.

Order of writing: journal (durable), audit log (durable), state, subscribers.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from wtsflow.engine.redact import Redactor
from wtsflow.engine.replay import replay, seconds
from wtsflow.engine.scope import Names
from wtsflow.engine.state import State
from wtsflow.model.record import Event, Line, Record
from wtsflow.ports import AuditLog, Clock, Journal, Subscriber


class Book:
    """``redactor`` gives the present one: what is written holds no secret known by then."""

    def __init__(
        self,
        state: State,
        journal: Journal,
        audit: AuditLog,
        clock: Clock,
        subscribers: Sequence[Subscriber],
        redactor: Callable[[], Redactor],
    ) -> None:
        self.state = state
        self.detached: list[tuple[Subscriber, Exception]] = []
        self._journal = journal
        self._audit = audit
        self._clock = clock
        self._subscribers = list(subscribers)
        self._redactor = redactor
        self._seq = 0
        self._noted: list[Event] = []
        self._moment = 0.0
        self._wall = clock.now()
        self._mono = clock.monotonic()

    def now(self) -> float:
        """The run's clock: the wall clock of its start, which no clock jump moves.

        It stands while something is noted: what follows from that happens at the same time.
        """
        if self._noted:
            return self._moment
        return self._wall + self._clock.monotonic() - self._mono

    def replay(self, names: Names, records: Sequence[Record]) -> None:
        """Take in what earlier processes wrote; the run's clock never goes back behind it."""
        replay(names, records)
        self._wall = max(self._wall, self.state.latest)
        self._seq = records[-1].seq

    def note(self, events: Sequence[Event]) -> None:
        """Take in what has happened; it is written with the next that is published.

        So an end and the beginnings that follow from it share one write to the disk.
        """
        self._moment = seconds(self._time())
        self._noted += self._masked(events)
        for event in self._noted[-len(events) :]:
            self.state.apply(event, self._moment)

    @property
    def noted(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._noted)

    def publish(self, events: Sequence[Event] = ()) -> list[Record]:
        """Record events durably, then let everybody see those that stuck. Raises RecordError."""
        if not (events or self._noted):
            return []
        time = self._time()
        noted, self._noted = self._noted, []
        records = self._journal.record(
            self.state.run, [*noted, *self._masked(events)], time=time.replace("+00:00", "Z")
        )
        self._audit.append(records)
        if not records and events:
            self._foreign()
        elif records and records[0].seq > self._seq + 1:
            self._foreign(before=records[0].seq)
        at, known = seconds(time), {event.key for event in noted}
        for record in records:
            self._take(record, at, known=record.event.key in known)
        return records

    def _time(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds")

    def _masked(self, events: Sequence[Event]) -> list[Event]:
        redactor = self._redactor()
        return [Event(event.key, redactor.json(event.data)) for event in events]  # type: ignore[arg-type]

    def look(self) -> None:
        """Take in what other processes have written since."""
        self._foreign()

    def _foreign(self, before: int = 0) -> None:
        for record in self._journal.load(self.state.run, after=self._seq):
            if before and record.seq >= before:
                return
            self._take(record, seconds(record.time))

    def _take(self, record: Record, at: float, *, known: bool = False) -> None:
        if not known:
            self.state.apply(record.event, at)
        self._seq = record.seq
        self.tell(record)

    def tell(self, seen: Record | Line) -> None:
        """Let every subscriber see it; one that breaks is let go."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(seen)
            except Exception as error:  # noqa: BLE001 - a reader that went away stops no run
                self._subscribers.remove(subscriber)
                self.detached.append((subscriber, error))
