"""What long proofs counted, added up over all workers and printed at the end of the tests."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

import pytest

PREFIX = "counted: "


@pytest.fixture
def count(
    record_property: Callable[[str, object], None],
) -> Callable[[str, Mapping[str, int]], None]:
    """``count("kill matrix", {"cases": 12})``: shown at the end, with what others counted."""

    def counted(proof: str, numbers: Mapping[str, int]) -> None:
        record_property(PREFIX + proof, dict(numbers))

    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each proof: no number of it is hidden, as in ``2,000 seeds, 3,511 crashes``."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, numbers in report.user_properties:
                    if name.startswith(PREFIX):
                        sums[name.removeprefix(PREFIX)].update(numbers)
    if sums:
        terminalreporter.section("what was counted")
    for proof, numbers in sorted(sums.items()):
        said = ", ".join(f"{number:,} {what}" for what, number in numbers.items())
        terminalreporter.write_line(f"{proof}: {said}")
