"""The machine's clock, in a module of its own: commands that need no engine import none."""

import time


class SystemClock:
    """Fulfils :class:`wtsflow.ports.Clock` with the machine's own clocks."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251 - the clock's home

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()
