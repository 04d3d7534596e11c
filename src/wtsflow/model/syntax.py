r"""How an expression is written: Python's own parser, held to our smaller language.

There are no escapes in a text (``'C:\temp'`` is as it looks), no other quotes and numbers than the
plain ones, and a name may be any word (``inputs.from``).
"""

import ast
import keyword
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

MAX_LENGTH = 2000
MAX_DEPTH = 32


class ExpressionError(ValueError):
    """An expression cannot be read or evaluated. ``offset`` counts characters from its start.

    ``kind`` says what sort of mistake it is: ``syntax``, ``habit`` (another language's sign),
    ``insert`` (``$(`` where none belongs), ``unclosed``, ``limit``.
    """

    def __init__(
        self, message: str, offset: int = 0, length: int = 1, kind: str = "syntax"
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length
        self.kind = kind


class AbsentError(ExpressionError):
    """A name has no value here: what ``default`` and ``has`` look for."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its text and a tree of white-listed nodes."""

    text: str
    tree: ast.expr = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


_TOKEN = re.compile(
    r"""(?P<text>'[^']*'|"[^"]*")(?P<after>\s*['"])?
    | (?P<quote>['"])
    | (?P<number>[0-9][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)?)
    | (?P<name>(?:\.\s*)?[A-Za-z_][A-Za-z0-9_]*)(?P<prefix>['"])?
    | (?P<insert>\$\()
    | (?P<habit>===|!==|==|!=|<=|>=|<>|=~|&&|\|\||->|\*\*|//|[!=&|?:;`$#@~^\\{}]
        |-(?:eq|ne|lt|le|gt|ge|and|or|not)\b)
    | (?P<foreign>[^\x00-\x7f])""",
    re.VERBOSE,
)
_FINE = frozenset(("==", "!=", "<=", ">="))
_HABITS: Mapping[str, str] = {
    "&&": "write 'and'",
    "&": "write 'and'",
    "-and": "write 'and'",
    "||": "write 'or'",
    "|": "write 'or'",
    "-or": "write 'or'",
    "!": "write 'not'",
    "-not": "write 'not'",
    "=": "write '=='",
    "===": "write '=='",
    "-eq": "write '=='",
    "!==": "write '!='",
    "<>": "write '!='",
    "-ne": "write '!='",
    "-lt": "write '<'",
    "-le": "write '<='",
    "-gt": "write '>'",
    "-ge": "write '>='",
    "?": "write if(condition, x, y)",
    "=~": "there are no patterns here; use startsWith, endsWith or contains",
}
_WORDS: Mapping[str, str] = {
    "is": "write '==' or '!='",
    "AND": "write 'and'",
    "OR": "write 'or'",
    "NOT": "write 'not'",
    "IN": "write 'in'",
    "True": "write 'true'",
    "False": "write 'false'",
    "None": "write 'null'",
}
_OPERATOR_WORDS = frozenset(("and", "or", "not", "in"))
_PYTHON_WORDS = frozenset(keyword.kwlist) - _OPERATOR_WORDS
_BACKSLASH = "\ue000"
_GREEK = 0x3B1 - ord("a")
OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Read an expression. Raises ExpressionError with the offset of the first thing wrong."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression is longer than {MAX_LENGTH} characters", 0, MAX_LENGTH, kind="limit"
        )
    if not text.strip():
        raise ExpressionError("an expression is missing here", 0, max(len(text), 1))
    source = _held(text)
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _unreadable(text, error) from None
    _Reading(text, source).node(tree, 0)
    return Expression(text, tree)


def column(expression: Expression, node: ast.expr) -> int:
    """The offset of a node in the expression's text, in characters."""
    return _column(expression.text, _held(expression.text), node.col_offset)


def span(expression: Expression, node: ast.expr) -> tuple[int, int]:
    """Offset and length of a node in the expression's text; of ``a.b`` only the ``b``."""
    text, source = expression.text, _held(expression.text)
    end = node.end_col_offset or node.col_offset + 1
    start = node.col_offset
    if isinstance(node, ast.Attribute):
        start = end - len(_held(f".{node.attr}").encode()) + 1
    elif isinstance(node, ast.Subscript):
        start, end = node.slice.col_offset, node.slice.end_col_offset or end
    first = _column(text, source, start)
    return first, max(1, _column(text, source, end) - first)


def _column(text: str, source: str, position: int) -> int:
    """A character of ``text`` from a position in bytes of the source that was parsed."""
    lead = len(text) - len(text.lstrip())
    return lead + len(source.strip().encode()[:position].decode(errors="ignore"))


def _held(text: str) -> str:
    """The text as Python's parser gets it: of the same length, and held to our language.

    A name that is a word of Python's (``inputs.from``, ``if``) gets a Greek first letter, a
    backslash in a text another character, for there are no escapes here.
    """
    held: list[str] = []
    position = 0
    for match in _TOKEN.finditer(text):
        held.append(text[position : match.start()])
        held.append(_token(match))
        position = match.end()
    held.append(text[position:])
    return "".join(held).replace("\n", " ").replace("\t", " ").replace("\r", " ")


def _token(match: re.Match[str]) -> str:
    kind, found, start = match.lastgroup, match.group(), match.start()
    if kind == "text":
        return found.replace("\\", _BACKSLASH)
    if kind == "name":
        return _name_token(found, start)
    if kind == "habit" and found in _FINE:
        return found
    if kind == "number" and found.replace(".", "", 1).isdigit():
        return found
    raise _wrong_token(match)


