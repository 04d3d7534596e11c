"""Workflow → plan: inputs bound, targets found, scripts pinned, requirements held."""

from wtsflow.planning.bind import bind
from wtsflow.planning.freeze import differences, freeze, thaw
from wtsflow.planning.resolve import resolve

__all__ = ["bind", "differences", "freeze", "resolve", "thaw"]
