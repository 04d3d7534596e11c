"""How long a proof takes: a library of 1,000 manifests, and 200 pins beside git itself."""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import BenchmarkError, Contestant, Goal, goals, interleave, table
from benchmarks.workspace import WTSFLOW, Room, git, library

RESOLVE = """\
import time
from pathlib import Path
import git
import wtsflow.scripts
from wtsflow.clock import SystemClock
from wtsflow.workspace import Workspace
names = Path("pins.txt").read_text().split()
workspace = Workspace.find(Path.cwd())
began = time.perf_counter()
source = workspace.repository(Path("cache"), SystemClock())
total = sum(len(source.read(source.resolve(name))) for name in names)
print(total, time.perf_counter() - began)
"""


def many(count: int, rounds: int) -> tuple[str, Goal]:
    """The whole library on one core, as a process."""
    with tempfile.TemporaryDirectory(prefix="wtsflow-bench-") as folder:
        room = Room(Path(folder))
        room.build(library(count))

        def check(stdout: str) -> None:
            if str(count) not in stdout:
                raise BenchmarkError(f"validate did not see {count} manifests:\n{stdout[-500:]}")

        command = [str(WTSFLOW), "validate", str(room.folder / "manifests" / "many")]
        ours = Contestant(
            f"wtsflow validate, {count} manifests",
            ["taskset", "--cpu-list", "0", *command],
            before=lambda: room.environment,
            check=check,
            folder=room.folder,
        )
        timing = interleave([ours], rounds)[ours.name]
    rows = [(ours.name, f"{timing.median:.2f}", f"{1000 * timing.median / count:.2f}")]
    goal = Goal(f"{count:,} manifests of 100 lines on one core", timing.median, 4.0, "s")
    return table(("", "wall, s", "ms per manifest"), rows), goal


def pins(count: int, rounds: int) -> tuple[str, Goal]:
    """Pins resolved and read, beside the same blobs from one ``git cat-file --batch``.

    Measured inside a process that has its libraries loaded: start-up has a table of its own.
    """
    with tempfile.TemporaryDirectory(prefix="wtsflow-bench-") as folder:
        room = Path(folder)
        names = repository(room / "scripts", scripts=400, versions=10)[:: 4000 // count][:count]
        (room / "pins.txt").write_text("\n".join(names), encoding="ascii")
        steps = "".join(f"  - script: {name}\n" for name in names)
        head = "wtsflow: 1\nname: bench/pins\nversion: 1.0.0\ntitle: Pins\nowner: bench\nsteps:\n"
        (room / "manifests").mkdir()
        (room / "manifests" / "pins.yaml").write_text(head + steps, encoding="utf-8")
        (room / "wtsflow.yaml").write_text("wtsflow: 1\nscripts: scripts\n", encoding="utf-8")
        Room(room).run("lock")
        cold, warm, theirs = [], [], []
        for _ in range(rounds):
            subprocess.run(["rm", "-rf", str(room / "cache")], check=True)
            cold.append(_inside(RESOLVE, room))
            warm.append(_inside(RESOLVE, room))
            theirs.append(_inside(CAT_FILE, room))
    floor = sorted(theirs)[rounds // 2]
    rows = [
        ("git cat-file --batch", f"{1000 * floor:.0f}", "1.00"),
        _row("wtsflow", sorted(warm)[rounds // 2], floor),
        _row("wtsflow, with an empty cache", sorted(cold)[rounds // 2], floor),
    ]
    ratio = sorted(warm)[rounds // 2] / floor
    goal = Goal(f"{count} pins / `git cat-file --batch`", ratio, 1.5)
    return table(("", "wall, ms", "× git"), rows), goal


CAT_FILE = """\
import subprocess, time
from pathlib import Path
names = Path("pins.txt").read_text().split()
began = time.perf_counter()
git = subprocess.Popen(
    ["git", "-C", "scripts", "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
total = 0
for name in names:
    git.stdin.write(f"refs/tags/{name}:{name.partition('@')[0]}\\n".encode())
    git.stdin.flush()
    size = int(git.stdout.readline().split()[2])
    total += len(git.stdout.read(size + 1)) - 1
git.stdin.close()
git.wait()
print(total, time.perf_counter() - began)
"""


def _inside(program: str, folder: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **Room(folder).environment},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(done.stdout.split()[1])


def _row(name: str, seconds: float, floor: float) -> tuple[str, str, str]:
    return name, f"{1000 * seconds:.0f}", f"{seconds / floor:.2f}"


def repository(folder: Path, *, scripts: int, versions: int) -> list[str]:
    """A repository of ``scripts`` scripts in ``versions`` versions, each tagged: its pins."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    stream, names, who = [], [], "bench <bench@example.org> 1700000000 +0000"
    mark = 0
    for version in range(versions):
        for number in range(scripts):
            path = f"area{number % 20:02d}/script{number:03d}.sh"
            noise = hashlib.sha256(f"{version} {path}".encode()).hexdigest()
            text = f"#!/bin/sh\n# version 1.{version}.0 {noise}\n" + "echo a line of it\n" * 60
            parent = f"from :{mark}\n" if mark else ""
            mark += 1
            stream.append(
                f"commit refs/heads/main\nmark :{mark}\ncommitter {who}\ndata 2\nx\n{parent}"
                f"M 100644 inline {path}\ndata {len(text)}\n{text}\n"
                f"tag {path}@1.{version}.0\nfrom :{mark}\ntagger {who}\ndata 2\nx\n"
            )
            names.append(f"{path}@1.{version}.0")
    git(folder, "fast-import", "--quiet", stdin="".join(stream))
    return names


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the Markdown."""
    parser = argparse.ArgumentParser(prog="benchmarks.validate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--manifests", type=int, default=1000)
    parser.add_argument("--pins", type=int, default=200)
    given = parser.parse_args(arguments)
    first, proof = many(given.manifests, given.rounds)
    second, read = pins(given.pins, given.rounds)
    return "\n\n".join([first, second, goals([proof, read])])


if __name__ == "__main__":
    print(main())
