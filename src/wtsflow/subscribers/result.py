"""What came of a run, as one document: a pure function of its records.

``wtsflow.run/1`` (``--format json`` of ``run``, ``apply`` and ``runs show``)::

    schema        "wtsflow.run/1"
    run           the run's id
    workflow      {name, version, title, sha256, source}
    plan          the plan's digest
    actor         {name, uid, host}
    ticket        "" where there is none
    inputs        {name: value}; secrets are masked
    scripts       [{pin, version, commit, blob, sha256, choice?}]
    started, ended    RFC 3339; ended is null while it goes on
    duration_ms   null while it goes on
    origin        {kind: rerun | undo | schedule, run?, schedule?, slot?}; null: asked for by hand
    environment   "" where none was named
    check         whether it only looked what would change
    status        success | failed | timeout | unreachable | cancelled | rejected | unknown |
                  partial; or running | waiting | stopping | left while it goes on
    exit          {code, name}; null while it goes on
    stopping      {reason, exit, level}; null where nobody stopped it
    cancels       [{by, reason, level}]: who asked from elsewhere that it ends
    parked        {until_ms, paths} while it waits and no process performs it; else null
    left          {reason} while it was left open by request; else null
    resumed       [{actor, host, …}]: each time that it was gone on with
    settled       how often the truth about a step came after the end
    targets       [{name, outcome, step, message}], by name
    steps         [{path, target, attempt, title, script, outcome, message, exit_code, signal, stop,
                  outputs, output, started, ended, duration_ms, detached, again}], in order of their
                  beginning; output is {sha256, bytes, kept, truncated, redactions, tail};
                  detached is {reason, until_ms} while its connection is gone, else null; again is
                  {begun, why, by} where another attempt counts in its place, else null;
                  changes is {state: change | same | unknown, count, list?, reason?}, list is
                  [{what, before?, after?}]; null where nothing was announced
    changes       of a check {change, same, unknown, targets: [{name, change, same, unknown}]}:
                  announced changes, steps that would do nothing, steps of which it cannot tell;
                  null for a run that was none
    undo          {done, failed?, left?}: how many steps were taken back, and the names
                  (path/undo@target) of what could not be and of what was left; null: nothing was to
    skipped       [{path, reason, change?, targets?}]; change is "unknown" where a check cannot tell
    waiting       [{path, until_ms}]
    outputs       {name: value}
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wtsflow.model.record import Record
from wtsflow.subscribers.checked import facts
from wtsflow.subscribers.tally import Attempt, Tally

SCHEMA = "wtsflow.run/1"


def result(records: Iterable[Record]) -> dict[str, Any]:
    """Return the ``wtsflow.run/1`` document of a run; it may still go on."""
    tally = Tally.of(records)
    opened, closed = tally.opened, tally.closed
    return {
        "schema": SCHEMA,
        "run": tally.run,
        "workflow": opened.get("workflow", {}),
        "plan": opened.get("plan", ""),
        "actor": opened.get("actor", {}),
        "ticket": opened.get("ticket", ""),
        "inputs": opened.get("inputs", {}),
        "scripts": opened.get("scripts", []),
        "started": tally.begun or None,
        "ended": tally.time if closed is not None else None,
        "duration_ms": closed.get("duration_ms") if closed is not None else None,
        "origin": opened.get("origin"),
        "environment": opened.get("environment", ""),
        "check": bool(opened.get("check")),
        "status": tally.status,
        "exit": closed.get("exit") if closed is not None else None,
        "stopping": tally.stopping,
        "cancels": tally.cancels,
        "parked": tally.parked,
        "left": tally.left,
        "resumed": tally.resumed,
        "settled": tally.settled,
        "targets": _targets(closed or {}),
        "steps": [_step(attempt) for attempt in tally.attempts.values()],
        "changes": facts(tally),
        "undo": (closed or {}).get("undo"),
        "skipped": [
            {"path": path, "reason": why, **_untold(tally, path)}
            for path, why in tally.skipped.items()
        ],
        "waiting": [{"path": path, "until_ms": due} for path, due in tally.waiting.items()],
        "outputs": (closed or {}).get("outputs", {}),
    }


def _untold(tally: Tally, path: str) -> dict[str, Any]:
    fact = tally.untold.get(path, {})
    return {key: fact[key] for key in ("change", "targets") if key in fact}


def _targets(closed: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: Mapping[str, Any] = closed.get("targets") or {}
    return [{"name": name, **found[name]} for name in sorted(found)]


def _step(attempt: Attempt) -> dict[str, Any]:
    return {
        "path": attempt.path,
        "target": attempt.target,
        "attempt": attempt.number,
        "title": attempt.title,
        "script": dict(attempt.script) or None,
        "outcome": attempt.outcome or None,
        "message": attempt.message,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "stop": attempt.stop or None,
        "outputs": attempt.outputs,
        "output": attempt.output,
        "started": attempt.started,
        "ended": attempt.ended or None,
        "duration_ms": attempt.duration_ms if attempt.ended else None,
        "detached": attempt.detached,
        "changes": attempt.changes or None,
        "again": attempt.again,
    }
