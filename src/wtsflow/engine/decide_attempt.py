"""Whether an attempt was good enough, and whether another one follows it."""

from wtsflow.engine import timing
from wtsflow.engine.decide_loop import Walk
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.state import Attempt
from wtsflow.engine.status import BAD, Failure
from wtsflow.model.expression import ExpressionError, condition
from wtsflow.model.record import Outcome
from wtsflow.model.workflow import Retry, Step


def shortfall(
    names: Names, step: Step, frame: Frame, attempt: Attempt, where: tuple[str, str]
) -> Failure | None:
    """Why this attempt is not good enough, if it is not; ``where`` are its path and target."""
    path, target = where
    if attempt.outcome in BAD:
        return Failure(attempt.outcome, path, attempt.message)
    until = step.retry.until if step.retry else None
    if until is None or names.plan.check:
        return None
    scope = names.scope(frame, target, outputs=dict(attempt.outputs), outcome=attempt.outcome)
    try:
        if condition(until, scope):
            return None
        message = f"until: {until} did not hold after {attempt.number} attempts"
    except ExpressionError as error:
        message = f"until: {error.message}"
    return Failure(Outcome.FAILED, path, message)


def tried_again(
    walk: Walk, step: Step, frame: Frame, attempt: Attempt, where: tuple[str, str]
) -> bool:
    """Begin the next attempt, or wait for its time. False: there is none."""
    path, target = where
    retry = step.retry or Retry(0)
    good = attempt.outcome not in BAD
    count = attempt.number - walk.state.uncounted[f"{path}@{target}"]
    if count > retry.times or not (good or attempt.repeatable):
        return False
    due = (attempt.ended or 0.0) + timing.back_off(retry, count)
    if due > frame.deadline:
        return False
    if walk.now < due:
        walk.decision.wake = min(walk.decision.wake, due)
    elif walk.decision.free > 0:
        walk.decision.start(step, frame, path, target, attempt.number + 1)
    return True
