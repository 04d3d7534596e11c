"""The one thread of a run that decides.

Rule 1: a task is begun only by the call whose ``started`` record stuck.
Rule 2: what an earlier process began is picked up, never begun again on a guess.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from wtsflow.engine import events
from wtsflow.engine.book import Book
from wtsflow.engine.check import unknowable, untold
from wtsflow.engine.crew import Crew
from wtsflow.engine.decide import decide, settle
from wtsflow.engine.inbox import Inbox
from wtsflow.engine.interrupt import Interrupt, Level, level_of
from wtsflow.engine.manner import Answer, Manner
from wtsflow.engine.parts import Parts
from wtsflow.engine.perform import Concealed, Ended, Trace, Workshop
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.sessions import Sessions
from wtsflow.engine.state import State
from wtsflow.engine.verdict import Verdict
from wtsflow.errors import Exit
from wtsflow.model.expression import ExpressionError, fill
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.record import Event, Outcome, Record, Result, Task
from wtsflow.model.values import Json
from wtsflow.ports import Execution, Subscriber

__all__ = ["Parts", "Runner"]

CLOSING = 10.0
"""Seconds beyond the grace in which an execution that was asked to stop has to end."""

LOOK = 1.0
"""Seconds between two looks at what other processes wrote: ``wtsflow cancel``, say."""

TIMES = 3
"""How often a step that may be repeated is begun again because its end was not known."""


class Runner:
    """One run. ``values`` are the inputs with their secrets; ``actor`` is who began it.

    ``withhold``: output is neither shown nor kept, for it may hold secrets that nobody gave.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        parts: Parts,
        *,
        actor: Actor,
        values: Mapping[str, Json],
        interrupt: Interrupt | None = None,
        manner: Manner | None = None,
        before: Names | None = None,
        withhold: bool = False,
    ) -> None:
        self.plan = plan
        self.parts = parts
        self.state = State(run)
        self._manner = manner or Manner()
        self._interrupt = interrupt or Interrupt()
        self._crew = Crew()
        self._spawn = parts.spawn or self._crew.spawn
        self._cancels: dict[str, threading.Event] = {}
        self._kept: list[Execution] = []
        self._confirmed: dict[str, bool] = {}
        self._forgotten = False
        self._known = 0
        self._looked = self._hurried = 0.0
        concealed = Concealed.of(values.values())
        self._book = Book(
            self.state,
            parts.journal,
            parts.audit,
            parts.clock,
            parts.subscribers,
            lambda: concealed.redactor,
        )
        self._inbox = Inbox(parts.clock, self._interrupt, self._book.tell)
        self._names = Names(
            plan,
            self.state,
            values,
            {"name": actor.name, "uid": actor.uid, "host": actor.host},
            mask=concealed.text,
            before=before,
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
            show=self._inbox.show,
            note=self._inbox.put,
            concealed=concealed,
            withhold=withhold,
        )

    @property
    def detached(self) -> Sequence[tuple[Subscriber, Exception]]:
        """Subscribers that broke and were let go, with what broke them."""
        return self._book.detached

    def go(self, opening: Mapping[str, Json]) -> State:
        """Open, perform and close the run. Raises RecordError: then nothing more was started."""
        return self._drive([Event("opened", opening)])

    def resume(self, records: Sequence[Record], data: Mapping[str, Json]) -> State:
        """Go on where an earlier process stopped; ``data`` says who does. Raises RecordError.

        What it left running is picked up first. A run that is closed is only settled: what was
        not known of its attempts is looked for, and nothing is begun.
        """
        self._book.replay(self._names, records)
        self._forgotten = self.state.forgotten
        self._known = self.state.counts["finished"] + self.state.counts["again"]
        return self._drive([Event(f"resumed/{self.state.counts['resumed'] + 1}", data)])

    # --- the loop -------------------------------------------------------------------------

    def _drive(self, first: Sequence[Event]) -> State:
        settling = self.state.closed is not None
        try:
            self._publish(first)
            self._pick_up(settling=settling)
            while self._settling() if settling else self._turn():
                pass
            self._publish()
        except BaseException:
            self._inbox.close()
            self._give_up()
            raise
        finally:
            self._inbox.close()
            self._crew.close()
            hurried = self._interrupt.hurry is not None
            self._shop.sessions.close(*([1.0] if hurried else []))
        return self.state

    def _turn(self) -> bool:
        """Do what is to be done now, or wait for what comes. False: this process is through."""
        self._look()
        if self.state.closed is not None or not self._heed():
            return False
        decision = decide(self._names, self._book.now())
        if decision.verdict is not None:
            self._publish([self._closed(decision.verdict)])
            return False
        begin: list[tuple[Task, Mapping[str, Json]]] = []
        happened = list(decision.events)
        wish = self._interrupt.level
        for task, frame in decision.begin:
            ready = self._prepare(task, frame)
            if self._interrupt.level > wish:
                return True  # while somebody was asked: heed it first
            if isinstance(ready, Event):
                happened.append(ready)
            else:
                happened.append(events.started(self.plan, task))
                begin.append((task, ready))
        if any(event.type == "finished" for event in happened):
            self._publish()  # ends that follow from ends: their times tell who replays them apart
        if happened:
            stuck = {record.event.key for record in self._publish(happened)}
            ours = [one for one in begin if f"started/{one[0].name}" in stuck]
            for task, arguments in ours:
                self._perform(task, arguments)
            if len(ours) < len(happened):
                return True  # more happened than beginnings: something may follow
        if not self._cancels and self._parks(decision.wake):
            return False
        self._receive(decision.wake - self._book.now())
        return True

    def _parks(self, wake: float) -> bool:
        """Let the process go when there is long nothing to do, but not from a run that ends."""
        ending = self.state.stopping is not None
        if ending or wake == float("inf") or wake - self._book.now() <= self._manner.park:
            return False
        waiting = self.state.waiting.keys() - self.state.waited.keys()
        data: dict[str, Json] = {"until_ms": round(wake * 1000), "paths": sorted(waiting)}
        self._publish([Event(f"parked/{self.state.counts['parked'] + 1}", data)])
        return True

    def _receive(self, patience: float) -> None:
        if self._book.noted:
            self._publish()
        happened: list[Event] = []
        ended: list[Ended] = []
        for one in self._inbox.take(patience):
            if isinstance(one, Event):
                self._book.note([events.numbered(one, self.state.outages)])
            else:
                self._cancels.pop(one.task.name, None)
                ended.append(one)
                happened += self._ended(one)
        if happened:
            self._book.note(happened)
        for one in ended:
            if one.trace is Trace.END:
                self.state.remember(one.task.path, one.task.target, one.result.outputs)
            self._kept += one.kept
        if self._manner.confirm is not None:
            self._publish()  # who is asked may take long

    def _publish(self, events: Sequence[Event] = ()) -> list[Record]:
        records = self._book.publish(events)
        kept, self._kept = self._kept, []
        for execution in kept:
            execution.recorded()
        return records

    # --- beginning ------------------------------------------------------------------------

    def _prepare(self, task: Task, frame: Frame) -> Mapping[str, Json] | Event:
        """The task's arguments, or the record that it does not begin."""
        if self._manner.confirm is not None:
            if task.path not in self._confirmed:
                self._confirmed[task.path] = self._manner.confirm(task)
            if not self._confirmed[task.path]:
                return Event(f"skipped/{task.path}", {"reason": "not confirmed"})
        scope = self._names.scope(frame, task.target)
        try:
            return {name: fill(value, scope) for name, value in task.step.arguments.items()}
        except ExpressionError as error:
            if unknowable(self.plan, error):
                why = f"cannot tell: with: {error.message}"
                return untold(f"{task.path}@{task.target}", why, [task.target])
            hint = " (outputs that hold a secret do not outlive a process)"
            message = f"with: {error.message}{hint if self._forgotten else ''}"
            return events.finished(task, Result(Outcome.FAILED, message))

    def _perform(self, task: Task, arguments: Mapping[str, Json]) -> None:
        self._dispatch(task, lambda cancel: self._shop.perform(task, arguments, cancel))

    def _attach(self, task: Task) -> None:
        self._dispatch(task, lambda cancel: self._shop.attach(task, cancel))
        if level_of(self.state.stopping) >= Level.STOP:
            self._cancels[task.name].set()

    def _dispatch(self, task: Task, work: Callable[[threading.Event], Ended]) -> None:
        """Let a worker do it, which hands back how it ended."""
        cancel = self._cancels[task.name] = threading.Event()
        broken = Result(Outcome.UNKNOWN, "a defect in wtsflow: its worker broke")

        def body() -> None:
            ended = Ended(task, broken, trace=Trace.LOST)
            try:
                ended = work(cancel)
            finally:
                self._inbox.put(ended)

        try:
            self._spawn(body, f"task {task.name}")
        except RuntimeError as error:
            self._inbox.put(Ended(task, Result(Outcome.FAILED, f"nothing was sent: {error}")))

    # --- picking up -----------------------------------------------------------------------

    def _pick_up(self, *, settling: bool) -> None:
        """Ask the targets for everything whose end is not written down."""
        now = self._book.now()
        for path, target, attempt in [*self.state.unfinished(lost=settling)]:
            step = self._names.step(path)
            age = max(0.0, now - attempt.started)
            self._attach(Task(path, target, attempt.number, step, attempt.deadline, age))

    def _settling(self) -> bool:
        """Wait for the truth about a closed run. False: all that can be known is.

        Whoever wishes that this ends waits no longer: the run's own end stays as it was.
        """
        if self._cancels and not self._interrupt.level:
            self._receive(1.0)
            return True
        if self.state.counts["finished"] + self.state.counts["again"] > self._known:
            verdict = settle(self._names, self._book.now())
            number = self.state.counts["settled"] + 1
            self._publish([Event(f"settled/{number}", events.judged(verdict))])
        return False

    def _ended(self, one: Ended) -> list[Event]:
        """What is to be written down about a task that its worker is through with."""
        task = one.task
        match one.trace:
            case Trace.END:
                return [events.finished(task, one.result)]
            case Trace.NONE:
                return [events.again(task, one.result.message, begun=False)]
            case Trace.LOST:
                return self._lost(task, one.result)

    def _lost(self, task: Task, result: Result) -> list[Event]:
        """Rule: what may have happened is done again only where the script or a person says so."""
        known = events.lost(task, result)
        if self.state.stopping is not None or self.state.closed is not None:
            return [known]
        script = events.script_of(self.plan, task)
        why = "a check changes nothing" if self.plan.check else "its script is idempotent"
        if script and (self.plan.check or script.interface.idempotent) and task.attempt <= TIMES:
            return [known, events.again(task, why, begun=True)]
        if not task.age:
            return [known]
        match self._manner.unknown(task, result.message):
            case Answer.ATTACH:
                self._attach(replace(task, age=task.age + result.duration))
                return []
            case Answer.DONE:
                return [events.finished(task, Result(Outcome.SUCCESS, "taken as done on request"))]
            case Answer.AGAIN:
                return [known, events.again(task, "on request", begun=True)]
            case Answer.LEAVE:
                self._interrupt.demand(Exit.UNKNOWN, "what is unknown is left so", Level.DETACH)
                return []
            case Answer.STOP:
                return [known]

    # --- ending ---------------------------------------------------------------------------

    def _look(self) -> None:
        """Once a second, see what other processes wrote, and whether one wishes the end."""
        now = self.parts.clock.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            self._book.look()
        if self.state.cancel is not None:
            data = self.state.cancel
            reason = f"cancelled by {data.get('by')}"
            self._interrupt.demand(Exit.CANCELLED, reason, Level(level_of(data)))

    def _heed(self) -> bool:
        """Act on the wish that the run ends. False: let go of it now."""
        wish = self._interrupt
        if wish.exit is None:
            return True
        if wish.hurry is not None:
            now = self.parts.clock.monotonic()
            self._hurried = self._hurried or now
            if now - self._hurried > wish.hurry:
                wish.level = Level.DETACH
        if wish.level > level_of(self.state.stopping):
            left = self.state.counts["left"]
            self._publish([events.stopping(wish.reason, wish.exit, wish.level, left)])
            if wish.level == Level.STOP:
                for cancel in self._cancels.values():
                    cancel.set()
        if wish.level < Level.DETACH:
            return True
        data: dict[str, Json] = {"reason": wish.reason, "exit": wish.exit.label}
        self._publish([Event(f"left/{self.state.counts['left'] + 1}", data)])
        return False

    def _give_up(self) -> None:
        """Nothing more can be written down: stop what runs, and wait for it no longer than that.

        What still runs then is let go of; a further interrupt does so at once.
        """
        for cancel in self._cancels.values():
            cancel.set()
        level = self._interrupt.level
        clock = self.parts.clock
        until = clock.monotonic() + self.plan.grace + CLOSING
        while self._cancels and self._interrupt.level == level and clock.monotonic() < until:
            for came in self._inbox.take(until - clock.monotonic()):
                if isinstance(came, Ended):
                    self._cancels.pop(came.task.name, None)

    def _closed(self, verdict: Verdict) -> Event:
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
        return events.closed(verdict, outputs, self._book.now() - self.state.opened)
