"""Faults of the disk through the real command line: refused before the effect, then recovered."""

import fcntl
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.disk import NAMES, Disk, begun, mounting
from tests.crash.test_crash import ROOT, check, strace_works
from tests.keeping import posix
from wtsflow.audit import Log
from wtsflow.clock import SystemClock
from wtsflow.errors import Exit
from wtsflow.journals.sqlite import SqliteJournal

pytestmark = [posix]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return Disk.make(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def disk(made: Disk) -> Iterator[Disk]:
    made.canary.unlink(missing_ok=True)
    yield made
    made.canary.unlink(missing_ok=True)


# --- a full disk ------------------------------------------------------------------------------

FULL = """
mount -t tmpfs -o size="$1",mode=700 t "$2" || exit 99
mount="$2" copy="$3"
shift 3
"$@"
code=$?
cp -r "$mount/state" "$copy" 2>/dev/null
exit $code
"""


def sometimes(*cases: object) -> list[object]:
    """Cases of the long form."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("size", ["64k", *sometimes("160k", "220k", "240k", "260k", "300k")])
def test_P1_T42_on_a_full_disk_nothing_takes_effect_without_its_record(
    disk: Disk, tmp_path: Path, size: str
) -> None:
    """A real one: tmpfs of its own, whose contents then find more room."""
    mount, copy = tmp_path / "mnt", tmp_path / "copy"
    mount.mkdir()
    around = (*mounting(), "sh", "-c", FULL, "sh", size, str(mount), str(copy))
    done = disk.run(mount / "state", before=around)
    if done.returncode == 99:
        pytest.skip(f"may not mount: {done.stderr}")
    print(f"{size}: exit {done.returncode}, {len(disk.effects)} effects")
    disk.check_fault(copy, done)
    if size == "64k":
        assert done.returncode == Exit.AUDIT
        assert disk.effects == []
        assert "make room" in done.stderr
    disk.check_recovered(copy)


def limits(kind: int, value: int) -> None:
    resource.setrlimit(
        kind, (value, resource.RLIM_INFINITY if kind == resource.RLIMIT_FSIZE else value)
    )


@pytest.mark.parametrize("kibibytes", [200, *sometimes(8, 64, 120, 140, 160, 180, 220)])
def test_P1_T42_where_files_may_not_grow_nothing_takes_effect_without_its_record(
    disk: Disk, tmp_path: Path, kibibytes: int
) -> None:
    state = tmp_path / "state"
    done = disk.run(state, preexec_fn=lambda: limits(resource.RLIMIT_FSIZE, kibibytes * 1024))
    print(f"{kibibytes} KiB: exit {done.returncode}, {len(disk.effects)} effects")
    disk.check_fault(state, done)
    if kibibytes <= 64:
        assert done.returncode == Exit.AUDIT
        assert disk.effects == []
    disk.check_recovered(state)


@pytest.mark.parametrize("number", [11, *sometimes(8, 10, 12, 13, 14, 16, 18, 22)])
def test_P1_T42_with_few_descriptors_nothing_takes_effect_without_its_record(
    disk: Disk, tmp_path: Path, number: int
) -> None:
    """With the fewest git cannot be started; with some more the records cannot be opened."""
    state = tmp_path / "state"
    done = disk.run(state, preexec_fn=lambda: limits(resource.RLIMIT_NOFILE, number))
    print(f"{number} descriptors: exit {done.returncode}, {len(disk.effects)} effects")
    assert set(disk.effects) <= begun(state), done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode == 0) is (disk.effects == list(NAMES))
    disk.check_recovered(state)


# --- a disk that is read-only -----------------------------------------------------------------

READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
shift
exec "$@"
"""


@pytest.mark.parametrize("used", [True, *sometimes(False)])
def test_P1_T42_on_a_read_only_disk_nothing_begins(disk: Disk, tmp_path: Path, used: bool) -> None:
    state = tmp_path / "state"
    if used:
        assert disk.run(state).returncode == 0
        disk.canary.unlink()
    state.mkdir(mode=0o700, exist_ok=True)
    around = (*mounting(), "sh", "-c", READ_ONLY, "sh", str(state))
    done = disk.run(state, before=around)
    if done.returncode == 99:
        pytest.skip(f"may not mount: {done.stderr}")
    assert done.returncode == Exit.AUDIT, done.stderr
    assert "read-only" in done.stderr.lower()
    assert disk.effects == []
    disk.check_recovered(state)


# --- a disk that fails ------------------------------------------------------------------------


@pytest.mark.peer("strace")
@pytest.mark.skipif(not strace_works(), reason="needs strace, and to be allowed to trace")
@pytest.mark.parametrize(
    ("file", "when"),
    [
        ("journal.sqlite-wal", 4),
        ("audit/audit-000000000001.jsonl", 2),
        *(
            pytest.param(file, when, marks=pytest.mark.slow)
            for file, times in (
                ("journal.sqlite-wal", (1, 2, 3, 5, 6, 7, 8, 9)),
                ("audit/audit-000000000001.jsonl", (1, 3, 4, 5, 6, 7, 8)),
            )
            for when in times
        ),
    ],
)
def test_P1_T42_on_a_failing_disk_nothing_takes_effect_without_its_record(
    disk: Disk, tmp_path: Path, file: str, when: int
) -> None:
    state = tmp_path / "state"
    inject = f"inject=fdatasync:error=EIO:when={when}"
    trace = ("strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(state / file))
    done = disk.run(state, before=(*trace, "-e", "trace=fdatasync", "-e", inject))
    assert "INJECTED" in (tmp_path / "trace").read_text() or when > 6
    print(f"{file} {when}: exit {done.returncode}, {len(disk.effects)} effects")
    disk.check_fault(state, done)
    disk.check_recovered(state)


# --- a disk that loses its power --------------------------------------------------------------

EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, b"\x02\0\0\0"
"""Of the kernel's ext4.h: from now on nothing reaches the device, its own journal neither."""

POWER = """
mount -o loop "$1" "$2" || exit 99
mount="$2"; shift 2
"$@"
code=$?
umount "$mount"
exit $code
"""


def image(path: Path) -> Path:
    """An empty ext4 file system in a file."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root and mkfs.ext4")
    with path.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True, capture_output=True)
    return path


def mounted(img: Path, mount: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run something while the image is mounted there, in a namespace of its own."""
    done = subprocess.run(
        [*mounting(), "sh", "-c", POWER, "sh", str(img), str(mount), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip(f"may not mount: {done.stderr}")
    return done


def cut_power(mount: Path, state: Path, after: float, words: list[str], out: Path) -> None:
    """Perform ``words`` until the power goes after that time: called inside of the namespace.

    ``out`` holds what was said before the power went: a flush that is under way then may be
    acknowledged by the kernel though it never reached the device.
    """
    with out.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while (
            not out.stat().st_size
            and not list(state.glob("audit/audit-*"))
            and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        time.sleep(after)
        descriptor = os.open(mount, os.O_RDONLY)
        before = out.stat().st_size
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        os.close(descriptor)
        time.sleep(0.05)
        process.kill()
        process.wait()
    os.truncate(out, before)


CUTTING = (
    "import sys; from pathlib import Path; from tests.crash.test_disk import cut_power;"
    "cut_power(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[5:], Path(sys.argv[4]))"
)


@pytest.mark.parametrize("cycle", [1, 2, *sometimes(*range(3, 40))])
def test_P2_after_a_power_loss_all_that_was_acknowledged_is_there(
    tmp_path: Path, cycle: int
) -> None:
    img, mount, out = image(tmp_path / "img"), tmp_path / "mnt", tmp_path / "said"
    mount.mkdir()
    state = mount / "state"
    writer = [sys.executable, "-m", "tests.crash.writer", str(state), "RUN", "100000"]
    after = str(0.03 * cycle)
    arguments = [str(mount), str(state), after, str(out), *writer]
    done = mounted(img, mount, sys.executable, "-c", CUTTING, *arguments)
    assert done.returncode == 0, done.stderr
    said = out.read_text()
    copy = tmp_path / "after"
    assert mounted(img, mount, "cp", "-r", str(state), str(copy)).returncode == 0
    print(
        f"{said.count('journal ')} acknowledged by the journal, {said.count('audit ')} by the log"
    )
    check(copy, said)


def test_P1_P2_after_a_power_loss_no_effect_is_without_its_record(
    disk: Disk, tmp_path: Path
) -> None:
    """The scripts' marks are on another disk: they tell what had begun when the power went."""
    img, mount, out = image(tmp_path / "img"), tmp_path / "mnt", tmp_path / "said"
    mount.mkdir()
    state = mount / "state"
    env = [f"{key}={said}" for key, said in disk.environment(state).items()]
    run = ["env", "-C", str(disk.place.root), *env, *disk.words("run", "manifests/canary.yaml")]
    arguments = [str(mount), str(state), "0.1", str(out), *run]
    done = mounted(img, mount, sys.executable, "-c", CUTTING, *arguments)
    assert done.returncode == 0, done.stderr
    copy = tmp_path / "after"
    mounted(img, mount, "cp", "-r", str(state), str(copy))
    effects = disk.effects
    print(f"{len(effects)} effects when the power went")
    assert set(effects) <= started(copy)
    disk.check_recovered(copy)


def started(state: Path) -> set[str]:
    """As :func:`begun`, after the log has been completed."""
    with SqliteJournal(state / "journal.sqlite") as journal:
        Log(state / "audit", clock=SystemClock(), truth=journal).close()
    return begun(state)
