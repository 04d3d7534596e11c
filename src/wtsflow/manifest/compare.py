"""What can be said of a comparison before it is made."""

import ast
from typing import Protocol

from wtsflow.manifest.cures import quotes_cure
from wtsflow.manifest.kinds import Kind
from wtsflow.manifest.proofs import chain_text
from wtsflow.source.phrases import near, short

Side = tuple[ast.expr, Kind]


class Inference(Protocol):
    """The checker of the expression that the comparison is in."""

    def wrong(self, node: ast.expr, rule: str, message: str, cure: str = "") -> Kind:
        """Add a finding about a node."""
        ...

    def not_empty(self, node: ast.expr, kind: Kind) -> None:
        """Add a finding when a value may be empty."""
        ...


def equality(inference: Inference, op: ast.cmpop, left: Side, right: Side) -> None:
    always = "false" if isinstance(op, ast.Eq) else "true"
    (left_node, one), (right_node, other) = left, right
    if isinstance(left_node, ast.Constant) and isinstance(right_node, ast.Constant):
        inference.wrong(right_node, "wts306", "comparing two fixed values is always the same")
    elif "null" in (one.name, other.name):
        _nothing(inference, always, left, right)
    elif one.open or other.open:
        return
    elif one.name != other.name:
        inference.wrong(
            right_node,
            "wts306",
            f"comparing {one} with {other} is always {always}",
            quotes_cure(one, right_node),
        )
    else:
        _possible(inference, always, left, right)


def _nothing(inference: Inference, always: str, left: Side, right: Side) -> None:
    node, kind = left if right[1].name == "null" else right
    if not (kind.open or kind.empty or kind.absent):
        shown = chain_text(node) or "this"
        inference.wrong(node, "wts306", f"{shown} is never empty, so this is always {always}")


def _possible(inference: Inference, always: str, left: Side, right: Side) -> None:
    """A value that the other side never has."""
    for (_, kind), (node, literal) in ((left, right), (right, left)):
        if not kind.values or not isinstance(node, ast.Constant) or kind is literal:
            continue
        if node.value not in kind.values:
            words = [str(value) for value in kind.values if value != ""]
            hint = near(str(node.value), words)
            cure = "" if hint else f"it is one of: {', '.join(words)}"
            message = f"{short(node.value)} is never its value, so this is always {always}"
            inference.wrong(node, "wts306", message + hint, cure)
            return


def membership(inference: Inference, left: Side, right: Side) -> None:
    (left_node, one), (right_node, other) = left, right
    if other.open:
        return
    if other.name == "string":
        if not one.open and one.name != "string":
            inference.wrong(left_node, "wts307", f"only text is in text; this is {one.described}")
    elif other.name not in ("list", "map"):
        inference.wrong(
            right_node, "wts307", f"'in' looks in a list or a text; this is {other.described}"
        )
    elif other.item and not other.item.open and not one.open and one.name != other.item.name:
        inference.wrong(
            left_node,
            "wts306",
            f"the list holds {other.item}, so looking for {one} is always false",
        )
    inference.not_empty(right_node, other)


def order(inference: Inference, left: Side, right: Side) -> None:
    (left_node, one), (right_node, other) = left, right
    for node, kind in (left, right):
        if not kind.open and kind.name not in ("number", "string"):
            inference.wrong(
                node, "wts307", f"only numbers and texts have an order; this is {kind.described}"
            )
            return
    if not one.open and not other.open and one.name != other.name:
        inference.wrong(
            right_node,
            "wts307",
            f"{one} and {other} have no order between them",
            quotes_cure(one, right_node),
        )
        return
    inference.not_empty(left_node, one)
    inference.not_empty(right_node, other)
