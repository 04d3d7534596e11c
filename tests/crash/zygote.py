"""Forks the command line off a process that has imported everything: a case costs no start-up.

``python -m tests.crash.zygote`` reads a JSON line for each process to begin: ``argv``, ``cwd``,
``env`` (what is set in addition), ``out`` (a file for what it says), ``run`` (the id that a new run
gets), ``hold`` (it begins when it is traced), and ``commit`` with ``where`` (killed
before, inside or after the n-th transaction of the journal). It answers with the process's number,
and with its end when asked by ``{"wait": number}``.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import wtsflow

ABSENT = ("wtsflow.__main__",)


def warm() -> None:
    """Import all there is and plan once, so that a fork needs nothing more from the disk."""
    for found in pkgutil.walk_packages(wtsflow.__path__, "wtsflow."):
        if found.name not in ABSENT:
            importlib.import_module(found.name)
    importlib.import_module("filelock")
    from wtsflow.__main__ import main

    sys.argv = ["wtsflow", "plan", "manifests/case.yaml", "--format", "json"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main() == 0
    assert threading.active_count() == 1


def begin(case: dict[str, Any]) -> int:
    """What a fork does; never returns to the zygote."""
    os.setsid()
    os.chdir(case["cwd"])
    os.environ.update(case["env"])
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(case["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for new, old in ((null, 0), (out, 1), (out, 2)):
        os.dup2(new, old)
    sys.argv = ["wtsflow", *case["argv"]]
    if run := case.get("run"):
        app = importlib.import_module("wtsflow.app")
        app.new_run_id = lambda *_now: run  # type: ignore[attr-defined]
    if "commit" in case:
        die_in_commit(case["commit"], case["where"])
    if case.get("hold"):
        wait_for_tracer()
    from wtsflow.__main__ import main

    try:
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def wait_for_tracer() -> None:
    """Go on when somebody traces this process. A stop and SIGCONT would race with strace."""
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        time.sleep(0.002)
    time.sleep(0.01)


def die_in_commit(number: int, where: str) -> None:
    """Have this process killed before, inside or after its n-th transaction with a record."""
    from wtsflow.journals.sqlite import SqliteJournal

    original = SqliteJournal._write
    seen = [0]

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write(self: SqliteJournal, wishes: Any) -> None:
        seen[0] += any(wish.rows for wish in wishes)
        if seen[0] != number:
            original(self, wishes)
            return
        if where == "before":
            die()
        if where == "inside":
            for wish in wishes:
                wish.write(self._db)
            die()
        original(self, wishes)
        die()

    SqliteJournal._write = write  # type: ignore[method-assign]


def main() -> None:
    """Serve until standard input ends."""
    warm()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        number = os.fork()
        if not number:
            code = 70
            try:
                code = begin(asked)
            finally:
                os._exit(code)
        print(number, flush=True)


if __name__ == "__main__":
    main()
