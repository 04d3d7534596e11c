"""Who runs this process, and what its runs are called."""

import os
import secrets
import sys

from wtsflow.model.plan import Actor

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
    uid = os.getuid()
    try:
        import pwd

        name = pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        name = str(uid)
    return Actor(name, str(uid), host)
