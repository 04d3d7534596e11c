"""A run that is recorded step by step; says each record only when it is acknowledged.

``python -m tests.crash.writer FOLDER RUN COUNT``: prints ``journal N`` and ``audit N``. Ends with 74
when a record was refused, having printed ``refused``.
"""

import sys
import time
from pathlib import Path

from wtsflow.audit import Log
from wtsflow.errors import RecordError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.record import Event


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def main(folder: Path, run: str, count: int) -> int:
    try:
        with (
            SqliteJournal(folder / "journal.sqlite") as journal,
            Log(folder / "audit", clock=Clock(), truth=journal, limit=4000, deadline=20) as log,
        ):
            for number in range(1, count + 1):
                event = Event(f"k/{number}", {"message": "x" * 300})
                records = journal.record(run, [event], time="2026-01-02T03:04:05.000006Z")
                print(f"journal {number}", flush=True)
                log.append(records)
                print(f"audit {number}", flush=True)
    except RecordError as error:
        print(f"refused {error}", flush=True)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
