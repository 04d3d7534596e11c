"""Time and turns: any number of threads, of which exactly one moves, in an order that a seed gives."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

FOREVER = float("inf")


class Crash(BaseException):
    """The process is gone, as by SIGKILL: nothing catches it, nothing more is done."""


@dataclass(eq=False)
class Process:
    """A process of the control node. ``dead``: whatever it does from now on does not happen."""

    number: int
    dead: bool = False


@dataclass(eq=False)
class Actor:
    """A thread, which moves only when it is its turn."""

    name: str
    process: Process
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ready: Callable[[], bool] = lambda: True
    wake: float = 0.0
    over: bool = False


class Stage:
    """The scheduler. ``now`` is virtual time, in seconds; nothing here ever sleeps."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.wall = 1_800_000_000.0
        """The wall clock at virtual time 0; a jump of the clock changes it."""
        self.turns = 0
        self.failure: BaseException | None = None
        """What went wrong in a thread that nobody waits for."""
        self._actors: list[Actor] = []
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._main = Actor("director", Process(0))
        self._present = self._main
        self._actors.append(self._main)

    # --- for what is simulated ------------------------------------------------------------

    @property
    def process(self) -> Process:
        """Whose turn it is."""
        return self._present.process

    def at(self, time: float, what: Callable[[], object]) -> None:
        """Let something happen at a virtual time."""
        heappush(self._timers, (time, len(self._timers) + self.turns * 1000, what))

    def spawn(self, work: Callable[[], None], name: str, process: Process | None = None) -> Actor:
        """Begin a thread of the present process."""
        actor = Actor(name, process or self.process)

        def body() -> None:
            actor.turn.acquire()
            try:
                if not actor.process.dead:
                    work()
            except Crash:
                pass
            except BaseException as error:
                self.failure = self.failure or error
            actor.over = True
            self._actors.remove(actor)
            self._hand_on(self._following())

        self._actors.append(actor)
        threading.Thread(target=body, name=name, daemon=True).start()
        return actor

    def wait(self, until: float, ready: Callable[[], bool] = lambda: False) -> None:
        """Let others move until this is so, or that time has come. Raises Crash."""
        me = self._present
        me.ready, me.wake = ready, until
        following = self._following()
        if following is not me:
            self._hand_on(following)
            me.turn.acquire()
        me.ready = lambda: True
        if me is self._main and self.failure:
            raise self.failure
        if me.process.dead:
            raise Crash

    # --- turns ----------------------------------------------------------------------------

    def _hand_on(self, actor: Actor) -> None:
        self._present = actor
        actor.turn.release()

    def _following(self) -> Actor:
        try:
            return self._main if self.failure else self._next()
        except BaseException as error:
            self.failure = error
            return self._main

    def _next(self) -> Actor:
        self.turns += 1
        assert self.turns < 20_000, "the world does not come to rest"
        while True:
            while self._timers and self._timers[0][0] <= self.now:
                heappop(self._timers)[2]()
            can = [one for one in self._actors if self._may(one)]
            if can:
                return can[0] if len(can) == 1 else self.random.choice(can)
            times = [one.wake for one in self._actors]
            times += [self._timers[0][0]] if self._timers else []
            later = min(times)
            assert later < FOREVER, "nothing moves and nothing ever will"
            self.now = later

    def _may(self, actor: Actor) -> bool:
        return actor.process.dead or actor.wake <= self.now or actor.ready()


@dataclass
class Clock:
    """The clocks of the control node."""

    stage: Stage

    def now(self) -> float:
        return self.stage.wall + self.stage.now

    def monotonic(self) -> float:
        return self.stage.now
