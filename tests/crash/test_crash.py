"""Killed or refused by the disk at every call: what was acknowledged is there, the rest is said.

The calls of the journal and the audit log are found by tracing one whole run; then each of them is
made to kill the process, to fail, or to write short.
"""

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keeping import posix
from wtsflow.audit import Log
from wtsflow.audit.verify import verify
from wtsflow.journals.sqlite import SqliteJournal

ROOT = Path(__file__).parents[2]
COUNT = 4
CALLS = "write,pwrite64,fdatasync,fsync,ftruncate,openat,mkdir,flock,pread64,rename,unlink"


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@functools.cache
def strace_works() -> bool:
    if not shutil.which("strace"):
        return False
    tried = ["strace", "-qq", "-o", os.devnull, "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


pytestmark = [posix]
traced = [
    pytest.mark.peer("strace"),
    pytest.mark.skipif(not strace_works(), reason="needs strace, and to be allowed to trace"),
]


def command(folder: Path, run: str = "RUN") -> list[str]:
    return [sys.executable, "-m", "tests.crash.writer", str(folder), run, str(COUNT)]


def paths(folder: Path) -> Iterator[str]:
    """What is traced: everything that is kept, under the names that it gets."""
    for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "audit"):
        yield from ("-P", str(folder / name))
    for seq in range(1, 12):
        yield from ("-P", str(folder / "audit" / f"audit-{seq:012}.jsonl"))


def strace(folder: Path, out: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["strace", "-f", "-qq", "-o", out, *paths(folder), *options, *command(folder)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often one thread of a whole run makes each call on what is kept: strace counts so."""
    folder = tmp_path_factory.mktemp("trace") / "state"
    out = folder.parent / "trace.txt"
    done = strace(folder, str(out), "-e", f"trace={CALLS}")
    assert done.returncode == 0, done.stderr
    by_thread: Counter[tuple[str, str]] = Counter()
    for line in out.read_text().splitlines():
        thread, said = line.split(maxsplit=1)
        by_thread[said.partition("(")[0], thread] += 1
    made: dict[str, int] = {}
    for (name, _), count in by_thread.items():
        made[name] = max(count, made.get(name, 0))
    assert made["fdatasync"] >= COUNT
    assert made["write"] >= COUNT
    assert made["pwrite64"] >= COUNT
    return made


def _said(said: str, word: str) -> int:
    return sum(line.startswith(f"{word} ") for line in said.splitlines())


def check(folder: Path, said: str) -> None:
    """What was acknowledged is there; the next opening completes the log."""
    journaled, audited = _said(said, "journal"), _said(said, "audit")
    if not (folder / "journal.sqlite").exists():
        assert journaled == 0
        return
    with SqliteJournal(folder / "journal.sqlite") as journal:
        recorded = len(journal.load("RUN"))
        assert recorded >= journaled
        if (folder / "audit").is_dir():
            before = verify(folder / "audit", journal)
            assert before.runs.get("RUN", (0, ""))[0] >= audited
            empty = [one for one in before.problems if "no records" not in one.message]
            assert not empty, empty
        with Log(folder / "audit", clock=Clock(), truth=journal, limit=4000):
            after = verify(folder / "audit", journal)
    assert after.intact, after.problems
    assert after.runs.get("RUN", (0, ""))[0] == recorded
    assert not after.torn
    assert not after.pending


def inject(folder: Path, call: str, what: str, when: int) -> subprocess.CompletedProcess[str]:
    trace = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}")
    return strace(folder, os.devnull, *trace)


def points(total: int, most: int) -> list[int]:
    """All of them; when they are many, the first, the last and some between."""
    numbers = list(range(1, total + 1))
    if total <= most:
        return numbers
    return sorted({1, 2, total, *random.Random(total).sample(numbers, most - 3)})


@pytest.mark.parametrize("call", ["write", "fdatasync", "ftruncate", "fsync", "openat", "pwrite64"])
class TestEveryCall:
    pytestmark = traced

    def test_killed_there_nothing_acknowledged_is_lost(
        self, call: str, calls: dict[str, int], tmp_path: Path
    ) -> None:
        for when in points(calls[call], 14):
            folder = tmp_path / str(when) / "state"
            done = inject(folder, call, "signal=KILL", when)
            assert done.returncode != 0
            check(folder, done.stdout)

    @pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
    def test_T42_refused_there_nothing_goes_on(
        self, call: str, calls: dict[str, int], error: str, tmp_path: Path
    ) -> None:
        for when in points(calls[call], 4):
            folder = tmp_path / str(when) / "state"
            done = inject(folder, call, f"error={error}", when)
            assert done.returncode in {0, 74}, done.stderr
            assert "Traceback" not in done.stderr
            if done.returncode == 0:
                assert _said(done.stdout, "audit") == COUNT
            else:
                assert done.stdout.splitlines()[-1].startswith("refused")
            check(folder, done.stdout)


class TestShortWrites:
    pytestmark = traced

    def test_T42_a_write_that_says_it_was_short_is_refused(
        self, calls: dict[str, int], tmp_path: Path
    ) -> None:
        for when in points(calls["write"], 4):
            folder = tmp_path / str(when) / "state"
            done = inject(folder, "write", "retval=7", when)
            assert done.returncode == 74
            assert "bytes could be written" in done.stdout
            check(folder, done.stdout)


def test_killed_at_any_time_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    chance = random.Random(5)
    for number in range(6):
        folder = tmp_path / str(number)
        out = folder.with_suffix(".txt")
        with out.open("w") as file:
            words = [*command(folder)[:-1], "100000"]
            process = subprocess.Popen(words, cwd=ROOT, stdout=file, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while not out.stat().st_size and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(chance.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            process.wait()
        check(folder, out.read_text())


def test_T42_a_full_file_system_refuses_and_recovers(tmp_path: Path) -> None:
    """A real one: 700 KiB of tmpfs in a namespace of its own."""
    script = (
        'mount -t tmpfs -o size=700k t "$1" && "$2" -m tests.crash.writer "$1/state" RUN 5000;'
        'echo "exit $?"; mount -o remount,size=8m "$1" &&'
        '"$2" -m tests.crash.writer "$1/state" NEXT 3; echo "exit $?";'
        'cp -r "$1/state" "$3"'
    )
    (tmp_path / "mnt").mkdir()
    words = ["sh", "-c", script, "sh", str(tmp_path / "mnt"), sys.executable, str(tmp_path / "out")]
    namespaces = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    if not shutil.which("unshare") or subprocess.run([*namespaces, "true"], check=False).returncode:
        pytest.skip("needs unshare, and to be allowed to mount")
    done = subprocess.run(
        [*namespaces, *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    if "exit" not in done.stdout or "permission denied" in done.stderr:
        pytest.skip(f"may not mount: {done.stderr}")
    first, second = done.stdout.split("exit 74", 1)
    assert _said(first, "audit") > 10
    assert "refused" in first
    assert second.rstrip().endswith("exit 0")
    with SqliteJournal(tmp_path / "out" / "journal.sqlite") as journal:
        verdict = verify(tmp_path / "out" / "audit", journal)
        assert len(journal.load("RUN")) >= _said(first, "journal")
    assert verdict.intact, verdict.problems
    assert verdict.runs["RUN"][0] >= _said(first, "audit")
    assert verdict.runs["NEXT"][0] == 3
