"""Check mode: what is not run because it cannot say what it would change, and what follows.

Rule 1: a script runs only where it says how to make it look only (``Interface.check``).
Rule 2: what does not run is unknown, never good: a ``skipped`` record with ``change: unknown``.
Rule 3: what needs a value that only a real run has is unknown too, not a failure.
Rule 4: times are passed over; handlers, ``until`` and what undoes a step are left out.
"""

from collections.abc import Collection, Iterable

from wtsflow.engine.events import script_of
from wtsflow.model.expression import AbsentError, ExpressionError
from wtsflow.model.plan import Plan
from wtsflow.model.record import Event, Task
from wtsflow.model.values import Json

UNKNOWN = "unknown"
NO_CHECK = "cannot tell: the script has no check"
PASSED = "check: nothing is waited for"


class Untold(ExpressionError):
    """A value that only a real run would know: ``default(…)`` does not stand for it."""


def refusal(plan: Plan, task: Task) -> Event | None:
    """The record of a task that does not run in a check; None: it may."""
    if not plan.check:
        return None
    script = script_of(plan, task)
    if script is not None and script.interface.check:
        return None
    return untold(f"{task.path}@{task.target}", NO_CHECK, [task.target])


def untold(subject: str, why: str, targets: Iterable[str]) -> Event:
    """The record of what cannot be told in a check, and of which targets."""
    data: dict[str, Json] = {"reason": why, "change": UNKNOWN, "targets": sorted(targets)}
    return Event(f"skipped/{subject}", data)


def unknowable(plan: Plan, error: ExpressionError) -> bool:
    """Whether the error is just that a check cannot know what a real run would."""
    return plan.check and isinstance(error, AbsentError | Untold)


def passed() -> dict[str, Json]:
    """The data of the record of a wait that is passed over."""
    return {"reason": PASSED}


def told(subjects: Iterable[str], path: str) -> bool:
    """Whether nothing at or below ``path`` is unknown; ``subjects`` are of what is."""
    below = (f"{path}/", f"{path}[", f"{path}@")
    return not any(subject == path or subject.startswith(below) for subject in subjects)


def ending(run: str, status: str, good: bool, subjects: Collection[str]) -> dict[str, Json]:
    """What ``finally`` sees of the run: not how it would end, where something is unknown."""
    known: dict[str, Json] = {"id": run, "status": status, "success": good}
    return _Open({"id": run}) if subjects else known


class _Open(dict[str, Json]):
    """What is known of a run that cannot be foreseen."""

    def __missing__(self, name: str) -> Json:
        raise Untold(f"only a real run knows 'run.{name}'")
