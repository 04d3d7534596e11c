"""The names that ``$(…)`` and conditions see at one place of a run."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from wtsflow.engine.check import Untold, told
from wtsflow.engine.loop import labels
from wtsflow.engine.state import Attempt, State
from wtsflow.engine.status import BAD
from wtsflow.model.plan import LOCAL, Plan
from wtsflow.model.record import Outcome
from wtsflow.model.values import Json
from wtsflow.model.workflow import Step, walk

if TYPE_CHECKING:
    from wtsflow.engine.undo import Undoing

KEYS = re.compile(r"\[[^\]]*\]")
"""What a path of the run has more than the static path of its step."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where in the run a step stands.

    ``keys`` maps the static path of an enclosing ``for_each`` step or handler to the item or
    target it is being done for; ``names`` holds ``item`` and ``failure``; a step without
    ``target:`` runs on ``machine``, else on the target set ``target``; ``deadline`` is when the
    enclosing steps must have ended (run clock); ``lost`` are the targets that failed earlier in
    this line.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Json] = field(default_factory=dict)
    target: str = ""
    machine: str = ""
    deadline: float = float("inf")
    lost: frozenset[str] = frozenset()

    def instance(self, path: str) -> str:
        """A step's path in this run: its static path with the keys of what it is done for."""
        if not self.keys:
            return path
        built, static = "", ""
        for part in path.split("/"):
            static = f"{static}/{part}" if static else part
            built = f"{built}/{part}" if built else part
            if static in self.keys:
                built += f"[{self.keys[static]}]"
        return built

    def outer(self, path: str) -> str:
        """The instance path of a ``for_each`` step as a whole: without its own item."""
        return replace(
            self, keys={name: key for name, key in self.keys.items() if name != path}
        ).instance(path)

    def inside(self, path: str, key: str, names: Mapping[str, Json], machine: str) -> "Frame":
        """The frame of what is done for one item or one failed target."""
        return replace(
            self,
            keys={**self.keys, path: key},
            names={**self.names, **names},
            machine=machine or self.machine,
        )

    def but(self, **changes: Any) -> "Frame":
        """The same with changes."""
        return replace(self, **changes)

    def on(self, target: str) -> "Frame":
        """The frame of what is below a step with this ``target:``; empty: the same."""
        return replace(self, target=target, machine="") if target else self


@dataclass(slots=True)
class Names:
    """Makes the scope of any place of one run.

    ``values`` are the inputs with their secrets, ``actor`` who runs it; ``mask`` hides what is
    secret in a text.
    """

    plan: Plan
    state: State
    values: Mapping[str, Json]
    actor: Mapping[str, Json]
    mask: Callable[[str], str] = str
    before: "Names | None" = None
    """Of a run that undoes another one: the other's."""
    undoing: "Undoing | None" = None
    """What the run takes back, once that is known."""
    ran: dict[tuple[str, str], tuple[Step, Frame]] = field(default_factory=dict)
    """Where each step that can be undone ran, by path and target."""
    paths: dict[str, Step] = field(init=False)
    targets: dict[str, Json] = field(init=False)
    steps: dict[str, Step] = field(init=False)
    """Every step by its static path."""
    passed: frozenset[str] = field(init=False)
    """The static paths of steps that this run leaves out."""
    line: frozenset[str] = field(init=False)
    """The static paths of all steps that are in no handler and not in ``finally``."""
    groups: dict[str, tuple[str, ...]] = field(init=False)
    """The names of the machines of each target set."""
    _ends: "dict[str, Ends]" = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        workflow = self.plan.workflow
        self.steps = {step.path: step for step in workflow.walk()}
        self.paths = {step.id: step for step in self.steps.values() if step.id}
        self.passed = frozenset(self.plan.passed)
        self.targets = {
            name: [machine.described for machine in machines]
            for name, machines in self.plan.targets.items()
        }
        self.groups = {
            name: tuple(machine.name for machine in machines)
            for name, machines in self.plan.targets.items()
        }
        self.line = frozenset(step.path for step in walk(workflow.steps, handlers=False))

    def step(self, path: str) -> Step:
        """The step at a path of the run, whatever it is done for."""
        return self.steps[KEYS.sub("", path)]

    def scope(self, frame: Frame, target: str = "", **more: Json) -> dict[str, object]:
        """All names at ``frame``, as seen from the line of ``target``."""
        return {
            "inputs": self.values,
            "targets": self.targets,
            "ticket": {"id": self.plan.ticket},
            "actor": self.actor,
            "run": {"id": self.state.run},
            "steps": _Steps(self.before or self, frame, target),
            **frame.names,
            **more,
        }

    def members(self, step: Step, frame: Frame) -> tuple[str, ...]:
        """The machines that a step runs on, lost ones included."""
        if frame.machine and not step.target:
            return (frame.machine,)
        return self.groups[step.target or frame.target or LOCAL.name]

    def ends(self, path: str) -> "Ends":
        """How a step stands everywhere; asked for each target, made once for each state."""
        known = self._ends.get(path)
        told = self.state.counts.total()
        if known is None or known.told != told:
            known = self._ends[path] = Ends.of(self.state.attempts[path], told)
        return known


