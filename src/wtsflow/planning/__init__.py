"""Workflow → plan: inputs bound, targets found, scripts pinned, requirements held."""

from wtsflow.planning.bind import bind
from wtsflow.planning.resolve import resolve

__all__ = ["bind", "resolve"]
