"""Fixtures that many tests use; each lives in the module that it is imported from."""

from tests.peers.sshd import make_sshd, sshd

__all__ = ["make_sshd", "sshd"]
