"""Fixtures that many tests use; each lives in the module that it is imported from."""

import os
import re
from collections.abc import Generator

import pytest

from tests.counts import count, pytest_terminal_summary
from tests.peers.sshd import make_sshd, sshd

__all__ = ["count", "make_sshd", "pytest_terminal_summary", "sshd"]

_PEER_IS_ABSENT = re.compile("is not installed|needs strace|no OpenSSH client")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With WTSFLOW_REQUIRE_PEERS=1 a test that is skipped for want of a peer has failed."""
    report = yield
    if (
        report.skipped
        and os.environ.get("WTSFLOW_REQUIRE_PEERS") == "1"
        and _PEER_IS_ABSENT.search(str(report.longrepr))
    ):
        report.outcome = "failed"
    return report
