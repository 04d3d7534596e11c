"""Ways to reach targets. A new one: its file, and its line in :data:`TRANSPORTS`."""

from collections.abc import Callable

from wtsflow.ports import Transport
from wtsflow.transports.local import Local
from wtsflow.transports.ssh import Ssh

TRANSPORTS: dict[str, Callable[..., Transport]] = {
    "local": Local,
    "ssh": Ssh,
}
"""Each is called with ``settings`` (a workspace's defaults) and ``environment``, or without."""
