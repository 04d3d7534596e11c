"""Recorded runs for the console's tests, and a driver to look at them in a real terminal.

``python -m tests.watching fleet 200 --speed 3`` plays one live.
"""

import argparse
import heapq
import random
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wtsflow import manifest
from wtsflow.errors import Exit
from wtsflow.model.plan import LOCAL, Plan, Target
from wtsflow.model.record import Event, Line, Record
from wtsflow.model.terminal import Style
from wtsflow.subscribers.console import Console

RUN = "01K6ZQ4N8H3V7T2B9XWMJ5C0DE"
START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class FakeClock:
    def __init__(self, at: float = START) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@dataclass
class Tape:
    """What a run's subscribers see, and when; ``play`` numbers and dates it."""

    seen: list[tuple[float, int, Event | Line]]

    def __init__(self) -> None:
        self.seen = []

    def event(self, at: float, key: str, **data: Any) -> None:
        heapq.heappush(self.seen, (at, len(self.seen), Event(key, data)))

    def line(self, at: float, path: str, target: str, text: str, stream: str = "stdout") -> None:
        heapq.heappush(self.seen, (at, len(self.seen), Line(RUN, path, target, stream, text)))

    def begin(self, at: float, path: str, target: str, number: int = 1, **data: Any) -> None:
        self.event(at, f"started/{path}@{target}/{number}", path=path, target=target, **data)

    def end(self, at: float, path: str, target: str, outcome: str, ms: int, **data: Any) -> None:
        number = data.pop("number", 1)
        self.event(
            at,
            f"finished/{path}@{target}/{number}",
            outcome=outcome,
            duration_ms=ms,
            **data,
        )

    def open(self, targets: list[str], **more: Any) -> None:
        data: dict[str, Any] = {
            "workflow": {"name": "disk/clean-up", "version": "1.2.0", "title": "Clean up disks"},
            "plan": "3f9c2a1bd04e5577aa01",
            "actor": {"name": "kim", "host": "desk7"},
            "ticket": "INC0012345",
            "targets": ["local", *targets],
        }
        self.event(0, "opened", **{**data, **more})

    def close(self, at: float, status: str, code: Exit, targets: dict[str, Any]) -> None:
        self.event(
            at,
            "closed",
            status=status,
            exit={"code": int(code), "name": code.label},
            targets=targets,
            duration_ms=int(at * 1000),
            outputs={},
        )

    def play(self) -> Iterator[tuple[float, Record | Line]]:
        left = sorted(self.seen, key=lambda one: one[:2])
        for number, (at, _, seen) in enumerate(left, 1):
            if isinstance(seen, Line):
                yield at, seen
            else:
                stamp = datetime.fromtimestamp(START + at, UTC).isoformat()
                yield at, Record(RUN, number, stamp, seen)


def ended(outcome: str, step: str = "clean", message: str = "") -> dict[str, str]:
    return {"outcome": outcome, "step": step, "message": message}


SCRIPT = {"pin": "disk/clean.sh@1.4.2", "version": "1.4.2", "sha256": "ab" * 32}


def single() -> Tape:
    tape = Tape()
    tape.open(["web01"], ticket="")
    tape.begin(0.1, "look", "web01", title="Look for what can go", script=SCRIPT)
    tape.line(0.5, "look", "web01", "/var/log: 3.1 GB in 214 files")
    tape.line(0.9, "look", "web01", "/tmp: 120 MB in 9 files")
    tape.end(1.4, "look", "web01", "success", 1300)
    tape.begin(1.5, "clean", "web01", title="Remove it", script=SCRIPT)
    tape.line(2.0, "clean", "web01", "rm: cannot remove '/tmp/a b': busy", "stderr")
    tape.line(12.0, "clean", "web01", "freed\t3.2 GB – größte Datei 日本語.log")
    tape.end(14.0, "clean", "web01", "success", 12500)
    tape.close(14.1, "success", Exit.SUCCESS, {"web01": ended("success")})
    return tape


def troubled() -> Tape:
    """Six targets, each with another end."""
    names = [f"web0{number}" for number in range(1, 7)]
    tape = Tape()
    tape.open(names)
    for index, name in enumerate(names):
        tape.begin(0.1 + index / 100, "clean", name, title="Remove it", script=SCRIPT, attempts=2)
        tape.line(0.5 + index / 100, "clean", name, f"looking at /var/log on {name}")
    tail = "Reading /etc/clean.conf\n/etc/clean.conf:7: no such folder: /var/spool/x\ngiving up"
    tape.end(1, "clean", "web01", "success", 900)
    tape.end(2, "clean", "web02", "failed", 1900, exit_code=3, output={"tail": tail})
    tape.begin(2.1, "clean", "web02", 2, title="Remove it", script=SCRIPT, attempts=2)
    tape.end(3, "clean", "web02", "failed", 900, exit_code=3, output={"tail": tail}, number=2)
    tape.end(4, "clean", "web03", "unreachable", 3900, message="web03:22: no route to host")
    tape.end(
        5,
        "clean",
        "web04",
        "timeout",
        4900,
        message="over after 3s",
        stop="confirmed",
        signal="TERM",
    )
    lost = "the connection went while the script ran"
    tape.event(6, "lost/clean@web05/1", reason=lost)
    tape.end(7, "clean", "web06", "timeout", 6900, message="over after 3s", stop="unconfirmed")
    tape.close(
        7.5,
        "partial",
        Exit.PARTIAL,
        {
            "web01": ended("success"),
            "web02": ended("failed"),
            "web03": ended("unreachable", message="web03:22: no route to host"),
            "web04": ended("timeout", message="over after 3s"),
            "web05": ended("unknown", message=lost),
            "web06": ended("timeout", message="over after 3s"),
        },
    )
    return tape


