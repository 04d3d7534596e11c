"""Imports paramiko without invoke; to be imported before anything of paramiko's.

It asks for invoke only to run ``Match exec`` of an ssh_config, which we never do; invoke brings
asyncio, ssl and a YAML reader along and costs more than all the rest of paramiko.
"""

import sys
from types import ModuleType
from typing import cast

_MODULES = cast("dict[str, ModuleType | None]", sys.modules)
_found = _MODULES.setdefault("invoke", None)
try:
    import paramiko  # noqa: F401 - imported for its effect
finally:
    if _found is None:
        del sys.modules["invoke"]
