"""Machines behind a link that can be broken: sshd in a network namespace of its own.

Needs root, ``ip`` (iproute2) and ``nft`` (nftables). Each namespace is joined to this one by a pair
of virtual cards; what is broken is broken inside, so nothing else on this machine is touched.
"""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from tests.peers.sshd import KEYGEN, SSHD, Sshd, launch, require

_SBIN = "/usr/sbin:/sbin:/usr/local/sbin"
IP = shutil.which("ip") or shutil.which("ip", path=_SBIN)
NFT = shutil.which("nft") or shutil.which("nft", path=_SBIN)

RULES = """
table inet wtsflow {
  set muted { type ipv4_addr; }
  set refusing { type ipv4_addr; }
  chain arriving {
    type filter hook input priority 0;
    ip daddr @muted drop
    ip daddr @refusing ip protocol tcp reject with tcp reset
  }
  chain leaving {
    type filter hook output priority 0;
    ip saddr @muted drop
  }
}
"""


_NUMBERS = itertools.count()
"""What was deleted lives on while something runs in it: no name is used twice."""


class Net:
    """A namespace with ``count`` addresses, each a machine; see :meth:`silence`."""

    def __init__(self, count: int) -> None:
        number = next(_NUMBERS)
        self.name = f"w{os.getpid()}n{number}"
        block = (os.getpid() * 8 + number) % 8192
        self._prefix = f"198.{18 + block // 4096}.{block // 16 % 256}"
        self._near = block % 16 * 16
        self.addresses = [f"{self._prefix}.{self._near + 2 + n}" for n in range(count)]

    def __enter__(self) -> Self:
        near = f"{self._prefix}.{self._near + 1}/28"
        here, there = f"{self.name}a", f"{self.name}b"
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
            _ip("addr", "add", near, "dev", here)
            _ip("link", "set", here, "up")
            for address in self.addresses:
                _ip("-n", self.name, "addr", "add", f"{address}/28", "dev", there)
            _ip("-n", self.name, "link", "set", there, "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
            self._nft(RULES)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for words in (("link", "del", f"{self.name}a"), ("netns", "del", self.name)):
            with suppress(subprocess.CalledProcessError):
                _ip(*words)

    def silence(self, *addresses: str) -> None:
        """From now on nothing comes from there or arrives, and nobody is told."""
        self._element("add", "muted", addresses)

    def reset(self, *addresses: str) -> None:
        """From now on what arrives there is answered by a reset."""
        self._element("add", "refusing", addresses)

    def heal(self) -> None:
        """All is well again."""
        self._nft("flush set inet wtsflow muted; flush set inet wtsflow refusing")

    def _element(self, verb: str, name: str, addresses: tuple[str, ...]) -> None:
        listed = ", ".join(addresses or self.addresses)
        self._nft(f"{verb} element inet wtsflow {name} {{ {listed} }}")

    def _nft(self, text: str) -> None:
        argv = [str(IP), "netns", "exec", self.name, str(NFT), "-f", "-"]
        subprocess.run(argv, input=text, text=True, check=True, capture_output=True)

    def sshd(self, folder: Path, **options: str) -> Sshd:
        """A server in there that is known by all its addresses."""
        within = (str(IP), "netns", "exec", self.name)
        server = launch(folder, *within, address=self.addresses[0], **options)
        line = server.known_hosts.read_text().split(" ", 1)[1]
        names = ",".join(f"[{address}]:{server.port}" for address in self.addresses)
        server.known_hosts.write_text(f"{names} {line}")
        return server


def _ip(*words: str) -> None:
    subprocess.run([str(IP), *words], check=True, capture_output=True, text=True)


@pytest.fixture
def make_net() -> Iterator[Callable[..., Net]]:
    """Make namespaces that are gone afterwards: ``make_net(count=3)``."""
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("only root of a Linux machine makes network namespaces")
    require(SSHD, "sshd (openssh-server)")
    require(KEYGEN, "ssh-keygen (openssh-client)")
    require(IP, "ip (iproute2)")
    require(NFT, "nft (nftables)")
    made: list[Net] = []

    def make(count: int = 1) -> Net:
        try:
            made.append(Net(count).__enter__())
        except subprocess.CalledProcessError as error:
            said = (error.stderr or "").strip()
            pytest.skip(f"no network namespace with a filter can be made here: {said}")
        return made[-1]

    yield make
    for net in made:
        net.__exit__()
