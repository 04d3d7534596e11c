"""The files that lead to a practice range: inventory, known hosts, a configuration for ``ssh``."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wtsflow.lab.machine import Machine
from wtsflow.model.values import Json


@dataclass(frozen=True, slots=True)
class Host:
    """A practice host that is up (or, by its trouble, is not). ``home`` is its home folder."""

    machine: Machine
    address: str
    port: int
    home: Path
    public_key: str
    """``ssh-ed25519 AAAA…``"""

    @property
    def name(self) -> str:
        """What the inventory calls it."""
        return self.machine.name


def known_hosts(hosts: Iterable[Host]) -> str:
    """The keys of all hosts, as ``ssh`` reads them."""
    return "".join(f"[{host.address}]:{host.port} {host.public_key}\n" for host in hosts)


def inventory(hosts: Iterable[Host], *, user: str, key: Path, known: Path, system: str) -> str:
    """An inventory in wtsflow's own format. JSON is YAML: every value is written as JSON."""
    ssh = {
        "known_hosts": str(known),
        "identity_file": str(key),
        "identities_only": True,
        "agent": False,
        "config": False,
        "jump": [],
    }
    lines = [
        "# A practice range of wtsflow: these hosts are folders on this machine.",
        "wtsflow: 1",
        "defaults:",
        "  transport: ssh",
        f"  user: {_json(user)}",
        f"  os: {_json(system)}",
        f"  ssh: {_json(ssh)}",
        "hosts:",
    ]
    groups: dict[str, list[str]] = {}
    for host in hosts:
        said: dict[str, Json] = {"host": host.address, "port": host.port}
        if host.machine.variables:
            said["vars"] = dict(host.machine.variables)
        lines.append(f"  {_json(host.name)}: {_json(said)}")
        for group in host.machine.groups:
            groups.setdefault(group, []).append(host.name)
    if groups:
        lines.append("groups:")
        lines += [f"  {_json(name)}: {_json({'hosts': m})}" for name, m in groups.items()]
    return "\n".join([*lines, ""])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def ssh_config(hosts: Iterable[Host], *, user: str, key: Path, known: Path) -> str:
    """For a stock client: nothing of the user's own configuration is needed or touched."""
    common = {
        "User": user,
        "IdentityFile": f'"{key}"',
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": f'"{known}"',
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }
    lines: list[str] = []
    for host in hosts:
        lines += [f"Host {host.name}", f"    HostName {host.address}", f"    Port {host.port}"]
    lines += ["Host *", *(f"    {name} {value}" for name, value in common.items())]
    return "\n".join([*lines, ""])
