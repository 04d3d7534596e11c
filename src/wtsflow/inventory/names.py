"""Which names may reach a connection.

The grammar leaves no way to write an option (``-oProxyCommand=…``), a percent token, a path or a
shell sign, whatever later reads the name.
"""

import re
from ipaddress import AddressValueError, IPv6Address

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", re.ASCII)
GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}", re.ASCII)


def is_name(text: object) -> bool:
    """Whether a text may be a host's or user's name."""
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def is_address(text: object) -> bool:
    """Whether a text may be an address: a name, an IPv4 or an IPv6 address without a zone."""
    if is_name(text):
        return True
    if not isinstance(text, str) or "%" in text:
        return False
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
