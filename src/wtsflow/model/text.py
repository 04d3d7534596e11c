"""Words for messages."""

from collections.abc import Iterable
from difflib import get_close_matches


def shown(value: object, limit: int = 60) -> str:
    """A value from outside, fit for a message: one line, shortened, control signs escaped."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value)
    )
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known word is close, else nothing."""
    close = get_close_matches(word, list(known), 1, 0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def listed(words: Iterable[str], limit: int = 8) -> str:
    """``a, b, c``, and how many more."""
    names = list(words)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
