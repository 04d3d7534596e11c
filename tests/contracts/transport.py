"""What the suite of the transports uses: scripts with fresh markers, and a look at the processes."""

import glob
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from wtsflow.ports import Execution, Exited, Output, RunScript, Session
from wtsflow.transports.supervisor import identity

FOLDERS = tuple(
    dict.fromkeys(
        filter(
            None,
            (
                os.environ.get("XDG_RUNTIME_DIR"),
                os.environ.get("TMPDIR"),
                "/tmp",
                "/dev/shm",
                "/tmp/wtsflow-lab-*/hosts/*/tmp",
            ),
        )
    )
)


MADE: list[str] = []
"""Markers of all scripts, for :func:`forget`."""


def forget() -> None:
    """Remove what tests left on this machine on purpose."""
    made = {f"wtsflow-{identity(marker)}" for marker in MADE}
    for path in (Path(found) for folder in FOLDERS for found in glob.glob(f"{folder}/wtsflow-*")):
        if path.name.removesuffix(".d") in made:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    MADE.clear()


def script(text: str | bytes, **given: object) -> RunScript:
    """A script with a marker of its own; ``given`` are fields of the invocation."""
    content = text.encode() if isinstance(text, str) else text
    fields: dict[str, object] = {
        "content": content,
        "sha256": hashlib.sha256(content).hexdigest(),
        "name": "probe.sh",
        "marker": uuid4().hex,
        "deadline": 60.0,
        "grace": 1.0,
        **given,
    }
    MADE.append(str(fields["marker"]))
    return RunScript(**fields)  # type: ignore[arg-type]


@dataclass
class Done:
    """What came of an execution."""

    stdout: bytes
    stderr: bytes
    exited: Exited


def finish(execution: Execution, *, recorded: bool = True) -> Done:
    """Iterate to the end, and let the target forget it, unless it is not ``recorded``."""
    parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    end: list[Exited] = []
    for signal in execution:
        assert not end, f"{signal} after the end"
        match signal:
            case Output(stream, data):
                assert data, "empty output says nothing"
                parts[stream].append(data)
            case Exited():
                end.append(signal)
    assert len(end) == 1
    if recorded:
        execution.recorded()
    return Done(b"".join(parts["stdout"]), b"".join(parts["stderr"]), end[0])


def run(session: Session, text: str | bytes, **given: object) -> Done:
    """Start a script and wait for its end."""
    return finish(session.start(script(text, **given)))


def outputs(execution: Execution) -> Iterator[Output]:
    """Only the output, as it comes."""
    return (signal for signal in execution if isinstance(signal, Output))


def carriers(marker: str) -> list[int]:
    """Living processes that carry the marker in their environment."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            if f"WTS_TASK={marker}".encode() in Path(path).read_bytes().split(b"\0"):
                found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return found


def folders(marker: str) -> list[str]:
    """What an attempt has left on this machine."""
    return [p for folder in FOLDERS for p in glob.glob(f"{folder}/wtsflow-{identity(marker)}*")]


def eventually(true: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return bool(true())
