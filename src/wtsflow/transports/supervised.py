"""Sessions whose scripts run under the supervisor: what local and ssh have in common."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex

from wtsflow.errors import ConnectError, PinMismatch, PlanError, SessionLost
from wtsflow.model.record import Stop
from wtsflow.ports import CallCommand, Exited, Idle, Invocation, Output, RunScript, Signal
from wtsflow.transports import signals, supervisor
from wtsflow.transports.become import Account, argument_vector, log_in
from wtsflow.transports.supervisor import Records, Said
from wtsflow.transports.wire import Ended, Open, Refused, Stream, Wire

DRAIN = 0.5
"""Seconds that output may still come after the script has ended, while somebody holds its pipe."""

GIVE_UP = 2.0
"""Seconds after which a drain that was asked for is no longer waited for."""

STOP_SLACK = 8.0
"""Seconds beyond the grace after which a stop is given up as unconfirmed."""

SMALL = 32_768
"""Bytes that fit into a pipe: more is sent by a thread, so that reading goes on."""

_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


@dataclass
class Supervisor:
    """Our side of one supervisor: a wire, its token and what is held back of its streams."""

    wire: Wire
    account: Account
    token: str
    fresh: bool = True
    early: list[tuple[Stream, bytes | Said]] = field(default_factory=list)
    """What came behind an answer that was waited for: the script is quick, the reader late."""
    records: dict[Stream, Records] = field(init=False)
    early: list[tuple[Stream, bytes | Said]] = field(default_factory=list)
    """What came in the same breath as the answer that was waited for, and is for the next read."""

    def __post_init__(self) -> None:
        self.records = {stream: Records(self.token) for stream in _STREAMS}

    def send(self, data: bytes) -> None:
        """Send a command; the first also introduces us."""
        greeting = f"{self.token}\n".encode() if self.fresh else b""
        self.fresh = False
        self.wire.send(greeting + data)

    def read(self, seconds: float) -> list[tuple[Stream, bytes | Said]]:
        """Output and records in the order of each stream; empty when nothing came."""
        if self.early:
            early, self.early = self.early, []
            return early
        if self.early:
            early, self.early = self.early, []
            return early
        return [
            (stream, item)
            for stream, data in self.wire.receive(seconds)
            for item in self.records[stream].feed(data)
        ]


class SupervisedSession:
    """Executions on one connection: each has a supervisor, and supervisors are used again.

    ``place`` names the target in errors (``web01:22``); ``limit`` is how many channels the
    connection may have, one of which is kept free for stopping; ``patience`` (seconds) bounds how
    long a supervisor may take to begin; ``closing`` ends the connection.
    """

    def __init__(
        self,
        place: str,
        open_wire: Open,
        *,
        shell: str = "/bin/sh",
        limit: int = 10,
        patience: float = 20.0,
        closing: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self.monotonic = monotonic
        self._open_wire = open_wire
        self._shell = shell
        self._limit = max(1, limit - 1)
        self._patience = patience
        self._closing = closing
        self._change = threading.Condition()
        self._idle: list[Supervisor] = []
        self._busy: set[int] = set()
        self._closed = False

    def start(self, invocation: Invocation) -> "SupervisedExecution":
        """Begin a script; returns when the target has it, checked, and starts it.

        Raises PlanError for what cannot be run here, ConnectError, LoginError or PinMismatch when
        nothing was begun, SessionLost when that is not known.
        """
        if isinstance(invocation, CallCommand):
            raise PlanError(
                f"{self.place} runs scripts; {invocation.name} is a command of an endpoint",
                cure="reach the target by a transport that calls commands",
            )
        command = supervisor.run(invocation)
        account = Account(invocation.run_as, invocation.password)
        helper = self._take(account)
        try:
            self._begin(helper, invocation, command)
        except BaseException:
            self.abandon(helper)
            raise
        return SupervisedExecution(self, helper, invocation)

    def close(self) -> None:
        """End the connection; what ran may live on, what was finished is removed there."""
        with self._change:
            self._closed = True
            idle, self._idle = self._idle, []
            self._change.notify_all()
        for helper in idle:
            helper.wire.close()
        self._closing()

    # --- for executions ---------------------------------------------------------------------

    def release(self, helper: Supervisor) -> None:
        """Take a supervisor back whose work is finished."""
        with self._change:
            self._busy.discard(id(helper))
            if not self._closed:
                self._idle.append(helper)
            self._change.notify()
        if self._closed:
            helper.wire.close()

    def abandon(self, helper: Supervisor) -> None:
        """Let a supervisor go that cannot be used again."""
        helper.wire.close()
        with self._change:
            self._busy.discard(id(helper))
            self._change.notify()

    def control(self, account: Account, command: bytes, answer: str, seconds: float) -> list[str]:
        """Ask a supervisor beside the one that works; its answer's words, empty if none came."""
        with self._change:
            helper = self._idle_of(account)
        try:
            helper = helper or self._open(account)
            helper.send(command)
            words = self._await(helper, answer, seconds)
        except (Ended, Refused, ConnectError, SessionLost):
            if helper:
                helper.wire.close()
            return []
        self.release(helper)
        return words

    # --- within -----------------------------------------------------------------------------

    def _take(self, account: Account) -> Supervisor:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or len(self._busy) < self._limit)
                if self._closed:
                    raise ConnectError(f"{self.place}: the session is closed")
                helper = self._idle_of(account)
                spare = [] if helper else self._spare()
                ticket = helper or object()
                self._busy.add(id(ticket))
            for other in spare:
                other.wire.close()
            if helper:
                return helper
            try:
                helper = self._open(account)
            except Refused:
                self._learn(ticket)
                continue
            except BaseException:
                with self._change:
                    self._busy.discard(id(ticket))
                    self._change.notify()
                raise
            with self._change:
                self._busy.discard(id(ticket))
                self._busy.add(id(helper))
            return helper

    def _idle_of(self, account: Account) -> Supervisor | None:
        for helper in self._idle:
            if helper.account == account:
                self._idle.remove(helper)
                return helper
        return None

    def _spare(self) -> list[Supervisor]:
        """Idle supervisors of other accounts that must go to make room."""
        over = len(self._busy) + len(self._idle) + 1 - self._limit
        spare, self._idle = self._idle[: max(0, over)], self._idle[max(0, over) :]
        return spare

    def _learn(self, ticket: object) -> None:
        """The target takes fewer channels than was believed: wait for one from now on."""
        with self._change:
            self._busy.discard(id(ticket))
            if not self._busy:
                raise ConnectError(
                    f"{self.place} opens no channel to run anything in",
                    cure="check MaxSessions and ForceCommand of its sshd",
                )
            self._limit = len(self._busy)

    def _open(self, account: Account) -> Supervisor:
        nonce = token_hex(8)
        wire = self._open_wire(argument_vector(account, self._shell, nonce))
        try:
            log_in(wire, account, self.place, nonce, self._patience, self.monotonic)
        except BaseException:
            wire.close()
            raise
        return Supervisor(wire, account, token_hex(16))

    def _begin(self, helper: Supervisor, job: RunScript, command: bytes) -> None:
        small = job.stdin if len(job.stdin) <= SMALL else b""
        try:
            helper.send(command)
            self._await(helper, "go", self._patience)
            if small:
                helper.wire.send(small)
        except Ended as end:
            if end.lost:
                raise SessionLost(
                    f"{self.place}: {end.reason} while {job.name} was begun",
                    cure="look on the target whether it ran before running it again",
                ) from None
            raise ConnectError(
                f"{self.place} did not start the supervisor in {self._shell}: {end.reason}",
                cure="the account needs a POSIX shell and no forced command",
            ) from None
        except _Refusal as refusal:
            raise refusal.error(self.place, job) from None

    def _await(self, helper: Supervisor, answer: str, seconds: float) -> list[str]:
        """Read until this record has come on both streams (for ``go``), dropping all before it.

        A quick script may have ended by then: what follows the record is kept for the next read.

        Raises Ended, _Refusal.
        """
        answering: frozenset[Stream] = frozenset(_STREAMS if answer == "go" else {"stderr"})
        missing = set(answering)
        noise = b""
        until = self.monotonic() + seconds
        words: list[str] = []
        later: list[tuple[Stream, bytes | Said]] = []
        while missing:
            left = until - self.monotonic()
            if left <= 0:
                raise Ended(f"no answer within {seconds:g} s", lost=True)
            try:
                items = helper.read(left)
            except Ended as end:
                said = noise[-300:].decode("utf-8", "replace").strip()
                if said:
                    end.reason = f"{end.reason}: {said}"
                raise
            for stream, item in items:
                if answer == "go" and stream not in missing:
                    later.append((stream, item))
                elif isinstance(item, bytes):
                    noise += item
                elif item.words[:1] == ("refused",):
                    raise _Refusal(item.words[1:])
                elif item.words[:1] == (answer,):
                    missing.discard(stream)
                    words = list(item.words[1:]) or words
        helper.early += later
        return words


