"""The evidence: every record as a JSON line, chained by hashes, complete before any effect."""

from wtsflow.audit.log import Log

__all__ = ["Log"]
