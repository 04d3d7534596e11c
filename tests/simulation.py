"""Drives the pure engine without threads, sockets or clocks: scripted outcomes, virtual time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wtsflow import manifest
from wtsflow.engine.decide import decide
from wtsflow.engine.scope import Names
from wtsflow.engine.state import State
from wtsflow.engine.verdict import Verdict
from wtsflow.model.expression import fill
from wtsflow.model.plan import LOCAL, Plan, Target
from wtsflow.model.record import Event, Task
from wtsflow.model.values import Json

HEAD = "wtsflow: 1\nname: test/sim\nversion: 1.0.0\ntitle: t\nowner: o\n"

Says = str | tuple[str, Mapping[str, Json]] | tuple[str, Mapping[str, Json], float]
Script = Callable[[Task], Says]


@dataclass
class Simulation:
    """One run of ``text``. ``says(task)`` gives an outcome, its outputs and its seconds."""

    text: str
    says: Script = lambda task: "success"
    machines: Mapping[str, int] = field(default_factory=dict)
    """Name of a target set → how many machines it has (``web1`` …)."""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a target set → the names of its machines, where they matter."""
    inputs: Mapping[str, Json] = field(default_factory=dict)
    arguments: Callable[[Task, Mapping[str, Json]], object] = lambda task, values: None
    """Is told what each task is given."""
    parallel: int = 50
    stop_at: float | None = None
    log: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    now: float = 1000.0
    verdict: Verdict | None = None
    most: int = 0
    decisions: int = 0

    def run(self) -> "Simulation":
        workflow = manifest.load(HEAD + self.text, "sim.yaml")
        targets = {"local": (LOCAL,)} | {
            name: tuple(Target(f"{name}{i + 1}", os="linux") for i in range(count))
            for name, count in self.machines.items()
        }
        targets |= {
            name: tuple(Target(machine, os="linux") for machine in machines)
            for name, machines in self.names.items()
        }
        plan = Plan(workflow, dict(self.inputs), targets, {}, parallel=self.parallel)
        self.state = State("r")
        names = Names(plan, self.state, dict(self.inputs), {"name": "me"})
        self._apply(Event("opened"))
        running: list[tuple[float, int, Task, Says]] = []
        while self.verdict is None:
            self.decisions += 1
            assert self.decisions < 20_000, "the run does not end"
            decision = decide(names, self.now)
            for event in decision.events:
                self._apply(event)
            for task, frame in decision.begin:
                scope = names.scope(frame, task.target)
                self.arguments(task, {k: fill(v, scope) for k, v in task.step.arguments.items()})
                self._apply(Event(f"started/{task.name}"))
                said = self.says(task)
                seconds = said[2] if isinstance(said, tuple) and len(said) > 2 else 1.0
                running.append((self.now + seconds, len(self.keys), task, said))
            self.most = max(self.most, len(running))
            if decision.verdict is not None:
                self.verdict = decision.verdict
            elif not decision.events and not decision.begin:
                self._advance(running, decision.wake)
        return self

    def _advance(self, running: list, wake: float) -> None:
        if self.stop_at is not None and self.state.stopping is None and self.now >= self.stop_at:
            self._apply(Event("stopping", {"reason": "test", "exit": "interrupted"}))
            return
        running.sort(key=lambda entry: entry[:2])
        times = [wake] + ([running[0][0]] if running else [])
        if self.stop_at is not None and self.state.stopping is None:
            times.append(self.stop_at)
        self.now = max(self.now, min(times))
        assert self.now != float("inf"), "nothing runs and nothing will wake the run"
        while running and running[0][0] <= self.now:
            _, _, task, said = running.pop(0)
            outcome, outputs = (said, {}) if isinstance(said, str) else said[:2]
            data = {"outcome": outcome, "outputs": outputs, "message": f"was {outcome}"}
            self._apply(Event(f"finished/{task.name}", data))

    def _apply(self, event: Event) -> None:
        assert event.key not in self.keys, f"{event.key} was recorded twice"
        self.keys.append(event.key)
        if event.type == "started":
            self.log.append(event.subject)
        self.state.apply(event, self.now)

    def order(self) -> list[str]:
        """The started tasks, as ``path@target``, in order."""
        return [name.rpartition("/")[0] for name in self.log]
