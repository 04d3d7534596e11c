"""A real run, killed at every call and in every transaction, and resumed to the same end.

A case is a run that is killed at one place, resumed by a process that is killed at another place,
and resumed once more. The scripts count what they do: each line once, whoever asked for it.
"""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from pathlib import Path

import pytest

from tests.crash.matrix import BEGIN, RESUME, Matrix, Point, Zygote, made
from tests.crash.test_crash import strace_works
from tests.keeping import posix

SHARDS = 12
Pair = tuple[Point, Point]
Count = Callable[[str, Mapping[str, int]], None]
COUNTED = ("kills", "cases", "done", "unknown", "nothing")
pytestmark = [
    posix,
    pytest.mark.peer("strace"),
    pytest.mark.skipif(not strace_works(), reason="needs strace, and to be allowed to trace"),
]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    zygote = Zygote(made(tmp_path_factory.mktemp("kill")))
    yield Matrix(zygote, tmp_path_factory.mktemp("points"))
    zygote.close()


@pytest.fixture(scope="module")
def pairs(matrix: Matrix) -> list[Pair]:
    """Where the run is killed, and where its resume is: at fewer places of the journal."""
    begun = matrix.points()
    pages = [one for one in begun if one.group == "journal"]
    resumed = [one for one in begun if one.group != "journal"] + pages[::6]
    return list(zip(begun, cycle(resumed), strict=False))


def killed(matrix: Matrix, folder: Path, first: Point, second: Point | None) -> Counter[str]:
    """One case, from the first kill to its end; what it counts."""
    case = matrix.case(folder, fresh=second is None)
    seen = Counter(cases=1)
    try:
        seen["kills"] += case.killed_at(first, BEGIN) == -signal.SIGKILL
        if second is not None and case.records() and not case.over():
            seen["kills"] += case.killed_at(second, RESUME) == -signal.SIGKILL
        if case.records():
            case.end(case.process(*RESUME))
        seen[case.check()] += 1
    except AssertionError as error:
        error.add_note(f"killed at {first}, then at {second}")
        raise
    case.remove()
    return seen


@pytest.mark.parametrize("shard", range(SHARDS))
def test_P2_P5_killed_at_any_call_and_again_while_resumed_a_run_comes_to_the_same_end(
    shard: int, matrix: Matrix, pairs: list[Pair], tmp_path: Path, count: Count
) -> None:
    seen = Counter(dict.fromkeys(COUNTED, 0))
    for number, (first, second) in enumerate(pairs[shard::SHARDS]):
        seen += killed(matrix, tmp_path / str(number), first, second)
    assert seen["kills"] >= seen["cases"]
    assert seen["unknown"] <= seen["cases"] * 0.1
    count("kill matrix", {name: seen[name] for name in COUNTED})


FIRST = (
    *(Point("journal", "pwrite64", number) for number in range(1, 280, 14)),
    *(Point("audit", "write", number) for number in (1, 2, 3)),
    *(Point("audit", call, 1) for call in ("mkdir", "openat", "fsync", "fdatasync")),
    *(Point("journal", call, 1) for call in ("openat", "fdatasync", "fsync", "fcntl", "flock")),
)
"""Where the very first run is killed, which makes all that it writes to."""


def test_P2_killed_while_the_very_first_run_makes_its_journal_nothing_is_lost(
    matrix: Matrix, tmp_path: Path, count: Count
) -> None:
    seen = Counter(dict.fromkeys(COUNTED, 0))
    for number, point in enumerate(FIRST):
        seen += killed(matrix, tmp_path / str(number), point, None)
    assert seen["kills"] > len(FIRST) / 2
    count("kill matrix", {name: seen[name] for name in COUNTED})
