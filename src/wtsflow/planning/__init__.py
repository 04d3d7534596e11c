"""Workflow → plan: inputs bound, targets found, scripts pinned, requirements held."""

from wtsflow.planning.bind import bind
from wtsflow.planning.claims import claims
from wtsflow.planning.contrast import Difference, contrast, unlike
from wtsflow.planning.freeze import differences, freeze, thaw
from wtsflow.planning.opening import opening
from wtsflow.planning.outline import Node, Outline, outline
from wtsflow.planning.partial import Part, passed
from wtsflow.planning.resolve import permit, resolve, terms
from wtsflow.planning.undone import Undone, undone

__all__ = [
    "Difference",
    "Node",
    "Outline",
    "Part",
    "Undone",
    "bind",
    "claims",
    "contrast",
    "differences",
    "freeze",
    "opening",
    "outline",
    "passed",
    "permit",
    "resolve",
    "terms",
    "thaw",
    "undone",
    "unlike",
]
