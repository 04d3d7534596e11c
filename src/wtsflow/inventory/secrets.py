"""Which keys of an inventory hold a secret: their values are never kept, planned or recorded."""

import re
from dataclasses import replace

from wtsflow.errors import Diagnostic

RULE = "wts606"

_SECRET = re.compile(
    r"(?:^|_)(?:pass|passwd|password|passphrase|secret|token|api_?key|private_key)$", re.IGNORECASE
)


def hidden(finding: Diagnostic) -> Diagnostic:
    """A finding about a secret without the line that it stands in."""
    return replace(finding, excerpt="") if finding.rule == RULE else finding


def is_secret_key(name: str) -> bool:
    """Whether a variable of this name holds a secret: ``ansible_password``, ``api_key``."""
    return _SECRET.search(name.replace("-", "_")) is not None