def _name_token(found: str, start: int) -> str:
    word = found.lstrip(". \t\n\r")
    if not found.startswith(".") and word in _WORDS:
        raise ExpressionError(f"unexpected '{word}': {_WORDS[word]}", start, len(word), "habit")
    if word in _PYTHON_WORDS or (word in _OPERATOR_WORDS and found.startswith(".")):
        first = len(found) - len(word)
        return found[:first] + chr(ord(word[0]) + _GREEK) + word[1:]
    return found


def _wrong_token(match: re.Match[str]) -> ExpressionError:
    kind, found, start = match.lastgroup, match.group(), match.start()
    match kind:
        case "habit":
            cure = _HABITS.get(found)
            said = f"unexpected '{found}'" + (f": {cure}" if cure else "")
            return ExpressionError(said, start, len(found), "habit" if cure else "syntax")
        case "quote":
            return ExpressionError(f"the quote {found} is never closed", start, 1)
        case "number":
            return ExpressionError(f"'{found}' is not a number here", start, len(found))
        case "insert":
            return ExpressionError(
                "the whole line is an expression already: write it without $( )", start, 2, "insert"
            )
        case "foreign":
            return ExpressionError(f"unexpected '{found}': texts go in quotes", start, 1)
    offset = match.end() - 1
    return ExpressionError("two values stand beside each other without an operator", offset, 1)


def _unreadable(text: str, error: Exception) -> ExpressionError:
    lead = len(text) - len(text.lstrip())
    offset = getattr(error, "offset", None) or len(text) + 1
    place = min(lead + max(0, offset - 1), len(text) - 1)
    if isinstance(error, MemoryError | RecursionError) or "too many nested" in str(error):
        return ExpressionError(
            f"the expression is nested deeper than {MAX_DEPTH}", 0, len(text), kind="limit"
        )
    if "was never closed" in str(error):
        return ExpressionError(f"'{text[place]}' is never closed", place)
    if lead + offset > len(text.rstrip()):
        return ExpressionError("the expression ends too early", max(len(text.rstrip()) - 1, 0))
    return ExpressionError("this is not an expression", place)


class _Reading:
    """Holds a tree to the white list, and gives names and texts back as they were written."""

    __slots__ = ("source", "text")

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source

    def refuse(self, node: ast.expr, message: str, kind: str = "syntax") -> ExpressionError:
        start = _column(self.text, self.source, node.col_offset)
        end = _column(self.text, self.source, node.end_col_offset or node.col_offset + 1)
        return ExpressionError(message, start, max(1, end - start), kind)

    def node(self, node: ast.expr, depth: int) -> None:
        children = _CHILDREN.get(type(node))
        if children is None:
            raise self.refuse(node, "this is not part of the expression language")
        if depth > MAX_DEPTH:
            raise self.refuse(node, f"the expression is nested deeper than {MAX_DEPTH}", "limit")
        if check := _CHECKS.get(type(node)):
            check(self, node)
        for child in children(node):
            self.node(child, depth + 1)

    def name(self, node: ast.Name) -> None:
        node.id = _given_back(node.id)

    def attribute(self, node: ast.Attribute) -> None:
        node.attr = _given_back(node.attr)

    def constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            node.value = node.value.replace(_BACKSLASH, "\\")
        elif not isinstance(node.value, int | float):
            raise self.refuse(node, "this is not part of the expression language")

    def compare(self, node: ast.Compare) -> None:
        if any(type(op) not in OPERATORS for op in node.ops):
            raise self.refuse(node, "this operator is not part of the expression language")

    def unary(self, node: ast.UnaryOp) -> None:
        if not isinstance(node.op, ast.Not | ast.USub):
            raise self.refuse(node, "only 'not' and '-' may stand before a value")

    def binary(self, node: ast.BinOp) -> None:
        if type(node.op) not in OPERATORS:
            raise self.refuse(node, "this operator is not part of the expression language")

    def call(self, node: ast.Call) -> None:
        if node.keywords or not isinstance(node.func, ast.Name):
            raise self.refuse(node, "only functions can be called, with plain arguments")
        node.func.id = _given_back(node.func.id)


_CHILDREN: Mapping[type[ast.expr], Callable[[Any], Iterable[ast.expr]]] = {
    ast.Constant: lambda _: (),
    ast.Name: lambda _: (),
    ast.Attribute: lambda node: (node.value,),
    ast.Subscript: lambda node: (node.value, node.slice),
    ast.Call: lambda node: node.args,
    ast.List: lambda node: node.elts,
    ast.BoolOp: lambda node: node.values,
    ast.UnaryOp: lambda node: (node.operand,),
    ast.BinOp: lambda node: (node.left, node.right),
    ast.Compare: lambda node: (node.left, *node.comparators),
}
"""The white list: nothing else is in a tree."""
_CHECKS: Mapping[type[ast.expr], Callable[[_Reading, Any], None]] = {
    ast.Constant: _Reading.constant,
    ast.Name: _Reading.name,
    ast.Attribute: _Reading.attribute,
    ast.Call: _Reading.call,
    ast.UnaryOp: _Reading.unary,
    ast.BinOp: _Reading.binary,
    ast.Compare: _Reading.compare,
}


def _given_back(name: str) -> str:
    return name if name.isascii() else chr(ord(name[0]) - _GREEK) + name[1:]
