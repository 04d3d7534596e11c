"""DBOS Transact on SQLite: ``with_dbos.py FOLDER RUNS STEPS`` prints the seconds it took.

The file is in WAL mode with ``synchronous=FULL``, so that a step that returned is on the disk. A
step is one record there: its end. Nothing says that it began, and there is no second log.
"""

import json
import sqlite3
import sys
import time
from pathlib import Path

from dbos import DBOS


@DBOS.step()  # type: ignore[untyped-decorator]
def noop(number: int) -> int:
    """Nothing, durably."""
    return number


@DBOS.workflow()  # type: ignore[untyped-decorator]
def run(steps: int) -> int:
    """One step after the other."""
    return sum(noop(number) for number in range(steps))


def main() -> None:
    folder, runs, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    file = folder / "dbos.sqlite"
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA journal_mode=WAL")
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{file}",
            "log_level": "ERROR",
            "run_admin_server": False,
            "enable_otlp": False,
        }
    )
    DBOS.launch()
    run(5)
    began = time.perf_counter()
    handles = [DBOS.start_workflow(run, steps) for _ in range(runs)]
    done = [handle.get_result() for handle in handles]
    took = time.perf_counter() - began
    if done != [sum(range(steps))] * runs:
        sys.exit("the work was not done")
    print(json.dumps({"wall": took}))
    DBOS.destroy()


if __name__ == "__main__":
    main()
