"""How a run ended: for each target, and as one status and exit code.

The rule: a signal, cancel, denial, mismatch or lost audit log wins; else some targets complete and
some not is ``partial`` (9); else all bad with one cause is that cause's code; mixed is 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wtsflow.engine.scope import KEYS, Names
from wtsflow.engine.status import Failure, Status, merged
from wtsflow.errors import Exit
from wtsflow.model.plan import LOCAL
from wtsflow.model.record import Outcome
from wtsflow.model.values import Json

EXITS: Mapping[str, Exit] = {
    Outcome.SUCCESS: Exit.SUCCESS,
    Outcome.FAILED: Exit.FAILED,
    Outcome.TIMEOUT: Exit.TIMEOUT,
    Outcome.UNREACHABLE: Exit.UNREACHABLE,
    Outcome.CANCELLED: Exit.CANCELLED,
    Outcome.UNKNOWN: Exit.UNKNOWN,
    Outcome.REJECTED: Exit.DENIED,
}

UNDONE = "the run stopped before its remaining steps"
TAKEN_BACK = "what was done there was taken back"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``status`` is an outcome or ``partial``; ``targets`` maps a target to how it ended."""

    status: str
    exit: Exit
    targets: Mapping[str, Failure]
    undo: Mapping[str, Json] = field(default_factory=dict)
    """What was taken back, and what was not; empty where nothing was to be."""

    @property
    def good(self) -> bool:
        """Whether everything asked for was done."""
        return self.exit is Exit.SUCCESS


def verdict(names: Names, *parts: Status) -> Verdict:
    """Judge a run by the status of its steps, of what it took back, and of its ``finally``."""
    whole = merged(parts)
    state = names.state
    targets: dict[str, Failure] = {}
    for path, attempts in state.attempts.items():
        for target in attempts:
            targets.setdefault(target, Failure(Outcome.SUCCESS, path))
    for target in whole.unfinished:
        targets[target] = Failure(Outcome.SKIPPED, "", UNDONE)
    targets.update(whole.failed)
    work = names.undoing
    if work and names.before is None and parts[0].halts:
        back = Failure(Outcome.SKIPPED, "", TAKEN_BACK)
        done = {deed.target for deed in work.over}
        targets.update({t: back for t in done if targets[t].outcome == Outcome.SUCCESS})
    status, code = _judge(targets, whole, _in_line(names))
    if work and names.before is None and (bad := work.by_target(names)):
        status, code = _not_taken_back(bad)
    if state.stopping is not None:
        code = Exit[str(state.stopping["exit"]).upper()]
        status = Outcome.TIMEOUT if code is Exit.TIMEOUT else Outcome.CANCELLED
    said = work.said(names) if work else {}
    return Verdict(str(status), code, dict(sorted(targets.items())), said)


def _not_taken_back(failed: Mapping[str, Failure]) -> tuple[str, Exit]:
    """Rule: what could not be taken back is worse than what failed before."""
    if any(failure.outcome == Outcome.UNKNOWN for failure in failed.values()):
        return Outcome.UNKNOWN, Exit.UNKNOWN
    return Outcome.FAILED, Exit.FAILED


def _in_line(names: Names) -> frozenset[str]:
    """The targets that did something in the workflow's own steps: others only helped out."""
    return frozenset(
        target
        for path, attempts in names.state.attempts.items()
        if names.before is not None or KEYS.sub("", path) in names.line
        for target in attempts
    ) - {LOCAL.name}


def _judge(targets: Mapping[str, Failure], whole: Status, line: frozenset[str]) -> tuple[str, Exit]:
    causes = {failure.outcome for failure in whole.failed.values()}
    if whole.halts and not causes:
        causes = {whole.outcome}
    if not causes and not whole.unfinished:
        return Outcome.SUCCESS, Exit.SUCCESS
    if any(targets[target].outcome == Outcome.SUCCESS for target in line):
        return "partial", Exit.PARTIAL
    if len(causes) == 1:
        (cause,) = causes
        return cause, EXITS.get(cause, Exit.FAILED)
    return Outcome.FAILED, Exit.FAILED
