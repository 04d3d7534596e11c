"""A task's output on the disk: capped, hashed, private, and never a reason to fail."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from wtsflow.engine.spool import Spool

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


def test_the_facts_tell_what_was_written_and_what_was_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "run" / "a.log", cap=10)
    spool.write(b"12345678")
    spool.write(b"90abcdef\n")
    facts = spool.close()
    assert facts == {
        "sha256": hashlib.sha256(b"1234567890abcdef\n").hexdigest(),
        "bytes": 17,
        "kept": 10,
        "truncated": True,
        "tail": "1234567890abcdef",
    }
    assert (tmp_path / "run" / "a.log").read_bytes() == b"1234567890"


@posix
def test_T33_the_file_is_ours_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool" / "run" / "a.log")
    spool.write(b"x")
    spool.close()
    assert (tmp_path / "spool" / "run" / "a.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "spool" / "run").stat().st_mode & 0o777 == 0o700


@posix
def test_T47_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    (folder / "a.log").symlink_to(victim)
    spool = Spool(folder / "a.log")
    spool.write(b"overwritten")
    facts = spool.close()
    assert victim.read_text() == "precious"
    assert "symbolic link" in str(facts["error"])
    assert facts["kept"] == 0
    assert facts["bytes"] == 11


def test_the_tail_is_the_last_whole_lines_safe_for_a_terminal(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a" / "a.log")
    for number in range(1000):
        spool.write(b"line %d \x1b[31mred\xff\n" % number)
    tail = str(spool.close()["tail"])
    lines = tail.split("\n")
    assert lines[-1] == "line 999 \\x1b[31mred\\xff"
    assert lines[0].startswith("line 9")
    assert len(tail) <= 2048


def test_one_endless_line_has_a_tail_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a" / "a.log")
    spool.write(b"z" * 100_000)
    assert spool.close()["tail"] == "z" * 2048


@posix
def test_T42_a_disk_that_is_full_stops_the_keeping_not_the_counting(tmp_path: Path) -> None:
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    spool = Spool(tmp_path / "a" / "a.log")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        for _ in range(5):
            spool.write(b"x" * 400)
        facts = spool.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert facts["kept"] == 1000
    assert facts["bytes"] == 2000
    assert facts["truncated"] is True
    assert facts["error"]
    assert facts["sha256"] == hashlib.sha256(b"x" * 2000).hexdigest()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_T43_a_flood_takes_neither_memory_nor_disk(tmp_path: Path) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    spool = Spool(tmp_path / "a" / "a.log", cap=1 << 20)
    block = b"y" * (1 << 20)
    before = resident()
    for _ in range(200):
        spool.write(block)
    assert resident() - before < 20 << 20
    assert spool.close()["bytes"] == 200 << 20
    assert (tmp_path / "a" / "a.log").stat().st_size == 1 << 20
