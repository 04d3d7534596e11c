"""What the console says at the end about what was taken back, and what was not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wtsflow.model.terminal import visible
from wtsflow.subscribers.tally import Tally
from wtsflow.subscribers.words import Spans, bold, color, mark, reason

MOST = 10
"""Of each kind shown by name; the rest are counted."""


def summary(tally: Tally) -> list[Spans]:
    """Nothing for a run that took nothing back and had nothing to."""
    said: Mapping[str, Any] = (tally.closed or {}).get("undo") or {}
    if not said:
        return []
    lines: list[Spans] = [[], [(f"taken back: {said.get('done', 0)}", "bold")]]
    failed = _several(said, "failed")
    for name in failed[:MOST]:
        path, _, target = name.rpartition("@")
        attempt = tally.latest(path, target)
        lines += _row("failed", "not taken back", name, reason(attempt) if attempt else "")
    lines += _rest(failed)
    left = _several(said, "left")
    for name in left[:MOST]:
        lines += _row("unknown", "left as it is", name, str(tally.skipped.get(name, "")))
    return [*lines, *_rest(left)]


def following(tally: Tally) -> Iterator[tuple[str, str]]:
    """What to type next, where something is still to be taken back."""
    said: Mapping[str, Any] = (tally.closed or {}).get("undo") or {}
    if said.get("failed") or said.get("left"):
        origin: Mapping[str, Any] = tally.opened.get("origin") or {}
        run = origin["run"] if origin.get("kind") == "undo" else tally.run
        yield "undo", f"wtsflow undo {visible(str(run))} --plan"


def _several(said: Mapping[str, Any], key: str) -> Sequence[str]:
    return [str(name) for name in said.get(key) or ()]


def _row(outcome: str, words: str, name: str, why: str) -> list[Spans]:
    path, _, target = name.rpartition("@")
    where = f"{path.removesuffix('/undo')} on {target}"
    line: Spans = [
        (f"{mark(outcome)} {words}  ", bold(color(outcome))),
        (visible(where), "bold"),
        (f": {visible(why)}" if why else "", ""),
    ]
    return [line]


def _rest(names: Sequence[str]) -> list[Spans]:
    more = len(names) - MOST
    return [[(f"  and {more} more", "bold")]] if more > 0 else []
