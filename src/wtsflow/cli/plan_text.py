"""A plan for the terminal: who and what, a table of what runs where, and the order as a graph.

::

    steps
      1 ─ Find what fills the disk
      2 ┬ Clean the packages
        └ Clean the logs
      3 ─ Look again
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wtsflow.cli.tables import lines
from wtsflow.model.plan import LOCAL, Actor, Plan
from wtsflow.model.terminal import Style, cut, visible, width
from wtsflow.model.values import Json
from wtsflow.model.workflow import Ending, Rolling
from wtsflow.planning import Node, Outline

PLAIN = str.maketrans({"─": "-", "┬": "+", "├": "|", "└": "`", "│": "|", "…": "~"})
"""For terminals that are not UTF-8."""
CHECK = "check: nothing will be changed"
NO_CHECK = "none: unknown"
SHORT = 12
"""Characters of a digest that people compare."""


@dataclass(frozen=True, slots=True)
class View:
    """Draws one plan, ``columns`` wide."""

    plan: Plan
    outline: Outline
    actor: Actor
    style: Style
    columns: int = 80
    filled: Sequence[str] = ()
    """Inputs that the environment's variables gave."""

    def text(self) -> str:
        """All of it, without a newline last."""
        parts = (self.head(), self.inputs(), self.targets(), self.scripts(), self.graph())
        return "\n\n".join("\n".join(part) for part in map(list, parts) if part)

    def cut(self, text: str, room: int = 0) -> str:
        return cut(text, max(1, room or self.columns))

    def title(self, text: str) -> str:
        return self.style(text, "bold")

    def head(self) -> Iterator[str]:
        workflow = self.plan.workflow
        name = visible(f"{workflow.name} {workflow.version}")
        title = self.cut(visible(workflow.title), self.columns - width(name) - 2)
        yield f"{self.title(name)}  {title}"
        said = [f"plan {self.plan.digest[:SHORT]}", f"by {self.actor.name}@{self.actor.host}"]
        said += [f"environment {self.plan.environment}"] if self.plan.environment else []
        said += [f"ticket {self.plan.ticket}"] if self.plan.ticket else []
        said += [f"limit {self.plan.limit}"] if self.plan.limit else []
        said.append(f"{self.plan.parallel} at once")
        yield self.cut(visible("  ".join(said)))
        if self.plan.check:
            yield self.style(self.cut(CHECK), "bold", "cyan")

    def inputs(self) -> Iterator[str]:
        if not self.plan.inputs:
            return
        yield self.title("inputs")
        room = max(map(width, self.plan.inputs))
        for name, value in self.plan.inputs.items():
            whence = f"  (environment {self.plan.environment})" if name in self.filled else ""
            yield self.cut(f"  {name:<{room}}  {visible(_written(value) + whence)}")

    def targets(self) -> Iterator[str]:
        named = {n: m for n, m in self.plan.targets.items() if n != LOCAL.name or self._runs_here()}
        if not named:
            return
        yield self.title("targets")
        rows = []
        for name, machines in named.items():
            ways = dict.fromkeys(" ".join(filter(None, (m.os, m.transport))) for m in machines)
            accounts = dict.fromkeys(m.run_as for m in machines if m.run_as)
            how = ", ".join(ways) + (f", as {', '.join(accounts)}" if accounts else "")
            names = ", ".join(machine.name for machine in machines) or "none"
            rows.append((name, str(len(machines)), how, names))
        yield from self.table(("name", "count", "how", "machines"), rows)

    def _runs_here(self) -> bool:
        return any(LOCAL.name in node.machines for node in self.outline.walk() if node.used)

    def scripts(self) -> Iterator[str]:
        rows: list[Sequence[str]] = []
        notes: list[str] = []
        for node in self.outline.walk():
            for used in () if node.passed else node.used:
                script, choice = used.script, used.script.choice
                where = self._where(node, used.machines)
                how = (script.interface.check or NO_CHECK,) if self.plan.check else ()
                rows.append(
                    (
                        node.step.path,
                        where,
                        script.path,
                        script.version,
                        script.sha256[:SHORT],
                        *how,
                    )
                )
                if choice:
                    notes.append(f"{used.pin} runs {choice.version}: {choice.reason}")
        if not rows:
            return
        yield self.title("what runs where")
        heads = ("step", "on", "script", "version", "sha256")
        yield from self.table((*heads, "check") if self.plan.check else heads, rows)
        for text in dict.fromkeys(notes):
            yield self.cut(f"  {visible(text)}")

    def _where(self, node: Node, machines: Sequence[str]) -> str:
        for name, members in self.plan.targets.items():
            if tuple(m.name for m in members) == tuple(machines):
                return f"{name} ({len(machines)})" if name != LOCAL.name else name
        if len(machines) == 1:
            return machines[0]
        return f"{node.step.target or 'items'} ({len(machines)})"

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
        return lines(heads, rows, self.columns, self.style, indent="  ")

    def graph(self) -> Iterator[str]:
        yield self.title("order")
        yield from self.nodes(self.outline.steps, "  ")
        if self.plan.workflow.on_failure is Ending.UNDO:
            yield self.style("  when it fails: what succeeded is taken back, in reverse", "dim")
        if self.outline.finally_:
            yield self.style("  in the end, always", "dim")
            yield from self.nodes(self.outline.finally_, "  ")

    def nodes(self, nodes: Sequence[Node], indent: str) -> Iterator[str]:
        """Siblings by level: what shares a number runs at the same time."""
        ordered = sorted(nodes, key=lambda node: node.level)
        wide = len(str(max((node.level for node in nodes), default=1)))
        for index, node in enumerate(ordered):
            first = not index or ordered[index - 1].level != node.level
            last = index + 1 == len(ordered) or ordered[index + 1].level != node.level
            sign = "─" if first and last else "┬" if first else "└" if last else "├"
            number = str(node.level) if first else ""
            begin = f"{indent}{number:>{wide}} {sign} "
            yield self.cut(begin + visible(node.label + _remarks(node)))
            bar = " " if last else "│"
            below = f"{indent}{'':>{wide}} {bar} "
            yield from (self.cut(below + text) for text in _repeats(node))
            yield from self.nodes(node.children, below)
            for name, handlers in node.handlers.items():
                yield self.style(f"{below}{name.replace('_', ' ')}", "dim")
                yield from self.nodes(handlers, below + "  ")


