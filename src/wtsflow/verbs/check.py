"""What a script says that it changes, or in a check would.

It announces that in one of three ways:

- the key ``changes`` of its outputs: a list of texts, or of ``{what, before, after}``;
- lines ``CHANGE what`` on standard output, or ``UNCHANGED`` where there is nothing to do;
- PowerShell's own lines ``What if: ...``.

Rule: a check that ends well and says nothing of the kind is unknown, not good. Silence means that
nothing would change only for ``-WhatIf``, where PowerShell itself writes the lines, and for a
script that never changes anything.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wtsflow.errors import PlanError
from wtsflow.model.plan import Plan, canonical
from wtsflow.model.record import Outcome, Result, Task
from wtsflow.model.script import PinnedScript
from wtsflow.model.values import Json, Secret, masked
from wtsflow.ports import Tools
from wtsflow.verbs.outputs import LastLine, written

VARIABLE = "WTS_CHECK"
"""Is ``1`` in the environment of what runs in a check, and empty otherwise."""
BY_ENVIRONMENT = "env"
READ_ONLY = "read-only"
MOST = 1000
"""Changes that are kept for each attempt; the others are counted."""
LONGEST = 4096
"""Bytes (UTF-8) that are kept of each text."""
TOGETHER = 256 * 1024
"""Bytes that are kept of all texts of an attempt."""
LINE = 64 * 1024
"""Bytes of a line that is looked at; of a longer one only its beginning is."""
TOO_LONG = b"(too long to be kept)"
WITHHELD = "withheld: the output of this script is sensitive"
_WHAT_IF = "-WhatIf"
_LINE = re.compile(rb"CHANGE[ \t]+(\S.*)|(UNCHANGED)\b.*", re.DOTALL)
_POWERSHELL = re.compile(rb"What ?if ?: ?(.*)", re.DOTALL | re.IGNORECASE)
"""Translations of PowerShell write ``WhatIf:``, ``WhatIf :``."""


class Listener(LastLine):
    """Hears announcements in the lines of standard output, in bounded memory."""

    def __init__(self, *, listening: bool, what_if: bool) -> None:
        super().__init__()
        self.heard: list[bytes] = []
        self.count = 0
        self.unchanged = False
        self.listening = listening
        self._pattern = _POWERSHELL if what_if else _LINE
        self._room = TOGETHER
        self._rest = b""
        self._cut = False

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if self.listening:
            *whole, self._rest = (self._rest + data).split(b"\n")
            for line in whole:
                self._take(line)
            if len(self._rest) > LINE:
                self._take(self._rest)
                self._rest, self._cut = b"", True

    def _take(self, line: bytes) -> None:
        """Look at a line; the rest of one that is too long goes by unseen."""
        if self._cut:
            self._cut = False  # where it ends
            return
        found = self._pattern.match(line.rstrip(b"\r"))
        if found is None:
            return
        if found[1] is None:
            self.unchanged = True
            return
        self.count += 1
        what = found[1] if len(line) <= LINE else TOO_LONG
        self._room -= len(what)
        if self.count <= MOST and self._room > 0:
            self.heard.append(what)

    def close(self) -> None:
        """Take in a last line without an end."""
        if self._rest and not self._cut:
            self._take(self._rest)
            self._rest = b""


def listener(plan: Plan, script: PinnedScript) -> Listener:
    """What hears the announcements of a script: in a check, and of a script that has one."""
    check = script.interface.check
    listening = plan.check or check not in ("", READ_ONLY)
    return Listener(listening=listening, what_if=check == _WHAT_IF)


def arguments(plan: Plan, script: PinnedScript) -> tuple[str, ...]:
    """What makes a script look only; nothing in a real run. Raises PlanError where nothing does."""
    if not plan.check:
        return ()
    way = script.interface.check
    if not way:
        raise PlanError(f"{script.pin} has no check")
    return () if way in (BY_ENVIRONMENT, READ_ONLY) else (way,)


def environment(plan: Plan, script: PinnedScript) -> dict[str, str]:
    """``WTS_CHECK``; empty in a real run, lest the target's own environment has it."""
    if plan.check:
        return {VARIABLE: "1"}
    return {VARIABLE: ""} if script.interface.check == BY_ENVIRONMENT else {}


