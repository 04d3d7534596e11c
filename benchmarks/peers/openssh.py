"""OpenSSH and xargs: one connection per host, which is the floor, and one per step."""

import shlex
from pathlib import Path

from benchmarks.hosts import Fleet
from benchmarks.measure import Contestant
from benchmarks.workload import INTERPRETERS, Work


def one_connection(fleet: Fleet, work: Work, folder: Path) -> Contestant:
    """All steps of a host travel in one ``ssh host sh -s``."""
    bundle = folder / f"bundle-{work.pairs}.sh"
    bundle.write_text(work.bundle(), encoding="utf-8")
    ssh = shlex.join(["ssh", *fleet.ssh_options()])
    return _fan_out("OpenSSH, one connection per host", work, f"{ssh} {{}} sh -s < {bundle}")


def connection_per_step(fleet: Fleet, work: Work, folder: Path) -> Contestant:
    """Each step opens a connection: what a plain loop over ssh does."""
    del folder
    ssh = shlex.join(["ssh", *fleet.ssh_options()])
    lines = [f"{ssh} {{}} {INTERPRETERS[step]} - < {step}" for step in work.steps]
    script = " && ".join(line.replace("/bin/sh -", "sh -s") for line in lines)
    return _fan_out("OpenSSH, one connection per step", work, script)


def _fan_out(name: str, work: Work, script: str) -> Contestant:
    return Contestant(
        name,
        ["xargs", "-P", str(work.parallel), "-I{}", "sh", "-c", script],
        check=work.check(),
        stdin="".join(f"{host}\n" for host in work.hosts),
    )
