r"""Secrets masked in a stream of bytes, before lines are cut and before anyone sees them.

The stream is searched in views of itself: without NUL, CR and LF; without terminal sequences; with
``%41``, ``\u0041`` and ``&#65;`` resolved; without quoting. A hit in any view masks the bytes
that it was made of.

Rule 1: what may be the beginning of a secret is held back until the next bytes decide.
Rule 2: except a beginning of one to three characters with a line end behind it: a line that is
    complete is shown. What then completes the secret is still masked.
Rule 3: at the end of the stream a beginning of six characters or more is masked.
Rule 4: touching masks are one, so that nothing is told of lengths.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wtsflow.engine.needles import DROPPED, QUOTING, SHORTEST, needles, refuse_unmaskable
from wtsflow.model.values import MASK, Json, Secret, masked

_MASK = MASK.encode()
_SHOWN = 4
"""Beginnings shorter than this do not hold back a complete line."""

# --- searching ------------------------------------------------------------------------------


def _automaton(words: Sequence[bytes]) -> Callable[[bytes], Iterable[tuple[int, int]]]:
    """A search for all words at once: their (start, end), overlapping ones too."""
    try:
        from ahocorasick_rs import BytesAhoCorasick
    except ImportError:
        longest_first = sorted(words, key=len, reverse=True)
        pattern = re.compile(b"(?=(%s))" % b"|".join(re.escape(word) for word in longest_first))
        return lambda data: (found.span(1) for found in pattern.finditer(data))
    search = BytesAhoCorasick(words)
    return lambda data: (
        (start, end) for _, start, end in search.find_matches_as_indexes(data, overlapping=True)
    )


class _Needles:
    """The needles of all secrets: to be found whole, or as a beginning at the end of a view."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self.words = sorted(set(words))
        self.find = _automaton(self.words)
        self.longest = max(map(len, self.words))
        self._short = {word[:n] for word in self.words for n in (1, 2, 3)}
        self._by_start: dict[bytes, list[bytes]] = {}
        for word in self.words:
            self._by_start.setdefault(word[:4], []).append(word)

    def beginning(self, text: bytes) -> int:
        """How many bytes at the end of ``text`` are the beginning of a needle, at most."""
        size, by_start = len(text), self._by_start
        for at in range(max(0, size - self.longest + 1), size - 3):
            for word in by_start.get(text[at : at + 4], ()):
                if size - at < len(word) and word.startswith(text[at:]):
                    return size - at
        return self.short_beginning(text)

    def short_beginning(self, text: bytes) -> int:
        """The same, up to three."""
        return next((n for n in (3, 2, 1) if n <= len(text) and text[-n:] in self._short), 0)


# --- views ----------------------------------------------------------------------------------

_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])"
)
_ESCAPE_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,256}\x1b?|[ -/]*)\Z")
_WRITTEN = re.compile(
    rb"%([0-9A-Fa-f]{2})"
    rb"|\\\\{0,15}(?:u(?:([dD][89abAB][0-9A-Fa-f]{2})\\{1,16}u([dD][c-fC-F][0-9A-Fa-f]{2})"
    rb"|([0-9A-Fa-f]{4}))|x([0-9A-Fa-f]{2})|([0-3][0-7]{2}))"
    rb"|&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));"
)
_WRITTEN_BEGUN = re.compile(
    rb"(?:%[0-9A-Fa-f]?|\\{1,16}(?:u(?:[dD][89abAB][0-9A-Fa-f]{2}(?:\\{1,16}(?:u[0-9A-Fa-f]{0,3})?)?"
    rb"|[0-9A-Fa-f]{0,3})|x[0-9A-Fa-f]?|[0-3]?[0-7]?)?|&(?:#[0-9xX][0-9A-Fa-f]{0,7}|#|[a-z]{0,4}))\Z"
)
_DROPPED = re.compile(b"[%s]+" % re.escape(DROPPED))
_QUOTING = re.compile(b"[%s]+" % re.escape(QUOTING))
_NAMED = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