def told(
    task: Task, result: Result, heard: Listener, output: bytes, script: PinnedScript, tools: Tools
) -> Result:
    """``result`` with what the script said that it changes; ``output`` is that of $WTS_OUTPUT."""
    if not heard.listening:
        return result
    for value in result.outputs.values():
        if isinstance(value, Secret):
            tools.conceal(value)
    heard.close()
    good = result.outcome not in _BAD
    try:
        listed = _listed(written(output, heard.text).get("changes")) if good else None
    except PlanError as error:
        if not tools.plan.check:
            return result
        failed = Result(Outcome.FAILED, error.message, result.exit_code)
        return replace(failed, changes={"state": "unknown", "reason": error.message, "count": 0})
    entries: list[dict[str, Json]] = [{"what": _text(line)} for line in heard.heard]
    if listed is not None:
        entries, result = listed, _without(task, result, script)
    count = len(entries) if listed is not None else heard.count
    state, why = _state(result, heard, script, count, said=listed is not None)
    if not tools.plan.check and state == "unknown":
        return result
    changes: dict[str, Json] = {"state": state, "count": count}
    if why:
        changes["reason"] = why
    if entries:
        changes["list"] = _kept(entries, tools, withheld=script.interface.sensitive)
    return replace(result, changes=changes)


_BAD = frozenset({Outcome.FAILED, Outcome.TIMEOUT, Outcome.CANCELLED})


def _without(task: Task, result: Result, script: PinnedScript) -> Result:
    """Announcements are no output for later steps, unless they are declared as one."""
    declared = task.step.outputs or script.interface.outputs
    if declared is not None and "changes" in declared:
        return result
    kept = {name: value for name, value in result.outputs.items() if name != "changes"}
    return replace(result, outputs=kept)


def _state(
    result: Result, heard: Listener, script: PinnedScript, count: int, *, said: bool
) -> tuple[str, str]:
    if result.outcome in _BAD:
        return "unknown", f"its check ended as {result.outcome}"
    if result.message and not said:  # some of its output is missing
        return "change" if count else "unknown", result.message
    if count:
        return "change", ""
    if said or heard.unchanged or script.interface.check in (_WHAT_IF, READ_ONLY):
        return "same", ""
    return "unknown", "its check did not say what would change"


def _listed(value: Json) -> list[dict[str, Json]] | None:
    """The announcements of the output ``changes``. Raises PlanError for what is none."""
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise PlanError("output 'changes' is not a list")
    return [_entry(number, item) for number, item in enumerate(value, 1)]


def _entry(number: int, item: Json) -> dict[str, Json]:
    if isinstance(item, str):
        item = {"what": item}
    if not isinstance(item, Mapping) or not isinstance(item.get("what"), str):
        raise PlanError(f"output 'changes': entry {number} does not say what")
    if unknown := sorted(item.keys() - {"what", "before", "after"}):
        raise PlanError(f"output 'changes': entry {number} has an unknown key '{unknown[0]}'")
    return {
        key: value if isinstance(value, str) else _json(value)
        for key, value in item.items()
        if value is not None
    }


def _json(value: Any) -> str:
    """What stands before or after, where it is no text: one form for the same data."""
    return json.dumps(masked(value), indent=2, sort_keys=True, ensure_ascii=False)


def _kept(entries: list[dict[str, Json]], tools: Tools, *, withheld: bool) -> list[Json]:
    """As many as there is room for. Secrets are masked before anything is cut."""
    kept: list[Json] = []
    room = TOGETHER
    for entry in entries[:MOST]:
        texts = {key: _cut(tools.masked(str(value))) for key, value in entry.items()}
        if withheld:
            texts = {"what": WITHHELD}
        room -= len(canonical(dict(texts)))
        if room < 0:
            break
        kept.append(dict(texts))
    return kept


def _cut(text: str) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= LONGEST else data[:LONGEST].decode(errors="ignore") + "…"


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip()
