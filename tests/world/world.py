"""One history of one run, from a seed: processes that die, and whoever takes up what they left."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.author import Author, Seeded
from tests.scripted import Nobody, Scripts
from tests.simulation import HEAD
from tests.world.disk import Disk, Journal, System, newest_size, tear
from tests.world.machines import Machine, Network
from tests.world.stage import FOREVER, Clock, Crash, Process, Stage
from wtsflow import manifest
from wtsflow.audit import Log
from wtsflow.engine.inbox import Inbox
from wtsflow.engine.interrupt import Interrupt
from wtsflow.engine.manner import Answer, Manner
from wtsflow.engine.perform import Ended
from wtsflow.engine.runner import Parts, Runner
from wtsflow.errors import Exit, RecordError
from wtsflow.model.plan import Actor, Plan, Target
from wtsflow.model.record import Event, Record, Task
from wtsflow.model.script import Interface
from wtsflow.model.values import Json
from wtsflow.ports import RunScript
from wtsflow.verbs import VERBS
from wtsflow.verbs.following import after

RUN = "RUN"
TROUBLE = 90.0
"""Seconds in which the world is unkind; after that everything works, so that a run can end."""
MARKERS = 30
"""Of an attempt, at most."""
INPUTS: Mapping[str, Json] = {"n": 5, "names": ["a", "web1", "a"]}


class Patient(Inbox):
    """The run's inbox: it waits for its turn instead of for the clock on the wall."""

    stage: Stage

    def take(self, patience: float) -> list[Ended | Event]:
        until = self.stage.now + max(0.0, min(patience, 1.0))
        self.stage.wait(until, lambda: self._queue.qsize() > 0)
        return super().take(0.0)


