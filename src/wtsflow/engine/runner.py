"""The one thread of a run that decides and publishes.

Order of writing: journal (durable), audit log (durable), state, subscribers, effect. A task is
begun only by the call whose ``started`` record stuck.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wtsflow.engine.decide import decide
from wtsflow.engine.perform import Concealed, Workshop
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.sessions import Sessions
from wtsflow.engine.state import State
from wtsflow.engine.verdict import Verdict
from wtsflow.errors import Exit
from wtsflow.model.expression import ExpressionError, fill
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.record import Event, Line, Outcome, Record, Result, Task
from wtsflow.model.values import Json, Secret
from wtsflow.ports import (
    AuditLog,
    Clock,
    Credentials,
    Journal,
    ScriptSource,
    Subscriber,
    Transport,
    Verb,
)

CLOSING = 10.0
"""Seconds beyond the grace in which an execution that was asked to stop has to end."""

BACKLOG = 256
"""Batches of lines that may wait for the run's thread before workers are held back."""

TOGETHER = 1000
"""How much of what has come is taken before the next decision: ends share one write to disk."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with; ``spool`` is the folder for the output of this run's tasks."""

    journal: Journal
    audit: AuditLog
    scripts: ScriptSource
    verbs: Mapping[str, Verb]
    transports: Mapping[str, Callable[[], Transport]]
    credentials: Credentials
    clock: Clock
    spool: Path
    subscribers: Sequence[Subscriber] = ()


@dataclass(slots=True)
class _Ended:
    task: Task
    result: Result


@dataclass(slots=True)
class Interrupt:
    """Ask a run to end: from a signal handler or another thread, any number of times.

    The first asks running tasks to stop, verified; the second does not wait for them.
    """

    exit: Exit | None = None
    reason: str = ""
    count: int = 0
    wake: Callable[[], None] = field(default=lambda: None)

    def __call__(self, code: Exit, reason: str) -> None:
        """Note the wish; the run's thread acts on it."""
        self.exit = self.exit or code
        self.reason = self.reason or reason
        self.count += 1
        self.wake()


