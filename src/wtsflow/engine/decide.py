"""What a run does next: a pure function of its plan and state.

Rule 1: a step begins when all that it needs has ended; by default that is the step above it.
Rule 2: a target that fails leaves its line: later steps that depend on it pass that target by.
Rule 3: when no target of a step is left, or more failed than ``max_failed`` allows, its list of
steps halts: what runs may end, handlers run, nothing else begins.
Rule 4: ``finally`` is done once, on all targets, whatever happened before; in a run that was told
to end, it and its handlers within ``plan.closing``.
Rule 5: before ``finally``, a run that failed takes back what it did, where it says so.
Rule 6: at most ``parallel`` tasks run at once; a task is begun by the record of its beginning.
"""

from dataclasses import replace

from wtsflow.engine import check, reach, timing
from wtsflow.engine.course import Course, together
from wtsflow.engine.decide_attempt import shortfall, tried_again
from wtsflow.engine.decide_loop import looped, repeated
from wtsflow.engine.decision import Decision
from wtsflow.engine.loop import stopped
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.state import State
from wtsflow.engine.status import (
    ENDED,
    PENDING,
    Failure,
    Status,
    Tally,
    skipped,
    untouched,
)
from wtsflow.engine.undo import judged, take_back
from wtsflow.engine.verdict import Verdict, verdict
from wtsflow.model.plan import LOCAL
from wtsflow.model.record import Event, Outcome
from wtsflow.model.values import Json
from wtsflow.model.workflow import Fallback, Group, Script, Share, Step, Then


def decide(names: Names, now: float) -> Decision:
    """What to do at ``now`` (seconds, run clock). The same facts give the same decision."""
    while True:
        walker = _Walker(names, now)
        decision = _decided(walker, names)
        if not walker.setback:
            return decision


def _decided(walker: "_Walker", names: Names) -> Decision:
    state, workflow = names.state, names.plan.workflow
    if state.closed is not None:
        return walker.decision
    deadline = state.opened + (workflow.timeout or float("inf"))
    fresh = state.stopping is None
    if names.before is not None:
        undone = take_back(walker, ENDED, fresh=fresh)
        if undone.done and not state.running:
            walker.decision.verdict = verdict(names, undone)
        return walker.decision
    main = walker.sequence(workflow.steps, Frame(deadline=deadline), fresh=fresh)
    if not main.done or (state.stopping is not None and state.running):
        return walker.decision
    undone = take_back(walker, main, fresh=fresh)
    if not undone.done:
        return walker.decision
    sofar = verdict(names, main, undone)
    ending = Frame(
        names={"run": check.ending(state.run, sofar.status, sofar.good, state.untold)},
        deadline=_closing(names),
    )
    at_once = state.stopping is not None and bool(state.stopping.get("hard"))
    walker.final = not at_once
    final = walker.sequence(workflow.finally_, ending, fresh=not at_once)
    if final.done and not state.running:
        walker.decision.verdict = verdict(names, main, undone, final)
    return walker.decision


def settle(names: Names, now: float) -> Verdict:
    """Judge a run that is over anew, by what became known since; nothing is begun."""
    names.state.unlearn()
    walker = _Walker(names, now)
    if names.before is not None:
        return verdict(names, judged(names))
    main = walker.sequence(names.plan.workflow.steps, Frame(), fresh=False)
    final = walker.sequence(names.plan.workflow.finally_, Frame(), fresh=False)
    return verdict(names, main, judged(names), final)


def _closing(names: Names) -> float:
    """When ``finally`` is over: a run that was told to end does so."""
    if names.state.stopping is None:
        return float("inf")
    return names.state.entered.setdefault("finally", names.state.latest) + names.plan.closing


