"""Interleaved timing of whole processes, and the tables that come out of it."""

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class BenchmarkError(Exception):
    """A contestant did not do its work: its time would mean nothing."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do the work.

    ``check`` gets what was printed and raises :class:`BenchmarkError` when the work was not
    done; ``before`` prepares a round and returns the environment to add; ``after`` cleans up.
    Neither is timed.
    """

    name: str
    command: Sequence[str]
    check: Callable[[str], None] = lambda _: None
    before: Callable[[], Mapping[str, str]] = dict
    after: Callable[[], None] = lambda: None
    stdin: str = ""
    folder: Path | None = None


@dataclass(slots=True)
class Timing:
    """What a contestant took: wall and CPU seconds of every round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median wall time, seconds."""
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        """Median CPU time (user and system, of the process and its waited children), seconds."""
        return statistics.median(self.cpu)


def once(contestant: Contestant, *, timeout: float = 600) -> tuple[float, float]:
    """Run it once: wall and CPU seconds. Raises BenchmarkError when it failed."""
    environment = {**os.environ, **contestant.before()}
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        list(contestant.command),
        input=contestant.stdin,
        capture_output=True,
        text=True,
        env=environment,
        cwd=contestant.folder,
        timeout=timeout,
        check=False,
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    contestant.after()
    if done.returncode != 0:
        tail = (done.stderr or done.stdout)[-2000:]
        raise BenchmarkError(f"{contestant.name} exited {done.returncode}:\n{tail}")
    contestant.check(done.stdout + done.stderr)
    return wall, cpu


def interleave(
    contestants: Sequence[Contestant], rounds: int, *, warm: bool = True
) -> dict[str, Timing]:
    """Every contestant in every round, each round beginning with another one.

    A slow minute of the machine then falls on all of them. The first, warming round is not
    counted.
    """
    timings = {contestant.name: Timing() for contestant in contestants}
    for number in range(-1 if warm else 0, rounds):
        shift = number % len(contestants)
        for contestant in [*contestants[shift:], *contestants[:shift]]:
            wall, cpu = once(contestant)
            if number >= 0:
                timings[contestant.name].wall.append(wall)
                timings[contestant.name].cpu.append(cpu)
            note(f"  round {number + 1}: {contestant.name}: {wall:.3f} s")
    return timings


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached: ``measured`` no more than ``limit``, or ``at_least`` it."""

    what: str
    measured: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        """What, limit, measured, verdict."""
        return (
            self.what,
            f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}",
            f"{self.measured:.3g} {self.unit}",
            "met" if self.met else "**missed**",
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers, right-aligned."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def goals(reached: Sequence[Goal]) -> str:
    """The table of goals."""
    head = "| goal | limit | measured | |\n|---|---:|---:|---|"
    return "\n".join([head, *(f"| {' | '.join(goal.row())} |" for goal in reached)])


def machine() -> str:
    """One sentence about the machine that the numbers were taken on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{_system()}, {_processor()}, {cores} cores for client and targets together, "
        f"{memory:.0f} GiB, Python {platform.python_version()}; load average when it began "
        f"{load:.1f}."
    )


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = platform.system()
    return f"{name}, kernel {platform.release().split('-')[0]}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def note(text: str) -> None:
    """Say how far it is; not part of the tables."""
    print(text, file=sys.stderr, flush=True)