class Runner:
    """One run. ``values`` are the inputs with their secrets; ``opening`` is put in its record."""

    def __init__(
        self,
        plan: Plan,
        run: str,
        parts: Parts,
        *,
        actor: Actor,
        values: Mapping[str, Json],
        interrupt: Interrupt | None = None,
    ) -> None:
        self.plan = plan
        self.parts = parts
        self.state = State(run)
        self.detached: list[tuple[Subscriber, Exception]] = []
        self._inbox: queue.SimpleQueue[_Ended | Event | list[Line] | None] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(BACKLOG)
        self._interrupt = interrupt or Interrupt()
        self._interrupt.wake = lambda: self._inbox.put(None)
        self._subscribers = list(parts.subscribers)
        self._cancels: dict[str, threading.Event] = {}
        self._over = False
        self._wall = parts.clock.now()
        self._mono = parts.clock.monotonic()
        concealed = Concealed()
        for value in values.values():
            if isinstance(value, Secret):
                concealed.add(value)
        self._names = Names(
            plan,
            self.state,
            values,
            {"name": actor.name, "uid": actor.uid, "host": actor.host},
            mask=concealed.text,
        )
        self._shop = Workshop(
            run=run,
            plan=plan,
            clock=parts.clock,
            scripts=parts.scripts,
            verbs=parts.verbs,
            sessions=Sessions(parts.transports, parts.credentials),
            credentials=parts.credentials,
            spool=parts.spool,
            show=self._show,
            note=self._inbox.put,
            concealed=concealed,
        )

    def now(self) -> float:
        """The run's clock: the wall clock of its start, which no clock jump moves."""
        return self._wall + self.parts.clock.monotonic() - self._mono

    def go(self, opening: Mapping[str, Json]) -> State:
        """Open, perform and close the run. Raises RecordError: then nothing more was started."""
        try:
            self._publish([Event("opened", opening)])
            while self.state.closed is None:
                self._turn()
        except BaseException:
            self._over = True
            self._give_up()
            raise
        finally:
            self._over = True
            self._shop.sessions.close()
        return self.state

    def _give_up(self) -> None:
        """Nothing more can be written down: stop what runs, and wait for it no longer than that.

        What still runs then is let go of; a further interrupt does so at once.
        """
        for cancel in self._cancels.values():
            cancel.set()
        presses = self._interrupt.count
        clock = self.parts.clock
        until = clock.monotonic() + self.plan.grace + CLOSING
        while self._cancels and self._interrupt.count == presses:
            left = until - clock.monotonic()
            if left <= 0:
                return
            with suppress(queue.Empty):
                came = self._inbox.get(timeout=min(left, 1.0))
                if isinstance(came, _Ended):
                    self._cancels.pop(came.task.name, None)

    def _turn(self) -> None:
        self._heed()
        decision = decide(self._names, self.now())
        if decision.verdict is not None:
            self._publish([self._closing(decision.verdict)])
            return
        begin = []
        events = list(decision.events)
        for task, frame in decision.begin:
            ready = self._prepare(task, frame)
            if isinstance(ready, Event):
                events.append(ready)
            else:
                events.append(self._started(task))
                begin.append((task, ready))
        if events:
            stuck = {record.event.key for record in self._publish(events)}
            for task, arguments in begin:
                if f"started/{task.name}" in stuck:
                    self._dispatch(task, arguments)
            return
        self._take(decision.wake - self.now())

    # --- beginning ------------------------------------------------------------------------

    def _prepare(self, task: Task, frame: Frame) -> Mapping[str, Json] | Event:
        """The task's arguments, or the record that they have no value."""
        scope = self._names.scope(frame, task.target)
        try:
            return {name: fill(value, scope) for name, value in task.step.arguments.items()}
        except ExpressionError as error:
            result = Result(Outcome.FAILED, f"with: {error.message}")
            return self._finished(task, result)

    def _started(self, task: Task) -> Event:
        data: dict[str, Json] = {
            "path": task.path,
            "target": task.target,
            "attempt": task.attempt,
            "title": task.step.title,
            "attempts": 1 + (task.step.retry.times if task.step.retry else 0),
        }
        pins = getattr(task.step.action, "pins", None)
        if pins is not None:
            os = self.plan.machines[task.target].os
            script = self.plan.script_for(task.step.action.pin_for(os) or "", task.target)  # type: ignore[union-attr]
            data["script"] = {
                "pin": script.pin,
                "version": script.version,
                "sha256": script.sha256,
            }
        return Event(f"started/{task.name}", data)

    def _dispatch(self, task: Task, arguments: Mapping[str, Json]) -> None:
        """Let a thread do it: a daemon, so that none that hangs keeps the process from ending."""
        cancel = self._cancels[task.name] = threading.Event()

        def work() -> None:
            result = Result(Outcome.UNKNOWN, "a defect in wtsflow: its worker broke")
            try:
                result = self._shop.perform(task, arguments, cancel)
            finally:
                self._inbox.put(_Ended(task, result))

        try:
            threading.Thread(target=work, name=f"task {task.name}", daemon=True).start()
        except RuntimeError as error:
            result = Result(Outcome.FAILED, f"nothing was sent: {error}")
            self._inbox.put(_Ended(task, result))

    # --- publishing -----------------------------------------------------------------------

    def _publish(self, events: Sequence[Event]) -> list[Record]:
        """Record events durably, then let everybody see those that stuck."""
        redactor = self._shop.concealed.redactor
        masked = [Event(event.key, redactor.json(event.data)) for event in events]  # type: ignore[arg-type]
        now = self.now()
        time = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
        records = self.parts.journal.record(
            self.state.run, masked, time=time.replace("+00:00", "Z")
        )
        self.parts.audit.append(records)
        for record in records:
            self.state.apply(record.event, now)
            self._tell(record)
        return records

    def _tell(self, seen: Record | Line) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(seen)
            except Exception as error:  # noqa: BLE001 - a reader that went away stops no run
                self._subscribers.remove(subscriber)
                self.detached.append((subscriber, error))

    # --- what comes in --------------------------------------------------------------------

    def _show(self, lines: list[Line]) -> None:
        while not self._over:
            if self._room.acquire(timeout=1.0):
                self._inbox.put(lines)
                return

    def _take(self, patience: float) -> None:
        """Wait for what workers send, and take what is there.

        Lines alone decide nothing: they are shown until something ends, the time is over, or an
        interrupt comes. A flood of them holds none of these up for more than a batch.
        """
        clock = self.parts.clock
        until = clock.monotonic() + max(0.0, min(patience, 1.0))
        presses = self._interrupt.count
        ended: list[_Ended] = []
        with suppress(queue.Empty):
            while not ended:
                left = max(0.0, until - clock.monotonic())
                came = self._inbox.get(timeout=left)
                self._sort(came, ended)
                if came is None or self._interrupt.count != presses or not left:
                    break
            for _ in range(min(self._inbox.qsize(), TOGETHER)):
                if self._interrupt.count != presses:
                    break
                self._sort(self._inbox.get_nowait(), ended)
        self._finish(ended)

    def _sort(self, came: _Ended | Event | list[Line] | None, ended: list[_Ended]) -> None:
        if isinstance(came, _Ended):
            ended.append(came)
        elif isinstance(came, Event):
            self._publish([came])
        elif came is not None:
            self._room.release()
            for line in came:
                self._tell(line)

    def _finish(self, ended: Sequence[_Ended]) -> None:
        if not ended:
            return
        for one in ended:
            self._cancels.pop(one.task.name, None)
        self._publish([self._finished(one.task, one.result) for one in ended])
        for one in ended:
            self.state.remember(one.task.path, one.task.target, one.result.outputs)

    @staticmethod
    def _finished(task: Task, result: Result) -> Event:
        data: dict[str, Json] = {
            "path": task.path,
            "target": task.target,
            "attempt": task.attempt,
            "outcome": str(result.outcome),
            "message": result.message,
            "exit_code": result.exit_code,
            "signal": result.signal,
            "stop": result.stop and str(result.stop),
            "outputs": dict(result.outputs),
            "output": dict(result.output),
            "duration_ms": round(result.duration * 1000),
        }
        return Event(f"finished/{task.name}", data)

    # --- ending ---------------------------------------------------------------------------

    def _heed(self) -> None:
        """Act on an interrupt: record it, then stop what runs; the second time, let go of it."""
        wish = self._interrupt
        if wish.exit is None:
            return
        if self.state.stopping is None:
            self._publish([Event("stopping", {"reason": wish.reason, "exit": wish.exit.label})])
            for cancel in self._cancels.values():
                cancel.set()
        if wish.count > 1 and not self.state.stopping.get("hard"):  # type: ignore[union-attr]
            reason = "wtsflow was told not to wait for it"
            lost = [
                Event(
                    f"lost/{path}@{target}/{attempt.number}",
                    {"path": path, "target": target, "reason": reason},
                )
                for path, target, attempt in self.state.unfinished()
            ]
            data: dict[str, Json] = {"reason": wish.reason, "exit": wish.exit.label, "hard": True}
            self._publish([Event("stopping/hard", data), *lost])

    def _closing(self, verdict: Verdict) -> Event:
        run: dict[str, Json] = {
            "id": self.state.run,
            "status": verdict.status,
            "success": verdict.good,
        }
        scope = self._names.scope(Frame(names={"run": run}))
        outputs: dict[str, Json] = {}
        for name, value in self.plan.workflow.outputs.items():
            try:
                outputs[name] = fill(value, scope)
            except ExpressionError:
                outputs[name] = None
        data: dict[str, Json] = {
            "status": verdict.status,
            "exit": {"code": int(verdict.exit), "name": verdict.exit.label},
            "targets": {
                name: {"outcome": f.outcome, "step": f.path, "message": f.message}
                for name, f in verdict.targets.items()
            },
            "outputs": outputs,
            "duration_ms": round((self.now() - self.state.opened) * 1000),
        }
        return Event("closed", data)
