"""What a ``for_each`` does next: its waves, one after the other, each item in its own place."""

from typing import Protocol

from wtsflow.engine import reach, timing
from wtsflow.engine.decision import Decision
from wtsflow.engine.loop import Loop, begin
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.state import State
from wtsflow.engine.status import PENDING, Status, skipped, untouched
from wtsflow.model.expression import ExpressionError, evaluate
from wtsflow.model.plan import LOCAL
from wtsflow.model.record import Event
from wtsflow.model.workflow import Rolling, Step


class Walk(Protocol):
    """What looks at the steps of a run, one inside the other."""

    names: Names
    state: State
    now: float
    decision: Decision
    setback: bool

    def act(self, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
        """How a step stands for one item."""
        ...

    def member(self, step: Step, frame: Frame, path: str, target: str, *, fresh: bool) -> Status:
        """How a step stands on one target."""
        ...

    def rested(self, frame: Frame, path: str, until: float, owner: str) -> bool:
        """Whether the time has come."""
        ...


def repeated(walk: Walk, step: Step, frame: Frame, path: str, *, fresh: bool) -> Status:
    """How the loop stands; ``fresh`` False: begin nothing that has not begun."""
    loop = walk.state.loops.get(path) or _entered(walk, step, frame, path)
    if loop is None:
        return PENDING
    if path not in walk.state.looped:
        walk.decision.events.append(Event(f"looped/{path}", {"items": list(loop.items)}))
    rolling = step.rolling or Rolling()
    while True:
        if not _wave(walk, step, frame, loop, fresh=fresh):
            return PENDING
        over = loop.over(rolling)
        if over or loop.last or not fresh:
            return looped(walk, step, frame, loop, fresh=fresh and not over, halts=over)
        pause = f"{path}/wave{loop.number + 2}"
        if not walk.rested(frame, pause, loop.ended + rolling.pause, path):
            return PENDING
        loop.advance()


def _entered(walk: Walk, step: Step, frame: Frame, path: str) -> Loop | None:
    """The loop with the list that it begins with, which nothing changes any more."""
    try:
        value = evaluate(step.for_each, walk.names.scope(frame))  # type: ignore[arg-type]
        items = timing.items(value, walk.names.mask)
    except ExpressionError as error:
        message = f"for_each: {error.message}"
        walk.decision.stuck(step, frame, path, LOCAL.name, path, message, error)
        return None
    loop = begin(items, step.rolling or Rolling(), walk.names.plan.machines)
    walk.state.loops[path] = loop
    return loop


def _wave(walk: Walk, step: Step, frame: Frame, loop: Loop, *, fresh: bool) -> bool:
    """Look at what is open of the present wave. True: nothing of it goes on."""
    left: list[str] = []
    resting = True
    for index, key in enumerate(loop.open):
        inner = _inner(step, frame, loop, key)
        path = inner.instance(step.path)
        if fresh and walk.decision.free <= 0 and path not in walk.state.entered:
            loop.open = left + loop.open[index:]
            return False
        status = _item(walk, step, inner, path, loop.machines.get(key, ""), fresh=fresh)
        if status.done and status.begun:
            loop.settle(key, path, status)
            walk.setback = walk.setback or status.halts or bool(status.failed)
        else:
            left.append(key)
            resting = resting and status.done
    loop.open = left
    return resting


def _inner(step: Step, frame: Frame, loop: Loop, key: str) -> Frame:
    item = {"item": loop.items[key]}
    return frame.inside(step.path, key, item, loop.machines.get(key, ""))


def _item(walk: Walk, step: Step, inner: Frame, path: str, machine: str, *, fresh: bool) -> Status:
    if machine in inner.lost:
        return skipped()
    if path not in walk.state.entered:
        if not fresh:
            return untouched(reach.machines(walk.names, step, inner))
        walk.state.entered[path] = walk.state.latest
    return walk.act(step, inner, path, fresh=fresh)


def looped(
    walk: Walk, step: Step, frame: Frame, loop: Loop, *, fresh: bool, halts: bool = False
) -> Status:
    """How the loop stands when nothing of it goes on."""
    later = [key for wave in loop.waves[loop.number + 1 :] for key in wave]
    left = [] if fresh else [*loop.open, *later]
    inners = [_inner(step, frame, loop, key) for key in left]
    rest = [untouched(reach.machines(walk.names, step, inner)) for inner in inners]
    return loop.status(rest, halts=halts)
