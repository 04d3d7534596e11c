"""Cures: what to write instead."""

import ast
from typing import Any

from wtsflow.manifest.kinds import Kind
from wtsflow.manifest.proofs import chain_text


def listing(inside: str, known: list[str]) -> str:
    if not known:
        return f"there are no {inside}" if inside in ("inputs", "targets", "steps") else ""
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"it has: {shown}"


def size_cure(inside: str, key: Any) -> str:
    return f"; write size({inside})" if key in ("length", "size", "count", "Length") else ""


def condition_cure(node: ast.expr, kind: Kind) -> str:
    text = chain_text(node)
    if not text:
        return ""
    return {
        "number": f"write {text} > 0",
        "string": f"write {text} == '…'",
        "list": f"write size({text}) > 0",
    }.get(kind.name, "")


def quotes_cure(kind: Kind, node: ast.expr) -> str:
    if kind.name == "number" and isinstance(node, ast.Constant) and isinstance(node.value, str):
        return f"write {node.value} without quotes"
    if kind.name == "string" and isinstance(node, ast.Constant):
        return f"write '{node.value!s}' in quotes"
    return ""
