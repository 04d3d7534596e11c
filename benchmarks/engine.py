"""What a step costs beside its durable writes, and beside peers that keep a run on disk too."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import parked
from benchmarks.measure import BenchmarkError, Goal, goals, note, table

HERE = Path(__file__).parent
SLOW = 2.0
"""Milliseconds that a flush takes longer on the slow disk: an ordinary one in a laptop."""


@dataclass(frozen=True, slots=True)
class Load:
    """A program that does ``units`` of work in a process of its own and says what it took."""

    name: str
    command: Sequence[str]
    units: int

    def once(self) -> Mapping[str, float]:
        """Run it in an empty folder; ``{}`` in its command stands for that."""
        with tempfile.TemporaryDirectory(prefix="wtsflow-engine-") as folder:
            done = subprocess.run(
                [word.replace("{}", folder) for word in self.command],
                capture_output=True,
                text=True,
                check=False,
                timeout=900,
            )
        if done.returncode != 0:
            raise BenchmarkError(f"{self.name} exited {done.returncode}:\n{done.stderr[-2000:]}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def ours(kind: str, count: int, each: int = 1, *, slow: bool = False) -> Load:
    """wtsflow's engine, and its floor."""
    units = count * each
    words = [sys.executable, "-m", "benchmarks.engine_load", kind, str(count), str(each)]
    if slow:
        words += ["--slow", str(SLOW / 1000)]
    return Load(f"{kind} {count} x {each}", words, units)


def peers(python: Path, runs: int, steps: int) -> list[Load]:
    """The peers that are installed."""
    found = []
    for name, module in (("DBOS Transact, SQLite", "dbos"), ("Luigi, files", "luigi")):
        if list(python.parent.parent.glob(f"lib/python*/site-packages/{module}")):
            program = str(HERE / "peers" / f"with_{module}.py")
            command = [str(python), program, "{}", str(runs), str(steps)]
            found.append(Load(name, command, runs * steps))
        else:
            note(f"{module} is not installed: left out (make bench installs it)")
    return found


