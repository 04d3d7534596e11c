"""A script under a supervisor, from its beginning, or from where it is picked up, to its end."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

from wtsflow.errors import SessionLost, WtsflowError
from wtsflow.model.record import Stop
from wtsflow.ports import Exited, Idle, Output, RunScript, Signal
from wtsflow.transports import signals, supervisor
from wtsflow.transports.become import Account
from wtsflow.transports.channel import STREAMS, Supervisor, gone
from wtsflow.transports.supervisor import Said
from wtsflow.transports.wire import Ended, Stream

DRAIN = 0.5
"""Seconds of silence after the script's end, while somebody holds its pipe, that are enough."""

LONGEST_DRAIN = 10.0
"""Seconds after which whoever still writes into the script's pipe is cut off."""

GIVE_UP = 2.0
"""Seconds after which a drain that was asked for is no longer waited for."""

STOP_SLACK = 8.0
"""Seconds beyond the grace after which a stop is given up as unconfirmed."""

SMALL = 32_768
"""Bytes that fit into a pipe: more is sent by a thread, so that reading goes on."""


class Keeper(Protocol):
    """What an execution needs of its session."""

    place: str
    monotonic: Callable[[], float]

    def hold(self, helper: Supervisor) -> None:
        """A supervisor's work is finished, but it still keeps the result."""
        ...

    def release(self, helper: Supervisor) -> None:
        """Take a supervisor back that has nothing to do or to keep."""
        ...

    def pick_up(self, job: RunScript, received: Mapping[Stream, int]) -> Supervisor:
        """A supervisor that goes on with what another one began, after these bytes."""
        ...

    def abandon(self, helper: Supervisor) -> None:
        """Let a supervisor go that cannot be used again."""
        ...

    def control(self, account: Account, command: bytes, answer: str, seconds: float) -> list[str]:
        """Ask a supervisor beside the one that works; its answer's words, empty if none came."""
        ...


class SupervisedExecution:
    """A script under a supervisor; fulfils :class:`~wtsflow.ports.Execution`.

    ``received``: it was picked up, after so many bytes of each stream.
    """

    def __init__(
        self,
        session: Keeper,
        helper: Supervisor,
        job: RunScript,
        received: Mapping[Stream, int] | None = None,
    ) -> None:
        self._session = session
        self._helper = helper
        self._job = job
        self._lock = threading.Lock()
        self._state = _Ending(session.monotonic)
        self._received = dict(received) if received else dict.fromkeys(STREAMS, 0)
        self._over = False
        self._kept = False
        self._waiting: list[Signal] = []
        if received is None and len(job.stdin) > SMALL:
            threading.Thread(target=self._pump, daemon=True).start()

    def __iter__(self) -> Iterator[Signal]:
        while not self._over:
            if not self._waiting:
                self._waiting = self._next()
            while self._waiting:
                yield self._waiting.pop(0)

    def stop(self) -> None:
        """End the whole process tree there; see :meth:`wtsflow.ports.Execution.stop`."""
        with self._lock:
            if self._over or self._state.stop_until is not None:
                return
            self._state.stop_until = self._session.monotonic() + self._job.grace + STOP_SLACK
        threading.Thread(target=self._halt, daemon=True).start()

    def close(self) -> None:
        """Let go without waiting."""
        with self._lock:
            over, self._over = self._over, True
        if not over:
            self._session.abandon(self._helper)

    def recorded(self) -> None:
        """The target need not keep the result any more, and its supervisor is free again."""
        with self._lock:
            kept, self._kept = self._kept, False
        if not kept:
            return
        try:
            self._helper.send(supervisor.ACK)
        except Ended:
            self._session.abandon(self._helper)
        else:
            self._session.release(self._helper)

    def _next(self) -> list[Signal]:
        state = self._state
        try:
            items = self._helper.read(state.patience())
        except Ended as end:
            if state.stop_until is not None:
                return self._finish(reuse=False)
            raise self._lost(end) from None
        shown = [
            Output(stream, data) for stream, item in items if (data := state.see(stream, item))
        ]
        for output in shown:
            self._received[output.stream] += len(output.data)
        return [*shown, *self._further()] or [Idle()]

    def _further(self) -> list[Signal]:
        """What follows from how far it is now."""
        state = self._state
        if state.gone:
            self._over = True
            self._session.release(self._helper)
            raise gone(state.gone, self._session.place, self._job)
        if state.cut:
            self._go_on()
        elif state.complete:
            return self._finish(reuse=True)
        elif state.must_drain():
            threading.Thread(target=self._drain, daemon=True).start()
        elif state.hopeless():
            if state.torn:
                raise self._lost(Ended("no answer came", lost=True))
            return self._finish(reuse=False)
        return []

    def _go_on(self) -> None:
        """We read so late that the target no longer waited: ask it for the rest."""
        self._session.abandon(self._helper)
        try:
            helper = self._session.pick_up(self._job, self._received)
        except WtsflowError as error:
            self._over = True
            raise SessionLost(error.message, cure=error.cure) from error
        self._state.resume()
        with self._lock:
            self._helper = helper
            over = self._over
        if over:
            self._session.abandon(helper)

    def _finish(self, *, reuse: bool) -> list[Signal]:
        with self._lock:
            if self._over:
                return []
            self._over, self._kept = True, reuse
        if reuse:
            self._session.hold(self._helper)
        else:
            self._session.abandon(self._helper)
        return [self._state.exited()]

    def _lost(self, end: Ended) -> SessionLost:
        self.close()
        code = self._state.code
        known = "" if code is None else f" (it ended with {code}, but its output is cut off)"
        return SessionLost(
            f"{self._session.place}: {end.reason} while {self._job.name} ran{known}",
            cure="its effect is unknown: look on the target before running it again",
        )

    def _halt(self) -> None:
        job = self._job
        words = self._session.control(
            self._helper.account,
            supervisor.stop(job.marker, job.grace),
            "stopped",
            job.grace + STOP_SLACK,
        )
        if words:
            self._state.stop = Stop(words[0])

    def _drain(self) -> None:
        command = supervisor.drain(self._job.marker)
        self._session.control(self._helper.account, command, "drained", GIVE_UP)

    def _pump(self) -> None:
        data = memoryview(self._job.stdin)
        with suppress(Ended):
            for start in range(0, len(data), SMALL):
                if self._over or self._state.code is not None:
                    return
                self._helper.wire.send(bytes(data[start : start + SMALL]))
            self._helper.wire.send(supervisor.FED)