class _Steps(Mapping[str, object]):
    """``steps.<id>``: outcome, outputs and targets of the steps that have run."""

    def __init__(self, names: Names, frame: Frame, target: str) -> None:
        self._names = names
        self._frame = frame
        self._target = target

    def __getitem__(self, name: str) -> object:
        step = self._names.paths[name]
        if step.path in self._names.passed:
            return {"outcome": str(Outcome.SKIPPED)}
        if step.for_each is not None and step.path not in self._frame.keys:
            return self._loop(step)
        state, path = self._names.state, self._frame.instance(step.path)
        attempts = state.attempts.get(path, {})
        if state.untold and not told(state.untold, path):
            return self._known(name, path, attempts)
        if {path, f"{path}@{self._target}"} & state.skipped:
            return {"outcome": str(Outcome.SKIPPED)}
        if step.children and path in state.done:
            return {"outcome": state.done[path].outcome}
        if not attempts:
            raise KeyError(name)
        return self._single(step, path, attempts)

    def _known(self, name: str, path: str, attempts: Mapping[str, Attempt]) -> object:
        """What a check knows of a step that is unknown on some target: this one's own part."""
        mine = attempts.get(self._target)
        if mine is None or {path, f"{path}@{self._target}"} & self._names.state.untold:
            raise Untold(f"only a real run knows 'steps.{name}'")
        return {"outcome": mine.outcome, "outputs": mine.outputs}

    def _single(self, step: Step, path: str, attempts: Mapping[str, Attempt]) -> dict[str, object]:
        ends = self._names.ends(path)
        found: dict[str, object] = {"targets": ends.targets, "outputs": ends.division}
        mine = attempts.get(self._target)
        if mine is None and len(self._names.members(step, self._frame)) == 1:
            mine = next(iter(attempts.values()))
        if mine is not None:
            found["outcome"] = mine.outcome
            found["outputs"] = {**ends.division, **mine.outputs}
        return found

    def _loop(self, step: Step) -> dict[str, object]:
        path = self._frame.outer(step.path)
        if not told(self._names.state.untold, path):
            raise Untold(f"only a real run knows 'steps.{step.id}'")
        status, loop = self._names.state.done.get(path), self._names.state.loops.get(path)
        return {
            "outputs": {
                "succeeded": labels(loop, bad=False) if loop else [],
                "failed": labels(loop, bad=True) if loop else [],
            },
            "outcome": status.outcome if status else "",
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.paths)

    def __len__(self) -> int:
        return len(self._names.paths)


@dataclass(frozen=True, slots=True)
class Ends:
    """What ``steps.<id>`` says of all targets, when so many events had been told."""

    told: int
    targets: Mapping[str, Json]
    division: Mapping[str, Json]

    @classmethod
    def of(cls, attempts: Mapping[str, Attempt], told: int) -> Self:
        """From a step's attempts."""
        ended = {target: a.outcome for target, a in attempts.items() if not a.running}
        return cls(
            told,
            {
                target: {"outcome": attempt.outcome, "outputs": attempt.outputs}
                for target, attempt in attempts.items()
            },
            {
                "succeeded": [t for t, outcome in ended.items() if outcome not in BAD],
                "failed": [t for t, outcome in ended.items() if outcome in BAD],
            },
        )
