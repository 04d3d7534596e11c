"""Text from outside, made fit to be shown: the one door between it and a terminal."""

import re
import unicodedata
from dataclasses import dataclass

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: what a terminal obeys
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"  # invisible; turns direction
    "\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"  # bytes that were not UTF-8, kept by surrogateescape
    "\U000e0000-\U000e007f"  # tags: text that nobody sees
    "]"
)


def visible(text: str, *, keep: str = "") -> str:
    r"""Return ``text`` with everything that a terminal would obey or hide written out.

    Control bytes become ``\x1b``, direction marks, invisible characters and lone surrogates
    ``\u202e``; characters of ``keep`` (a newline, say) stay. The result never moves the cursor.
    """
    if text.isprintable():  # C speed; false for every character of _UNSAFE
        return text
    return _UNSAFE.sub(lambda found: _written(found[0], keep), text)


def _written(character: str, keep: str) -> str:
    if character in keep:
        return character
    return _NAMED.get(character) or character.encode("unicode_escape", "surrogatepass").decode()


_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def width(text: str) -> int:
    """Return how many terminal cells ``text`` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """Return ``text`` shortened to ``cells`` (at least 1) terminal cells; ``…`` ends what was cut.

    ``text`` must be visible already.
    """
    if width(text) <= cells:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > cells - 1:
            break
        kept.append(character)
    return "".join(kept) + "…"


SGR = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


@dataclass(frozen=True, slots=True)
class Style:
    """Puts colour around text that is visible already, or does nothing."""

    on: bool = False

    def __call__(self, text: str, *names: str) -> str:
        """Return ``text`` in the named styles (``bold``, ``red`` …)."""
        if not self.on or not text or not names:
            return text
        return f"\x1b[{';'.join(SGR[name] for name in names)}m{text}\x1b[0m"
