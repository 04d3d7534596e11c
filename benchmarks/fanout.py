"""The same scripts on many real hosts, by wtsflow and by its peers, in one run."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.hosts import Fleet, fleet
from benchmarks.measure import (
    BenchmarkError,
    Contestant,
    Goal,
    Timing,
    goals,
    interleave,
    note,
    table,
)
from benchmarks.peers import ansible, openssh, programs, pyinfra
from benchmarks.workload import Work
from benchmarks.workspace import WTSFLOW, Room, fleet_inventory, fleet_manifest

OURS = "**wtsflow**"
BEST = "paramiko at its best"


def contestants(fleet: Fleet, work: Work, folder: Path, peers: Path) -> list[Contestant]:
    """Everybody who is installed; says who is not."""
    python = peers / "bin" / "python"
    optional: dict[str, Callable[[], Contestant]] = {
        "pssh": lambda: programs.parallel_ssh(fleet, work, folder, python),
        "fabric": lambda: programs.fabric(fleet, work, folder, python),
        "pyinfra": lambda: pyinfra.script_operation(fleet, work, folder, peers / "bin"),
        "ansible": lambda: ansible.script_module(fleet, work, folder, peers / "bin"),
    }
    found = [
        wtsflow(fleet, work, folder),
        openssh.one_connection(fleet, work, folder),
        programs.lean_paramiko(fleet, work, folder, Path(sys.executable)),
    ]
    for module, make in optional.items():
        if any(peers.glob(f"lib/python3*/site-packages/{module}")):
            found.append(make())
        else:
            note(f"{module} is not installed in {peers}: left out (make bench installs it)")
    return found


def wtsflow(fleet: Fleet, work: Work, folder: Path) -> Contestant:
    """The whole process: start-up, proof, plan, journal, audit log, the pinned scripts."""
    room = Room(folder / f"wtsflow-{len(work.hosts)}-{work.pairs}")
    room.build(
        {
            "manifests/fleet.yaml": fleet_manifest(work),
            "inventory.yaml": fleet_inventory(fleet, work.hosts),
        }
    )
    return Contestant(
        OURS,
        [str(WTSFLOW), "run", "manifests/fleet.yaml", "--parallel", str(work.parallel)],
        folder=room.folder,
        before=lambda: room.environment,
        check=work.check(),
    )


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


LIMITS = {
    # (hosts, steps): our wall time may be so many times the peer's
    (200, 2): {
        BEST: 1.15,
        "OpenSSH, one connection per host": 1.05,
        "parallel-ssh": 0.8,
        "fabric": 0.7,
        "pyinfra": 0.5,
        "ansible-core": 0.2,
    },
    (50, 10): {BEST: 1.3, "ansible-core": 0.2, "pyinfra": 0.45},
}
CPU_PER_HOST = 12.0
"""Milliseconds of the client's CPU for each of 200 hosts."""


def reached(timings: dict[str, Timing], work: Work) -> list[Goal]:
    """The goals of this table."""
    size = (len(work.hosts), len(work.steps))
    if OURS not in timings:
        return []
    ours = timings[OURS]
    found = [
        Goal(f"{size[1]} steps on {size[0]} hosts / {peer}", ours.median / theirs.median, limit)
        for peer, limit in LIMITS.get(size, {}).items()
        if (theirs := timings.get(peer)) is not None
    ]
    if size == (200, 2):
        cpu = 1000 * ours.median_cpu / size[0]
        found.append(Goal("client CPU per host, of 200", cpu, CPU_PER_HOST, "ms"))
    return found


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
    parts: list[str] = []
    judged: list[Goal] = []
    with tempfile.TemporaryDirectory(prefix="wtsflow-bench-") as room:
        folder = Path(room)
        with fleet(folder / "sshd") as hosts:
            for work in works:
                note(f"{len(work.steps)} steps on {len(work.hosts)} hosts")
                timings = measure(work, hosts, folder, given.peers.absolute(), given.rounds)
                parts.append(f"### {len(work.steps)} steps on {len(work.hosts)} hosts\n")
                head = ("", "wall, s", "× the best paramiko", "client CPU per host, ms")
                parts.append(table(head, rows(timings, len(work.hosts))) + "\n")
                judged += reached(timings, work)
    if judged:
        parts.append(goals(judged))
    return "\n".join(parts)


if __name__ == "__main__":
    print(main())