def _remarks(node: Node) -> str:
    """What a line says after the step's name."""
    step, said = node.step, ["passed over"] if node.passed else []
    if step.id and step.id != node.label:
        said.append(f"[{step.id}]")
    if node.after:
        said.append(f"after {', '.join(node.after)}")
    if step.when:
        said.append(f"when {step.when}")
    return "".join(f"  {text}" for text in said)


def _repeats(node: Node) -> Iterator[str]:
    """How a ``for_each`` is done."""
    step = node.step
    if step.for_each is None:
        return
    if node.items is None:
        yield f"for each of {visible(str(step.for_each))}: known when it runs"
        return
    rolling = step.rolling or Rolling()
    yield f"for each of {visible(str(step.for_each))}: {node.items} in {_waves(node.waves)}"
    limits = [f"canary {rolling.canary}"] if rolling.canary else []
    limits += [f"pause {rolling.pause:g} s"] if rolling.pause else []
    yield ", ".join([*limits, f"stops when more than {rolling.max_failed} failed"])


def _waves(sizes: Sequence[int]) -> str:
    """``waves of 1, 2 x 9, 1``."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][0] == size:
            runs[-1][1] += 1
        else:
            runs.append([size, 1])
    words = (f"{size} x {count}" if count > 1 else str(size) for size, count in runs)
    return f"{len(sizes)} wave{'s' if len(sizes) != 1 else ''}: {', '.join(words)}"


def _written(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(_written(item) for item in value)
    return str(value)
