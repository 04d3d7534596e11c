"""ansible-core: the script module, pipelining, strategy free, no fact gathering."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.hosts import Fleet
from benchmarks.measure import Contestant
from benchmarks.workload import INTERPRETERS, Work

CONFIG = """\
[defaults]
inventory = {folder}/inventory.json
forks = {parallel}
strategy = free
gathering = explicit
host_key_checking = True
interpreter_python = /usr/bin/python3
deprecation_warnings = False
retry_files_enabled = False
stdout_callback = minimal
local_tmp = {folder}/tmp
[ssh_connection]
pipelining = True
ssh_args = -F /dev/null -o ControlMaster=auto -o ControlPersist=60s \
-o UserKnownHostsFile={known_hosts} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes
"""


def script_module(fleet: Fleet, work: Work, folder: Path, bin_folder: Path) -> Contestant:
    """A playbook of ``script:`` tasks, every connection made anew in each round."""
    room = folder / f"ansible-{len(work.hosts)}-{work.pairs}"
    room.mkdir(exist_ok=True)
    playbook = room / "site.yml"
    playbook.write_text(json.dumps(_playbook(work)), encoding="utf-8")
    (room / "inventory.json").write_text(json.dumps(_inventory(fleet, work)), encoding="utf-8")
    config = room / "ansible.cfg"
    config.write_text(
        CONFIG.format(folder=room, parallel=work.parallel, known_hosts=fleet.known_hosts),
        encoding="utf-8",
    )
    sockets: list[Path] = []

    def before() -> Mapping[str, str]:
        # a control path must stay under 108 characters
        sockets.append(Path(tempfile.mkdtemp(prefix="cp-", dir="/tmp")))
        return {
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_HOME": str(room),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets[-1]),
            "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin",
        }

    def after() -> None:
        for one in sockets.pop().iterdir():
            subprocess.run(
                ["ssh", "-S", str(one), "-O", "exit", "any"], check=False, capture_output=True
            )

    command = [str(bin_folder / "ansible-playbook"), str(playbook)]
    return Contestant("ansible-core", command, check=work.check(), before=before, after=after)


def _playbook(work: Work) -> list[object]:
    tasks = [
        {"script": {"cmd": str(step), "executable": INTERPRETERS[step]}, "register": f"r{number}"}
        for number, step in enumerate(work.steps)
    ]
    shown = [{"debug": {"var": f"r{number}.stdout"}} for number, _ in enumerate(tasks)]
    return [{"hosts": "all", "gather_facts": False, "tasks": [*tasks, *shown]}]


def _inventory(fleet: Fleet, work: Work) -> object:
    variables = {
        "ansible_user": fleet.user,
        "ansible_port": fleet.port,
        "ansible_ssh_private_key_file": str(fleet.key),
    }
    return {"all": {"hosts": dict.fromkeys(work.hosts), "vars": variables}}
