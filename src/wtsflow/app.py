"""Wires the parts: the only module that knows them all.

::

    text -> manifest.load -> planning.resolve -> engine -> records
"""

import os
import secrets
import sys
import time

from wtsflow.model.plan import Actor


class SystemClock:
    """Fulfils :class:`wtsflow.ports.Clock` with the machine's own clocks."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251 - the clock's home

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_run_id(now: float, chance: int | None = None) -> str:
    """A ULID: 26 characters that sort by time. ``chance`` has 80 random bits."""
    number = (int(now * 1000) << 80) | (secrets.randbits(80) if chance is None else chance)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def present_actor() -> Actor:
    """Who runs this process, by the operating system; the environment is not asked."""
    import platform

    host = platform.node()
    if sys.platform == "win32":
        return Actor(os.getlogin(), "", host)
    import pwd

    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Actor(name, str(uid), host)
