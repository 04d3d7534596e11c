"""What :mod:`decide` has decided so far: events to record, tasks to begin, a time to wake at."""

from dataclasses import dataclass, field

from wtsflow.engine import check, reach
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.verdict import Verdict
from wtsflow.model.expression import ExpressionError, condition
from wtsflow.model.plan import LOCAL
from wtsflow.model.record import Event, Outcome, Task
from wtsflow.model.values import Json
from wtsflow.model.workflow import Step

PASSED = "passed over on request"
"""Why a step was skipped that the plan leaves out: ``--start-at``, ``--tags``."""


@dataclass(slots=True)
class Decision:
    """``free`` is how many more tasks may begin. Times are seconds of the run's clock."""

    names: Names
    now: float
    free: int
    events: list[Event] = field(default_factory=list)
    begin: list[tuple[Task, Frame]] = field(default_factory=list)
    wake: float = float("inf")
    verdict: Verdict | None = None
    """Set when everything has been done: the run is to be closed with it."""

    def start(self, step: Step, frame: Frame, path: str, target: str, number: int) -> None:
        """Begin an attempt, or record that the time for it is over."""
        left = frame.deadline - self.now
        if left <= 0:
            message = "the time of the steps around it was over before it could begin"
            self.fail(path, target, number, Outcome.TIMEOUT, message)
            return
        limit = min(step.timeout or self.names.plan.timeout, left)
        task = Task(path, target, number, step, limit)
        if refused := check.refusal(self.names.plan, task):
            self.events.append(refused)
            return
        self.begin.append((task, frame))
        self.free -= 1

    def fail(self, path: str, target: str, number: int, outcome: str, message: str) -> None:
        """Record an end without a beginning: nothing was sent to the target."""
        data: dict[str, Json] = {
            "path": path,
            "target": target,
            "attempt": number,
            "outcome": str(outcome),
            "message": message,
            "duration_ms": 0,
        }
        self.events.append(Event(f"finished/{path}@{target}/{number}", data))

    def allows(self, step: Step, frame: Frame, path: str, target: str, subject: str) -> bool:
        """Whether ``when`` holds. If not, or if it has no value, that is recorded."""
        if step.when is None:
            return True
        try:
            if condition(step.when, self.names.scope(frame, target)):
                return True
        except ExpressionError as error:
            self.stuck(step, frame, path, target, subject, f"when: {error.message}", error)
            return False
        self.events.append(Event(f"skipped/{subject}", {"reason": f"when: {step.when}"}))
        return False

    def stuck(
        self,
        step: Step,
        frame: Frame,
        path: str,
        target: str,
        subject: str,
        message: str,
        error: ExpressionError,
    ) -> None:
        """Record that an expression has no value: a failure, or what a check cannot tell."""
        if check.unknowable(self.names.plan, error):
            each = subject.endswith(f"@{target}")
            machines = {target} if each else reach.machines(self.names, step, frame)
            self.events.append(check.untold(subject, f"cannot tell: {message}", machines))
        else:
            self.fail(path, target, 1, Outcome.FAILED, message)

    def pass_over(self, path: str, *, once: bool) -> None:
        """Record that a step is not wanted; for the items of a loop, the plan alone says so."""
        if once:
            self.events.append(Event(f"skipped/{path}", {"reason": PASSED}))

    def leave(self, name: str, reason: str) -> None:
        """Record, once, that something is not taken back."""
        if name not in self.names.state.skipped:
            event = Event(f"skipped/{name}", {"reason": reason})
            if event not in self.events:
                self.events.append(event)

    def rest(self, path: str, until: float, deadline: float, owner: str) -> None:
        """Wait durably: the time to go on is a record, not a sleeping thread.

        When ``deadline`` comes first, that is the end of the step at the path ``owner``.
        """
        waiting = self.names.state.waiting
        if path in waiting and self.now >= waiting[path]:
            self.events.append(Event(f"waited/{path}"))
            return
        if self.now >= deadline:
            message = "the time of the steps around it was over before it could go on"
            self.fail(owner, LOCAL.name, 1, Outcome.TIMEOUT, message)
            return
        if path not in waiting:
            data: dict[str, Json] = {"until_ms": round(until * 1000)}
            self.events.append(Event(f"waiting/{path}", data))
        self.wake = min(self.wake, waiting.get(path, until), deadline)
