"""Sessions whose scripts run under the supervisor: what local and ssh have in common."""

import threading
import time
from collections.abc import Callable, Mapping
from secrets import token_hex, token_urlsafe

from wtsflow.errors import ConnectError, PlanError, SessionLost, WtsflowError
from wtsflow.ports import CallCommand, Invocation, RunScript
from wtsflow.transports import supervisor
from wtsflow.transports.become import Account, argument_vector, log_in
from wtsflow.transports.channel import Refusal, Supervisor
from wtsflow.transports.execution import SMALL, SupervisedExecution
from wtsflow.transports.wire import Ended, Open, Refused, Stream

MAKE_ROOM = 2.0
"""Seconds after which a result that nobody writes down no longer occupies a channel."""


class SupervisedSession:
    """Executions on one connection: each has a supervisor, and supervisors are used again.

    ``place`` names the target in errors (``web01:22``); ``limit`` is how many channels the
    connection may have, one of which is kept free for stopping; ``patience`` (seconds) bounds how
    long a supervisor may take to begin; ``closing`` ends the connection; ``beside`` connects
    once more, for stopping what a connection without a free channel began.
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
        beside: "Callable[[], SupervisedSession] | None" = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self.monotonic = monotonic
        self._open_wire = open_wire
        self._shell = shell
        self._limit = max(1, limit - 1)
        self._patience = patience
        self._closing = closing
        self._beside = beside
        self._change = threading.Condition()
        self._idle: list[Supervisor] = []
        self._busy: set[int] = set()
        self._held: list[Supervisor] = []
        self._closed = False

    def start(self, invocation: Invocation) -> SupervisedExecution:
        """Begin a script; returns when the target has it, checked, and starts it.

        Raises PlanError for what cannot be run here, ConnectError, LoginError or PinMismatch when
        nothing was begun, SessionLost when that is not known.
        """
        job = self._script(invocation)
        command = supervisor.run(job)
        helper = self._take(Account(job.run_as, job.password))
        try:
            self._begin(helper, job, command)
            if len(job.stdin) <= SMALL:
                self._feed(helper, job)
        except BaseException:
            self.abandon(helper)
            raise
        return SupervisedExecution(self, helper, job)

    def attach(
        self, invocation: Invocation, *, age: float, stdout: int = 0, stderr: int = 0
    ) -> SupervisedExecution:
        """Pick up what was started before; see :meth:`wtsflow.ports.Session.attach`."""
        job = self._script(invocation)
        received: dict[Stream, int] = {"stdout": stdout, "stderr": stderr}
        return SupervisedExecution(self, self.pick_up(job, received, age), job, received)

    def _script(self, invocation: Invocation) -> RunScript:
        if isinstance(invocation, CallCommand):
            raise PlanError(
                f"{self.place} runs scripts; {invocation.name} is a command of an endpoint",
                cure="reach the target by a transport that calls commands",
            )
        return invocation

    def close(self) -> None:
        """End the connection; what ran may live on, what was recorded is removed there."""
        with self._change:
            self._closed = True
            left = [*self._idle, *self._held]
            self._idle, self._held = [], []
            self._change.notify_all()
        for helper in left:
            helper.wire.close()
        self._closing()

    # --- for executions ---------------------------------------------------------------------

    def hold(self, helper: Supervisor) -> None:
        """A supervisor's work is finished, but it still keeps the result."""
        with self._change:
            self._busy.discard(id(helper))
            if not self._closed:
                self._held.append(helper)
            self._change.notify()
        if self._closed:
            helper.wire.close()

    def release(self, helper: Supervisor) -> None:
        """Take a supervisor back that has nothing to do or to keep."""
        with self._change:
            self._let_go(helper)
            if not self._closed:
                self._idle.append(helper)
            self._change.notify()
        if self._closed:
            helper.wire.close()

    def abandon(self, helper: Supervisor) -> None:
        """Let a supervisor go that cannot be used again."""
        helper.wire.close()
        with self._change:
            self._let_go(helper)
            self._change.notify()

    def _let_go(self, helper: Supervisor) -> None:
        self._busy.discard(id(helper))
        if helper in self._held:
            self._held.remove(helper)

    def pick_up(
        self, job: RunScript, received: Mapping[Stream, int], age: float = 0.0
    ) -> Supervisor:
        """A supervisor that goes on with what another one began, after these bytes."""
        command = supervisor.attach(job.marker, age, received["stdout"], received["stderr"])
        helper = self._take(Account(job.run_as, job.password))
        try:
            self._begin(helper, job, command)
        except BaseException:
            self.abandon(helper)
            raise
        return helper

    def control(self, account: Account, command: bytes, answer: str, seconds: float) -> list[str]:
        """Ask a supervisor beside the one that works; its answer's words, empty if none came."""
        with self._change:
            helper = self._idle_of(account)
        try:
            helper = helper or self._open(account)
            helper.send(command)
            words = helper.answer(answer, seconds, self.monotonic)
        except (Ended, Refused, ConnectError, SessionLost):
            if helper:
                helper.wire.close()
            return self._control_beside(account, command, answer, seconds)
        self.release(helper)
        return words

    def _control_beside(
        self, account: Account, command: bytes, answer: str, seconds: float
    ) -> list[str]:
        if self._beside is None:
            return []
        try:
            other = self._beside()
        except WtsflowError:
            return []
        try:
            return other.control(account, command, answer, seconds)
        finally:
            other.close()

    # --- within -----------------------------------------------------------------------------

    def _take(self, account: Account) -> Supervisor:
        while True:
            with self._change:
                while not self._change.wait_for(self._has_room, MAKE_ROOM):
                    if self._held:
                        self._held.pop(0).wire.close()
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

    def _has_room(self) -> bool:
        return self._closed or len(self._busy) + len(self._held) < self._limit

    def _idle_of(self, account: Account) -> Supervisor | None:
        for helper in self._idle:
            if helper.account == account:
                self._idle.remove(helper)
                return helper
        return None

    def _spare(self) -> list[Supervisor]:
        """Idle supervisors of other accounts that must go to make room."""
        over = len(self._busy) + len(self._held) + len(self._idle) + 1 - self._limit
        spare, self._idle = self._idle[: max(0, over)], self._idle[max(0, over) :]
        return spare

    def _learn(self, ticket: object) -> None:
        """The target takes fewer channels than was believed: wait for one from now on."""
        with self._change:
            self._busy.discard(id(ticket))
            if not self._busy and not self._held:
                raise ConnectError(
                    f"{self.place} opens no channel to run anything in",
                    cure="check MaxSessions and ForceCommand of its sshd",
                )
            self._limit = len(self._busy) + len(self._held)

    def _open(self, account: Account) -> Supervisor:
        nonce = token_hex(8)
        wire = self._open_wire(argument_vector(account, self._shell, nonce))
        try:
            log_in(wire, account, self.place, nonce, self._patience, self.monotonic)
        except BaseException:
            wire.close()
            raise
        return Supervisor(wire, account, token_urlsafe(12))

    def _begin(self, helper: Supervisor, job: RunScript, command: bytes) -> None:
        used = not helper.fresh
        try:
            helper.send(command)
            helper.answer("go", self._patience, self.monotonic, both=True)
        except Ended as end:
            if end.lost or used:
                raise SessionLost(
                    f"{self.place}: {end.reason} while {job.name} was begun",
                    cure="look on the target whether it ran before running it again",
                ) from None
            raise ConnectError(
                f"{self.place} did not start the supervisor in {self._shell}: {end.reason}",
                cure="the account needs a POSIX shell and no forced command",
            ) from None
        except Refusal as refusal:
            raise refusal.error(self.place, job) from None

    def _feed(self, helper: Supervisor, job: RunScript) -> None:
        try:
            if job.stdin:
                helper.wire.send(job.stdin + supervisor.FED)
        except Ended as end:
            raise SessionLost(
                f"{self.place}: {end.reason} while {job.name} was given its standard input",
                cure="look on the target whether it ran before running it again",
            ) from None
