"""Text to checked data that knows where each of its parts stands."""

from wtsflow.source.document import BROKEN, Document, Path
from wtsflow.source.schema import check, schema_text
from wtsflow.source.text import load, scan

__all__ = ["BROKEN", "Document", "Path", "check", "load", "scan", "schema_text"]
