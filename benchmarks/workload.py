"""The work that everybody does: the steps, and whether they were really done.

Two steps a host: a shell script of some thirty lines, and a Python script that prints twenty
lines and one JSON result. The long form is five of each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError

STEPS = Path(__file__).parent / "steps"
FACTS = STEPS / "facts.sh"
REPORT = STEPS / "report.py"
MARKERS = {FACTS: "wtsflow-facts-done", REPORT: "wtsflow-report-done"}
INTERPRETERS = {FACTS: "/bin/sh", REPORT: "python3"}


@dataclass(frozen=True, slots=True)
class Work:
    """``pairs`` times both steps on each of ``hosts``, at most ``parallel`` hosts at once."""

    hosts: tuple[str, ...]
    pairs: int = 1
    parallel: int = 50

    @property
    def steps(self) -> tuple[Path, ...]:
        """The scripts, in order."""
        return (FACTS, REPORT) * self.pairs

    def check(self) -> Callable[[str], None]:
        """A check that every step's last words came from every host."""

        def checked(stdout: str) -> None:
            for script, marker in MARKERS.items():
                wanted = len(self.hosts) * self.pairs
                found = stdout.count(marker)
                if found < wanted:
                    raise BenchmarkError(
                        f"{script.name} answered {found} of {wanted} times:\n{stdout[-2000:]}"
                    )

        return checked

    def bundle(self) -> str:
        """All steps as one text for one ``sh -s``: how people save connections by hand."""
        parts = []
        for number, script in enumerate(self.steps):
            interpreter = "python3 -" if script is REPORT else "sh -s"
            body = script.read_text(encoding="utf-8")
            parts.append(f"{interpreter} <<'STEP{number}'\n{body}\nSTEP{number}\n")
        return "".join(parts)