@dataclass
class World:
    """``made(seed)`` runs it; ``guards``, ``guarded``, ``runner``, ``journal`` plant defects."""

    seed: int
    folder: Path
    guards: bool = True
    guarded: bool = True
    journal: type[Journal] = Journal
    runner: type[Runner] = Runner
    deaths: Counter[str] = field(default_factory=Counter)
    resumes: int = 0
    exits: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        chance = Seeded(self.random)
        self.stage = Stage(self.random)
        self.clock = Clock(self.stage)
        self.rate = self.random.choice((0.0, 0.005, 0.02, 0.06))
        self.clumsy = self.random.choice((0.0, 0.05, 0.2))
        self.unlocked = self.random.random() < 0.1
        self.lying = self.random.random() < 0.1
        self.disk = Disk(self.stage, self.peril)
        self.workflow = manifest.load(HEAD + Author(chance).manifest(), "world.yaml")
        self.scripts = Scripts(Interface(idempotent=chance.pick(True, False, False, False)))
        names = {"web": [f"web{n + 1}" for n in range(chance.number(1, 3))], "db": ["db1"]}
        names["local"] = ["local"]
        self.plan = Plan(
            self.workflow,
            dict(INPUTS),
            {
                name: tuple(Target(one, transport="world", os="linux") for one in members)
                for name, members in names.items()
            },
            {pin: self.scripts.resolve(pin) for pin in self.workflow.pins()},
            parallel=chance.number(1, 6),
            timeout=40.0,
            grace=2.0,
            reattach=10.0,
            closing=30.0,
        )
        self.machines = {
            one: Machine(one, self.stage, self.fate, guarded=self.guarded)
            for group in names.values()
            for one in group
        }
        self.network = Network(
            self.stage, self.machines, self.peril, self.mishap, guards=self.guards
        )

    # --- what befalls it ------------------------------------------------------------------

    def fate(self, job: RunScript) -> tuple[float, int]:
        """Seconds and exit code of a script: the same whenever it is asked."""
        random = Random(f"{self.seed}/{job.marker}")
        seconds = 60.0 if random.random() < 0.05 else random.choice((0.0, 0.5, 1.5, 4.0))
        return seconds, 1 if random.random() < 0.15 else 0

    def peril(self, place: str) -> None:
        """Every call that leaves the engine comes by here; for some it is the last."""
        process = self.stage.process
        if process.dead:
            raise Crash
        if self.kind and self.random.random() < self.rate:
            process.dead = True
            self.deaths[place] += 1
            raise Crash

    @property
    def kind(self) -> bool:
        """Whether the world is unkind."""
        return self.stage.now < TROUBLE and self.deaths.total() < 12

    def mishap(self) -> str:
        """What befalls a start on its way."""
        if not self.kind or self.random.random() >= self.clumsy:
            return ""
        return self.random.choice(("refused", "lost", "late", "deaf", "twice"))

    def plot(self) -> None:
        """Arrange what happens from outside, and when."""
        random, stage = self.random, self.stage
        machines = list(self.machines.values())
        for _ in range(random.choice((0, 0, 1, 2, 4))):
            machine, seconds = random.choice(machines), random.choice((0.5, 5.0, 25.0))
            self._sometime(lambda m=machine, s=seconds: m.cut(s))  # type: ignore[misc]
        for _ in range(random.choice((0, 0, 0, 1))):
            self._sometime(random.choice(machines).reboot)
        for seconds in random.sample((-3600.0, 7200.0), random.choice((0, 0, 1))):
            self._sometime(lambda s=seconds: setattr(stage, "wall", stage.wall + s))  # type: ignore[misc]
        if random.random() < 0.1:
            self._sometime(lambda: setattr(self.disk, "full", True))
            stage.at(TROUBLE, lambda: setattr(self.disk, "full", False))
        if random.random() < 0.1:
            self._sometime(self.cancel)
        for _ in range(random.choice((0, 0, 0, 0, 0, 1, 2, 3))):
            self._sometime(lambda: self.interrupt(Exit.INTERRUPTED, "Ctrl-C"))

    def _sometime(self, what: Callable[[], None]) -> None:
        self.stage.at(self.random.random() * 40, what)

    def cancel(self) -> None:
        """Another process wishes that the run ends; it dies before its word is in the audit log."""
        facts = [one for one in self.disk.facts if one.run == RUN]
        if not facts or any(one.event.key == "closed" for one in facts):
            return
        event = Event("cancel/1", {"by": "ann", "reason": "", "level": 2})
        if all(one.event.key != event.key for one in facts):
            self.disk.facts.append(Record(RUN, facts[-1].seq + 1, facts[-1].time, event))

    # --- processes ------------------------------------------------------------------------

    def run(self) -> "World":
        """The whole history, until the run is over and nothing is on its way any more."""
        self.interrupt = Interrupt()
        self.plot()
        with self._patched():
            for number in range(1, 40):
                self._processes(number)
                self.stage.wait(self.stage.now + self.random.choice((0.0, 1.0, 30.0)))
                if self._through():
                    break
            self.stage.wait(max(TROUBLE, self.stage.now) + 100)
        for machine in self.machines.values():
            machine.settle()
        return self

    def _processes(self, number: int) -> None:
        """One process drives the run; rarely another one does so too, past the lock."""
        actors = [self._begin(number)]
        if self.unlocked and self.random.random() < 0.5:
            self.stage.wait(self.stage.now + self.random.random() * 5)
            actors.append(self._begin(number + 100))
            self.stage.wait(self.stage.now + 200, lambda: all(actor.over for actor in actors))
            for actor in actors:  # one waits for what the other one began and did not end
                actor.process.dead = True
        self.stage.wait(FOREVER, lambda: all(actor.over for actor in actors))
        if self.lying and self.kind and self.disk.facts:
            self._lose()

    def _begin(self, number: int):
        process = Process(number)
        return self.stage.spawn(lambda: self._process(process), f"process {number}", process)

    def _process(self, process: Process) -> None:
        self.interrupt = interrupt = Interrupt()
        log: Log | None = None
        try:
            journal = self.journal(self.disk)
            log = Log(self.folder, clock=self.clock, truth=journal, actor=Actor("me", "1"))
            runner = self.runner(
                self.plan,
                RUN,
                self._parts(process, journal, log),
                actor=Actor("me", "1"),
                values=dict(INPUTS),
                interrupt=interrupt,
                manner=Manner(park=self.random.choice((FOREVER, 5.0)), unknown=self.answer),
            )
            records = journal.load(RUN)
            self.resumes += bool(records)
            state = runner.resume(records, {}) if records else runner.go({"plan": "p"})
            self.exits.append("closed" if state.closed else "left" if state.left else "parked")
        except RecordError as error:
            self.exits.append(f"refused: {error.message[:60]}")
        finally:
            process.dead = True
            if log:
                log.close()

    def _parts(self, process: Process, journal: Journal, log: Log) -> Parts:
        return Parts(
            journal=journal,
            audit=log,
            scripts=self.scripts,
            verbs=VERBS,
            transports={"world": lambda: self.network},
            credentials=Nobody(),
            clock=self.clock,
            spool=self.folder / "spool",
            spawn=lambda work, name: void(self.stage.spawn(work, name, process)),
        )

    def answer(self, _task: Task, _reason: str) -> Answer:
        """What a person says about an attempt whose end cannot be known."""
        choices = [Answer.STOP, Answer.AGAIN, Answer.DONE]
        return self.random.choice([*choices, Answer.ATTACH, Answer.LEAVE] if self.kind else choices)

    def _through(self) -> bool:
        keys = [one.event.key for one in self.disk.facts if one.run == RUN]
        return "closed" in keys and (not self.kind or self.random.random() < 0.7)

    def _lose(self) -> None:
        """Power goes, and the disk had not kept what it said it had."""
        back = self.random.randrange(3)
        if back and len(self.disk.facts) > back + 1:
            del self.disk.facts[-back:]
            last = len([one for one in self.disk.facts if one.run == RUN])
            self.disk.marks[RUN] = min(last, self.disk.marks.get(RUN, 0))
            if any(self.folder.glob("audit-*.jsonl")):
                tear(self.folder, newest_size(self.folder) - self.random.randrange(2000))

    @contextmanager
    def _patched(self) -> Iterator[None]:
        system = System(self.disk)
        inbox = type("Inbox", (Patient,), {"stage": self.stage})

        def pause() -> SimpleNamespace:
            return SimpleNamespace(wait=lambda s: self.stage.wait(self.stage.now + s))

        with (
            mock.patch("wtsflow.engine.runner.Inbox", inbox),
            mock.patch("wtsflow.verbs.following.threading", SimpleNamespace(Event=pause)),
            mock.patch("wtsflow.audit.log.os", system),
            mock.patch("wtsflow.audit.chain.os", system),
        ):
            yield

    # --- what is left of it ---------------------------------------------------------------

    @property
    def records(self) -> list[Record]:
        """The run's records, in their order."""
        return [one for one in self.disk.facts if one.run == RUN]

    def effects(self) -> Counter[str]:
        """How often each attempt took effect: by its first marker, whichever it ran under."""
        first = {
            name: marker(one.event.subject)
            for one in self.records
            if one.event.type == "started"
            for name in chain(marker(one.event.subject))
        }
        return Counter(
            first.get(name, name)
            for machine in self.machines.values()
            for _, name in machine.effects
        )


def marker(task: str) -> str:
    """How an attempt is called on its target."""
    return hashlib.sha256(f"{RUN}/{task}".encode()).hexdigest()[:32]


def chain(name: str) -> Iterator[str]:
    """An attempt's markers: what a dead connection kept from beginning begins under the next."""
    for _ in range(MARKERS):
        yield name
        name = after(name)


def void(_value: object) -> None:
    """Nothing."""


def made(seed: int, **planted: Any) -> World:
    """A history; its files are gone afterwards."""
    from tests.world.laws import violations

    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as place:
        world = World(seed, Path(place) / "audit", **planted).run()
        world.violations = violations(world)
        return world
