"""Kinds of things that a worker does, one a file.

What needs no worker (groups, waits, loops, conditions) is control flow: see ``engine/decide.py``.
"""

from collections.abc import Mapping

from wtsflow.ports import Verb
from wtsflow.verbs.script import RunPinnedScript

VERBS: Mapping[str, Verb] = {"script": RunPinnedScript()}
