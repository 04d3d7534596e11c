"""Real hosts to measure on: one OpenSSH server, every 127.0.1.x address a host of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError

# One key exchange for everybody: OpenSSH's own first choice (sntrup761) costs its client 60 ms of
# CPU that no other contestant pays. At SHLVL > 1 bash leaves ~/.bashrc alone: what stands there is
# no contestant's either.
CONFIG = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
AllowUsers {user}@127.*
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256
StrictModes no
UseDNS no
SetEnv SHLVL=5
MaxStartups 500:30:1000
MaxSessions 20
LogLevel ERROR
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running server and how to log in to it."""

    folder: Path
    port: int
    user: str

    @property
    def key(self) -> Path:
        """The private key that every host lets in."""
        return self.folder / "client_key"

    @property
    def known_hosts(self) -> Path:
        """The host key of every address."""
        return self.folder / "known_hosts"

    @staticmethod
    def addresses(count: int) -> list[str]:
        """The first ``count`` hosts."""
        return [f"127.0.{1 + number // 250}.{1 + number % 250}" for number in range(count)]

    def ssh_options(self) -> list[str]:
        """Arguments that make OpenSSH's client log in, and read no file of the user's."""
        return [
            *("-F", "/dev/null", "-i", str(self.key), "-p", str(self.port), "-l", self.user),
            *(
                "-o",
                f"UserKnownHostsFile={self.known_hosts}",
                "-o",
                "GlobalKnownHostsFile=/dev/null",
            ),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"),
        ]


@contextmanager
def fleet(folder: Path, *, count: int = 250) -> Iterator[Fleet]:
    """Start the server for as long as the block runs. Raises BenchmarkError without OpenSSH."""
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if sshd is None or shutil.which("ssh") is None:
        raise BenchmarkError("OpenSSH's sshd and ssh are not installed")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Fleet(folder, _free_port(), getpass.getuser())
    for name in ("host_key", "client_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)],
            check=True,
        )
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    host_key = (folder / "host_key.pub").read_text(encoding="ascii").strip()
    made.known_hosts.write_text(
        "".join(f"[{host}]:{made.port} {host_key}\n" for host in made.addresses(count)),
        encoding="ascii",
    )
    config = folder / "sshd_config"
    config.write_text(
        CONFIG.format(port=made.port, folder=folder, user=made.user) + _own_places(folder, count),
        encoding="utf-8",
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen(
        [sshd, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for(made, server)
        yield made
    finally:
        server.terminate()
        server.communicate(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _own_places(folder: Path, count: int) -> str:
    """Each address its own folder for temporary files: real hosts do not share /tmp."""
    blocks = []
    for address in Fleet.addresses(count):
        place = folder / "tmp" / address
        place.mkdir(parents=True)
        blocks.append(f"Match LocalAddress {address}\n  SetEnv SHLVL=5 TMPDIR={place}\n")
    return "".join(blocks)


def _wait_for(made: Fleet, server: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise BenchmarkError(f"sshd ended: {server.communicate()[1]}")
        try:
            socket.create_connection(("127.0.1.1", made.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchmarkError("sshd does not answer")
