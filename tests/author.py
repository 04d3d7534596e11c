"""Writes any workflow at all: nested groups, loops, handlers, needs, retries, waits, limits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from hypothesis import strategies as st

BAD = ("failed", "timeout", "unreachable", "unknown")
SETS = ("web", "db", "local")


class Chance(Protocol):
    """What decides where more than one thing may be written."""

    def pick(self, *choices): ...

    def number(self, least: int, most: int) -> int: ...

    def some(self, names: Sequence[str]) -> list[str]: ...


@dataclass
class Drawn:
    """By hypothesis, which makes what failed smaller."""

    data: st.DataObject

    def pick(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def number(self, least: int, most: int) -> int:
        return self.data.draw(st.integers(least, most))

    def some(self, names: Sequence[str]) -> list[str]:
        return sorted(self.data.draw(st.sets(st.sampled_from(names), max_size=2)))


@dataclass
class Seeded:
    """By a seed: fast, and the same again from the same seed."""

    random: Random

    def pick(self, *choices):
        return self.random.choice(choices)

    def number(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def some(self, names: Sequence[str]) -> list[str]:
        return sorted(self.random.sample(names, self.random.randint(0, min(2, len(names)))))


@dataclass
class Author:
    """Writes a workflow. ``waits`` are the times that it may wait for."""

    chance: Chance
    waits: tuple[str, ...] = ("1s", "20s")
    number: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def manifest(self, depth: int = 2) -> str:
        """The whole text: for inputs ``n`` and ``names``, target sets ``web`` and ``db``."""
        text = "inputs: { n: number, names: list }\n"
        text += "targets:\n  web: { group: web }\n  db: { group: db }\n"
        if self.rarely(3):
            text += "timeout: 40s\n"
        text += "steps:\n" + self.steps(depth, 2)
        if self.rarely(2):
            text += "finally:\n" + self.steps(depth - 1, 2)
        return text

    def rarely(self, one_in: int) -> bool:
        return self.chance.number(1, one_in) == 1

    def steps(self, depth: int, indent: int, *, handler: bool = False) -> str:
        text = ""
        ids: list[str] = []
        for _ in range(self.chance.number(1, 3)):
            name = f"s{self.number}"
            self.number += 1
            text += self.step(name, depth, indent, ids, handler=handler)
            ids.append(name)
        return text

    def step(self, name: str, depth: int, indent: int, ids: list[str], *, handler: bool) -> str:
        pad = " " * indent
        pick = self.chance.pick
        kind = pick("script", "script", "script", "wait", "group") if depth else "script"
        lines = [f"id: {name}"]
        if ids and self.rarely(2):
            lines.append(f"needs: [{', '.join(self.chance.some(ids))}]")
        if self.rarely(6):
            lines.append(f"when: inputs.n > {pick(0, 9)}")
        if kind == "wait":
            lines.append(f"wait: {pick(*self.waits)}")
        else:
            lines += self.modifiers(kind)
        text = f"{pad}- " + f"\n{pad}  ".join(lines) + "\n"
        if kind == "group":
            text += f"{pad}  steps:\n" + self.steps(depth - 1, indent + 4, handler=handler)
        if kind != "wait" and not handler and self.rarely(4):
            text += self.fallback(pad, depth, indent)
        return text

    def modifiers(self, kind: str) -> list[str]:
        pick = self.chance.pick
        lines = []
        if self.rarely(2):
            lines.append(f"target: {pick(*SETS)}")
        if self.rarely(4):
            lines.append(f"max_failed: {pick('0', '1', '50%')}")
        if self.rarely(3):
            lines.append(f"for_each: {pick('targets.web', 'inputs.names')}")
            if self.rarely(2):
                rolling = ("batch: 2", "batch: 100%, max_failed: 50%", "canary: 1, pause: 3s")
                lines.append(f"rolling: {{ {pick(*rolling)} }}")
        if self.rarely(5):
            lines.append(f"timeout: {pick('2s', '30s')}")
        if kind == "script":
            lines.append("script: a/a.sh@1.0.0")
            if self.rarely(4):
                lines.append(f"retry: {pick('1', '{ times: 2, wait: 2s }')}")
        return lines

    def fallback(self, pad: str, depth: int, indent: int) -> str:
        pick = self.chance.pick
        key = pick("on_failure", "on_timeout")
        if self.rarely(2):
            return f"{pad}  {key}: continue\n"
        then = pick("stop", "continue")
        body = self.steps(max(0, depth - 1), indent + 6, handler=True)
        return f"{pad}  {key}:\n{pad}    then: {then}\n{pad}    steps:\n{body}"
