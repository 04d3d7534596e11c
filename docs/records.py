"""What the journal and the audit log hold: the types of records and their data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of record: its key, when it is written, and what its data says."""

    key: str
    when: str
    data: Mapping[str, str]


KINDS: Mapping[str, Kind] = {
    "opened": Kind(
        "opened",
        "before anything else: all that decided what the run does",
        {
            "workflow": "name, version, title, SHA-256 of the text, where it was read",
            "plan": "digest of the plan",
            "frozen": "the plan itself, as `wtsflow plan -o` writes it; no secret is in it",
            "actor": "account, number and host of who started it, by the operating system",
            "ticket": "for which ticket, or empty",
            "targets": "names of all targets",
            "scripts": "pin, version, commit, blob, SHA-256; for a `+` pin the choice and why",
            "inputs": "their values; secrets masked",
            "origin": "why, where it is not a person's own start: `rerun`, `undo` or `schedule`",
            "environment": "the workspace's environment, where it has any",
            "check": "true: nothing was to be changed",
        },
    ),
    "started": Kind(
        "started/<path>@<target>/<attempt>",
        "before the first byte of a step goes to its target",
        {
            "path": "the step's place in the run",
            "target": "on which target",
            "attempt": "1, 2 …",
            "attempts": "how many there may be",
            "title": "the step's title",
            "script": "pin, version and SHA-256, where the step runs a script",
            "deadline_ms": "how long it may take, in milliseconds",
        },
    ),
    "finished": Kind(
        "finished/<path>@<target>/<attempt>",
        "when an attempt has ended",
        {
            "path": "as in `started`",
            "target": "as in `started`",
            "attempt": "as in `started`",
            "outcome": "an outcome of the engine, or one that the script's sidecar declares",
            "message": "why, in one sentence",
            "exit_code": "the script's, or null",
            "signal": "the signal's name that ended it, or empty",
            "stop": "`confirmed`, `unconfirmed`, or null where nothing was to be stopped",
            "outputs": "named values for later steps; secrets masked",
            "output": "of the kept output: SHA-256, bytes, bytes kept, truncated, redactions, tail",
            "changes": "what it announced: state (`change`, `same`, `unknown`), count, list",
            "duration_ms": "whole milliseconds",
        },
    ),
    "lost": Kind(
        "lost/<path>@<target>/<attempt>",
        "when nobody can say how an attempt ended: `unknown`, until a `finished` says",
        {
            "path": "as in `started`",
            "target": "as in `started`",
            "attempt": "as in `started`",
            "reason": "why nobody can",
        },
    ),
    "again": Kind(
        "again/<path>@<target>/<attempt>",
        "when an attempt of an earlier process is to be followed by another one",
        {
            "path": "as in `started`",
            "target": "as in `started`",
            "attempt": "as in `started`",
            "begun": "false: it never began on its target, and no longer can",
            "why": "who or what says that it may be done again",
        },
    ),
    "detached": Kind(
        "detached/<path>@<target>/<attempt>/<n>",
        "when the connection goes while a script runs; it is tried again",
        {
            "path": "as in `started`",
            "target": "as in `started`",
            "attempt": "as in `started`",
            "reason": "what was seen of it",
            "until_ms": "until when it is tried, milliseconds since 1970",
        },
    ),
    "attached": Kind(
        "attached/<path>@<target>/<attempt>/<n>",
        "when that script has been picked up again",
        {
            "path": "as in `started`",
            "target": "as in `started`",
            "attempt": "as in `started`",
        },
    ),
    "skipped": Kind(
        "skipped/<path>",
        "when a step is not done",
        {
            "reason": "the condition that was false, or why a check cannot tell",
            "change": "`unknown`, where a check cannot tell what a real run would do",
            "targets": "with `change`: of which targets",
        },
    ),
    "waiting": Kind(
        "waiting/<path>",
        "when a step waits for a time",
        {"until_ms": "milliseconds since 1970 when it goes on"},
    ),
    "waited": Kind("waited/<path>", "when that time has come", {}),
    "looped": Kind(
        "looped/<path>",
        "when a `for_each` begins: nothing changes its list any more",
        {"items": "what its items are called in the paths below it"},
    ),
    "cancel": Kind(
        "cancel/<n>",
        "when somebody wishes from another process that the run ends",
        {
            "by": "the account",
            "reason": "why, in their words",
            "level": "1: finish what runs; 2: stop it",
        },
    ),
    "stopping": Kind(
        "stopping/<level>[/<n>]",
        "when a wish to end is heeded (`stopping` and `stopping/hard` in runs before 0.2)",
        {
            "reason": "who or what asked",
            "exit": "the name of the exit code",
            "level": "1: what runs may finish; 2: it is stopped; 3: it is let go of",
        },
    ),
    "parked": Kind(
        "parked/<n>",
        "when the process ends because there is long nothing to do",
        {"until_ms": "milliseconds since 1970 when the run goes on", "paths": "what waits"},
    ),
    "left": Kind(
        "left/<n>",
        "when the process lets go of the run, which stays open",
        {"reason": "who or what asked", "exit": "the name of the exit code"},
    ),
    "resumed": Kind(
        "resumed/<n>",
        "when a process goes on with the run",
        {"actor": "who does", "version": "of wtsflow"},
    ),
    "closed": Kind(
        "closed",
        "last",
        {
            "status": "an outcome, or `partial`",
            "exit": "code and name",
            "targets": "for each target that did not succeed: outcome, step, message",
            "outputs": "the workflow's outputs",
            "undo": "how many steps were taken back, and the names of those that could not be and "
            "those that were left; where something was to be taken back",
            "duration_ms": "whole milliseconds",
        },
    ),
    "settled": Kind(
        "settled/<n>",
        "after `closed`: something that was unknown became known",
        {
            "status": "as in `closed`",
            "exit": "as in `closed`",
            "targets": "as in `closed`",
        },
    ),
    "undoing": Kind(
        "undoing/<n>",
        "after `closed`: before another run takes back what this one did",
        {
            "run": "the id of the run that does",
            "by": "the account",
            "count": "how many steps it is to take back",
        },
    ),
    "known": Kind(
        "known/<n>",
        "when a schedule is seen first, or with other times than before",
        {
            "schedule": "its name",
            "definition": "its five fields, its zone, and whether it is on",
            "after": "slots up to this one are no concern of it",
            "source": "the manifest's file",
        },
    ),
    "claimed": Kind(
        "claimed",
        "when a process takes a slot, before it does anything about it",
        {
            "schedule": "its name",
            "slot": "when it was to fire, UTC",
            "decision": "`run`, `queue`, `replace`, `skip` or `missed`",
            "reason": "why it is not run, where it is not",
            "run": "the id of the run that is to come of it",
            "going": "the runs of the schedule that had not ended",
            "open": "the slots of the schedule that had not ended",
            "late": "true: one of several that are made up for",
            "late_ms": "how late it was found, whole milliseconds",
            "missed": "how many earlier slots nobody makes up for",
            "first_missed": "the oldest of them",
            "last_missed": "the newest of them",
            "workflow": "name, version, SHA-256 of the text",
            "source": "the manifest's file",
        },
    ),
    "ended": Kind(
        "ended",
        "when it is settled what became of a slot",
        {
            "status": "the run's status, or `skipped`, `missed` or `refused`",
            "exit": "code and name",
            "run": "the run's id",
            "reason": "why, where it was not run",
        },
    ),
    "paused": Kind("paused/<n>", "when somebody lets a schedule rest", {"by": "the account"}),
    "unpaused": Kind("unpaused/<n>", "when somebody lets it fire again", {"by": "the account"}),
    "refused": Kind(
        "refused/<what>/<hour>",
        "when a manifest with schedules cannot be read, once an hour",
        {"source": "the manifest's file", "message": "why"},
    ),
    "pruned": Kind(
        "pruned/<n>",
        "before old runs are removed from the journal; a run's id of its own holds it",
        {
            "actor": "account, number and host of who removes them",
            "runs": "of each: id, number and hash of its last record in the audit log, status, "
            "start and end",
        },
    ),
}
