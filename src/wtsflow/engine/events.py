"""What a run writes down: the events of its tasks and of its end, as data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wtsflow.errors import Exit
from wtsflow.model.plan import Plan
from wtsflow.model.record import Event, Result, Task
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json
from wtsflow.model.workflow import Script

if TYPE_CHECKING:
    from wtsflow.engine.verdict import Verdict


def named(task: Task) -> dict[str, Json]:
    """Which task it is about."""
    return {"path": task.path, "target": task.target, "attempt": task.attempt}


def script_of(plan: Plan, task: Task) -> PinnedScript | None:
    """The script that a task runs; None where it runs none for its target."""
    action = task.step.action
    pin = action.pin_for(plan.machines[task.target].os) if isinstance(action, Script) else None
    return plan.script_for(pin, task.target) if pin else None


def started(plan: Plan, task: Task) -> Event:
    """A task is about to begin."""
    data: dict[str, Json] = {
        **named(task),
        "title": task.step.title,
        "attempts": 1 + (task.step.retry.times if task.step.retry else 0),
        "deadline_ms": round(task.deadline * 1000),
    }
    if script := script_of(plan, task):
        data["script"] = {
            "pin": script.pin,
            "version": script.version,
            "sha256": script.sha256,
        }
    return Event(f"started/{task.name}", data)


def finished(task: Task, result: Result) -> Event:
    """A task has ended."""
    return Event(f"finished/{task.name}", _ended(task, result))


def lost(task: Task, result: Result) -> Event:
    """How a task ended is not known; it may become known later."""
    return Event(f"lost/{task.name}", {**_ended(task, result), "reason": result.message})


def again(task: Task, why: str, *, begun: bool) -> Event:
    """An attempt is to be followed by another; ``begun`` False: it never was one."""
    return Event(f"again/{task.name}", {**named(task), "begun": begun, "why": why})


def numbered(event: Event, outages: Mapping[str, int]) -> Event:
    """What befell a task's connection, with which time it went: a resumed run counts on."""
    number = outages.get(event.subject, 0) + (event.type == "detached")
    return Event(f"{event.key}/{number}", event.data)


def stopping(reason: str, code: Exit, level: int, left: int) -> Event:
    """A wish to end is heeded; ``left``: how often the run was let go of before it was made."""
    data: dict[str, Json] = {"reason": reason, "exit": code.label, "level": int(level)}
    return Event(f"stopping/{int(level)}" + (f"/{left}" if left else ""), data)


def _ended(task: Task, result: Result) -> dict[str, Json]:
    return {
        **named(task),
        "outcome": str(result.outcome),
        "message": result.message,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "stop": result.stop and str(result.stop),
        "outputs": dict(result.outputs),
        "output": dict(result.output),
        **({"changes": dict(result.changes)} if result.changes else {}),
        "duration_ms": round(result.duration * 1000),
    }


def judged(verdict: "Verdict") -> dict[str, Json]:
    """A verdict: the run's status, exit code, and how each target ended."""
    return {
        "status": verdict.status,
        "exit": {"code": int(verdict.exit), "name": verdict.exit.label},
        "targets": {
            name: {"outcome": f.outcome, "step": f.path, "message": f.message}
            for name, f in verdict.targets.items()
        },
        **({"undo": dict(verdict.undo)} if verdict.undo else {}),
    }


def closed(verdict: "Verdict", outputs: Mapping[str, Json], seconds: float) -> Event:
    """The run is over."""
    data = {**judged(verdict), "outputs": dict(outputs), "duration_ms": round(seconds * 1000)}
    return Event("closed", data)
