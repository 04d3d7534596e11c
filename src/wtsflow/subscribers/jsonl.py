"""A run as a stream of JSON lines, for programs (``--format jsonl``).

``wtsflow.event/1``: one object a line, written as it happens, in the run's order::

    {"schema": "wtsflow.event/1", "type": "record",
     "run", "seq", "time", "event", "subject", "data"}
    {"schema": "wtsflow.event/1", "type": "line",
     "run", "path", "target", "stream", "text"}

A ``record`` is also in the journal: ``event`` is the first word of its key (``opened started
finished lost again detached attached skipped waiting waited looped cancel stopping parked left
resumed closed settled``), ``subject`` says of what, ``data`` depends on the event. A ``line`` is
output, live; ``stream`` is ``stdout`` or ``stderr``; what lasts of it is the spool file. ``opened``
or ``resumed`` comes first; ``closed``, ``settled``, ``parked`` or ``left`` last: a stream without
one of them was cut off.
"""

import json
from typing import Any, TextIO

from wtsflow.model.record import Line, Record
from wtsflow.model.values import masked

SCHEMA = "wtsflow.event/1"


def event(seen: Record | Line) -> dict[str, Any]:
    """Return the ``wtsflow.event/1`` object of a record or line."""
    if isinstance(seen, Line):
        return {
            "schema": SCHEMA,
            "type": "line",
            "run": seen.run,
            "path": seen.path,
            "target": seen.target,
            "stream": seen.stream,
            "text": seen.text,
        }
    return {
        "schema": SCHEMA,
        "type": "record",
        "run": seen.run,
        "seq": seen.seq,
        "time": seen.time,
        "event": seen.event.type,
        "subject": seen.event.subject,
        "data": masked(dict(seen.event.data)),
    }


class Stream:
    """Writes every record and line to a text stream.

    Records are flushed at once; lines are flushed too, since a reader waits for each. When the
    reader goes away the run continues: writing ends silently.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def __call__(self, seen: Record | Line) -> None:
        if self._stream is None:
            return
        text = json.dumps(event(seen), ensure_ascii=True, separators=(",", ":"))
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._stream = None