class _Ending:
    """How far an execution is: a fold of its records."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ended: set[Stream] = set()
        self._output: list[bytes] | None = None
        self._exited_at = 0.0
        self._heard_at = 0.0
        self._drained_at = 0.0
        self._draining = False
        self._timed_out = False
        self._lost: list[str] = []
        self.code: int | None = None
        self.stop: Stop | None = None
        self.stop_until: float | None = None
        self.cut = False
        """Whether the target no longer sends here, because nobody read for long."""
        self.gone: tuple[str, ...] = ()
        """Why the end cannot be known, when that is so."""

    def resume(self) -> None:
        """It goes on with another supervisor, which says everything again but the output."""
        self.cut, self._output, self._draining = False, None, False
        self._ended.clear()

    @property
    def torn(self) -> bool:
        """Whether what the script wrote as its outputs has come in part only."""
        return self._output is not None and "stderr" not in self._ended

    def see(self, stream: Stream, item: bytes | Said) -> bytes:
        """Take in one item; what of it is output."""
        if item != _BEAT:
            self._heard_at = self._monotonic()  # what is still on its way is worth waiting for
        if isinstance(item, bytes):
            if stream == "stderr" and self._output is not None:
                self._output.append(item)
                return b""
            return item
        match item.words:
            case ("exit", code, late, stopped):
                self.code = int(code)
                self._exited_at = self._monotonic()
                self._timed_out = late == "1"
                if stopped != "-" and self.stop is None:
                    self.stop = Stop(stopped)
            case ("output",):
                self._output = []
            case ("end",):
                self._ended.add(stream)
            case supervisor.CUT:
                self.cut = True
            case ("lost", name):
                self._lost.append(f"std{name}")
            case ("gone", *why):
                self.gone = tuple(why)
        return b""

    @property
    def complete(self) -> bool:
        """Whether all has come, the answer to a stop included."""
        unanswered = self.stop_until is not None and self.stop is None
        return len(self._ended) == len(STREAMS) and not unanswered

    def patience(self) -> float:
        """How long to wait for the next bytes, in seconds."""
        if self.code is not None:
            return 0.1
        return 0.2 if self.stop_until is not None else 1.0

    def must_drain(self) -> bool:
        """Whether it is time to ask for the streams to be let go; true once."""
        if self.code is None or self._draining or len(self._ended) == len(STREAMS):
            return False
        quiet_since = max(self._exited_at, self._heard_at)
        now = self._monotonic()
        self._draining = now > min(quiet_since + DRAIN, self._exited_at + LONGEST_DRAIN)
        self._drained_at = now
        return self._draining

    def hopeless(self) -> bool:
        """Whether what is missing is no longer waited for."""
        now = self._monotonic()
        if self.stop_until is not None and now > self.stop_until:
            return True
        return self._draining and now > max(self._drained_at, self._heard_at) + GIVE_UP

    def exited(self) -> Exited:
        """The end, as far as it is known."""
        stop = self.stop
        if self.stop_until is not None and stop is None:
            stop = Stop.UNCONFIRMED
        return Exited(
            code=self.code,
            signal=signals.name(self.code),
            stop=stop,
            timed_out=self._timed_out,
            output=b"".join(self._output or ()),
            missing=f"of {' and '.join(self._lost)} only the first 64 MiB were kept for us"
            if self._lost
            else "",
        )


_BEAT = Said(supervisor.BEAT)
