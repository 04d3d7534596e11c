"""The peers that are Python programs of our own on somebody's library, one call each."""

from pathlib import Path

from benchmarks.hosts import Fleet
from benchmarks.measure import Contestant
from benchmarks.workload import Work

HERE = Path(__file__).parent


def lean_paramiko(fleet: Fleet, work: Work, folder: Path, python: Path) -> Contestant:
    """Paramiko at its best; see the module's docstring."""
    return _program("paramiko at its best", "lean_paramiko.py", fleet, work, folder, python)


def fabric(fleet: Fleet, work: Work, folder: Path, python: Path) -> Contestant:
    """Fabric 3: put and run."""
    return _program("fabric", "with_fabric.py", fleet, work, folder, python)


def parallel_ssh(fleet: Fleet, work: Work, folder: Path, python: Path) -> Contestant:
    """parallel-ssh's native client."""
    return _program("parallel-ssh", "with_pssh.py", fleet, work, folder, python)


def _program(
    name: str, program: str, fleet: Fleet, work: Work, folder: Path, python: Path
) -> Contestant:
    hosts = folder / f"hosts-{len(work.hosts)}.txt"
    hosts.write_text("".join(f"{host}\n" for host in work.hosts), encoding="ascii")
    return Contestant(
        name,
        [
            *(str(python), str(HERE / program), str(fleet.port), fleet.user),
            *(str(fleet.key), str(fleet.known_hosts), str(work.parallel), str(hosts)),
            *(str(step) for step in work.steps),
        ],
        check=work.check(),
    )
