"""Workflow → plan: inputs bound, targets found, scripts pinned, requirements held."""

from wtsflow.planning.bind import bind
from wtsflow.planning.freeze import differences, freeze, thaw
from wtsflow.planning.outline import Node, Outline, outline
from wtsflow.planning.resolve import resolve, terms

__all__ = [
    "Node",
    "Outline",
    "bind",
    "differences",
    "freeze",
    "outline",
    "resolve",
    "terms",
    "thaw",
]