def _resolved(found: re.Match[bytes]) -> bytes:
    """The bytes that a written character stands for."""
    percent, high, low, four, two, octal, decimal, hexadecimal, name = found.groups()
    if percent or two:
        return bytes([int(percent or two, 16)])
    if name:
        return _NAMED[name]
    if octal:
        return bytes([int(octal, 8)])
    if high:
        return (bytes.fromhex((high + low).decode())).decode("utf-16-be").encode()
    point = int(decimal) if decimal else int(four or hexadecimal, 16)
    return chr(min(point, 0x10FFFF)).encode("utf-8", "surrogatepass")


@dataclass(slots=True)
class _View:
    """A text made of another by a substitution, and the way back. ``source`` None: the stream."""

    text: bytes
    source: "_View | None" = None
    pattern: re.Pattern[bytes] = _DROPPED
    replace: Callable[[re.Match[bytes]], bytes] | None = None
    """None: what the pattern finds is left out."""
    _starts: list[int] = field(default_factory=list)
    _spans: list[tuple[int, int]] = field(default_factory=list)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the stream that ``text[start:end]`` was made of."""
        if self.source is None:
            return start, end
        if not self._starts:
            self._draw(self.source.text)
        return self.source.origin(self._place(start)[0], self._place(end - 1)[1])

    def _place(self, at: int) -> tuple[int, int]:
        piece = bisect_right(self._starts, at) - 1
        low, high = self._spans[piece]
        if high:
            return low, high
        return low + at - self._starts[piece], low + at - self._starts[piece] + 1

    def _draw(self, source: bytes) -> None:
        """The pieces: copied ones as (start, 0), replaced ones as (start, end) in the source."""
        at = done = 0
        for found in self.pattern.finditer(source):
            if found.start() > done:
                self._piece(at, (done, 0))
                at += found.start() - done
            if self.replace is not None and (length := len(self.replace(found))):
                self._piece(at, found.span())
                at += length
            done = found.end()
        self._piece(at, (done, 0))

    def _piece(self, at: int, span: tuple[int, int]) -> None:
        self._starts.append(at)
        self._spans.append(span)


def _views(data: bytes) -> list[_View]:
    """The views of a stretch of the stream that differ, each searched for the same needles."""
    views = [_View(data.translate(None, DROPPED), _View(data))]
    base = views[0]
    if b"\x1b" in data:
        base = _whole(base, _ESCAPE_BEGUN)
        base = _View(_ESCAPE.sub(b"", base.text), base, _ESCAPE)
        views.append(base)
    if any(sign in base.text for sign in (b"%", b"\\", b"&")):
        base = _whole(base, _WRITTEN_BEGUN)
        base = _View(_WRITTEN.sub(_resolved, base.text), base, _WRITTEN, _resolved)
        views.append(base)
    if any(bytes([sign]) in base.text for sign in QUOTING):
        views.append(_View(base.text.translate(None, QUOTING), base, _QUOTING))
    return views


def _whole(view: _View, begun: re.Pattern[bytes]) -> _View:
    """The view without an escape at its end that is not finished yet."""
    text = view.text
    unfinished = begun.search(text, max(0, len(text) - 300))
    return _View(text[: unfinished.start()], view, _NEVER) if unfinished else view


def _as_viewed(words: set[bytes]) -> set[bytes]:
    """Needles with what they look like in the views, for those that hold escapes themselves."""
    found = set(words)
    for word in words:
        resolved = _WRITTEN.sub(_resolved, word) if _SPECIAL.search(word) else word
        found |= {resolved, word.translate(None, QUOTING), resolved.translate(None, QUOTING)}
    return {word for word in found if len(word) >= SHORTEST}


_SPECIAL = re.compile(rb"[\x1b%%\\&%s]" % re.escape(QUOTING))
_NEVER = re.compile(rb"(?!)")

# --- masking --------------------------------------------------------------------------------


class Redactor:
    """Knows the secrets of a run. Raises InvalidError for one that cannot be masked."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        words: set[bytes] = set()
        for secret in secrets:
            refuse_unmaskable(secret.reveal())
            words |= _as_viewed(needles(secret.reveal()))
        self._needles = _Needles(words) if words else None

    def text(self, text: str) -> str:
        """A message with every secret in it masked."""
        if self._needles is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        stream = self.stream()
        masked = stream.feed(data) + stream.close()
        return text if masked == data else masked.decode("utf-8", "backslashreplace")

    def json(self, value: Json) -> Json:
        """Data with every secret in its texts, keys and numbers masked, and every Secret leaf."""
        if self._needles is None:
            return masked(value)
        match value:
            case Secret():
                return MASK
            case str():
                return self.text(value)
            case bool() | None:
                return value
            case int() | float():
                return value if self.text(str(value)) == str(value) else MASK
            case Mapping():
                return {self.text(key): self.json(item) for key, item in value.items()}
            case _:
                return [self.json(item) for item in value]

    def stream(self) -> "StreamRedactor":
        """A fresh stream."""
        return StreamRedactor(self._needles)


