"""How long until the program answers: the command line itself, and the proof of one manifest."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Contestant, Goal, goals, interleave, note, table
from benchmarks.workspace import WTSFLOW, Room


def version(rounds: int) -> tuple[str, Goal]:
    """``wtsflow --version`` beside an interpreter that does nothing."""
    bare = Contestant("python -c pass", [sys.executable, "-c", "pass"])
    ours = Contestant("wtsflow --version", [str(WTSFLOW), "--version"])
    typer = Contestant(
        "python -c 'import typer'", [sys.executable, "-c", "import typer, typer.main"]
    )
    timings = interleave([bare, ours, typer], rounds)
    ratio = timings[ours.name].median / timings[bare.name].median
    rows = [
        (name, f"{1000 * one.median:.0f}", f"{one.median / timings[bare.name].median:.2f}")
        for name, one in timings.items()
    ]
    goal = Goal("`wtsflow --version` / `python -c pass`", ratio, 3)
    return table(("", "wall, ms", "× python"), rows), goal


def one_manifest(rounds: int, peers: Path) -> tuple[str, Goal | None]:
    """The proof of one manifest beside Ansible's syntax check of a like playbook."""
    with tempfile.TemporaryDirectory(prefix="wtsflow-bench-") as folder:
        room = Room(Path(folder))
        room.build()
        ours = Contestant(
            "wtsflow validate",
            [str(WTSFLOW), "validate", str(room.manifest)],
            before=lambda: room.environment,
            folder=room.folder,
        )
        offline = Contestant(
            "wtsflow validate --offline",
            [*ours.command, "--offline"],
            before=lambda: room.environment,
            folder=room.folder,
        )
        contestants = [ours, offline]
        playbook = room.folder / "site.yml"
        playbook.write_text(json.dumps(PLAYBOOK), encoding="utf-8")
        ansible = peers / "bin" / "ansible-playbook"
        if ansible.exists():
            contestants.append(
                Contestant(
                    "ansible-playbook --syntax-check",
                    [str(ansible), "-i", "localhost,", "--syntax-check", str(playbook)],
                )
            )
        else:
            note(f"ansible-core is not installed in {peers}: left out (make bench installs it)")
        timings = interleave(contestants, rounds)
    rows = [(name, f"{1000 * one.median:.0f}") for name, one in timings.items()]
    if len(contestants) == 2:
        return table(("", "wall, ms"), rows), None
    ratio = timings[ours.name].median / timings[contestants[-1].name].median
    goal = Goal("`validate` / `ansible-playbook --syntax-check`", ratio, 0.25)
    return table(("", "wall, ms"), rows), goal


PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"days": 5},
        "tasks": [
            {"name": "Facts", "script": "facts.sh", "register": "facts"},
            {"name": "Report", "script": "report.py", "when": "days > 3"},
        ],
    }
]


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the Markdown."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv-bench"))
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args(arguments)
    first, start = version(given.rounds)
    second, proof = one_manifest(given.rounds, given.peers.absolute())
    reached = [start] if proof is None else [start, proof]
    return "\n\n".join([first, second, goals(reached)])


if __name__ == "__main__":
    print(main())
