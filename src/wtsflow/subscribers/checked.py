"""What a check found, for people: what would change where, and what cannot be told.

Texts of changes come from targets: they are shown as they are said, and do nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from wtsflow.model.terminal import visible, width
from wtsflow.subscribers.tally import Attempt, Tally
from wtsflow.subscribers.words import BAD, Spans, count, duration, names

FEW = 5
"""Changes that are shown of each attempt where nobody asked for all."""
LINES = 200
"""Lines of differences that are shown of each attempt."""
COMPARED = 300
"""Lines of a text up to which it is compared line by line: beyond, it is shown as replaced."""
GROUPS = 20
"""Groups of targets, and of reasons, that the summary shows."""
ANNOUNCED = ("CHANGE ", "UNCHANGED", "What if: ")
"""How lines of output begin that are shown as what they announce."""
_COLORS = {"-": "red", "+": "green", "@": "cyan"}


@dataclass(slots=True)
class Count:
    """Of a target: announced changes; steps that would do nothing; steps that are unknown."""

    change: int = 0
    same: int = 0
    unknown: int = 0

    @property
    def words(self) -> str:
        """``3 would change, 1 unknown``."""
        said = [f"{self.change} would change"] if self.change else []
        said += [f"{self.unknown} unknown"] if self.unknown else []
        return ", ".join(said) or "nothing would change"


def counts(tally: Tally) -> dict[str, Count]:
    """What a check found, by target."""
    found: defaultdict[str, Count] = defaultdict(Count)
    latest = {(one.path, one.target): one for one in tally.standing if one.ended}
    for one in latest.values():
        match one.changes.get("state"):
            case "change":
                found[one.target].change += int(one.changes.get("count") or 0)
            case "same":
                found[one.target].same += 1
            case _:
                found[one.target].unknown += 1
    for fact in tally.untold.values():
        for target in fact.get("targets") or ():
            found[str(target)].unknown += 1
    return dict(sorted(found.items()))


def ended(attempt: Attempt) -> Spans | None:
    """How the check of a step ended on a target; None where it went wrong."""
    if attempt.outcome in BAD:
        return None
    label, took = visible(attempt.label), f" in {duration(attempt.duration_ms)}"
    match attempt.changes.get("state"):
        case "change":
            many = count(int(attempt.changes.get("count") or 0), "change")
            return [
                (f"~ {label} ", "yellow"),
                ("would change", "bold yellow"),
                (f": {many}{took}", ""),
            ]
        case "same":
            return [(f"✓ {label} ", "green"), ("would change nothing", "bold green"), (took, "")]
    why = visible(str(attempt.changes.get("reason") or ""))
    return [(f"? {label}: ", "magenta"), (f"cannot tell: {why}", "")]


def word(attempt: Attempt) -> str:
    """How the check of a step ended, in a word or two; empty where it went wrong."""
    if attempt.outcome in BAD:
        return ""
    match attempt.changes.get("state"):
        case "change":
            return f"{int(attempt.changes.get('count') or 0)} would change"
        case "same":
            return "no change"
    return "cannot tell"


def untold(subject: str, fact: Mapping[str, Any]) -> Spans:
    """A step that was not run."""
    path = subject.rpartition("@")[0] or subject
    why = visible(str(fact.get("reason") or ""))
    return [(f"? {visible(path)}: ", "magenta"), (why, "")]


def changes(attempt: Attempt, *, diff: bool) -> list[Spans]:
    """What an attempt announced: some of it, or with ``diff`` all, before and after."""
    entries = [one for one in attempt.changes.get("list") or () if isinstance(one, Mapping)]
    total = int(attempt.changes.get("count") or len(entries))
    lines: list[Spans] = []
    shown = 0
    for entry in entries if diff else entries[:FEW]:
        if len(lines) >= LINES:
            break
        what = visible(str(entry.get("what", "")))
        lines.append([("    • ", "dim"), (what, "")])
        lines += difference(entry) if diff else []
        shown += 1
    if len(lines) > LINES:
        lines = [*lines[:LINES], [("    … the rest of it is cut", "dim")]]
    if total > shown:
        lines.append([(f"    … and {total - shown} more", "dim")])
    return lines


def difference(entry: Mapping[str, Any]) -> list[Spans]:
    """Before and after, as a unified diff without a header."""
    if not {"before", "after"} & entry.keys():
        return []
    before, after = (str(entry.get(key) or "").splitlines() for key in ("before", "after"))
    if max(len(before), len(after)) > COMPARED:
        rows = [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    else:
        rows = [*unified_diff(before, after, lineterm="")][2:]
    return [
        [("      ", ""), (visible(row.expandtabs(4)), _COLORS.get(row[:1], "dim"))] for row in rows
    ]


def summary(tally: Tally, columns: int) -> list[Spans]:
    """By target what would change, and why something is unknown; the sum comes last."""
    found = counts(tally)
    lines = [[], *_targets(found, columns), *_reasons(tally)]
    whole = Count(
        sum(one.change for one in found.values()),
        sum(one.same for one in found.values()),
        sum(one.unknown for one in found.values()),
    )
    last: Spans = [
        (f"nothing was changed; {count(len(found), 'target')}: ", "bold"),
        (whole.words, "bold magenta" if whole.unknown else "bold"),
    ]
    return [*lines, [], last]


def _targets(found: Mapping[str, Count], columns: int) -> list[Spans]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name, one in found.items():
        groups[one.words].append(name)
    lines: list[Spans] = []
    for words, members in list(groups.items())[:GROUPS]:
        paint = "magenta" if "unknown" in words else "yellow" if "would change" in words else ""
        paint = "green" if words == Count().words else paint
        room = max(12, columns - width(words) - 4)
        lines.append([("  ", ""), (names(members, room), "bold"), (f": {words}", paint)])
    return [*lines, *_more(len(groups) - GROUPS, "group of targets")]


def _reasons(tally: Tally) -> list[Spans]:
    groups: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for subject, fact in tally.untold.items():
        path = Attempt(subject.rpartition("@")[0] or subject, "", 1).step
        groups[path, str(fact.get("reason") or "")] |= {*map(str, fact.get("targets") or ())}
    for one in tally.standing:
        if one.ended and one.changes.get("state") == "unknown" and one.outcome not in BAD:
            groups[one.step, str(one.changes.get("reason") or "")].add(one.target)
    lines: list[Spans] = []
    for (step, why), members in list(groups.items())[:GROUPS]:
        where = f" ({count(len(members), 'target')})" if len(members) > 1 else ""
        text = why if why.startswith("cannot tell") else f"cannot tell: {why}"
        lines.append([("  ? ", "magenta"), (f"{visible(step)}: {visible(text)}{where}", "")])
    if lines:
        lines = [[], *lines]
    return [*lines, *_more(len(groups) - GROUPS, "reason")]


def _more(left: int, noun: str) -> Iterable[Spans]:
    return [[(f"  … and {count(left, f'more {noun}')}", "dim")]] if left > 0 else []


def facts(tally: Tally) -> dict[str, Any] | None:
    """What a check found, as data; None for a run that was none."""
    if not tally.opened.get("check"):
        return None
    found = counts(tally)
    return {
        "change": sum(one.change for one in found.values()),
        "same": sum(one.same for one in found.values()),
        "unknown": sum(one.unknown for one in found.values()),
        "targets": [
            {"name": name, "change": one.change, "same": one.same, "unknown": one.unknown}
            for name, one in found.items()
        ],
    }
