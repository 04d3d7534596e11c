"""A real OpenSSH server on a free loopback port, for whoever tests against one.

``sshd`` is one server per test process; ``make_sshd`` makes more with options of their own. Every
127.0.1.x is it, so one server is as many hosts as are wanted.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wtsflow.model.plan import Target

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
KEYGEN = shutil.which("ssh-keygen")


def require(program: str | None, name: str) -> None:
    """Skip where a peer is absent, with the reason; fail where it must be there."""
    if program:
        return
    if os.environ.get("WTSFLOW_REQUIRE_PEERS") == "1":
        pytest.fail(f"{name} is required here (WTSFLOW_REQUIRE_PEERS=1) and is not installed")
    pytest.skip(f"{name} is not installed")


def keygen(path: Path, *options: str) -> Path:
    """A new key pair; returns the private key's path."""
    subprocess.run(
        [str(KEYGEN), "-q", "-N", "", "-t", "ed25519", "-C", "test", *options, "-f", str(path)],
        check=True,
    )
    return path


def public(path: Path) -> str:
    """``ssh-ed25519 AAAA…`` of a private key's path, without the comment."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


@dataclass
class Sshd:
    """A running server. ``settings`` are what a target needs to reach it by the ssh transport."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"
    user: str
    client_key: Path
    host_key: Path
    known_hosts: Path
    options: dict[str, str] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    address: str = "127.0.0.1"

    @property
    def settings(self) -> dict[str, object]:
        return {
            "known_hosts": str(self.known_hosts),
            "identity_file": str(self.client_key),
            "config": False,
            "agent": False,
        }

    def target(self, name: str = "host1", address: str = "127.0.1.1", **settings: object) -> Target:
        """A target on this server; ``settings`` are added to its own."""
        return Target(
            name=name,
            transport="ssh",
            host=address,
            port=self.port,
            user=self.user,
            os="linux",
            settings={**self.settings, **settings},  # type: ignore[dict-item]
        )

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def children(self) -> list[int]:
        """Processes of the server that serve connections, the newest last."""
        return sorted(_descendants(self.process.pid))

    def restart(self) -> None:
        """As a service manager does it: who is connected stays so."""
        self.process.kill()
        self.process.wait()
        self.process = _listen(self.folder, self.within)
        _await(self)

    def stop(self) -> None:
        for pid in self.children():
            _signal(pid, signal.SIGCONT)
            _signal(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(errors="replace")
        except OSError:
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        if name.startswith("sshd"):
            parents.setdefault(int(text[text.rindex(")") + 2 :].split()[1]), []).append(
                int(text.split()[0])
            )
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(folder: Path, *within: str, address: str = "127.0.0.1", **options: str) -> Sshd:
    """Start a server; ``options`` are lines of its sshd_config and win over ours.

    ``within`` is a command that starts it, ``address`` where it is then reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    host_key, client_key = folder / "host_key", folder / "client_key"
    for key in (host_key, client_key):
        if not key.exists():
            keygen(key)
    keys = folder / "authorized_keys"
    keys.write_text(public(client_key) + "\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    config = {
        "ListenAddress": f"0.0.0.0:{port}",
        "HostKey": str(host_key),
        "AuthorizedKeysFile": str(keys),
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "yes",
        "MaxStartups": "500:30:1000",
        "MaxSessions": "10",
        "PerSourceMaxStartups": "none",
        "UseDNS": "no",
        "SetEnv": "SHLVL=5",  # bash then leaves the tester's own ~/.bashrc alone
        "LogLevel": "INFO",
        **options,
    }
    file = folder / "sshd_config"
    file.write_text("".join(f"{name} {value}\n" for name, value in config.items()))
    process = _listen(folder, within)
    known = folder / "known_hosts"
    known.write_text(
        f"[127.0.1.*]:{port},[127.0.0.1]:{port},[localhost]:{port} {public(host_key)}\n"
    )
    user = getpass.getuser()
    server = Sshd(folder, port, process, user, client_key, host_key, known, config, within, address)
    _await(server)
    return server


def _listen(folder: Path, within: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*within, str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )


def _await(server: Sshd) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise AssertionError(f"sshd ended with {server.process.returncode}: {server.log()}")
        try:
            with socket.create_connection((server.address, server.port), 1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.02)
    server.stop()
    raise AssertionError(f"sshd does not answer: {server.log()}")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The server that most tests share."""
    require(SSHD, "sshd (openssh-server)")
    require(KEYGEN, "ssh-keygen (openssh-client)")
    server = launch(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def make_sshd(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Make servers with options of their own: ``make_sshd(MaxSessions="1")``."""
    require(SSHD, "sshd (openssh-server)")
    require(KEYGEN, "ssh-keygen (openssh-client)")
    made: list[Sshd] = []

    def make(name: str = "", **options: str) -> Sshd:
        made.append(launch(tmp_path / (name or f"sshd{len(made)}"), **options))
        return made[-1]

    yield make
    for server in made:
        server.stop()
