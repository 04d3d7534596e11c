"""A fleet of practice hosts, up while a ``with`` block lasts."""

import platform
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from wtsflow.errors import ConfigError, UsageError
from wtsflow.lab.machine import Machine
from wtsflow.lab.papers import Host, inventory, known_hosts, ssh_config
from wtsflow.lab.process import kill_marked
from wtsflow.lab.trouble import Trouble
from wtsflow.model.text import did_you_mean, listed

if TYPE_CHECKING:
    import paramiko

    from wtsflow.lab.listen import Listener
    from wtsflow.lab.ssh import Site

USER = "lab"
"""The account of the hosts."""
MOST = 500
LOOPBACK = "127.0.0.1"
_MARK = "WTSFLOW_LAB"
_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SYSTEMS = {"Darwin": "macos"}


class Hosts:
    """The fleet.

    ``count`` makes ``lab1``, ``lab2`` … in the group ``lab``, or ``machines`` says which.
    ``troubles`` maps names to what is wrong with them. ``folder`` keeps everything; without it a
    temporary one is removed at the end. ``spread`` gives each host its own loopback address
    instead of its own port (Linux only). ``environ`` is added to what commands on the hosts see.

    Inside the block ``inventory`` and ``ssh_config`` are files, ``hosts`` maps names to
    :class:`Host`, ``addresses`` to (address, port). What was started on the hosts ends with them.
    Raises UsageError for a fleet that cannot be, ConfigError where there is no POSIX shell.
    """

    def __init__(
        self,
        count: int = 0,
        *,
        machines: Sequence[Machine] = (),
        troubles: Mapping[str, Trouble] | None = None,
        folder: Path | None = None,
        spread: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        made = tuple(machines) or tuple(Machine(f"lab{n}", ("lab",)) for n in range(1, count + 1))
        self.machines = _troubled(made, troubles or {})
        self.hosts: dict[str, Host] = {}
        self.folder = folder or Path()
        self._temporary = folder is None
        self._spread = spread
        self._environ = dict(environ or {})
        self._token = secrets.token_hex(8)
        self._gone = threading.Event()
        self._listener: Listener | None = None

    @property
    def inventory(self) -> Path:
        """The inventory file that lists the hosts, with their keys and how to log in."""
        return self.folder / "inventory.yaml"

    @property
    def ssh_config(self) -> Path:
        """For a stock client: ``ssh -F <this> lab1``."""
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys."""
        return self.folder / "known_hosts"

    @property
    def key(self) -> Path:
        """The private key that may log in."""
        return self.folder / "id_ed25519"

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each host listens."""
        return {name: (host.address, host.port) for name, host in self.hosts.items()}

    @property
    def marker(self) -> str:
        """``NAME=value`` in the environment of everything that is started on the hosts."""
        return f"{_MARK}={self._token}"

    def __enter__(self) -> Self:
        shell = _shell()
        if self._temporary:
            self.folder = Path(tempfile.mkdtemp(prefix="wtsflow-lab-"))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._open(shell)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the power: the connections, what runs on the hosts, the temporary folder."""
        self._gone.set()
        if self._listener:
            self._listener.close()
        kill_marked(self.marker)
        if self._temporary and self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, shell: str) -> None:
        from wtsflow.lab.keys import client_key
        from wtsflow.lab.listen import Listener

        client = client_key(self.key)
        path = self._search_path()
        doors = [
            self._host(number, machine, shell, path, client)
            for number, machine in enumerate(self.machines, 1)
        ]
        hosts = self.hosts.values()
        system = _SYSTEMS.get(platform.system(), "linux")
        self.known_hosts.write_text(known_hosts(hosts), encoding="utf-8")
        self.inventory.write_text(
            inventory(hosts, user=USER, key=self.key, known=self.known_hosts, system=system),
            encoding="utf-8",
        )
        self.ssh_config.write_text(
            ssh_config(hosts, user=USER, key=self.key, known=self.known_hosts), encoding="utf-8"
        )
        self._listener = Listener(doors)

    def _host(
        self, number: int, machine: Machine, shell: str, path: str, client: "paramiko.PKey"
    ) -> "tuple[socket.socket, Site]":
        from wtsflow.lab.keys import new_key
        from wtsflow.lab.ssh import Site

        sock = _bound(f"127.0.1.{number}" if self._spread else LOOPBACK)
        address, port = sock.getsockname()
        key, _ = new_key()
        home = self.folder / "hosts" / machine.name
        (home / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
        public = f"{key.get_name()} {key.get_base64()}"
        self.hosts[machine.name] = Host(machine, address, port, home, public)
        environment = {
            **self._environ,
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "USER": USER,
            "LOGNAME": USER,
            "SHELL": shell,
            "PATH": path,
            _MARK: self._token,
        }
        nap = self._gone.wait
        return sock, Site(key, USER, client, shell, home, environment, machine.trouble, nap)

    def _search_path(self) -> str:
        """Where commands are looked for; with a ``python3``, which every fleet has."""
        path = ":".join(_PATH)
        if sys.platform == "win32" or shutil.which("python3", path=path):
            return self._environ.get("PATH", path)
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "python3").symlink_to(Path(sys.executable).resolve())
        return f"{folder}:{path}"


def _troubled(machines: Sequence[Machine], troubles: Mapping[str, Trouble]) -> tuple[Machine, ...]:
    names = [machine.name for machine in machines]
    if not 1 <= len(names) <= MOST:
        raise UsageError(f"a practice range has 1 to {MOST} hosts, not {len(names)}")
    for name in troubles:
        if name not in names:
            cure = did_you_mean(name, names) or f"the hosts are {listed(names)}"
            raise UsageError(f"the practice range has no host '{name}'", cure=cure)
    return tuple(
        replace(machine, trouble=troubles.get(machine.name, machine.trouble))
        for machine in machines
    )


def _bound(address: str) -> socket.socket:
    """A socket with a port of its own. Until it listens, who connects is refused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind((address, 0))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"{address} cannot be used: {error.strerror}", cure="try it without spreading"
        ) from None
    return sock


def _shell() -> str:
    found = shutil.which("sh") or shutil.which("bash")
    if found is None:
        raise ConfigError(
            "the practice range needs a POSIX shell, and there is no 'sh' on the search path",
            cure="on Windows, install Git for Windows and use its terminal",
        )
    return found
