"""The targets: machines that keep what they did as the real supervisor does, and a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.world.stage import FOREVER, Process, Stage
from wtsflow.errors import ConnectError, NotBegun, SessionLost, Vanished
from wtsflow.model.plan import Target
from wtsflow.model.record import Stop
from wtsflow.ports import Exited, Idle, Invocation, Output, RunScript, Signal

NEVER = "never"


@dataclass
class Kept:
    """What a machine keeps of one attempt: under its guard, which no second start passes."""

    marker: str
    begun: float
    boot: int
    effect: float
    """When what the script is there for happens."""
    end: float
    code: int | None = 0
    signal: str = ""
    stop: Stop | None = None
    timed_out: bool = False
    never: bool = False
    vanished: str = ""
    done: bool = False

    @property
    def output(self) -> bytes:
        return f"did {self.marker}\n".encode()


@dataclass
class Machine:
    """One target. ``fate(marker)`` gives seconds and exit code of a script."""

    name: str
    stage: Stage
    fate: Callable[[RunScript], tuple[float, int]]
    kept: dict[str, Kept] = field(default_factory=dict)
    effects: list[tuple[float, str]] = field(default_factory=list)
    guarded: bool = True
    """False plants a defect: a start is not kept away by what was started before."""
    boot: int = 1
    booted: float = -1e9
    down_until: float = 0.0
    cuts: int = 0
    refused: int = 0
    """How often a guard kept a second start away."""

    @property
    def down(self) -> bool:
        return self.stage.now < self.down_until

    def begin(self, job: RunScript) -> bool:
        """A start arrives. False: its guard stands, and nothing happens."""
        self.settle()
        if job.marker in self.kept and self.guarded:
            self.refused += 1
            return False
        seconds, code = self.fate(job)
        now, late = self.stage.now, seconds > job.deadline
        end = now + min(seconds, job.deadline)
        effect = now + seconds * self.stage.random.random()
        kept = Kept(job.marker, now, self.boot, effect, end, None if late else code)
        kept.timed_out, kept.stop = late, Stop.CONFIRMED if late else None
        self.kept[job.marker] = kept
        return True

    def settle(self) -> None:
        """Let happen what was due by now."""
        for kept in self.kept.values():
            due = not kept.done and not kept.never and kept.effect <= min(self.stage.now, kept.end)
            if due and not kept.vanished:
                kept.done = True
                self.effects.append((kept.effect, kept.marker))

    def end(self, marker: str) -> None:
        """Stop a script: what it has not done yet does not happen."""
        self.settle()
        kept = self.kept.get(marker)
        if kept and not kept.never and kept.end > self.stage.now:
            kept.end, kept.code, kept.signal = self.stage.now, None, "TERM"
            kept.stop, kept.timed_out = Stop.CONFIRMED, False

    def cut(self, seconds: float) -> None:
        """No connection lives, and none is made for so long."""
        self.cuts += 1
        self.down_until = max(self.down_until, self.stage.now + seconds)

    def reboot(self) -> None:
        """What runs is gone; of it nothing can be known. What had ended is still there."""
        self.settle()
        for kept in self.kept.values():
            if not kept.never and kept.end > self.stage.now:
                kept.vanished, kept.end = "the machine was started anew after that", self.stage.now
        self.boot += 1
        self.booted = self.stage.now
        self.cut(5.0)


@dataclass
class Network:
    """The transport. ``peril`` may kill the process; ``mishap`` says what befalls a start."""

    stage: Stage
    machines: dict[str, Machine]
    peril: Callable[[str], None]
    mishap: Callable[[], str]
    guards: bool = True
    """False plants a defect: who asks for what never began leaves no guard behind."""
    sessions: int = 0
    attached: int = 0

    def connect(self, target: Target, _credentials: object) -> "Session":
        self.peril("connect")
        machine = self.machines[target.name]
        if machine.down:
            raise ConnectError(f"{target.name}: no route to host")
        self.sessions += 1
        return Session(self, machine, self.stage.process, machine.cuts)


@dataclass
class Session:
    network: Network
    machine: Machine
    process: Process
    cuts: int

    def broken(self) -> bool:
        return self.machine.cuts != self.cuts or self.machine.down

    def start(self, job: Invocation) -> "Execution":
        """Deliver a script: once, not at all, late, or twice; whoever sent it may not know."""
        assert isinstance(job, RunScript)
        network, machine = self.network, self.machine
        network.peril("start: before")
        mishap = "lost" if self.broken() else network.mishap()
        if mishap == "refused":
            raise ConnectError(f"{machine.name}: there is no space in /tmp")
        if mishap == "late":
            when = machine.stage.now + machine.stage.random.random() * 30
            machine.stage.at(when, lambda: machine.begin(job))
        if mishap == "twice":
            machine.stage.at(machine.stage.now, lambda: machine.begin(job))
        if mishap in {"lost", "late"}:
            raise SessionLost(f"{machine.name}: the connection went while it was begun")
        began = machine.begin(job)
        if mishap == "deaf":
            machine.cut(machine.stage.random.random() * 20)
            raise SessionLost(f"{machine.name}: the connection went while it was begun")
        network.peril("start: after")
        if not began:
            raise SessionLost(f"{machine.name}: it was begun there before under this name")
        return Execution(self, machine.kept[job.marker])

    def attach(
        self, job: Invocation, *, age: float, stdout: int = 0, stderr: int = 0
    ) -> "Execution":
        network, machine = self.network, self.machine
        network.peril("attach: before")
        if self.broken():
            raise SessionLost(f"{machine.name}: the connection went")
        network.attached += 1
        machine.settle()
        kept = machine.kept.get(job.marker)
        if kept is None:
            if machine.booted > machine.stage.now - age - 2:
                raise Vanished(f"{machine.name}: the machine was started anew after that")
            kept = Kept(job.marker, 0, machine.boot, FOREVER, FOREVER, never=True)
            if network.guards:
                machine.kept[job.marker] = kept
        network.peril("attach: after")
        if kept.never:
            raise NotBegun(f"{machine.name}: it never began there")
        if kept.vanished:
            raise Vanished(f"{machine.name}: {kept.vanished}")
        return Execution(self, kept, stdout)

    def close(self) -> None:
        pass


@dataclass(eq=False)
class Execution:
    session: Session
    kept: Kept
    given: int = 0

    def __iter__(self) -> Iterator[Signal]:
        machine, network = self.session.machine, self.session.network
        while True:
            self._alive()
            if machine.stage.now >= self.kept.end or self.kept.vanished:
                break
            machine.stage.wait(min(machine.stage.now + 1.0, self.kept.end), self._news)
            self._alive()
            if machine.stage.now < self.kept.end:
                yield Idle()
        network.peril("read")
        machine.settle()
        yield Output("stdout", self.kept.output[self.given :])
        network.peril("read")
        self._alive()
        kept = self.kept
        yield Exited(kept.code, kept.signal, kept.stop, kept.timed_out)

    def _news(self) -> bool:
        return self.session.broken() or self.kept.end <= self.session.machine.stage.now

    def _alive(self) -> None:
        if self.session.broken() or self.kept.vanished:
            raise SessionLost(f"{self.session.machine.name}: the connection went")

    def stop(self) -> None:
        self.session.network.peril("stop")
        if not self.session.broken():
            self.session.machine.end(self.kept.marker)

    def close(self) -> None:
        pass

    def recorded(self) -> None:
        self.session.network.peril("recorded")
