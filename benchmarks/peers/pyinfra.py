"""pyinfra 3: ``server.script`` operations."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.hosts import Fleet
from benchmarks.measure import Contestant
from benchmarks.workload import Work


def script_operation(fleet: Fleet, work: Work, folder: Path, bin_folder: Path) -> Contestant:
    """A deploy of ``server.script`` operations with their output shown."""
    room = folder / f"pyinfra-{len(work.hosts)}-{work.pairs}"
    room.mkdir(exist_ok=True)
    data = {
        "ssh_user": fleet.user,
        "ssh_port": fleet.port,
        "ssh_key": str(fleet.key),
        "ssh_known_hosts_file": str(fleet.known_hosts),
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    inventory = room / "inventory.py"
    inventory.write_text(f"hosts = ({list(work.hosts)!r}, {data!r})\n", encoding="utf-8")
    deploy = room / "deploy.py"
    deploy.write_text(
        "from pyinfra.operations import server\n"
        + "".join(
            f"server.script(name='step {number}', src={str(_executable(step, room))!r})\n"
            for number, step in enumerate(work.steps)
        ),
        encoding="utf-8",
    )

    def before() -> Mapping[str, str]:
        return {"PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin"}

    command = [str(bin_folder / "pyinfra"), "-y", "--parallel", str(work.parallel)]
    # its log goes to standard error, the scripts' output too
    shell = ["sh", "-c", 'exec "$@" 2>&1', "sh"]
    return Contestant(
        "pyinfra",
        [*shell, *command, "-vvv", str(inventory), str(deploy)],
        check=work.check(),
        before=before,
    )


def _executable(step: Path, room: Path) -> Path:
    """A copy that names its interpreter: pyinfra runs the file itself."""
    copy = room / step.name
    text = step.read_text(encoding="utf-8")
    if not text.startswith("#!"):
        text = f"#!/usr/bin/env python3\n{text}"
    copy.write_text(text, encoding="utf-8")
    return copy