def fleet(many: int = 200, width: int = 50) -> Tape:
    """Many targets in three steps, ``width`` at a time; some fail the same way."""
    chance = random.Random(7)
    names = [f"web{number:03}" for number in range(1, many + 1)]
    tape = Tape()
    tape.open(names)
    ends = {name: ended("success", "restart") for name in names}
    at, alive = 0.1, list(names)
    for step in ("stage", "clean", "restart"):
        free = [at] * width
        for name in list(alive):
            begin = heapq.heappop(free)
            took = chance.uniform(0.4, 4.0)
            tape.begin(begin, step, name, title=step.title(), script=SCRIPT)
            for number in range(3):
                text = f"{step}: part {number + 1} of 3 {'.' * chance.randrange(60)}"
                tape.line(begin + took * (number + 1) / 4, step, name, text)
            outcome = "success"
            if step == "clean" and chance.random() < 0.08:
                outcome = chance.choice(["failed", "failed", "unreachable"])
            if outcome != "success":
                alive.remove(name)
                ends[name] = ended(outcome, step)
            facts: dict[str, dict[str, Any]] = {
                "failed": {"exit_code": 100, "output": {"tail": "E: Could not get lock\nE: stop"}},
                "unreachable": {"message": "connection refused"},
            }
            tape.end(begin + took, step, name, outcome, int(took * 1000), **facts.get(outcome, {}))
            heapq.heappush(free, begin + took)
            at = max(at, begin + took)
    tape.close(at + 0.1, "partial", Exit.PARTIAL, ends)
    return tape


def waiting() -> Tape:
    """Waves with a pause between them, stopped by Ctrl-C."""
    tape = Tape()
    tape.open(["db1", "db2", "db3"])
    tape.begin(0.1, "patch[db1]/install", "db1", title="Install", script=SCRIPT)
    tape.end(3, "patch[db1]/install", "db1", "success", 2900)
    due = int((START + 303) * 1000)
    tape.event(3.1, "waiting/patch/wave2", until_ms=due)
    tape.event(20, "stopping", reason="Ctrl-C", exit="interrupted")
    undone = "the run stopped before its remaining steps"
    tape.close(
        20.1,
        "cancelled",
        Exit.INTERRUPTED,
        {
            "db1": ended("success", "patch[db1]/install"),
            "db2": ended("skipped", "", undone),
            "db3": ended("skipped", "", undone),
        },
    )
    return tape


def due(at: float) -> int:
    return int((START + at) * 1000)


def cut(answer: str = "") -> Tape:
    """The link to three targets goes: one comes back, one never, one had never begun.

    The process is killed at 60 s and the run gone on with at 100 s. ``answer`` is what came of
    web02 after the end.
    """
    tape = Tape()
    tape.open(["web01", "web02", "web03", "web04"])
    for name in ("web01", "web02", "web03", "web04"):
        tape.begin(0.1, "clean", name, title="Remove it", script=SCRIPT)
    tape.end(2, "clean", "web04", "success", 1900)
    for name in ("web01", "web02"):
        reason = f"{name}:22: no answer for 15 s"
        tape.event(20, f"detached/clean@{name}/1/1", reason=reason, until_ms=due(320))
    tape.event(50, "attached/clean@web01/1/1")
    actor = {"name": "sam", "host": "desk9"}
    tape.event(100, "resumed/1", actor=actor)
    why = "its target has no trace of it"
    tape.event(101, "again/clean@web03/1", begun=False, why=why)
    tape.begin(101.1, "clean", "web03", 2, title="Remove it", script=SCRIPT)
    tape.end(105, "clean", "web01", "success", 104900)
    tape.end(106, "clean", "web03", "success", 4900, number=2)
    lost = "web02:22: no answer for 300 s"
    tape.event(320, "lost/clean@web02/1", reason=lost)
    good = {name: ended("success") for name in ("web01", "web03", "web04")}
    bad = ended("unknown", message=lost)
    tape.close(321, "partial", Exit.PARTIAL, {**good, "web02": bad})
    if answer:
        tape.end(400, "clean", "web02", answer, 30000)
        tape.event(
            400.1,
            "settled/1",
            status=answer,
            exit={"code": 0, "name": "success"},
            targets={**good, "web02": ended(answer)},
        )
    return tape


