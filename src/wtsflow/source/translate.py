"""The YAML parser's own texts, in words that say what to do."""

from typing import Any

from wtsflow.errors import Diagnostic, Location
from wtsflow.source.document import Document

_BRACKETS = {"[": "]", "{": "}"}


def syntax(document: Document, error: Any) -> Diagnostic:
    """The finding that an error of the parser stands for."""
    mark = getattr(error, "problem_mark", None)
    context = getattr(error, "context_mark", None)
    text = f"{getattr(error, 'context', None) or ''}; {getattr(error, 'problem', None) or error}"
    if mark is None:
        return _finding(document, "wts006", "this cannot be read as YAML", None)
    here = _character(document, mark)
    if here == "\t":
        return _finding(
            document, "wts004", "a tab is used for indentation", mark, cure="use two spaces"
        )
    for words, translate in _TABLE:
        if words in text:
            return translate(document, mark, context)
    return _finding(
        document,
        "wts006",
        "this cannot be read as YAML",
        mark,
        cure="look at this line and the one above it; put quotes around the value",
    )


def _finding(
    document: Document, rule: str, message: str, mark: Any, *, cure: str = ""
) -> Diagnostic:
    if mark is None:
        return document.at(rule, message, Location(document.name, 1, 1, 1, 1), cure=cure)
    line = min(mark.line, len(document.lines) - 1)
    column = mark.column if line == mark.line else len(document.lines[line])
    place = Location(document.name, line + 1, column + 1, line + 1, column + 2)
    return document.at(rule, message, place, cure=cure)


def _character(document: Document, mark: Any) -> str:
    if mark is None or mark.line >= len(document.lines):
        return ""
    return str(document.lines[mark.line][mark.column : mark.column + 1])


def _colon(document: Document, mark: Any, context: Any) -> Diagnostic:
    before = document.lines[mark.line][: mark.column]
    if ": " in before or (before.lstrip().startswith("- ") and ":" in before):
        return _finding(
            document,
            "wts005",
            "a second ': ' is on the same line",
            mark,
            cure="put the value in quotes",
        )
    return _indentation(document, mark, context)


def _no_colon(document: Document, mark: Any, context: Any) -> Diagnostic:
    return _finding(
        document,
        "wts021",
        "a ':' with a space after it is missing here",
        context or mark,
        cure="write 'key: value'",
    )


def _unclosed(document: Document, mark: Any, context: Any) -> Diagnostic:
    sign = _character(document, context)
    if sign in _BRACKETS:
        message = f"'{sign}' is not closed by '{_BRACKETS[sign]}', or a ',' is missing in it"
        return _finding(document, "wts007", message, context)
    return _finding(document, "wts007", f"the quote {sign} is never closed", context or mark)


def _start(document: Document, mark: Any, _: Any) -> Diagnostic:
    sign = _character(document, mark)
    return _finding(
        document, "wts014", f"a value cannot begin with '{sign}'", mark, cure="put it in quotes"
    )


def _escape(document: Document, mark: Any, _: Any) -> Diagnostic:
    line = document.lines[mark.line]
    start = line.rfind("\\", 0, mark.column + 1)
    place = Location(document.name, mark.line + 1, start + 1, mark.line + 1, start + 3)
    return document.at(
        "wts016",
        "this '\\' sequence is not known in double quotes",
        place,
        cure="use single quotes, or write '\\\\'",
    )


def _key(document: Document, mark: Any, context: Any) -> Diagnostic:
    before = document.lines[mark.line][: mark.column].rstrip() if _character(document, mark) else ""
    if before.endswith(("'", '"')):
        return _finding(
            document,
            "wts016",
            "text follows after the closing quote",
            mark,
            cure="put quotes around the whole value",
        )
    return _indentation(document, mark, context)


def _alias(document: Document, mark: Any, context: Any) -> Diagnostic:
    return _finding(
        document,
        "wts010",
        "'*' at the start repeats another part of the file, which is not used here",
        context or mark,
        cure="write the part out, or put the text in quotes",
    )


def _anchor(document: Document, mark: Any, context: Any) -> Diagnostic:
    return _finding(
        document,
        "wts010",
        "'&' at the start names a part of the file, which is not used here",
        context or mark,
        cure="remove the name, or put the text in quotes",
    )


def _tag(document: Document, mark: Any, context: Any) -> Diagnostic:
    return _finding(
        document,
        "wts011",
        "'!' at the start of a value is a YAML tag, which is not used here",
        context or mark,
        cure="write 'not' for a condition, or put the text in quotes",
    )


def _indentation(document: Document, mark: Any, _: Any) -> Diagnostic:
    line = min(mark.line, len(document.lines) - 1)
    text = document.lines[line]
    indent = len(text) - len(text.lstrip())
    place = Location(document.name, line + 1, indent + 1, line + 1, max(len(text), indent + 1) + 1)
    return document.at(
        "wts019",
        "this line does not fit the lines above it",
        place,
        cure="give the keys of one thing the same indentation, two spaces for each level",
    )


_TABLE = (
    ("unknown escape character", _escape),
    ("did not find expected hexdecimal number", _escape),
    ("expected escape sequence", _escape),
    ("invalid Unicode character escape", _escape),
    ("scanning a quoted scalar", _unclosed),
    ("mapping values are not allowed", _colon),
    ("could not find expected ':'", _no_colon),
    ("cannot start any token", _start),
    ("while scanning an alias", _alias),
    ("while scanning an anchor", _anchor),
    ("a tag", _tag),
    ("flow sequence", _unclosed),
    ("flow mapping", _unclosed),
    ("block mapping", _key),
    ("block collection", _indentation),
    ("sequence entries", _indentation),
    ("<document start>", _indentation),
)
