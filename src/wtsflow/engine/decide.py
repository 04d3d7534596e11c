"""What a run does next: a pure function of its plan and state.

Rule 1: a step begins when all that it needs has ended; by default that is the step above it.
Rule 2: a target that fails leaves its line: later steps that depend on it pass that target by.
Rule 3: when no target of a step is left, or more failed than ``max_failed`` allows, its list of
steps halts: what runs may end, handlers run, nothing else begins.
Rule 4: ``finally`` is done once, on all targets, whatever happened before.
Rule 5: at most ``parallel`` tasks run at once; a task is begun by the record of its beginning.
"""

from dataclasses import replace

from wtsflow.engine import timing
from wtsflow.engine.decision import Decision
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.state import BAD, Attempt, State
from wtsflow.engine.status import PENDING, Failure, Status, Tally, merged, skipped, untouched
from wtsflow.engine.verdict import verdict
from wtsflow.model.expression import ExpressionError, condition, evaluate
from wtsflow.model.plan import LOCAL
from wtsflow.model.record import Outcome
from wtsflow.model.values import Json
from wtsflow.model.workflow import Fallback, Group, Retry, Rolling, Script, Share, Step, Then, walk


def decide(names: Names, now: float) -> Decision:
    """What to do at ``now`` (seconds, run clock). The same facts give the same decision."""
    walker = _Walker(names, now)
    state, workflow = names.state, names.plan.workflow
    if state.closed is not None:
        return walker.decision
    deadline = state.opened + (workflow.timeout or float("inf"))
    main = walker.sequence(workflow.steps, Frame(deadline=deadline), fresh=state.stopping is None)
    if not main.done or (state.stopping is not None and state.running):
        return walker.decision
    sofar = verdict(names, main)
    ending = Frame(names={"run": {"id": state.run, "status": sofar.status, "success": sofar.good}})
    at_once = state.stopping is not None and bool(state.stopping.get("hard"))
    final = walker.sequence(workflow.finally_, ending, fresh=not at_once)
    if final.done and not state.running:
        walker.decision.verdict = verdict(names, main, final)
    return walker.decision


