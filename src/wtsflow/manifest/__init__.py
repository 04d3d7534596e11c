"""Stage 1: text to a Workflow that is known to be right."""

from wtsflow.manifest.load import load, read

__all__ = ["load", "read"]
