"""The same scripts on many real hosts, by wtsflow and by its peers, in one run."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hosts import Fleet, fleet
from benchmarks.measure import (
    BenchmarkError,
    Contestant,
    Timing,
    interleave,
    note,
    table,
)
from benchmarks.peers import ansible, openssh, programs, pyinfra
from benchmarks.workload import Work

BEST = "paramiko at its best"


def contestants(fleet: Fleet, work: Work, folder: Path, peers: Path) -> list[Contestant]:
    """Everybody who is installed; says who is not."""
    python = peers / "bin" / "python"
    found = [
        openssh.one_connection(fleet, work, folder),
        programs.lean_paramiko(fleet, work, folder, Path(sys.executable)),
    ]
    optional = {
        "pssh": lambda: programs.parallel_ssh(fleet, work, folder, python),
        "fabric": lambda: programs.fabric(fleet, work, folder, python),
        "pyinfra": lambda: pyinfra.script_operation(fleet, work, folder, peers / "bin"),
        "ansible": lambda: ansible.script_module(fleet, work, folder, peers / "bin"),
    }
    for module, make in optional.items():
        if any(peers.glob(f"lib/python3*/site-packages/{module}")):
            found.append(make())
        else:
            note(f"{module} is not installed in {peers}: left out (make bench installs it)")
    return found


def measure(work: Work, fleet: Fleet, folder: Path, peers: Path, rounds: int) -> dict[str, Timing]:
    """One table's numbers; a contestant that cannot do the work is said and left out."""
    able = []
    for contestant in contestants(fleet, work, folder, peers):
        try:
            interleave([contestant], 1, warm=False)
        except BenchmarkError as error:
            note(f"left out: {error}")
        else:
            able.append(contestant)
    return interleave(able, rounds, warm=False)


def rows(timings: dict[str, Timing], hosts: int) -> list[list[str]]:
    """Fastest first: wall seconds, times the best, client CPU per host."""
    best = timings[BEST].median
    ordered = sorted(timings.items(), key=lambda item: item[1].median)
    return [
        [
            name,
            f"{timing.median:.2f}",
            f"{timing.median / best:.2f}",
            f"{1000 * timing.median_cpu / hosts:.1f}",
        ]
        for name, timing in ordered
    ]


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the Markdown."""
    parser = argparse.ArgumentParser(prog="benchmarks.fanout", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv-bench"))
    parser.add_argument("--hosts", default="10,50,200")
    parser.add_argument("--long", type=int, default=50, help="hosts of the ten-step form")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    sizes = [int(size) for size in given.hosts.split(",") if size]
    works = [Work(tuple(Fleet.addresses(size))) for size in sizes]
    if given.long:
        works.append(Work(tuple(Fleet.addresses(given.long)), pairs=5))
    parts = []
    with tempfile.TemporaryDirectory(prefix="wtsflow-bench-") as room:
        folder = Path(room)
        with fleet(folder / "sshd") as hosts:
            for work in works:
                note(f"{len(work.steps)} steps on {len(work.hosts)} hosts")
                timings = measure(work, hosts, folder, given.peers.absolute(), given.rounds)
                parts.append(f"### {len(work.steps)} steps on {len(work.hosts)} hosts\n")
                head = ("", "wall, s", "× the best paramiko", "client CPU per host, ms")
                parts.append(table(head, rows(timings, len(work.hosts))) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(main())