class _Walker:
    def __init__(self, names: Names, now: float) -> None:
        self.names = names
        self.state: State = names.state
        self.now = now
        self.decision = Decision(names, now, free=names.plan.parallel - names.state.running)

    # --- lists of steps -------------------------------------------------------------------

    def sequence(self, steps: tuple[Step, ...], frame: Frame, *, fresh: bool) -> Status:
        """``fresh`` False: begin nothing that has not begun."""
        found: dict[int, Status] = {}
        lost: dict[int, frozenset[str]] = {}
        numbers = {step.id: index for index, step in enumerate(steps) if step.id}
        halted = not fresh or any(self._halted(step, frame) for step in steps)

        def visit(index: int) -> Status:
            nonlocal halted
            if index in found:
                return found[index]
            step = steps[index]
            needs = timing.needs(step, index, numbers)
            upstream = [visit(i) for i in needs]
            lost[index] = frame.lost.union(*(lost[i] for i in needs))
            here = replace(frame, lost=lost[index])
            if not all(status.done for status in upstream):
                status = untouched(self.machines(step, here)) if halted else PENDING
            else:
                status = self.step(step, here, fresh=not halted)
            halted = halted or status.halts
            lost[index] |= status.failed.keys()
            found[index] = status
            return status

        for index in range(len(steps)):
            visit(index)
        return merged(found.values())

    def _halted(self, step: Step, frame: Frame) -> bool:
        known = self.state.done.get(frame.instance(step.path))
        return known is not None and known.halts

    def machines(self, step: Step, frame: Frame) -> frozenset[str]:
        """Every machine that a step and what is below it would run on."""
        return frozenset(
            machine
            for below in walk((step,))
            if isinstance(below.action, Script)
            for machine in self.names.members(below, frame)
            if machine not in frame.lost
        ) - {LOCAL.name}

    # --- one step -------------------------------------------------------------------------

    def step(self, step: Step, frame: Frame, *, fresh: bool) -> Status:
        path = frame.instance(step.path)
        known = self.state.done.get(path)
        if known is not None:
            return known
        status = self._once_allowed(step, frame, path, fresh=fresh)
        if status.done and status.begun:
            self.state.done[path] = status
        return status

    def _once_allowed(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        if path in self.state.skipped:
            return skipped()
        each = isinstance(step.action, Script) and step.for_each is None
        if not each and path not in self.state.entered:
            if not fresh:
                return untouched(self.machines(step, frame))
            if not self.decision.allows(step, frame, path, LOCAL.name, path):
                return PENDING
            self.state.entered[path] = self.now
        failure = self._broken(path)
        if failure and not each:
            return Status(True, failure.outcome, {}, halts=True, ended=self.now)
        if step.for_each is not None:
            return self.loop(step, frame, path, fresh=fresh)
        return self.act(step, frame, path, fresh=fresh)

    def act(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        match step.action:
            case Script():
                return self.script(step, frame, path, fresh=fresh)
            case Group():
                return self.group(step, frame, path, fresh=fresh)
            case _:
                return self.wait(step, path, fresh=fresh)

    def _broken(self, path: str) -> Failure | None:
        """The failure of a group, loop or wait itself: one of its expressions has no value."""
        attempt = self.state.attempts.get(path, {}).get(LOCAL.name)
        return Failure(attempt.outcome, path, attempt.message) if attempt else None

    # --- groups and loops -----------------------------------------------------------------

    def group(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        limit = self.state.entered.get(path, self.now) + (step.timeout or float("inf"))
        inner = replace(
            frame,
            deadline=min(frame.deadline, limit),
            target=step.target or frame.target,
        )
        status = self.sequence(step.children, inner, fresh=fresh)
        if not status.done or not status.halts:
            return status
        cause = next(iter(status.failed.values()), Failure(status.outcome, path))
        return self.handled(step, frame, path, "", cause, status)

    def handled(
        self, step: Step, frame: Frame, path: str, target: str, cause: Failure, status: Status
    ) -> Status:
        """``status`` after the step's handler, if it has one for this cause."""
        name, handler = _handler(step, cause.outcome)
        if handler is None or self.state.stopping is not None:
            return status
        place = f"{step.path}/{name}"
        said: dict[str, Json] = {
            "outcome": cause.outcome,
            "message": cause.message,
            "step": cause.path or path,
            "target": target or next(iter(status.failed), ""),
        }
        inner = (
            frame.inside(place, target, {"failure": said}, target)
            if target
            else replace(
                frame, names={**frame.names, "failure": said}, target=step.target or frame.target
            )
        )
        inner = replace(inner, lost=frozenset(), deadline=float("inf"))
        after = self.sequence(handler.steps, inner, fresh=True)
        if not after.done:
            return PENDING
        if handler.then is Then.CONTINUE and not after.halts:
            return Status(True, Outcome.SUCCESS, ended=max(status.ended, after.ended))
        return replace(status, ended=max(status.ended, after.ended))

    def loop(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        try:
            items = timing.items(evaluate(step.for_each, self.names.scope(frame)))  # type: ignore[arg-type]
        except ExpressionError as error:
            self.decision.fail(path, LOCAL.name, 1, Outcome.FAILED, f"for_each: {error.message}")
            return PENDING
        rolling = step.rolling or Rolling()
        waves = timing.waves(tuple(items), rolling)
        found: dict[str, Status] = {}
        for number, wave in enumerate(waves):
            for key in wave:
                found[key] = self._item(step, frame, key, items[key], fresh=fresh)
            here = merged(found.values())
            if not here.done:
                return PENDING
            failed = sum(_outcome(status) in BAD for status in found.values())
            over = rolling.max_failed.exceeded(failed, len(items)) or failed == len(items)
            if (over and failed) or not fresh:
                return self._looped(step, frame, items, found, halts=bool(over and failed))
            if number + 1 < len(waves) and not self._rested(
                f"{path}/wave{number + 2}", here.ended, rolling.pause
            ):
                return PENDING
        return self._looped(step, frame, items, found, halts=False)

    def _item(self, step: Step, frame: Frame, key: str, item: Json, *, fresh: bool) -> Status:
        name = key if key in self.names.plan.machines else ""
        inner = frame.inside(step.path, key, {"item": item}, name)
        if name in frame.lost:
            return skipped()
        path = inner.instance(step.path)
        known = self.state.done.get(path)
        if known is not None:
            return known
        if not fresh and path not in self.state.entered:
            return untouched(self.machines(step, inner))
        self.state.entered.setdefault(path, self.now)
        status = self.act(step, inner, path, fresh=fresh)
        if status.done and status.begun:
            self.state.done[path] = status
        return status

    def _looped(
        self,
        step: Step,
        frame: Frame,
        items: dict[str, Json],
        found: dict[str, Status],
        *,
        halts: bool,
    ) -> Status:
        whole = merged(found.values())
        undone = frozenset(
            machine
            for key in items
            if key not in found
            for machine in self.machines(
                step,
                frame.inside(step.path, key, {}, key if key in self.names.plan.machines else ""),
            )
        )
        outcomes = {key: _outcome(status) for key, status in found.items()}
        worst = next((outcome for outcome in outcomes.values() if outcome in BAD), Outcome.SUCCESS)
        return replace(
            whole,
            outcome=str(worst),
            halts=halts,
            unfinished=whole.unfinished | undone,
            items=outcomes,
        )

    # --- waiting --------------------------------------------------------------------------

    def wait(self, step: Step, path: str, *, fresh: bool) -> Status:
        if path in self.state.waited:
            return Status(True, ended=self.state.waited[path])
        if not fresh:
            return untouched()
        self.decision.rest(path, timing.due(step, self.now))
        return PENDING

    def _rested(self, path: str, since: float, seconds: float) -> bool:
        if seconds <= 0 or path in self.state.waited:
            return True
        self.decision.rest(path, since + seconds)
        return False

    # --- scripts --------------------------------------------------------------------------

    def script(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        members = self.names.members(step, frame)
        tally = self.state.tallies.get(path)
        if tally is None:
            tally = Tally([member for member in members if member not in frame.lost])
            if not tally.open:
                return skipped()
            self.state.tallies[path] = tally
        share = step.max_failed or Share(100, percent=True)
        left: list[str] = []
        unsettled: list[Status] = []
        for index, member in enumerate(tally.open):
            if fresh and self.decision.free <= 0 and not self._has_begun(path, member):
                left += tally.open[index:]
                unsettled.append(PENDING)
                break
            open_ = fresh and not share.exceeded(len(tally.failed), len(members))
            status = self._member(step, frame, path, member, fresh=open_)
            if status.done and status.begun:
                tally.settle(status)
            else:
                left.append(member)
                unsettled.append(status)
        tally.open = left
        halts = bool(tally.failed) and (
            len(tally.failed) == tally.total or share.exceeded(len(tally.failed), len(members))
        )
        return tally.status(unsettled, halts=halts)

    def _has_begun(self, path: str, target: str) -> bool:
        return target in self.state.attempts.get(path, ())

    def _member(self, step: Step, frame: Frame, path: str, target: str, *, fresh: bool) -> Status:
        """How the step stands on one target."""
        attempt = self.state.attempts.get(path, {}).get(target)
        name = f"{path}@{target}"
        if attempt is None:
            if name in self.state.skipped:
                return skipped()
            if not fresh:
                return untouched({target} - {LOCAL.name})
            decision = self.decision
            if decision.free > 0 and decision.allows(step, frame, path, target, name):
                decision.start(step, frame, path, target, 1)
            return PENDING
        if attempt.running:
            return PENDING
        failure = self._judge(step, frame, path, target, attempt)
        if failure is None:
            return Status(True, attempt.outcome, ended=attempt.ended or 0.0)
        if fresh and self._again(step, frame, path, target, attempt):
            return PENDING
        bad = Status(
            True, failure.outcome, {target: failure}, halts=True, ended=attempt.ended or 0.0
        )
        return self.handled(step, frame, path, target, failure, bad)

    def _judge(
        self, step: Step, frame: Frame, path: str, target: str, attempt: Attempt
    ) -> Failure | None:
        """Why this attempt is not good enough, if it is not."""
        if attempt.outcome in BAD:
            return Failure(attempt.outcome, path, attempt.message)
        until = step.retry.until if step.retry else None
        if until is None:
            return None
        scope = self.names.scope(
            frame, target, outputs=dict(attempt.outputs), outcome=attempt.outcome
        )
        try:
            if condition(until, scope):
                return None
            message = f"until: {until} did not hold after {attempt.number} attempts"
        except ExpressionError as error:
            message = f"until: {error.message}"
        return Failure(Outcome.FAILED, path, message)

    def _again(self, step: Step, frame: Frame, path: str, target: str, attempt: Attempt) -> bool:
        """Begin the next attempt, or wait for its time. False: there is none."""
        retry = step.retry or Retry(0)
        good = attempt.outcome not in BAD
        if attempt.number > retry.times or not (good or attempt.repeatable):
            return False
        due = (attempt.ended or 0.0) + retry.wait * retry.backoff ** (attempt.number - 1)
        if due > frame.deadline:
            return False
        if self.now < due:
            self.decision.wake = min(self.decision.wake, due)
        elif self.decision.free > 0:
            self.decision.start(step, frame, path, target, attempt.number + 1)
        return True


def _handler(step: Step, outcome: str) -> tuple[str, Fallback | None]:
    if outcome == Outcome.TIMEOUT and step.on_timeout is not None:
        return "on_timeout", step.on_timeout
    return "on_failure", step.on_failure


def _outcome(status: Status) -> str:
    """An item's outcome: bad when its steps halted or its own target left."""
    if status.halts and status.outcome in BAD:
        return str(status.outcome)
    return next((failure.outcome for failure in status.failed.values()), str(status.outcome))
