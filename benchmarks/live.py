"""How soon a line is seen, and how much memory a flood of output takes."""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.hosts import Fleet, fleet
from benchmarks.measure import BenchmarkError, Goal, goals, note, table
from benchmarks.workspace import WTSFLOW, Room, fleet_inventory

# CLOCK_MONOTONIC is one for all processes of a machine, and the host is this machine.
CLOCK = """\
import sys, time
for number in range(10):
    time.sleep(0.3)
    print(f"clock {time.monotonic_ns()} end", flush=True)
"""
FLOOD = """\
#!/bin/sh
yes 'a line of a flood that nobody reads, eighty bytes long when its end is counted..' \\
  | head -c {size}
"""
HEAD = "wtsflow: 1\nversion: 1.0.0\ntitle: Live\nowner: benchmarks\n"


def build(room: Room, hosts: Fleet, size: int) -> None:
    """Release the scripts and write a manifest for each."""
    extra = {
        "inventory.yaml": fleet_inventory(hosts, ["127.0.1.1"]),
    }
    for name, script in (("clock", "clock.py"), ("flood", "flood.sh")):
        extra[f"manifests/{name}.yaml"] = (
            f"{HEAD}name: bench/{name}\ntargets:\n  one: {{ group: fleet }}\n"
            f"steps:\n  - script: {script}@1.0.0\n    target: one\n    timeout: 10m\n"
        )
    room.build(extra, {"clock.py": CLOCK, "flood.sh": FLOOD.format(size=size)})


def delays(room: Room, rounds: int) -> list[list[float]]:
    """Seconds from the writing of each line to its arrival on our pipe, by run."""
    return [_delays(room) for _ in range(rounds)]


def _delays(room: Room) -> list[float]:
    running = _start(room, "clock", stdout=subprocess.PIPE)
    if running.stdout is None:
        raise AssertionError("asked for a pipe")
    found = []
    for line in running.stdout:
        now = time.monotonic_ns()
        if written := re.search(rb"clock (\d+) end", line):
            found.append((now - int(written[1])) / 1e9)
    if running.wait() != 0 or len(found) < 10:
        raise BenchmarkError(f"the run ended with {running.returncode} after {len(found)} lines")
    return found


def flood(room: Room) -> tuple[float, float]:
    """Peak memory (MiB) of the process and wall seconds while ``flood.sh`` runs."""
    began = time.perf_counter()
    running = _start(room, "flood", stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode != 0:
        raise BenchmarkError(f"the flood ended with {running.returncode}")
    return usage.ru_maxrss / 1024, time.perf_counter() - began


def _start(room: Room, name: str, *, stdout: int) -> "subprocess.Popen[bytes]":
    environment: Mapping[str, str] = {**os.environ, **room.environment}
    return subprocess.Popen(
        [str(WTSFLOW), "run", f"manifests/{name}.yaml"],
        cwd=room.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
    )


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the Markdown."""
    parser = argparse.ArgumentParser(prog="benchmarks.live", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=int, default=10**9)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wtsflow-bench-") as folder:
        place = Path(folder)
        with fleet(place / "sshd") as hosts:
            room = Room(place / "room")
            build(room, hosts, given.bytes)
            seen = delays(room, given.rounds)
            note("  a flood of output")
            memory, seconds = flood(room)
    first = [run[0] for run in seen]
    every = sorted(delay for run in seen for delay in run)
    rows = [
        ("first line of a step, median of runs", f"{1000 * statistics.median(first):.1f} ms"),
        ("first line, worst run", f"{1000 * max(first):.1f} ms"),
        ("every line, median", f"{1000 * statistics.median(every):.1f} ms"),
        ("every line, worst", f"{1000 * every[-1]:.1f} ms"),
        (f"{given.bytes / 1e9:g} GB of output: time", f"{seconds:.1f} s"),
        (
            f"{given.bytes / 1e9:g} GB of output: throughput",
            f"{given.bytes / 1e6 / seconds:.0f} MB/s",
        ),
        (f"{given.bytes / 1e9:g} GB of output: peak memory", f"{memory:.0f} MiB"),
    ]
    reached = [
        Goal("first line on the console", 1000 * statistics.median(first), 50, "ms"),
        Goal("peak memory during the flood", memory * 1.048576, 100, "MB"),
    ]
    return "\n\n".join([table(("", ""), rows), goals(reached)])


if __name__ == "__main__":
    print(main(sys.argv[1:]))
