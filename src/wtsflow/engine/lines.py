r"""Bytes of output cut into lines that a terminal can be trusted with.

Rule 1: ``\n``, ``\r\n`` and a lone ``\r`` end a line (a progress bar is many lines).
Rule 2: what a terminal obeys or hides is written out, bytes that are not UTF-8 as ``\xff``.
Rule 3: a line longer than 64 KiB is cut there, so an endless one is seen too.
"""

import re

LIMIT = 64 * 1024

_HIDDEN = "\xad\u061c\u180e\u200b\u200e\u200f\ufeff\ufff9\ufffa\ufffb" + "".join(
    map(chr, (*range(0x2028, 0x202F), *range(0x2060, 0x2070), *range(0xE0000, 0xE0080)))
)
_OBEYED = "".join(map(chr, (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))))
_UNSAFE = re.compile(  # ranges: a class of single characters is searched 20 times slower
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
_WRITTEN = {ord(sign): sign.encode("unicode_escape").decode() for sign in _OBEYED + _HIDDEN}


class LineSplitter:
    """One stream's lines. Tabs stay; everything else that is not printable is escaped."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = b""
        self._after_return = False

    def feed(self, data: bytes) -> list[str]:
        """Take bytes as they came; return the lines that are complete."""
        if not data:
            return []
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        self._after_return = data.endswith(b"\r") or (self._after_return and not data)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            lines = self._texts(self._rest + whole)
            self._rest = rest
        else:
            lines = []
            self._rest += rest
        if len(self._rest) > self._limit:
            *cut, self._rest = _pieces(self._rest, self._limit)
            lines.extend(_text(piece) for piece in cut)
        return lines

    def close(self) -> list[str]:
        """Return the last line, if it had no end."""
        rest, self._rest = self._rest, b""
        return self._texts(rest) if rest else []

    def _texts(self, data: bytes) -> list[str]:
        if len(data) <= self._limit:
            return _text(data).split("\n")
        lines: list[str] = []
        for line in data.split(b"\n"):
            lines.extend(_text(piece) for piece in _pieces(line, self._limit))
        return lines


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "backslashreplace")
    return _UNSAFE.sub(lambda run: run[0].translate(_WRITTEN), text)


def _pieces(line: bytes, limit: int) -> list[bytes]:
    """Cut at ``limit`` bytes, never inside a UTF-8 character."""
    pieces = []
    start = 0
    while len(line) - start > limit:
        end = start + limit
        for back in range(4):
            if line[end - back] & 0xC0 != 0x80:
                end -= back
                break
        pieces.append(line[start:end])
        start = end
    pieces.append(line[start:])
    return pieces
