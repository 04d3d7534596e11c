"""Words for messages."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches


def shown(value: object, limit: int = 60) -> str:
    """A value from outside, fit for a message: one line, shortened, control signs escaped."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value)
    )
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known word is close, else nothing.

    Among equally close ones, the one that begins most alike: ``web01`` for ``web0l``.
    """
    close = sorted(get_close_matches(word, list(known), 100, 0.6))
    if not close:
        return ""
    best = max(close, key=lambda item: _alike(word, item))
    return f"did you mean '{best}'?"


def _alike(word: str, other: str) -> tuple[float, int]:
    same = (place for place, pair in enumerate(zip(word, other, strict=False)) if len({*pair}) > 1)
    return SequenceMatcher(None, other, word).ratio(), next(same, min(len(word), len(other)))


def listed(words: Iterable[str], limit: int = 8) -> str:
    """``a, b, c``, and how many more."""
    names = list(words)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
