"""Errors, rendered once: the message, the place, the line with its marks, the cure, the page.

::

    disk.yaml:12:5: error: unknown key 'timout' in a 'script' step [wts102]
        12 |     timout: 2m
           |     ^^^^^^
       cure: did you mean 'timeout'?
"""

from collections.abc import Iterable, Sequence
from typing import Any

from wtsflow.errors import Diagnostic, Exit, Location, ManifestError, Severity, WtsflowError
from wtsflow.model.terminal import Style, visible, width

PLAIN = Style()
TAB = 4


def render_error(error: WtsflowError, style: Style = PLAIN, columns: int = 80) -> str:
    """Return an error as text of one or more lines, safe for a terminal, with no newline last."""
    if isinstance(error, ManifestError):
        return render_diagnostics(error.diagnostics, style, columns)
    place = f"{style(visible(str(error.location)), 'bold')}: " if error.location else ""
    lines = [f"{place}{style('error', 'bold', 'red')}: {visible(error.message, keep=chr(10))}"]
    if error.cure:
        lines.append(f"  {style('cure', 'cyan')}: {visible(error.cure, keep=chr(10))}")
    return "\n".join(lines)


def render_diagnostics(
    diagnostics: Sequence[Diagnostic], style: Style = PLAIN, columns: int = 80
) -> str:
    """Return findings as text, one after the other, and how to read more about their rules."""
    if not diagnostics:
        return ""
    found = [render_diagnostic(one, style, columns) for one in diagnostics]
    return "\n".join([*found, more(one.rule for one in diagnostics)])


def more(rules: Iterable[str]) -> str:
    """Return the line that says where rules are explained: a command that can be typed."""
    return "more: wtsflow explain " + " ".join(dict.fromkeys(rules))


def render_diagnostic(found: Diagnostic, style: Style = PLAIN, columns: int = 80) -> str:
    """Return one finding as text: ``file:line:col``, the message, the marked line, the cure."""
    color = "red" if found.severity is Severity.ERROR else "yellow"
    place = style(visible(str(found.location)), "bold")
    grade = style(found.severity.value, "bold", color)
    message = visible(found.message, keep="\n")
    lines = [f"{place}: {grade}: {message} {style(f'[{found.rule}]', 'dim')}"]
    if found.excerpt.strip():
        lines += _code(found.excerpt, found.location, style, color, columns)
    if found.cure:
        lines.append(f"   {style('cure', 'cyan')}: {visible(found.cure, keep=chr(10))}")
    return "\n".join(lines)


def _code(text: str, at: Location, style: Style, color: str, columns: int) -> list[str]:
    """The line of the text and the marks under its span."""
    cells = [_shown(character) for character in text.rstrip("\r\n")]
    first = min(at.column - 1, len(cells))
    last = at.end_column - 1 if at.end_line == at.line else len(cells)
    last = max(first + 1, min(last, len(cells)))
    number = f"{at.line:>6}"
    room = max(columns - len(number) - 3, 20)
    before, marked, after, mark = _window(cells, first, last, room)
    pad = " " * len(number)
    return [
        f"{style(f'{number} |', 'blue')} {before}{style(marked, color)}{after}".rstrip(),
        f"{style(f'{pad} |', 'blue')} {' ' * width(before)}{style(mark, 'bold', color)}",
    ]


def _shown(character: str) -> str:
    return " " * TAB if character == "\t" else visible(character)


def _window(cells: list[str], first: int, last: int, room: int) -> tuple[str, str, str, str]:
    """The part of a long line around its span: before, the span, after, and the marks."""
    start = 0
    while start < first and width("".join(cells[start:last])) > room - 2:
        start += 1
    marked = _fitting(cells[first:last], room - 2)
    before = ("…" if start else "") + "".join(cells[start:first])
    used = width(before) + width(marked)
    rest = cells[last:]
    after = "".join(rest)
    if used + width(after) > room:
        after = _fitting(rest, room - used - 1) + "…"
    return before, marked, after, "^" * max(1, width(marked))


def _fitting(cells: list[str], room: int) -> str:
    kept = ""
    for cell in cells:
        if width(kept) + width(cell) > room:
            break
        kept += cell
    return kept


def error_document(error: WtsflowError) -> dict[str, Any]:
    """Return the ``wtsflow.error/1`` document of an error."""
    said: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message,
        "cure": error.cure,
        "location": location_document(error.location),
    }
    if isinstance(error, ManifestError):
        said["diagnostics"] = [diagnostic_document(one) for one in error.diagnostics]
    return {"schema": "wtsflow.error/1", "error": said, "exit": exit_document(error.exit)}


def exit_document(code: Exit) -> dict[str, Any]:
    """Return an exit code as every JSON document says it."""
    return {"code": int(code), "name": code.label}


def diagnostic_document(found: Diagnostic) -> dict[str, Any]:
    """Return a finding as every JSON document says it."""
    return {
        "rule": found.rule,
        "severity": found.severity.value,
        "message": found.message,
        "cure": found.cure,
        "location": location_document(found.location),
    }


def location_document(at: Location | None) -> dict[str, Any] | None:
    """Return a place as every JSON document says it; the end is exclusive, 0 where unknown."""
    if at is None:
        return None
    return {
        "source": at.source,
        "line": at.line,
        "column": at.column,
        "end_line": at.end_line,
        "end_column": at.end_column,
    }
