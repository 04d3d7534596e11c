r"""Everything that a secret may look like in a stream of bytes: the needles to search for.

Rule 1: an encoding that mixes neighbours in (base64, base32) gives its *cores*: at each alignment
    only those characters whose bits are the secret's alone. They are the same whatever stands
    before and behind.
Rule 2: needles are searched in a view of the stream without NUL, CR and LF; so they have none.
    UTF-16, wrapped lines and terminal wraps need no needles of their own.
"""

import base64
import html
import json
import shlex
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from urllib.parse import quote, quote_plus

from wtsflow.errors import InvalidError

SHORTEST = 6
"""Characters: a shorter text appears by chance, and masking it would tell more than it hides."""

DROPPED = b"\0\r\n"
"""What the view that is searched does not have."""

QUOTING = b"'\"`\\^"
"""What shells put between or before characters; gone in the view for quoted text."""

_COMMON = frozenset(
    {"000000", "111111", "123456", "1234567", "12345678", "123456789", "1234567890", "admin1"}
    | {"administrator", "changeme", "cisco123", "default", "disabled", "enabled", "failed"}
    | {"iloveyou", "letmein", "localhost", "master", "monkey", "nothing", "oracle", "passwd"}
    | {"password", "password1", "passwort", "postgres", "private", "public", "qwerty", "qwertz"}
    | {"root123", "secret", "server", "service", "success", "superuser", "system", "target"}
    | {"unknown", "welcome", "welcome1"}
)


def refuse_unmaskable(value: str) -> None:
    """Raise InvalidError for a secret that cannot be masked without spoiling all output."""
    if len(value.strip()) < SHORTEST:
        reason = f"it has fewer than {SHORTEST} characters"
    elif value.strip().lower() in _COMMON:
        reason = "it is a common word, which would be masked everywhere"
    else:
        return
    raise InvalidError(
        f"a secret cannot be masked in output: {reason} [secret-too-short-to-mask]",
        cure="choose a longer, random one",
    )


def needles(value: str) -> set[bytes]:
    """All the forms of a secret, without NUL, CR and LF, each at least ``SHORTEST`` bytes long."""
    lines = [line.strip() for line in value.splitlines()]
    body = [line for line in lines if not _is_frame(line)]
    texts = {"\n".join(body), *body}
    if body == lines:
        texts |= {value, value.strip()}
    found: set[bytes] = set()
    for text in texts:
        if len(text) >= SHORTEST:
            found.update(form.translate(None, DROPPED) for form in _forms(text))
    return {form for form in found if len(form) >= SHORTEST}


def _is_frame(line: str) -> bool:
    """A line of PEM that is no secret."""
    return line.startswith("-----") and line.endswith("-----")


def _forms(text: str) -> Iterator[bytes]:
    for written in {*_written(text), text[::-1]}:
        yield written.encode("utf-8", "surrogatepass")
    for plain in _charsets(text):
        yield plain
        yield from _hexadecimal(plain)
        yield from _base32(plain)
        for core in _base64(plain):
            yield core
            yield from _base64(core)


def _charsets(text: str) -> set[bytes]:
    found = {text.encode("utf-8", "surrogatepass")}
    found.update(text.encode(name, "surrogatepass") for name in ("utf-16-le", "utf-16-be"))
    try:
        found.add(text.encode("cp1252"))
    except UnicodeEncodeError:
        return found
    return found


def _written(text: str) -> Iterator[str]:
    """As languages and formats write it inside their quotes."""
    ascii_json, json_text = _inside(text, ensure_ascii=True), _inside(text, ensure_ascii=False)
    for inner in (ascii_json, json_text):
        yield from (inner, inner.replace("/", "\\/"), _inside(inner, ensure_ascii=True))
    yield _escaped(ascii_json, "'<>&", "\\u{:04x}")
    yield _escaped(ascii_json, "'<>&", "\\u{:04X}")
    yield from _urls(text)
    yield from (repr(text)[1:-1], repr(text.encode("utf-8", "surrogatepass"))[2:-1])
    yield from (text.replace("'", "''"), text.replace('"', '""'), shlex.quote(text).strip("'"))
    yield from (text.replace("'", "'\\''"), text.replace("\\", "\\\\"), text.replace('"', '\\"'))
    yield _escaped(text, "`$\"'", "`{}", character=True)
    yield _escaped(text, " !\"#$&'()*,;<>?[\\]^`{|}~", "\\{}", character=True)
    for quotes in (False, True):
        safe = html.escape(text, quote=quotes)
        yield from (safe, safe.replace("&#x27;", "&#39;"), safe.replace("&#x27;", "&apos;"))


def _inside(text: str, *, ensure_ascii: bool) -> str:
    return json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]


def _escaped(text: str, special: str, pattern: str, *, character: bool = False) -> str:
    return reduce(
        lambda done, sign: (
            done + (pattern.format(sign if character else ord(sign)) if sign in special else sign)
        ),
        text,
        "",
    )


def _urls(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    for safe in ("", "/", "/:@!$&'()*+,;=", "~()*!.'"):
        once = quote(data, safe=safe)
        yield from (once, _lower_percent(once), quote(once, safe=""))
    yield from (quote_plus(data), _lower_percent(quote_plus(data)))


def _lower_percent(text: str) -> str:
    first, *rest = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _hexadecimal(data: bytes) -> Iterator[bytes]:
    pairs = [b"%02x" % byte for byte in data]
    for separator in (b"", b" ", b":", b"-", b", ", b"\\x", b", 0x"):
        yield from _both_cases(separator.join(pairs))
    for start in (0, 1):  # xxd: two bytes in a group
        groups = [b"".join(pairs[max(0, i) : i + 2]) for i in range(-start, len(pairs), 2)]
        yield from _both_cases(b" ".join(groups))


def _both_cases(text: bytes) -> Iterable[bytes]:
    return (text, text.upper().replace(b"\\X", b"\\x").replace(b"0X", b"0x"))


def _cores(data: bytes, encode: Callable[[bytes], bytes], group: int, bits: int) -> Iterator[bytes]:
    for lead in range(group):
        encoded = encode(bytes(lead) + data)
        yield encoded[-(-8 * lead // bits) : 8 * (lead + len(data)) // bits]


def _base64(data: bytes) -> Iterator[bytes]:
    for core in _cores(data, base64.b64encode, 3, 6):
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _base32(data: bytes) -> Iterator[bytes]:
    for core in _cores(data, base64.b32encode, 5, 5):
        yield from (core, core.lower())
