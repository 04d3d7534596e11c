"""Drives the pure engine without threads, sockets or clocks: scripted outcomes, virtual time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from wtsflow import manifest
from wtsflow.engine.decide import decide
from wtsflow.engine.replay import replay
from wtsflow.engine.scope import Frame, Names
from wtsflow.engine.state import State
from wtsflow.engine.verdict import Verdict
from wtsflow.model.expression import fill
from wtsflow.model.plan import LOCAL, Plan, Target
from wtsflow.model.record import Event, Record, Task
from wtsflow.model.values import Json
from wtsflow.model.workflow import Workflow

HEAD = "wtsflow: 1\nname: test/sim\nversion: 1.0.0\ntitle: t\nowner: o\n"

Says = str | tuple[str, Mapping[str, Json]] | tuple[str, Mapping[str, Json], float]
Script = Callable[[Task], Says]


@dataclass(frozen=True)
class Running:
    """A task that was begun, when it ends, and what it says then."""

    end: float
    order: int
    task: Task
    said: Says


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
    passed: tuple[str, ...] = ()
    """Static paths of steps that the plan leaves out."""
    before: "Simulation | None" = None
    """The run that this one undoes."""
    undone: tuple[str, ...] = ()
    """What of it is taken back."""
    stop_at: float | None = None
    disk: float = 0.0
    """Seconds that it takes to write something down."""
    log: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    now: float = 1000.0
    verdict: Verdict | None = None
    most: int = 0
    decisions: int = 0
    records: list[Record] = field(default_factory=list)
    begun: dict[str, Running] = field(default_factory=dict)
    """Every task that was begun, by name."""
    workflow: Workflow | None = None
    plan: Plan | None = None
    """Another one than these settings give."""

    def run(self) -> "Simulation":
        """From its beginning to its end."""
        self._prepare()
        self._record([Event("opened")])
        return self._drive([])

    def resumed(self, count: int, *, gap: float = 0.0, news: Sequence[Event] = ()) -> "Simulation":
        """A process that knows nothing but the first ``count`` records takes it up.

        It does so ``gap`` seconds after the last of them; ``news`` are recorded first. What was
        begun and not ended is picked up: it ends when it would have ended.
        """
        records = self.records[:count]
        other = Simulation(
            **{name: getattr(self, name) for name in ("text", "says", "machines", "names")},
            inputs=self.inputs,
            parallel=self.parallel,
            passed=self.passed,
            before=self.before,
            undone=self.undone,
            stop_at=self.stop_at,
            disk=self.disk,
            workflow=self.workflow,
            now=datetime.fromisoformat(records[-1].time).timestamp(),
            begun=dict(self.begun),
        )
        other._prepare()
        other.records = list(records)
        other.keys = [record.event.key for record in records]
        other.log = [record.event.subject for record in records if record.event.type == "started"]
        replay(other.scope, records)
        other.now = round(other.now + self.disk + gap, 6)
        other._record(news)
        open_ = [
            replace(one, end=max(other.now, one.end))
            for path, target, attempt in other.state.unfinished()
            for one in [self.begun[f"{path}@{target}/{attempt.number}"]]
        ]
        return other._drive(open_)

    def order(self) -> list[str]:
        """The started tasks, as ``path@target``, in order."""
        return [name.rpartition("/")[0] for name in self.log]

    def _prepare(self) -> None:
        self.workflow = self.workflow or manifest.load(HEAD + self.text, "sim.yaml")
        targets = {"local": (LOCAL,)} | {
            name: tuple(Target(f"{name}{i + 1}", os="linux") for i in range(count))
            for name, count in self.machines.items()
        }
        targets |= {
            name: tuple(Target(machine, os="linux") for machine in machines)
            for name, machines in self.names.items()
        }
        plan = Plan(
            self.workflow,
            dict(self.inputs),
            targets,
            {},
            parallel=self.parallel,
            passed=self.passed,
            undoes="before" if self.before else "",
            undone=self.undone,
        )
        self.state = State("r")
        self.scope = Names(plan, self.state, dict(self.inputs), {"name": "me"})
        if self.before:
            known = replace(self.before, before=None, records=[], keys=[], log=[])
            known._prepare()
            replay(known.scope, self.before.records)
            self.scope.before = known.scope

    def _drive(self, running: list[Running]) -> "Simulation":
        while self.verdict is None:
            self.decisions += 1
            assert self.decisions < 20_000, "the run does not end"
            decision = decide(self.scope, self.now)
            self._record([*decision.events, *(_started(task) for task, _ in decision.begin)])
            running += [self._begin(task, frame) for task, frame in decision.begin]
            self.most = max(self.most, len(running))
            if decision.verdict is not None:
                self.verdict = decision.verdict
            elif not decision.events and not decision.begin:
                running = self._advance(running, decision.wake)
        return self

    def _begin(self, task: Task, frame: Frame) -> Running:
        scope = self.scope.scope(frame, task.target)
        self.arguments(task, {k: fill(v, scope) for k, v in task.step.arguments.items()})
        said = self.says(task)
        seconds = said[2] if isinstance(said, tuple) and len(said) > 2 else 1.0
        running = Running(self.now + seconds, len(self.begun), task, said)
        self.begun[task.name] = running
        return running

    def _advance(self, running: list[Running], wake: float) -> list[Running]:
        stop = self.stop_at if self.state.stopping is None else None
        if stop is not None and self.now >= stop:
            self._record([Event("stopping", {"reason": "test", "exit": "interrupted"})])
            return running
        self.now = max(self.now, min([wake, *(one.end for one in running), *_known(stop)]))
        assert self.now != float("inf"), "nothing runs and nothing will wake the run"
        over = sorted((one for one in running if one.end <= self.now), key=_order)
        left = [one for one in running if one.end > self.now]
        self._record([_finished(one) for one in over])
        return left

    def _record(self, events: Sequence[Event]) -> None:
        """Write events down together, as a runner does, and take them in."""
        time = datetime.fromtimestamp(self.now, UTC).isoformat(timespec="microseconds")
        for event in events:
            assert event.key not in self.keys, f"{event.key} was recorded twice"
            self.keys.append(event.key)
            self.records.append(Record("r", len(self.keys), time, event))
            if event.type == "started":
                self.log.append(event.subject)
            self.state.apply(event, self.now)
        if events:
            self.now = round(self.now + self.disk, 6)


def _order(one: Running) -> tuple[float, int]:
    return one.end, one.order


def _known(time: float | None) -> list[float]:
    return [] if time is None else [time]


def _started(task: Task) -> Event:
    return Event(f"started/{task.name}")


def _finished(one: Running) -> Event:
    outcome, outputs = (one.said, {}) if isinstance(one.said, str) else one.said[:2]
    data: dict[str, Json] = {"outcome": outcome, "outputs": outputs, "message": f"was {outcome}"}
    return Event(f"finished/{one.task.name}", data)