class _Refusal(Exception):
    """The supervisor did not begin: why."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__(*words)
        self.words = words

    def error(self, place: str, job: RunScript) -> Exception:
        match self.words:
            case ("again",):
                return SessionLost(
                    f"{place}: {job.name} was begun there before under this attempt's name",
                    cure=f"look at wtsflow-{supervisor.identity(job.marker)}.d on the target",
                )
            case ("sum", found):
                return PinMismatch(job.name, job.sha256, f"{found} on {place}")
            case _:
                return ConnectError(
                    f"{place} has no folder to keep the script in",
                    cure="free some space in $XDG_RUNTIME_DIR, $TMPDIR, /tmp or /dev/shm there",
                )


class SupervisedExecution:
    """A script under a supervisor; fulfils :class:`~wtsflow.ports.Execution`."""

    def __init__(self, session: SupervisedSession, helper: Supervisor, job: RunScript) -> None:
        self._session = session
        self._helper = helper
        self._job = job
        self._lock = threading.Lock()
        self._state = _Ending(session.monotonic)
        self._over = False
        self._waiting: list[Signal] = []
        if len(job.stdin) > SMALL:
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

    def _next(self) -> list[Signal]:
        state = self._state
        try:
            items = self._helper.read(state.patience())
        except Ended as end:
            if state.stop_until is not None:
                return self._finish(reuse=False)
            raise self._lost(end) from None
        shown: list[Signal] = []
        for stream, item in items:
            output = state.see(stream, item)
            if output:
                shown.append(Output(stream, output))
        if state.complete:
            return [*shown, *self._finish(reuse=True)]
        if state.must_drain():
            threading.Thread(target=self._drain, daemon=True).start()
        if state.hopeless():
            return [*shown, *self._finish(reuse=False)]
        return shown if items else [Idle()]

    def _finish(self, *, reuse: bool) -> list[Signal]:
        with self._lock:
            if self._over:
                return []
            self._over = True
        if reuse:
            try:
                self._helper.wire.send(supervisor.ACK)
                self._session.release(self._helper)
            except Ended:
                self._session.abandon(self._helper)
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
        else:
            with suppress(Ended):
                self._helper.wire.signal("TERM")

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


class _Ending:
    """How far an execution is: a fold of its records."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ended: set[Stream] = set()
        self._output: list[bytes] | None = None
        self._exited_at = 0.0
        self._draining = False
        self._timed_out = False
        self.code: int | None = None
        self.stop: Stop | None = None
        self.stop_until: float | None = None

    def see(self, stream: Stream, item: bytes | Said) -> bytes:
        """Take in one item; what of it is output."""
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
        return b""

    @property
    def complete(self) -> bool:
        """Whether all has come, the answer to a stop included."""
        unanswered = self.stop_until is not None and self.stop is None
        return len(self._ended) == len(_STREAMS) and not unanswered

    def patience(self) -> float:
        """How long to wait for the next bytes, in seconds."""
        if self.code is not None:
            return 0.1
        return 0.2 if self.stop_until is not None else 1.0

    def must_drain(self) -> bool:
        """Whether it is time to ask for the streams to be let go; true once."""
        if self.code is None or self._draining or len(self._ended) == len(_STREAMS):
            return False
        self._draining = self._monotonic() > self._exited_at + DRAIN
        return self._draining

    def hopeless(self) -> bool:
        """Whether what is missing is no longer waited for."""
        now = self._monotonic()
        if self.stop_until is not None and now > self.stop_until:
            return True
        return self._draining and now > self._exited_at + DRAIN + GIVE_UP

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
        )