def left() -> Tape:
    """Ctrl-C three times: finish, end, leave; then it is picked up, and ends."""
    tape = Tape()
    origin = {"kind": "rerun", "run": "01K6ZQ4N8H"}
    tape.open(["db1", "db2"], origin=origin, environment="prod")
    for name in ("db1", "db2"):
        tape.begin(0.1, "patch", name, title="Install", script=SCRIPT)
    for level in (1, 2, 3):
        tape.event(level, f"stopping/{level}", reason="Ctrl-C", exit="interrupted", level=level)
    tape.event(3.1, "left/1", reason="Ctrl-C")
    tape.event(50, "resumed/1", actor={"name": "kim", "host": "desk7"})
    tape.event(50.5, "attached/patch@db1/1/1")
    tape.end(51, "patch", "db1", "success", 50900)
    tape.event(52, "cancel/1", by="sam@desk9", reason="the window is over", level=2)
    tape.event(52.1, "stopping/2b", reason="cancelled by sam@desk9", exit="cancelled", level=2)
    tape.end(53, "patch", "db2", "cancelled", 52900, stop="confirmed", message="stopped on request")
    ends = {"db1": ended("success", "patch"), "db2": ended("cancelled", "patch")}
    tape.close(53.1, "cancelled", Exit.CANCELLED, ends)
    return tape


def parked() -> Tape:
    """It waits for a night, and no process does so for it."""
    tape = Tape()
    origin = {"kind": "schedule", "schedule": "nightly", "slot": "2026-01-01T00:00Z"}
    tape.open(["db1", "db2"], origin=origin)
    tape.begin(0.1, "patch[db1]/install", "db1", title="Install", script=SCRIPT)
    tape.end(3, "patch[db1]/install", "db1", "success", 2900)
    tape.event(3.1, "waiting/patch/wave2", until_ms=due(36000))
    tape.event(3.2, "parked/1", until_ms=due(36000), paths=["patch/wave2"])
    return tape


MANIFEST = """\
wtsflow: 1
name: disk/clean-up
version: 1.2.0
title: Clean up disks
owner: ops
targets:
  web: { group: web }
steps:
  - { id: stage, script: disk/stage.sh@1.0.0, target: web }
  - { id: clean, script: disk/clean.sh@1.4.2, target: web }
  - { id: restart, script: disk/restart.sh@1.0.0, target: web }
  - id: patch
    for_each: targets.web
    rolling: { canary: 1, batch: 25%, pause: 5m }
    steps:
      - script: disk/clean.sh@1.4.2
      - { id: install, script: disk/install.sh@1.0.0 }
  - { title: All good, script: disk/check.sh@1.0.0 }
"""


def plan(names: list[str]) -> Plan:
    """What the fleet's tape plays, as far as progress needs it."""
    machines = tuple(Target(name=name) for name in names)
    return Plan(
        workflow=manifest.load(MANIFEST, "clean.yaml"),
        inputs={},
        targets={"local": (LOCAL,), "web": machines},
        scripts={},
    )


TAPES = {
    "single": single,
    "troubled": troubled,
    "fleet": fleet,
    "waiting": waiting,
    "cut": cut,
    "left": left,
    "parked": parked,
}


class Terminal:
    """The little of a terminal that the console uses: what a person would see at the end."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = 0

    def feed(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            self._take(piece)

    def _take(self, piece: str) -> None:
        if piece == "\n":
            self.row += 1
            if self.row == len(self.rows):
                self.rows.append("")
        elif piece == "\r":
            pass
        elif piece.startswith("\x1b"):
            match piece[-1]:
                case "A":
                    self.row -= int(piece[2:-1] or 1)
                case "K":
                    self.rows[self.row] = ""
                case "m" | "h" | "l":
                    pass
                case _:
                    raise AssertionError(f"unexpected {piece!r}")
        else:
            self.rows[self.row] += piece

    @property
    def text(self) -> str:
        return "\n".join(self.rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tape", choices=TAPES)
    parser.add_argument("many", nargs="?", type=int, default=200)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--no-color", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("-v", action="store_true")
    said = parser.parse_args()
    tape = fleet(said.many) if said.tape == "fleet" else TAPES[said.tape]()
    clock = FakeClock()
    console = Console(
        sys.stdout,
        clock,
        style=Style(on=not said.no_color),
        live=not said.plain,
        quiet=said.quiet,
        verbose=int(said.v),
        plan=plan([f"web{number:03}" for number in range(1, said.many + 1)]),
        output=lambda run: f"~/.local/state/wtsflow/spool/{run}",
        size=shutil.get_terminal_size() if said.plain else None,
    )
    with console:
        for at, seen in tape.play():
            while clock.at - START < at:
                time.sleep(0.01)
                clock.at += 0.01 * said.speed
            console(seen)


if __name__ == "__main__":
    main()