class _Walker:
    def __init__(self, names: Names, now: float) -> None:
        self.names = names
        self.state: State = names.state
        self.now = now
        self.final = False
        """Whether this is ``finally``, whose handlers a first interrupt does not keep from it."""
        self.setback = False
        """Whether a failure was found that what was looked at before it did not know of."""
        self.decision = Decision(names, now, free=names.plan.parallel - names.state.running)

    # --- lists of steps -------------------------------------------------------------------

    def sequence(
        self, steps: tuple[Step, ...], frame: Frame, *, fresh: bool, share: Share | None = None
    ) -> Status:
        """``fresh`` False: begin nothing that has not begun. ``share`` of all may fail."""
        course = self._course(steps, frame)
        found: dict[int, Status] = {}
        lost: dict[int, frozenset[str]] = {}
        bad = self._failed(course, steps, frame) if share else set()
        total = reach.total(self.names, steps, frame) if share else 0
        over = share is not None and share.exceeded(len(bad), total)
        halted = over or not fresh or course.halts

        def visit(index: int) -> Status:
            nonlocal halted, over
            if index in course.lost:
                return ENDED
            if index in found:
                return found[index]
            step, needs = steps[index], course.needs[index]
            upstream = [visit(i) for i in needs]
            gone = together([frame.lost, *((lost if i in lost else course.lost)[i] for i in needs)])
            here = frame if gone == frame.lost else replace(frame, lost=gone)
            if not all(status.done for status in upstream):
                status = untouched(reach.machines(self.names, step, here)) if halted else PENDING
            else:
                status = self.step(step, here, fresh=not halted)
            if share:
                bad.update(status.failed)
                over = over or share.exceeded(len(bad), total)
            halted = halted or over or status.halts
            lost[index] = together([gone, status.left])
            if status.done and status.begun:
                course.end(index, status, lost[index])
            else:
                found[index] = status
            return status

        for index in course.round():
            visit(index)
        for index in course.left() if halted else ():
            visit(index)
        whole = course.status(found)
        if over and not whole.halts:
            cause = next(iter(whole.failed.values()))
            whole = replace(whole, halts=True, outcome=cause.outcome)
        return whole

    def _course(self, steps: tuple[Step, ...], frame: Frame) -> Course:
        """How the list stood when it was last looked at: a list is known by its first step."""
        place = frame.instance(steps[0].path) if steps else ""
        if place not in self.state.courses:
            self.state.courses[place] = Course.of(steps)
        return self.state.courses[place]

    def _failed(self, course: Course, steps: tuple[Step, ...], frame: Frame) -> set[str]:
        """The targets that are known to have failed in a list of steps."""
        paths = [frame.instance(steps[index].path) for index in course.ready()]
        found = {name for path in paths if (t := self.state.tallies.get(path)) for name in t.failed}
        return found | {name for status in course.said.values() for name in status.failed}

    # --- one step -------------------------------------------------------------------------

    def step(self, step: Step, frame: Frame, *, fresh: bool) -> Status:
        path = frame.instance(step.path)
        known = self.state.done.get(path)
        if known is not None:
            return known
        status = self._once_allowed(step, frame, path, fresh=fresh)
        if status.done and status.begun:
            self.state.done[path] = status
            self.setback = self.setback or status.halts or bool(status.failed)
        return status

    def _once_allowed(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        if path in self.state.skipped:
            return skipped()
        if step.path in self.names.passed:
            self.decision.pass_over(path, once=fresh and path == step.path)
            return skipped()
        each = isinstance(step.action, Script) and step.for_each is None
        if not each and (failure := self._broken(path)):
            return self._cut_short(step, frame, path, failure)
        if not each and path not in self.state.entered:
            if not fresh:
                return untouched(reach.machines(self.names, step, frame))
            if not self.decision.allows(step, frame, path, LOCAL.name, path):
                return PENDING
            self.state.entered[path] = self.state.latest
        if step.for_each is not None:
            return repeated(self, step, frame, path, fresh=fresh)
        return self.act(step, frame, path, fresh=fresh)

    def _broken(self, path: str) -> Failure | None:
        """The failure of a group, loop or wait itself: no value for an expression, or no time."""
        attempt = self.state.attempts.get(path, {}).get(LOCAL.name)
        return Failure(attempt.outcome, path, attempt.message) if attempt else None

    def _cut_short(self, step: Step, frame: Frame, path: str, failure: Failure) -> Status:
        loop = self.state.loops.get(path)
        so_far = Status(ended=self.state.latest)
        if loop:
            so_far = looped(self, step, frame, loop, fresh=False)
        status = stopped(replace(so_far, done=True), failure, LOCAL.name)
        return self.handled(step, frame, path, "", failure, status)

    def act(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        match step.action:
            case Script():
                return self.script(step, frame, path, fresh=fresh)
            case Group():
                return self.group(step, frame, path, fresh=fresh)
            case _:
                return self.wait(step, frame, path, fresh=fresh)

    # --- groups and loops -----------------------------------------------------------------

    def group(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        limit = self.state.entered.get(path, self.state.latest) + (step.timeout or float("inf"))
        inner = replace(frame.on(step.target), deadline=min(frame.deadline, limit))
        status = self.sequence(step.children, inner, fresh=fresh, share=step.max_failed)
        if not status.halts:
            return status
        cause = next(iter(status.failed.values()), Failure(status.outcome, path))
        if status.done:
            return self.handled(step, frame, path, "", cause, status)
        _, handler = _handler(step, cause.outcome)
        mended = handler is not None and handler.then is Then.CONTINUE
        return replace(status, halts=not mended)

    def handled(
        self, step: Step, frame: Frame, path: str, target: str, cause: Failure, status: Status
    ) -> Status:
        """``status`` after the step's handler, if it has one for this cause."""
        name, handler = _handler(step, cause.outcome)
        if self.names.plan.check:
            return status
        if handler is None or (self.state.stopping is not None and not self.final):
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
            else replace(frame.on(step.target), names={**frame.names, "failure": said})
        )
        limit = _closing(self.names) if self.final else float("inf")
        inner = replace(inner, lost=frozenset(), deadline=limit)
        after = self.sequence(handler.steps, inner, fresh=True)
        if not after.done:
            return PENDING
        if handler.then is Then.CONTINUE and not after.halts:
            return replace(
                after, outcome=Outcome.SUCCESS, ended=max(status.ended, after.ended), begun=True
            )
        return replace(status, ended=max(status.ended, after.ended))

    # --- waiting --------------------------------------------------------------------------

    def wait(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        if path in self.state.waited:
            return Status(True, ended=self.state.waited[path])
        if not fresh:
            return untouched()
        if self.names.plan.check:
            self.decision.events.append(Event(f"skipped/{path}", check.passed()))
            return PENDING
        self.decision.rest(path, timing.due(step, self.now), frame.deadline, path)
        return PENDING

    def rested(self, frame: Frame, path: str, until: float, owner: str) -> bool:
        """Rule: a wait that is recorded ends with the record that its time has come."""
        if path in self.state.waited or self.names.plan.check:
            return True
        if self.now >= until and path not in self.state.waiting:
            return True
        self.decision.rest(path, until, frame.deadline, owner)
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
            status = self.member(step, frame, path, member, fresh=open_)
            if status.done and status.begun:
                tally.settle(status)
                self.setback = self.setback or bool(status.failed)
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

    def member(self, step: Step, frame: Frame, path: str, target: str, *, fresh: bool) -> Status:
        """How the step stands on one target."""
        if step.undo is not None:
            self.names.ran[path, target] = step, frame
        attempt = self.state.attempts.get(path, {}).get(target)
        name = f"{path}@{target}"
        if attempt is None:
            if name in self.state.skipped:
                return skipped()
            if not fresh:
                return untouched({target} - {LOCAL.name})
            decision = self.decision
            if decision.free > 0 and decision.allows(step, frame, path, target, name):
                number = self.state.numbers.get(name, 1)
                decision.start(step, frame, path, target, number)
            return PENDING
        if attempt.running:
            return PENDING
        if attempt.again and fresh:
            if self.decision.free > 0:
                self.decision.start(step, frame, path, target, attempt.number + 1)
            return PENDING
        failure = shortfall(self.names, step, frame, attempt, (path, target))
        if failure is None:
            return Status(True, attempt.outcome, ended=attempt.ended or 0.0)
        if fresh and tried_again(self, step, frame, attempt, (path, target)):
            return PENDING
        bad = Status(
            True, failure.outcome, {target: failure}, halts=True, ended=attempt.ended or 0.0
        )
        return self.handled(step, frame, path, target, failure, bad)


def _handler(step: Step, outcome: str) -> tuple[str, Fallback | None]:
    if outcome == Outcome.TIMEOUT and step.on_timeout is not None:
        return "on_timeout", step.on_timeout
    return "on_failure", step.on_failure
