"""Where the time on a fleet goes: what being supervised costs a target, and what a start costs."""

import argparse
import hashlib
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence

from benchmarks.measure import BenchmarkError, table
from benchmarks.workload import FACTS, INTERPRETERS, REPORT
from wtsflow.ports import RunScript
from wtsflow.transports import supervisor

IMPORTS = (
    # what, by which program, beside which
    ("the interpreter", "pass", ""),
    ("typer", "import typer", "pass"),
    ("wtsflow's own modules", "import typer, wtsflow.app, wtsflow.cli.run", "import typer"),
    ("ruamel.yaml, for manifest and inventory", "import ruamel.yaml", "pass"),
    ("GitPython, for the scripts", "import git", "pass"),
    ("paramiko, for SSH", "import wtsflow.transports.lean", "pass"),
)


LOGIN = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
"""What a login by SSH finds."""


def plain() -> str:
    """Both steps as ``sh -s`` and ``python3 -`` on standard input."""
    done = [
        subprocess.run(
            [*INTERPRETERS[step].split(), "-"] if step is REPORT else [INTERPRETERS[step], "-s"],
            input=step.read_bytes(),
            stdout=subprocess.PIPE,
            env=LOGIN,
            check=True,
        ).stdout.decode()
        for step in (FACTS, REPORT)
    ]
    return "".join(done)


class Supervised:
    """Both steps under the supervisor, as a target runs them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        said = [b"token\n"]
        for step in (FACTS, REPORT):
            content = step.read_bytes()
            self.count += 1
            job = RunScript(
                content=content,
                sha256=hashlib.sha256(content).hexdigest(),
                name=step.name,
                marker=f"benchmark-{self.count}",
                command=(INTERPRETERS[step],),
                deadline=300.0,
            )
            said += [supervisor.run(job), b"ack\n"]
        return subprocess.run(
            ["/bin/sh", "-c", supervisor.text(), "wtsflow"],
            input=b"".join(said),
            stdout=subprocess.PIPE,
            env=LOGIN,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout.decode(errors="replace")


def processor(work: Callable[[], str], rounds: int, marker: str = "") -> float:
    """Median CPU milliseconds of all processes that ``work`` starts and waits for."""
    taken = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if marker not in said:
            raise BenchmarkError(f"the work was not done: {said[-500:]}")
        taken.append(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return statistics.median(taken)


def importing(program: str) -> Callable[[], str]:
    """A process that does only this."""
    return lambda: (
        subprocess.run(
            [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    )


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the Markdown."""
    parser = argparse.ArgumentParser(prog="benchmarks.costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args(arguments)
    bare = processor(plain, given.rounds, "wtsflow-report-done")
    kept = processor(Supervised(), given.rounds, "wtsflow-report-done")
    target = [
        ("both scripts, as they are", f"{bare:.1f}"),
        ("both scripts under the supervisor", f"{kept:.1f}"),
        ("so the supervisor, for each step", f"{(kept - bare) / 2:.1f}"),
    ]
    cost = {
        program: processor(importing(program), given.rounds)
        for program in dict.fromkeys(one for _, *pair in IMPORTS for one in pair if one)
    }
    start = [
        (name, f"{cost[program] - cost.get(beside, 0):.0f}") for name, program, beside in IMPORTS
    ]
    return "\n\n".join(
        [
            table(("on the target, for two steps", "CPU, ms"), target),
            table(("on the control node, once a run", "CPU, ms"), start),
        ]
    )


if __name__ == "__main__":
    print(main())