def interleaved(loads: Mapping[str, Load], rounds: int) -> dict[str, list[Mapping[str, float]]]:
    """Every load in every round, each round beginning with another one."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in loads}
    names = list(loads)
    for number in range(rounds):
        shift = number % len(names)
        for name in [*names[shift:], *names[:shift]]:
            took = loads[name].once()
            found[name].append(took)
            note(f"  round {number + 1}: {name}: {took['wall']:.2f} s")
    return found


class Taken:
    """What loads took: medians over the rounds, ratios within a round."""

    def __init__(self, loads: Mapping[str, Load], rounds: int) -> None:
        self.loads = loads
        self.rounds = interleaved(loads, rounds)

    def step(self, name: str) -> float:
        """Milliseconds of a step (or task)."""
        return self.median(name, "wall") * 1000 / self.loads[name].units

    def median(self, name: str, what: str) -> float:
        """The median of one figure."""
        return statistics.median(one[what] for one in self.rounds[name])

    def ratio(self, name: str, other: str) -> float:
        """How much longer a step of ``name`` takes than one of ``other``."""
        pairs = zip(self.rounds[name], self.rounds[other], strict=True)
        units = self.loads[other].units / self.loads[name].units
        return statistics.median(a["wall"] / b["wall"] * units for a, b in pairs)

    def above_floor(self, name: str) -> float:
        """How much longer a load takes than its durable writes alone."""
        return statistics.median(one["wall"] / one["floor"] for one in self.rounds[name])

    def row(self, name: str, beside: str) -> tuple[str, str, str, str]:
        """Milliseconds a step, steps a second, beside another."""
        return (
            f"**{name}**" if name == beside else name,
            f"{self.step(name):.2f}",
            f"{1000 / self.step(name):,.0f}",
            f"{self.ratio(name, beside):.2f}",
        )


def beside_peers(python: Path, rounds: int) -> tuple[str, list[Goal]]:
    """One run of 1,000 steps, and 100 runs of 20 at once."""
    alone, many = "wtsflow, 1,000 steps in one run", "wtsflow, 100 runs of 20 steps at once"
    loads = {alone: ours("steps", 1000), many: ours("runs", 100, 20)}
    for peer in peers(python, 1, 1000):
        loads[f"{peer.name}, 1,000 steps in one run"] = peer
    for peer in peers(python, 100, 20):
        loads[f"{peer.name}, 100 runs of 20 steps at once"] = peer
    taken = Taken(loads, rounds)
    writes = taken.median(alone, "floor")
    first = ("the durable writes of that run alone", f"{writes:.2f}", f"{1000 / writes:,.0f}", "")
    rows = [first, *(taken.row(name, alone) for name in loads)]
    head = ("", "ms a step", "steps a second", "× one run of wtsflow")
    return table(head, rows), [
        Goal("1,000 steps in one run / its durable writes", taken.above_floor(alone), 1.5),
        Goal("steps a second of 100 runs / of one run", taken.ratio(alone, many), 5, at_least=True),
    ]


def on_a_slow_disk(rounds: int) -> tuple[str, list[Goal]]:
    """The same, where a flush takes as long as on an ordinary disk."""
    alone, many = "200 steps in one run", "100 runs of 20 steps at once"
    loads = {
        alone: ours("steps", 200, slow=True),
        many: ours("runs", 100, 20, slow=True),
    }
    taken = Taken(loads, rounds)
    head = (f"each flush {SLOW:g} ms longer", "ms a step", "steps a second", "× one run")
    return table(head, [taken.row(name, alone) for name in loads]), [
        Goal("the same on the slow disk / its durable writes", taken.above_floor(alone), 1.5),
        Goal(
            "steps a second of 100 runs / of one run, on the slow disk",
            taken.ratio(alone, many),
            5,
            at_least=True,
        ),
    ]


def by_size(rounds: int) -> tuple[str, list[Goal]]:
    """Whether a step costs the same in a long run, and what a wide one takes."""
    loads = {f"{count:,} steps": ours("steps", count) for count in (100, 1000, 10_000)}
    wide = "a fan-out of 10,000 tasks"
    loads[wide] = ours("fan", 10_000)
    taken = Taken(loads, rounds)
    rows = [
        (
            name,
            f"{taken.step(name):.2f}",
            f"{1000 * taken.median(name, 'cpu') / load.units:.2f}",
            f"{taken.above_floor(name):.2f}",
            f"{taken.median(name, 'calls') / load.units:.3f}",
            f"{taken.median(name, 'flushes') / load.units:.3f}",
            f"{taken.median(name, 'rss'):.0f}",
        )
        for name, load in loads.items()
    ]
    spread = [
        statistics.median(
            many["cpu"] / few["cpu"] * loads["1,000 steps"].units / load.units
            for many, few in zip(taken.rounds[name], taken.rounds["1,000 steps"], strict=True)
        )
        for name, load in loads.items()
        if name != wide
    ]
    head = ("", "ms a step", "of it CPU", "× its writes", "transactions", "flushes", "memory, MB")
    return table(head, rows), [
        Goal(
            "CPU of a step, 100 to 10,000 steps, beside 1,000",
            max(abs(100 * one - 100) for one in spread),
            20,
            "% off",
        ),
        Goal("memory of 10,000 tasks", taken.median(wide, "rss"), 200, "MB"),
    ]


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the Markdown."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv-bench"))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    os.environ["PYTHONPATH"] = str(HERE.parent)
    python = given.peers.absolute() / "bin" / "python"
    parts = [
        beside_peers(python, given.rounds),
        on_a_slow_disk(given.rounds),
        by_size(given.rounds),
        parked.measure(given.rounds),
    ]
    return "\n\n".join(
        [*(text for text, _ in parts), goals([goal for _, found in parts for goal in found])]
    )


if __name__ == "__main__":
    print(main())
