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
        self._wall = clock.now()
        self._mono = clock.monotonic()

    def now(self) -> float:
        """The run's clock: the wall clock of its start, which no clock jump moves."""
        return self._wall + self._clock.monotonic() - self._mono

    def replay(self, names: Names, records: Sequence[Record]) -> None:
        """Take in what earlier processes wrote; the run's clock never goes back behind it."""
        replay(names, records)
        self._wall = max(self._wall, self.state.latest)
        self._seq = records[-1].seq

    def publish(self, events: Sequence[Event]) -> list[Record]:
        """Record events durably, then let everybody see those that stuck. Raises RecordError."""
        redactor = self._redactor()
        masked = [Event(event.key, redactor.json(event.data)) for event in events]  # type: ignore[arg-type]
        time = datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds")
        at = seconds(time)
        records = self._journal.record(self.state.run, masked, time=time.replace("+00:00", "Z"))
        self._audit.append(records)
        if records and records[0].seq > self._seq + 1:
            self._foreign(before=records[0].seq)
        for record in records:
            self._take(record, at)
        return records

    def look(self) -> None:
        """Take in what other processes have written since."""
        self._foreign()

    def _foreign(self, before: int = 0) -> None:
        for record in self._journal.load(self.state.run, after=self._seq):
            if before and record.seq >= before:
                return
            self._take(record, seconds(record.time))

    def _take(self, record: Record, at: float) -> None:
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
