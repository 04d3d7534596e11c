"""Static names, types and secrets of expressions: a typo is an error before anything runs.

Rule 1: every name is known, or the nearest known one is offered.
Rule 2: one mistake, one finding: what is wrong has the kind ``any``, which fits everywhere.
Rule 3: a secret may be passed on by name or in a longer text, and nothing else.
Rule 4: what may be missing is asked for with ``default`` or after ``has``.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from wtsflow.manifest.compare import equality, membership, order
from wtsflow.manifest.cures import condition_cure, listing, size_cure
from wtsflow.manifest.functions import LAZY, SIGNATURES
from wtsflow.manifest.kinds import (
    ANY,
    BOOLEAN,
    NUMBER,
    SECRET,
    STRING,
    WRONG,
    Kind,
    either,
    of_literal,
)
from wtsflow.manifest.proofs import chain_text, proofs
from wtsflow.model.expression import CONSTANTS, FUNCTIONS, Expression, Template
from wtsflow.model.syntax import span
from wtsflow.source.phrases import near, short


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in an expression. ``offset`` and ``length`` are characters of its text."""

    rule: str
    message: str
    offset: int
    length: int
    cure: str = ""


class Refused(Exception):
    """A name that is not to be used here. ``fields`` raises it when it is looked up."""

    def __init__(self, rule: str, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.cure = cure


class Names(Protocol):
    """The names at one place."""

    def root(self, name: str) -> Kind:
        """The kind of a name without a dot before it. Raises Refused."""
        ...


def check_expression(
    expression: Expression, names: Names, proven: Iterable[str] = ()
) -> tuple[Kind, list[Finding]]:
    """The kind of an expression's value, and everything wrong with it.

    ``proven`` is what is known to hold there (see :mod:`wtsflow.manifest.proofs`).
    """
    inference = _Inference(expression, names, set(proven))
    kind = inference.kind(expression.tree)
    return kind, inference.findings


def check_template(
    template: Template, names: Names, proven: Iterable[str] = ()
) -> tuple[Kind, list[Finding]]:
    """The same for text with ``$(…)`` in it: one single insertion keeps its type."""
    findings: list[Finding] = []
    kinds: list[Kind] = []
    for expression, offset in template.expressions:
        kind, found = check_expression(expression, names, proven)
        kinds.append(kind)
        findings.extend(
            Finding(each.rule, each.message, each.offset + offset, each.length, each.cure)
            for each in found
        )
    if len(template.parts) == 1 and kinds:
        return kinds[0], findings
    for (expression, offset), kind in zip(template.expressions, kinds, strict=True):
        if kind.secret() and kind.name != "secret":
            message = f"a {kind} with a secret in it is not written into a text"
            findings.append(Finding("wts310", message, offset, len(expression.text)))
    return SECRET if any(kind.secret() for kind in kinds) else STRING, findings


@dataclass
class _Inference:
    expression: Expression
    names: Names
    proven: set[str]
    findings: list[Finding] = field(default_factory=list)
    lenient: bool = False
    """Inside ``default`` or ``has``: what may be missing is being asked for."""

    def wrong(self, node: ast.expr, rule: str, message: str, cure: str = "") -> Kind:
        offset, length = span(self.expression, node)
        self.findings.append(Finding(rule, message, offset, length, cure))
        return WRONG

    def kind(self, node: ast.expr) -> Kind:
        return _KINDS[type(node)](self, node)

    # --- names ------------------------------------------------------------------------------

    def chain(self, node: ast.expr) -> Kind:
        """A name with all that is looked up in it."""
        kind = self.lookup(node)
        if kind.absent is None or self.lenient:
            return kind
        text, absent = chain_text(node), kind.absent
        known = any(text == each or text.startswith(f"{each}.") for each in self.proven)
        guarded = bool(absent.guards) and absent.guards <= self.proven
        if not known and not guarded:
            self.wrong(node, "wts205", absent.reason, f"write default({text}, …) or has({text})")
        return kind.but(absent=None)

    def lookup(self, node: ast.expr) -> Kind:
        try:
            match node:
                case ast.Name(id=name) if name in CONSTANTS:
                    return of_literal(CONSTANTS[name])
                case ast.Name():
                    return self.names.root(node.id)
                case ast.Attribute():
                    return self.entry(node, self.lookup(node.value), node.attr)
                case ast.Subscript(slice=ast.Constant(value=value)):
                    return self.entry(node, self.lookup(node.value), value)
                case ast.Subscript():
                    return self.computed(node)
        except Refused as refused:
            return self.wrong(node, refused.rule, refused.message, refused.cure)
        return self.kind(node)

    def entry(self, node: ast.expr, whole: Kind, key: Any) -> Kind:
        """What is under a key that is written out."""
        if whole.open:
            return whole
        found = self._entry(node, whole, key)
        if whole.absent and not found.absent and found is not WRONG:
            return found.but(absent=whole.absent)
        return found

    def _entry(self, node: ast.expr, whole: Kind, key: Any) -> Kind:
        if whole.name == "map" and isinstance(key, str):
            if whole.fields is None:
                return whole.item or ANY
            if key in whole.fields:
                return whole.fields[key]
            return self.unknown(node, whole, key)
        if whole.name == "list" and isinstance(key, int) and not isinstance(key, bool):
            return whole.item or ANY
        inside = chain_text(node.value) if isinstance(node, ast.Attribute | ast.Subscript) else ""
        if whole.name == "list":
            cure = "take one by its number, like [0]" + size_cure(inside, key)
            return self.wrong(node, "wts202", f"{inside} is a list and has no {short(key)}", cure)
        return self.wrong(
            node,
            "wts202",
            f"{inside} is {whole.described} and has no {short(key)}",
            size_cure(inside, key),
        )

    def unknown(self, node: ast.expr, whole: Kind, key: str) -> Kind:
        inside = chain_text(node.value) if isinstance(node, ast.Attribute | ast.Subscript) else ""
        known = list(whole.fields or ())
        hint = near(key, known)
        cure = "" if hint else listing(inside, known)
        rule = "wts203" if inside == "steps" else "wts202"
        return self.wrong(node, rule, f"{inside} has no {short(key)}{hint}", cure)

    def computed(self, node: ast.Subscript) -> Kind:
        whole, key = self.lookup(node.value), self.kind(node.slice)
        if key.open or whole.open:
            return ANY.but(absent=whole.absent)
        wanted = {"list": "number", "map": "string"}.get(whole.name)
        if wanted is None:
            return self.wrong(node, "wts307", f"nothing can be looked up in {whole.described}")
        if key.name != wanted:
            return self.wrong(
                node.slice,
                "wts307",
                f"a {whole.name} is looked up by a {wanted}, not by {key.described}",
            )
        if isinstance(whole.fields, Mapping) and not isinstance(whole.fields, dict):
            return self.wrong(node, "wts203", "a step is named, not computed")
        if whole.fields is None:
            return (whole.item or ANY).but(absent=whole.absent)
        return (SECRET if whole.secret() else ANY).but(absent=whole.absent)

    # --- what is written out ----------------------------------------------------------------

    def constant(self, node: ast.Constant) -> Kind:
        return of_literal(node.value)  # type: ignore[arg-type]

    def list(self, node: ast.List) -> Kind:
        kinds = [self.kind(item) for item in node.elts]
        item = kinds[0] if kinds else ANY
        for kind in kinds[1:]:
            item = either(item, kind)
        return Kind("list", item=item)

    # --- operators --------------------------------------------------------------------------

    def truth(self, node: ast.expr, kind: Kind, what: str) -> None:
        """``node`` must be true or false."""
        if kind.secret():
            self.secret(node)
        elif not kind.open and kind.name != "boolean":
            self.wrong(
                node,
                "wts305",
                f"{what} must be true or false; this is {kind.described}",
                condition_cure(node, kind),
            )
        else:
            self.not_empty(node, kind)

    def not_empty(self, node: ast.expr, kind: Kind) -> None:
        text = chain_text(node)
        if kind.empty and not self.lenient and text not in self.proven:
            shown = text or "this"
            self.wrong(
                node,
                "wts315",
                f"{shown} may be empty",
                f"write default({shown}, …)" if text else "",
            )

    def secret(self, node: ast.expr) -> Kind:
        return self.wrong(
            node,
            "wts310",
            "a secret is only passed on: it is not compared, computed with or looked into",
        )

    def logic(self, node: ast.BoolOp) -> Kind:
        word = "and" if isinstance(node.op, ast.And) else "or"
        before = set(self.proven)
        for item in node.values:
            self.truth(item, self.kind(item), f"each side of '{word}'")
            if word == "and":
                self.proven |= proofs(item)
        self.proven = before
        return BOOLEAN

    def unary(self, node: ast.UnaryOp) -> Kind:
        kind = self.kind(node.operand)
        if isinstance(node.op, ast.Not):
            self.truth(node.operand, kind, "what follows 'not'")
            return BOOLEAN
        self.number(node.operand, kind)
        return NUMBER

    def number(self, node: ast.expr, kind: Kind) -> None:
        if kind.secret():
            self.secret(node)
        elif not kind.open and kind.name != "number":
            self.wrong(node, "wts307", f"a number is needed here; this is {kind.described}")
        else:
            self.not_empty(node, kind)

    def binary(self, node: ast.BinOp) -> Kind:
        left, right = self.kind(node.left), self.kind(node.right)
        joins = ("string", "list")
        if isinstance(node.op, ast.Add) and (left.name in joins or right.name in joins):
            return self.join(node, left, right)
        self.number(node.left, left)
        self.number(node.right, right)
        return NUMBER if not (left.open and right.open and isinstance(node.op, ast.Add)) else ANY

    def join(self, node: ast.BinOp, left: Kind, right: Kind) -> Kind:
        if left.secret() or right.secret():
            return self.secret(node.left if left.secret() else node.right)
        if left.name != right.name and not left.open and not right.open:
            cure = "" if "list" in (left.name, right.name) else "write string(…) around the other"
            return self.wrong(
                node.right, "wts307", f"{left} and {right} cannot be joined by '+'", cure
            )
        self.not_empty(node.left, left)
        self.not_empty(node.right, right)
        return Kind(left.name if not left.open else right.name)

    def compare(self, node: ast.Compare) -> Kind:
        left, left_node = self.kind(node.left), node.left
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.kind(right_node)
            if left.secret() or right.secret():
                self.secret(left_node if left.secret() else right_node)
            elif isinstance(op, ast.Eq | ast.NotEq):
                equality(self, op, (left_node, left), (right_node, right))
            elif isinstance(op, ast.In | ast.NotIn):
                membership(self, (left_node, left), (right_node, right))
            else:
                order(self, (left_node, left), (right_node, right))
            left, left_node = right, right_node
        return BOOLEAN

    # --- functions --------------------------------------------------------------------------

    def call(self, node: ast.Call) -> Kind:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = FUNCTIONS.get(name)
        if function is None:
            hint = near(name, FUNCTIONS)
            cure = "" if hint else f"there are: {', '.join(FUNCTIONS)}"
            return self.wrong(
                node.func, "wts308", f"there is no function {short(name)}{hint}", cure
            )
        if not function.least <= len(node.args) <= function.most:
            return self.wrong(
                node,
                "wts309",
                f"'{name}' takes {function.arity}, not {len(node.args)}",
                f"write {function.signature}",
            )
        if name in LAZY:
            return _LAZY[name](self, node)
        return self.plain_call(name, node)

    def plain_call(self, name: str, node: ast.Call) -> Kind:
        signature = SIGNATURES[name]
        for wanted, item in zip(signature.takes, node.args, strict=False):
            kind = self.kind(item)
            if kind.secret():
                self.secret(item)
            elif wanted and not kind.open and kind.name not in wanted:
                words = " or ".join(str(Kind(each)) for each in wanted)
                self.wrong(item, "wts309", f"'{name}' takes {words} here, not {kind}")
            elif wanted:
                self.not_empty(item, kind)
        return signature.gives

    def leniently(self, node: ast.expr) -> Kind:
        before, self.lenient = self.lenient, True
        kind = self.kind(node)
        self.lenient = before
        return kind

    def default(self, node: ast.Call) -> Kind:
        kind, other = self.leniently(node.args[0]), self.kind(node.args[1])
        kind = kind.but(absent=None)
        fits = kind.open or other.open or {kind.name, other.name} in _MIXES
        if not fits and "null" not in (kind.name, other.name) and kind.name != other.name:
            message = f"the default is {other.described}, but the value itself is {kind.described}"
            return self.wrong(node.args[1], "wts309", message)
        found = either(kind.but(empty=False), other)
        return found.but(empty=other.empty)

    def has(self, node: ast.Call) -> Kind:
        self.leniently(node.args[0])
        return BOOLEAN

    def choice(self, node: ast.Call) -> Kind:
        test, one, other = node.args
        self.truth(test, self.kind(test), "the first argument of 'if'")
        before = set(self.proven)
        self.proven |= proofs(test)
        kind = self.kind(one)
        self.proven = before
        return either(kind, self.kind(other))


_MIXES = ({"string", "secret"},)
_KINDS: Mapping[type[ast.expr], Callable[[_Inference, Any], Kind]] = {
    ast.Name: _Inference.chain,
    ast.Attribute: _Inference.chain,
    ast.Subscript: _Inference.chain,
    ast.Constant: _Inference.constant,
    ast.List: _Inference.list,
    ast.BoolOp: _Inference.logic,
    ast.UnaryOp: _Inference.unary,
    ast.BinOp: _Inference.binary,
    ast.Compare: _Inference.compare,
    ast.Call: _Inference.call,
}
_LAZY: Mapping[str, Callable[[_Inference, ast.Call], Kind]] = {
    "default": _Inference.default,
    "has": _Inference.has,
    "if": _Inference.choice,
}
