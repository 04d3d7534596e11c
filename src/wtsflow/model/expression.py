"""Expressions and templates: parsed once, evaluated just before a step.

The text is parsed by Python's own parser and then held to a white list of node types, so there is
no call but to our functions, no attribute access (a dot looks a name up in a mapping), no loop and
no assignment. A value that was inserted is never looked at again for ``$(``.

Rule 1: a name is known or the evaluation fails (``default`` and ``has``: what may be absent).
Rule 2: nothing is converted; a condition is true or false, never "truthy".
Rule 3: a secret passes through by name or into a longer text, which is then secret too.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from wtsflow.model.functions import FUNCTIONS, Function, as_text
from wtsflow.model.syntax import (
    MAX_DEPTH,
    MAX_LENGTH,
    OPERATORS,
    AbsentError,
    Expression,
    ExpressionError,
    column,
    parse,
)
from wtsflow.model.values import Json, Secret, holds_secret

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_VALUE",
    "AbsentError",
    "Expression",
    "ExpressionError",
    "Function",
    "Scope",
    "Template",
    "as_text",
    "column",
    "condition",
    "evaluate",
    "fill",
    "parse",
    "parse_template",
]

MAX_VALUE = 1 << 20
MAX_NUMBER = 1 << 53
"""Beyond it the readers of a record would disagree about a number (RFC 8259 §6)."""

CONSTANTS: Mapping[str, Json] = {"true": True, "false": False, "null": None}

Scope: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """Text with ``$(…)`` in it. ``offsets`` tell where each part starts in ``text``."""

    text: str
    parts: tuple[str | Expression, ...]
    offsets: tuple[int, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def expressions(self) -> tuple[tuple[Expression, int], ...]:
        """Each expression with its offset in ``text``."""
        return tuple(
            (part, offset)
            for part, offset in zip(self.parts, self.offsets, strict=True)
            if isinstance(part, Expression)
        )


def parse_template(text: str) -> str | Template:
    """Read text that may hold ``$(…)``; ``$$(`` stands for a literal ``$(``.

    Returns plain text when there is no expression in it. Raises ExpressionError.
    """
    parts: list[str | Expression] = []
    offsets: list[int] = []
    plain: list[str] = []
    position = plain_start = 0
    while (found := text.find("$(", position)) >= 0:
        if found and text[found - 1] == "$":
            plain.append(text[position : found - 1] + "$(")
            position = found + 2
            continue
        end = _closing(text, found + 2)
        plain.append(text[position:found])
        if joined := "".join(plain):
            parts.append(joined)
            offsets.append(plain_start)
        try:
            parts.append(parse(text[found + 2 : end]))
        except ExpressionError as error:
            offset = found + 2 + error.offset
            raise ExpressionError(error.message, offset, error.length, error.kind) from None
        offsets.append(found + 2)
        position = plain_start = end + 1
        plain = []
    plain.append(text[position:])
    rest = "".join(plain)
    if not parts:
        return rest
    if rest:
        parts.append(rest)
        offsets.append(plain_start)
    return Template(text, tuple(parts), tuple(offsets))


def _closing(text: str, start: int) -> int:
    depth, quote = 1, ""
    for index in range(start, len(text)):
        character = text[index]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return index
    raise ExpressionError("'$(' is never closed: add ')'", start - 2, 2, "unclosed")


# --- evaluating -----------------------------------------------------------------------------


def evaluate(expression: Expression, scope: Scope) -> Json:
    """The value of an expression where ``scope`` holds the names.

    Raises AbsentError for a name without a value, ExpressionError for everything else.
    """
    return cast("Json", _Evaluation(expression, scope).value(expression.tree))


def condition(expression: Expression, scope: Scope) -> bool:
    """The value of a condition. Raises ExpressionError when it is not true or false."""
    value = evaluate(expression, scope)
    if not isinstance(value, bool):
        raise ExpressionError(f"'{expression}' is not true or false")
    return value


def fill(value: Any, scope: Scope) -> Json:
    """``value`` with every template in it filled in.

    A text that is one single ``$(…)`` keeps the value's type; otherwise values become text. A
    secret in a longer text makes all of it a secret.
    """
    match value:
        case Template():
            return _fill_template(value, scope)
        case dict():
            return {key: fill(item, scope) for key, item in value.items()}
        case tuple() | list():
            return [fill(item, scope) for item in value]
        case _:
            return cast("Json", value)


def _fill_template(template: Template, scope: Scope) -> Json:
    if len(template.parts) == 1 and isinstance(template.parts[0], Expression):
        return evaluate(template.parts[0], scope)
    texts: list[str] = []
    secret = False
    for part in template.parts:
        value = evaluate(part, scope) if isinstance(part, Expression) else part
        secret = secret or isinstance(value, Secret)
        try:
            texts.append(as_text(value))
        except TypeError:
            raise ExpressionError(f"'{part}' holds what cannot be written into a text") from None
    text = "".join(texts)
    if len(text) > MAX_VALUE:
        raise ExpressionError("the text grew over 1 MiB")
    return Secret(text) if secret else text


class _Evaluation:
    def __init__(self, expression: Expression, scope: Scope) -> None:
        self.expression = expression
        self.scope = scope

    def fail(self, node: ast.expr, message: str) -> ExpressionError:
        return ExpressionError(message, column(self.expression, node))

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.name(node)
            case ast.Attribute():
                return self.entry(node, self.value(node.value), node.attr)
            case ast.Subscript():
                return self.entry(node, self.value(node.value), self.value(node.slice))
            case ast.List():
                return [self.value(item) for item in node.elts]
            case ast.Call():
                return self.call(node)
            case ast.BoolOp():
                return self.logic(node)
            case ast.UnaryOp(op=ast.Not()):
                return not self.truth(node.operand)
            case ast.UnaryOp():
                return -self.number(node.operand)
            case ast.BinOp():
                return self.arithmetic(node)
            case ast.Compare():
                return self.comparison(node)
        raise self.fail(node, "this is not part of the expression language")

    def name(self, node: ast.Name) -> Any:
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        if node.id in self.scope:
            return self.scope[node.id]
        raise AbsentError(f"'{node.id}' has no value here", column(self.expression, node))

    def entry(self, node: ast.expr, whole: Any, key: Any) -> Any:
        if isinstance(key, Secret):
            raise self.fail(node, "a secret is not looked up")
        try:
            if isinstance(whole, Mapping) and isinstance(key, str):
                return whole[key]
            if isinstance(whole, Sequence) and not isinstance(whole, str):
                if isinstance(key, float) and key.is_integer():
                    key = int(key)
                if isinstance(key, int) and not isinstance(key, bool):
                    return whole[key]
        except (KeyError, IndexError):
            pass
        raise AbsentError(f"there is no '{as_text(key)}' here", column(self.expression, node))

    def truth(self, node: ast.expr) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            raise self.fail(node, "this is not true or false")
        return value

    def number(self, node: ast.expr) -> Any:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(node, "this is not a number")
        return value

    def logic(self, node: ast.BoolOp) -> bool:
        wanted = isinstance(node.op, ast.Or)
        for item in node.values:
            if self.truth(item) is wanted:
                return wanted
        return not wanted

    def arithmetic(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        texts = isinstance(left, str) and isinstance(right, str)
        lists = isinstance(left, list) and isinstance(right, list)
        if not (isinstance(node.op, ast.Add) and (texts or lists)):
            left, right = self.number(node.left), self.number(node.right)
        try:
            result = OPERATORS[type(node.op)](left, right)
        except ZeroDivisionError:
            raise self.fail(node, "division by zero") from None
        if isinstance(result, str | list):
            if len(result) > MAX_VALUE:
                raise self.fail(node, "the value grew over 1 MiB")
        elif not abs(result) < MAX_NUMBER:
            raise self.fail(node, "the number is too big: 2^53 and more")
        return result

    def comparison(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, item in zip(node.ops, node.comparators, strict=True):
            right = self.value(item)
            if isinstance(left, Secret) or isinstance(right, Secret):
                raise self.fail(node, "a secret is not compared")
            if not self.compare(node, op, left, right):
                return False
            left = right
        return True

    def compare(self, node: ast.expr, op: ast.cmpop, left: Any, right: Any) -> bool:
        if isinstance(op, ast.Eq | ast.NotEq):
            same = isinstance(left, bool) == isinstance(right, bool) and left == right
            return same is isinstance(op, ast.Eq)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, list | tuple | dict) and not (
                isinstance(left, str) and isinstance(right, str)
            ):
                raise self.fail(node, "'in' looks in a list or, for text, in a text")
            return bool(OPERATORS[type(op)](left, right))
        kinds = {type(left), type(right)}
        if kinds <= {int, float} or kinds == {str}:
            return bool(OPERATORS[type(op)](left, right))
        raise self.fail(node, "only two numbers or two texts have an order")

    def call(self, node: ast.Call) -> Any:
        name = cast("ast.Name", node.func).id
        if name not in FUNCTIONS:
            raise self.fail(node, f"there is no function '{name}'")
        function = FUNCTIONS[name]
        if not function.least <= len(node.args) <= function.most:
            raise self.fail(node, f"'{name}' takes {function.arity}")
        if function.lazy:
            return self.lazy(name, node.args)
        values = [self.value(item) for item in node.args]
        if any(holds_secret(value) for value in values):
            raise self.fail(node, f"'{name}' does not take a secret")
        try:
            return function.body(*values)
        except (TypeError, ValueError, AttributeError, KeyError):
            raise self.fail(node, f"'{name}' does not fit these values") from None

    def lazy(self, name: str, arguments: list[ast.expr]) -> Any:
        if name == "if":
            return self.value(arguments[1] if self.truth(arguments[0]) else arguments[2])
        try:
            value = self.value(arguments[0])
        except AbsentError:
            value = None
        if name == "has":
            return value is not None
        return self.value(arguments[1]) if value is None else value