class StreamRedactor:
    """One stream of bytes. ``count`` is how many masks were put in."""

    def __init__(self, words: _Needles | None) -> None:
        self.count = 0
        self._needles = words
        self._buffer = b""
        self._given = 0
        """How much of the buffer was given out already; it stays for what may complete it."""
        self._after_mask = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return those that are sure to hold nothing secret. No secrets: the same."""
        if self._needles is None:
            return data
        buffer = self._buffer + data
        spans: list[tuple[int, int]] = []
        held = needed = len(buffer)
        for view in _views(buffer):
            spans.extend(view.origin(start, end) for start, end in self._needles.find(view.text))
            starts = self._beginnings(view, buffer)
            held, needed = min(held, starts[0]), min(needed, starts[1])
        given, out = self._mask(buffer, spans, held)
        self._buffer, self._given = buffer[needed:], given - needed
        return out

    def _beginnings(self, view: _View, buffer: bytes) -> tuple[int, int]:
        """Where in the buffer to hold back from, and from where on it is still needed."""
        assert self._needles is not None  # noqa: S101 - asked by feed only
        size = len(view.text)
        count = self._needles.beginning(view.text)
        start = _start(view, size - count, buffer)
        if len(buffer) - start > 4 * self._needles.longest + 1024:
            return len(buffer), len(buffer)
        if count >= _SHOWN or not _has_line_end(buffer, start):
            return start, start
        for fewer in range(count - 1, -1, -1):
            later = _start(view, size - fewer, buffer)
            fits = not fewer or self._needles.short_beginning(view.text[size - fewer :]) == fewer
            if fits and not _has_line_end(buffer, later):
                return later, start
        return len(buffer), start

    def _mask(self, buffer: bytes, spans: list[tuple[int, int]], held: int) -> tuple[int, bytes]:
        """Give out the buffer up to ``held`` (further where a mask ends); return how far, what."""
        parts: list[bytes] = []
        at = self._given
        for start, end in sorted(spans):
            if end <= at:
                continue
            if start > at:
                parts.append(buffer[at:start])
                self._after_mask = False
            if not self._after_mask:
                parts.append(_MASK)
                self.count += 1
                self._after_mask = True
            at = end
        if held > at:
            parts.append(buffer[at:held])
            self._after_mask = False
            at = held
        return at, b"".join(parts)

    def close(self) -> bytes:
        """Return what was held back; a beginning of a secret that is long enough is masked."""
        if self._needles is None or not self._buffer:
            return b""
        buffer = self._buffer
        spans = []
        for view in _views(buffer):
            count = self._needles.beginning(view.text)
            if count >= SHORTEST:
                spans.append((_start(view, len(view.text) - count, buffer), len(buffer)))
        _, out = self._mask(buffer, spans, len(buffer))
        self._buffer, self._given = b"", 0
        return out


def _start(view: _View, at: int, buffer: bytes) -> int:
    """Where in the buffer a view's text from ``at`` to its end begins."""
    tail = view.text[at:]
    if not tail:
        return _end(view, buffer)
    if len(tail) < _SHOWN and not _SPECIAL.search(tail):  # the common case, without the map
        body = buffer.rstrip(DROPPED)
        if body.endswith(tail):
            return len(body) - len(tail)
    return view.origin(at, at + 1)[0]


def _end(view: _View, buffer: bytes) -> int:
    """Where in the buffer the unfinished escape behind a view begins; its end if there is none."""
    while view.source is not None:
        if view.pattern is _NEVER:
            at = len(view.text)
            return view.source.origin(at, at + 1)[0]
        view = view.source
    return len(buffer)


def _has_line_end(buffer: bytes, start: int) -> bool:
    return buffer.find(b"\n", start) >= 0 or buffer.find(b"\r", start) >= 0
