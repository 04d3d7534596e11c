"""This machine where it is Windows: without a POSIX shell, wtsflow itself looks after a script.

What the supervisor gives elsewhere and this does not: the deadline holds only while wtsflow lives,
and a stop is never confirmed, for what left the process tree cannot be found.
"""

import hashlib
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from wtsflow.errors import ConnectError, PinMismatch, PlanError, Vanished
from wtsflow.model.record import Stop
from wtsflow.ports import CallCommand, Exited, Idle, Invocation, Output, RunScript, Signal
from wtsflow.transports.wire import Stream

CHUNK = 1 << 16
AHEAD = 32
"""Chunks that are read before somebody asks for them: the script is held back beyond that."""
DRAIN = 0.5
"""Seconds that output may still come after the script has ended."""

_BATCH = re.compile(r"\.(?:bat|cmd)\s*$", re.IGNORECASE)


def end_tree(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its descendants."""
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=False,
        )
    with suppress(OSError):
        process.kill()


class WindowsSession:
    """Runs scripts here; fulfils :class:`~wtsflow.ports.Session`.

    ``environment`` is what scripts get (default: wtsflow's own); ``end`` ends a process tree.
    """

    def __init__(
        self,
        place: str,
        environment: Mapping[str, str] | None,
        *,
        end: "Callable[[subprocess.Popen[bytes]], None]" = end_tree,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self._environment = environment
        self._end = end
        self._monotonic = monotonic

    def start(self, invocation: Invocation) -> "WindowsExecution":
        """Begin a script. Raises PlanError, PinMismatch, ConnectError: nothing was begun."""
        if isinstance(invocation, CallCommand):
            raise PlanError(
                f"{self.place} runs scripts; {invocation.name} is an endpoint's command"
            )
        _refuse(invocation, self.place)
        folder = Path(tempfile.mkdtemp(prefix="wtsflow-"))
        try:
            process = self._launch(invocation, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return WindowsExecution(process, invocation, folder, self._end, self._monotonic)

    def attach(
        self, invocation: Invocation, *, age: float, stdout: int = 0, stderr: int = 0
    ) -> "WindowsExecution":
        """Not possible here: what another process began left no trace."""
        del invocation, age, stdout, stderr
        raise Vanished("what was begun on this machine cannot be picked up again")

    def close(self) -> None:
        """Nothing is open between scripts."""

    def _launch(self, job: RunScript, folder: Path) -> "subprocess.Popen[bytes]":
        path = folder / (re.sub(r"[^A-Za-z0-9._-]", "_", Path(job.name).name).lstrip("-.") or "s")
        path.write_bytes(job.content)
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != job.sha256:
            raise PinMismatch(job.name, job.sha256, f"{found} on {self.place}")
        given = {"WTS_TASK": job.marker, "WTS_OUTPUT": str(folder / "output")}
        base = self._environment
        if base is None:
            import os

            base = os.environ  # noqa: TID251 - a child's own default, not a setting
        try:
            return subprocess.Popen(
                [*job.command, str(path), *job.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**base, **job.environment, **given},
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            program = job.command[0] if job.command else path.name
            raise ConnectError(
                f"{program} cannot be started here: {error.strerror or error}",
                cure="is it installed and on the PATH?",
            ) from None


def _refuse(job: RunScript, place: str) -> None:
    """T05: cmd.exe reads the arguments of a batch file once more, whatever was quoted."""
    if job.run_as:
        raise PlanError(
            f"{place}: there is no sudo on Windows", cure="start wtsflow as that account"
        )
    programs = (*job.command[:1], job.name)
    batch = next((program for program in programs if _BATCH.search(program)), "")
    if batch and (job.arguments or job.command[1:]):
        raise PlanError(
            f"{batch} is a batch file, and batch files get no parameters",
            cure="hand them over on standard input or in the environment, or use PowerShell",
        )
    for value in (*job.command, *job.arguments, *job.environment.values()):
        if "\0" in value:
            raise PlanError(
                "an argument holds a NUL byte, which no process can be given",
                cure="hand it over on standard input",
            )


class WindowsExecution:
    """A script and the threads that read it; fulfils :class:`~wtsflow.ports.Execution`."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        job: RunScript,
        folder: Path,
        end: "Callable[[subprocess.Popen[bytes]], None]",
        monotonic: Callable[[], float],
    ) -> None:
        self._process = process
        self._folder = folder
        self._end = end
        self._monotonic = monotonic
        self._until = monotonic() + job.deadline
        self._pieces: queue.Queue[Output | None] = queue.Queue(AHEAD)
        self._reading = 2
        self._stopping = False
        self._late = False
        self._over = False
        files: tuple[tuple[Stream, IO[bytes] | None], ...] = (
            ("stdout", process.stdout),
            ("stderr", process.stderr),
        )
        for stream, file in files:
            reader = (stream, cast("IO[bytes]", file))
            threading.Thread(target=self._read, args=reader, daemon=True).start()
        threading.Thread(target=self._write, args=(job.stdin,), daemon=True).start()

    def __iter__(self) -> Iterator[Signal]:
        ended_at: float | None = None
        while self._reading and not self._over:
            now = self._monotonic()
            if ended_at is None and self._process.poll() is not None:
                ended_at = now
            if ended_at is not None and now > ended_at + DRAIN:
                break
            if now > self._until and not self._stopping:
                self._late = True
                self.stop()
            try:
                piece = self._pieces.get(timeout=0.1 if ended_at or self._stopping else 0.5)
            except queue.Empty:
                yield Idle()
                continue
            if piece is None:
                self._reading -= 1
            else:
                yield piece
        if not self._over:
            yield self._finish()

    def stop(self) -> None:
        """End the process tree; see :meth:`wtsflow.ports.Execution.stop`."""
        if not (self._stopping or self._over):
            self._stopping = True
            threading.Thread(target=self._end, args=(self._process,), daemon=True).start()

    def recorded(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Let go without waiting."""
        if not self._over:
            self._over = True
            threading.Thread(target=self._leave, daemon=True).start()

    def _finish(self) -> Exited:
        self._over = True
        code = self._process.wait()
        try:
            output = (self._folder / "output").read_bytes()
        except OSError:
            output = b""
        self._leave()
        stop = Stop.UNCONFIRMED if self._stopping else None
        return Exited(code, stop=stop, timed_out=self._late, output=output)

    def _leave(self) -> None:
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, stream: Stream, file: IO[bytes]) -> None:
        with suppress(OSError, ValueError), file:
            while data := file.read(CHUNK):
                if not self._hand_over(Output(stream, data)):
                    return
        self._hand_over(None)

    def _hand_over(self, piece: Output | None) -> bool:
        while not self._over:
            with suppress(queue.Full):
                self._pieces.put(piece, timeout=0.5)
                return True
        return False

    def _write(self, data: bytes) -> None:
        file = cast("IO[bytes]", self._process.stdin)
        with suppress(OSError, ValueError), file:
            view = memoryview(data)
            while view:
                view = view[file.write(view[:CHUNK]) or 0 :]
