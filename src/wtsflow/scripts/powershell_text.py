"""PowerShell's lexical rules, as far as a ``param()`` block needs them."""

import re
from collections.abc import Iterator
from itertools import takewhile

from wtsflow.model.values import Json

SINGLE = "'\u2018\u2019\u201a\u201b"
DOUBLE = '"\u201c\u201d\u201e'
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_NUMBER = re.compile(
    r"(?i)([+\-\u2013-\u2015]?)(?:(0x[0-9a-f]+)|([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?))([dlu]{0,2})(kb|mb|gb|tb)?"
)
_UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_WORDS: dict[str, Json] = {"$true": True, "$false": False, "$null": None}
_KEYWORD = re.compile(r"^[ \t]*\.([A-Za-z]+)(?:[ \t]+(\S+))?[ \t]*$")
_BREAKS = " \t\n;(){}[],|&="


class Unbalanced(ValueError):
    """A bracket or quote is never closed."""


def skip_space(text: str, at: int) -> int:
    """The next position that is neither space nor comment."""
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text.startswith("<#", at):
            at = _find(text, "#>", at + 2) + 2
        elif text[at] == "#":
            at = _line_end(text, at)
        elif text.startswith("`\n", at):
            at += 2
        else:
            break
    return at


def _find(text: str, what: str, at: int) -> int:
    found = text.find(what, at)
    if found < 0:
        raise Unbalanced(what)
    return found


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def skip(text: str, at: int) -> int:
    """The position after the comment, string or escaped character at ``at``, else ``at``."""
    character = text[at]
    if character == "`":
        return min(at + 2, len(text))
    if text.startswith("<#", at):
        return _find(text, "#>", at + 2) + 2
    if character == "#" and (at == 0 or text[at - 1] in _BREAKS):
        return _line_end(text, at)
    if character == "@" and (here := re.compile(r"@(['\"])[ \t]*\n").match(text, at)):
        return _find(text, f"\n{here[1]}@", here.end() - 1) + 3
    if character in SINGLE:
        return _single(text, at)
    if character in DOUBLE:
        return _double(text, at)
    return at


def _single(text: str, at: int) -> int:
    at += 1
    while at < len(text):
        if text[at] in SINGLE:
            if text[at + 1 : at + 2] and text[at + 1] in SINGLE:
                at += 1
            else:
                return at + 1
        at += 1
    raise Unbalanced("'")


def _double(text: str, at: int) -> int:
    at += 1
    while at < len(text):
        if text[at] == "`":
            at += 1
        elif text.startswith("$(", at):
            at = closing(text, at + 1) - 1
        elif text[at] in DOUBLE:
            if text[at + 1 : at + 2] and text[at + 1] in DOUBLE:
                at += 1
            else:
                return at + 1
        at += 1
    raise Unbalanced('"')


def closing(text: str, at: int) -> int:
    """The position after the bracket that closes the one at ``at``. Raises Unbalanced."""
    stack = [_PAIRS[text[at]]]
    at += 1
    while at < len(text):
        after = skip(text, at)
        if after > at:
            at = after
            continue
        if text[at] in _PAIRS:
            stack.append(_PAIRS[text[at]])
        elif text[at] == stack[-1]:
            stack.pop()
            if not stack:
                return at + 1
        at += 1
    raise Unbalanced(stack[-1])


def pieces(text: str, separator: str) -> Iterator[str]:
    """The parts of ``text`` between separators that no bracket, string or comment holds."""
    start = at = 0
    while at < len(text):
        after = skip(text, at)
        if after > at:
            at = after
        elif text[at] in _PAIRS:
            at = closing(text, at)
        elif text[at] == separator:
            yield text[start:at]
            start = at = at + 1
        else:
            at += 1
    if text[start:].strip():
        yield text[start:]


def literal(text: str) -> tuple[bool, Json]:
    """Whether the text is a literal, and its value: text, number, true, false, null or a list."""
    text = _bare(text)
    if text.lower() in _WORDS:
        return True, _WORDS[text.lower()]
    if text[:1] and text[0] in SINGLE and skip(text, 0) == len(text):
        return True, re.sub(f"[{SINGLE}]{{2}}", "'", text[1:-1])
    if text[:1] and text[0] in DOUBLE and skip(text, 0) == len(text):
        inside = re.sub(f"[{DOUBLE}]{{2}}", '"', text[1:-1])
        return (False, None) if "$" in inside or "`" in inside else (True, inside)
    if number := _NUMBER.fullmatch(text):
        return True, _number(number)
    inner = text[2:-1] if text.startswith("@(") and closing(text, 1) == len(text) else text
    parts = list(pieces(inner, ","))
    if inner is not text and not parts:
        return True, []
    if inner is not text or len(parts) > 1:
        values = [literal(part) for part in parts]
        if all(known and not isinstance(value, list) for known, value in values):
            return True, [value for _, value in values]
    return False, None


def _bare(text: str) -> str:
    """Without the space and comments around it."""
    start = skip_space(text, 0)
    end = at = start
    while at < len(text):
        after = skip(text, at)
        if after > at and (text[at] == "#" or text.startswith("<#", at)):
            at = after
            continue
        at = max(after, at + 1)
        if not text[at - 1].isspace():
            end = at
    return text[start:end]


def _number(found: re.Match[str]) -> Json:
    sign, hexadecimal, decimal, _suffix, unit = found.groups()
    value: float = int(hexadecimal, 16) if hexadecimal else float(decimal)
    value *= _UNITS[(unit or "").lower()] * (-1 if sign not in ("", "+") else 1)
    return int(value) if value == int(value) and "." not in (decimal or "") else value


def lone_comments(text: str) -> str:
    """The comment lines directly before a parameter, which PowerShell shows as its help.

    What follows on the line of the comma belongs to the parameter before it.
    """
    lines = [line.strip() for line in text.split("\n")[1:]]
    said = [line.lstrip("# \t") for line in lines if line.startswith("#")]
    return " ".join(line for line in said if line)


def comment_help(text: str) -> dict[str, str]:
    """Comment-based help by section: ``synopsis``, ``description``, ``parameter days``.

    Source of the rules: PowerShell's about_Comment_Based_Help.
    """
    found: dict[str, str] = {}
    for lines in _comments(text):
        section, body = "", list[str]()
        for line in [*lines, ".END"]:
            keyword = _KEYWORD.match(line)
            if not keyword:
                body.append(line.strip())
                continue
            if section:
                found.setdefault(section, "\n".join(body).strip())
            name = keyword[1].lower()
            section = f"{name} {(keyword[2] or '').lower()}".strip()
            body = []
        if found:
            break
    return found


def _comments(text: str) -> Iterator[list[str]]:
    at = text.find("<#")
    while at >= 0 and (end := text.find("#>", at + 2)) >= 0:
        yield text[at + 2 : end].split("\n")
        at = text.find("<#", end + 2)
    lines = text.lstrip("\ufeff").split("\n")
    leading = takewhile(lambda line: not line.strip() or line.startswith("#"), lines)
    yield [line.lstrip("#") for line in leading if not line.startswith("#!")]
