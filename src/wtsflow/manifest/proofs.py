"""What a condition that holds says about names: ``has(x) and x > 3`` may use ``x``.

A proof is a text: a name that has a value (``inputs.note``), a step that succeeded
(``steps.find``), or a condition as it was written (``?…``).
"""

import ast
from collections.abc import Iterator

from wtsflow.model.expression import Expression


def chain_text(node: ast.expr) -> str:
    """``a.b['c'][0]`` as ``a.b.c.0``; empty where it is not a name."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            inside = chain_text(node.value)
            return f"{inside}.{node.attr}" if inside else ""
        case ast.Subscript(slice=ast.Constant(value=value)):
            inside = chain_text(node.value)
            return f"{inside}.{value!s}" if inside else ""
    return ""


def conjuncts(node: ast.expr) -> Iterator[ast.expr]:
    """The conditions that must all hold: the sides of ``and``."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for item in node.values:
            yield from conjuncts(item)
    else:
        yield node


def guards(expression: Expression) -> frozenset[str]:
    """What must be proven for a step with this ``when`` to have run."""
    return frozenset(_written(node) for node in conjuncts(expression.tree))


def proofs(node: ast.expr) -> set[str]:
    """Everything that is known where this condition holds."""
    found: set[str] = set()
    for item in conjuncts(node):
        found.add(_written(item))
        found |= _of(item)
    return found


def _written(node: ast.expr) -> str:
    return "?" + _key(node)


def _key(node: ast.expr) -> str:
    """The same text for the same expression, however it is spaced."""
    if text := chain_text(node):
        return text
    if isinstance(node, ast.Constant):
        return repr(node.value)
    signs = [
        type(sign).__name__
        for sign in (getattr(node, "op", None), *getattr(node, "ops", ()))
        if sign is not None
    ]
    name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    inside = [_key(each) for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    return f"{type(node).__name__}{name}({' '.join([*signs, *inside])})"


def _of(node: ast.expr) -> set[str]:
    match node:
        case ast.Call(func=ast.Name(id="has"), args=[asked]):
            return {chain_text(asked)} - {""}
        case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[ast.Name(id="null")]):
            return {chain_text(left)} - {""}
        case ast.Compare(
            left=ast.Attribute(value=step, attr="outcome"),
            ops=[ast.Eq()],
            comparators=[ast.Constant(value="success")],
        ):
            return {chain_text(step)} - {""}
    return set()
