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
            "duration_ms": "whole milliseconds",
        },
    ),
    "lost": Kind(
        "lost/<path>@<target>/<attempt>",
        "when nobody can say how an attempt ended; its outcome is `unknown`",
        {"path": "as in `started`", "target": "as in `started`", "reason": "why nobody can"},
    ),
    "skipped": Kind(
        "skipped/<path>", "when a step is not done", {"reason": "the condition that was false"}
    ),
    "waiting": Kind(
        "waiting/<path>",
        "when a step waits for a time",
        {"until_ms": "milliseconds since 1970 when it goes on"},
    ),
    "waited": Kind("waited/<path>", "when that time has come", {}),
    "stopping": Kind(
        "stopping",
        "when the run is asked to end; `stopping/hard` when asked a second time",
        {
            "reason": "who or what asked",
            "exit": "the name of the exit code",
            "hard": "true: what runs is not waited for",
        },
    ),
    "closed": Kind(
        "closed",
        "last",
        {
            "status": "an outcome, or `partial`",
            "exit": "code and name",
            "targets": "for each target that did not succeed: outcome, step, message",
            "outputs": "the workflow's outputs",
            "duration_ms": "whole milliseconds",
        },
    ),
}
