"""Text to a document: the limits, the parser, and its errors in our words."""

import re
from typing import Any, Final

from wtsflow.errors import Diagnostic, Location, ManifestError
from wtsflow.source.document import Document
from wtsflow.source.events import Reader, Stop, parser
from wtsflow.source.translate import syntax

MAX_BYTES: Final = 1 << 20

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control characters, and those that make a text look like another one (CVE-2021-42574)."""


_LONG_TAG = re.compile(r"(?<!\S)!\S{1000}")
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*%")


def load(text: str | bytes, name: str) -> Document:
    """Read YAML. Raises ManifestError with every finding (rules ``wts0xx``)."""
    document, findings = scan(text, name)
    if findings:
        raise ManifestError(findings)
    return document


def scan(
    text: str | bytes, name: str, *, pure: bool = False
) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Read YAML as far as it can be read: the document and what is wrong with its text.

    Where a finding concerns one value, :data:`~wtsflow.source.document.BROKEN` stands in for it,
    so that the rest can still be checked; otherwise ``data`` is None as a whole.

    What the C parser refuses is read again by the one in Python: it takes more
    (``{ url: https://… }``), and its errors are then the same wherever wtsflow runs.
    """
    document, finding = _decoded(text, name)
    if finding is not None:
        return document, (finding,)
    reader = Reader(document)
    try:
        reader.read(parser(document.text, pure=pure))
    except Stop:
        pass
    except Exception as error:  # noqa: BLE001 - the parser's own, of several classes
        if not pure:
            return scan(text, name, pure=True)
        reader.findings.append(syntax(document, error))
    if document.spot is None and not reader.findings:
        place = Location(name, 1, 1, 1, 1)
        reader.findings.append(document.at("wts013", "there is nothing in this file", place))
    return document, tuple(sorted(reader.findings, key=lambda each: _place(each.location)))


def _place(location: Location) -> tuple[int, int]:
    return location.line, location.column


def _decoded(text: str | bytes, name: str) -> tuple[Document, Diagnostic | None]:
    size = len(text) if isinstance(text, bytes) else len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        empty = Document(name, "", None)
        place = Location(name, 1, 1, 1, 1)
        return empty, empty.at(
            "wts002", f"the file has {size} bytes; at most {MAX_BYTES} are read", place
        )
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            return _not_utf8(error, name)
    document = Document(name, text.removeprefix("\ufeff"), None)
    return document, _unseen(document) or _directive(document) or _long_tag(document)


def _not_utf8(error: UnicodeDecodeError, name: str) -> tuple[Document, Diagnostic]:
    data = error.object
    document = Document(name, data.decode(errors="replace"), None)
    before = data[: error.start].decode(errors="replace")
    place = _at(name, before)
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    kind = "UTF-16" if wide else f"not UTF-8 (byte 0x{data[error.start]:02x})"
    return document, document.at(
        "wts001", f"the text is {kind}", place, cure="save the file as UTF-8"
    )


def _unseen(document: Document) -> Diagnostic | None:
    match: Any = _UNSEEN.search(document.text)
    if match is None:
        return None
    place = _at(document.name, document.text[: match.start()])
    code = f"U+{ord(match.group()):04X}"
    return document.at(
        "wts015",
        f"there is an invisible character here ({code})",
        place,
        cure='remove it, or write it in double quotes as "\\u…"',
    )


def _directive(document: Document) -> Diagnostic | None:
    match = _DIRECTIVE.match(document.text)
    if match is None:
        return None
    place = _at(document.name, document.text[: match.end() - 1])
    return document.at("wts012", "'%' directives are not used here", place, cure="remove the line")


def _long_tag(document: Document) -> Diagnostic | None:
    """The parser in Python needs time in the square of a tag's length."""
    match = _LONG_TAG.search(document.text)
    if match is None:
        return None
    place = _at(document.name, document.text[: match.start()])
    return document.at("wts011", "this is a YAML tag, which is not used here", place)


def _at(name: str, before: str) -> Location:
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Location(name, line, column, line, column + 1)
