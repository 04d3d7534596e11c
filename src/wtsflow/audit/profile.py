"""Any data as the canonical profile of the audit log: what every JSON reader reads alike.

No floats, no integers of 2**53 or more, keys of ``[a-z0-9_.]`` only (so that stdlib JSON with
sorted keys is RFC 8785). A mapping whose keys are names from outside becomes a list.
"""

import hashlib
import json
import re
from collections.abc import Mapping

from wtsflow.model.plan import canonical
from wtsflow.model.record import Record
from wtsflow.model.terminal import visible
from wtsflow.model.values import MASK, Json, Secret

_KEY = re.compile(r"[a-z0-9_.]+")
_LARGEST = 2**53 - 1
NAMED = frozenset({"inputs", "outputs", "targets", "variables", "settings", "environment"})
"""Fields whose mappings have names from outside as keys, whatever those look like."""


def profiled(value: Json, field: str = "") -> Json:
    r"""``value`` in the profile.

    ``{"Web-1": x}`` becomes ``[{"name": "Web-1", "value": x}]``; ``0.5`` and integers that are
    too large become ``{"number": "0.5"}``. What a terminal obeys, what nobody sees, and what some
    reader takes for the end of a line is written out: ``\u2028``.
    """
    match value:
        case Secret():
            return MASK
        case str():
            return visible(value, keep="\n\r\t")
        case bool() | None:
            return value
        case int() if -_LARGEST <= value <= _LARGEST:
            return value
        case int() | float():
            return {"number": json.dumps(value)}
        case Mapping():
            if field in NAMED or not all(_KEY.fullmatch(key) for key in value):
                return [
                    {"name": profiled(key), "value": profiled(value[key])} for key in sorted(value)
                ]
            return {key: profiled(item, key) for key, item in value.items()}
        case _:
            return [profiled(item) for item in value]


def evidence(record: Record) -> dict[str, Json]:
    """The part of a body that a record decides, with nothing of who wrote it.

    The frozen plan stays in the journal; its digest is here.
    """
    data = dict(record.event.data)
    if "frozen" in data:
        data["frozen_sha256"] = hashlib.sha256(canonical(profiled(data.pop("frozen")))).hexdigest()
    return {
        "data": profiled(data),
        "event": record.event.type,
        "key": profiled(record.event.key),
        "run": record.run,
        "run_seq": record.seq,
        "time": record.time,
    }
