"""Our side of the supervisor, against a wire that answers in one breath."""

import hashlib
import os
import secrets
import time
from collections.abc import Sequence

import pytest

from wtsflow import credentials
from wtsflow.errors import SessionLost
from wtsflow.model.plan import LOCAL
from wtsflow.ports import Exited, Output, RunScript
from wtsflow.transports.local import Local
from wtsflow.transports.supervised import SupervisedSession
from wtsflow.transports.wire import Piece


class Wire:
    """Answers the whole life of a quick script in pieces of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pieces: list[Piece] = []

    def send(self, data: bytes) -> None:
        if b" run " not in data:
            return
        mark = b"\x1e" + data.split(b"\n")[0] + b" "
        streams = {
            "stdout": mark + b"hello\n" + mark + b"go\n" + b"out\n" + mark + b"end\n",
            "stderr": mark
            + b"hello\n"
            + mark
            + b"go\n"
            + b"err\n"
            + mark
            + b"exit 3 0 -\n"
            + mark
            + b"output\n"
            + b'{"n": 1}'
            + mark
            + b"end\n",
        }
        for stream, text in streams.items():
            for start in range(0, len(text), self.size):
                self.pieces.append((stream, text[start : start + self.size]))  # type: ignore[arg-type]

    def receive(self, seconds: float) -> Sequence[Piece]:
        return [self.pieces.pop(0)] if self.pieces else []

    def signal(self, name: str) -> None:
        raise AssertionError(name)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("size", [1, 7, 40, 4096])
def test_what_comes_in_the_same_breath_as_the_beginning_is_not_lost(size: int):
    session = SupervisedSession("here", lambda _command: Wire(size))
    job = RunScript(b"x", hashlib.sha256(b"x").hexdigest(), "x.sh", "m" * 32)
    seen = list(session.start(job))
    said = {
        stream: b"".join(s.data for s in seen if isinstance(s, Output) and s.stream == stream)
        for stream in ("stdout", "stderr")
    }
    assert said == {"stdout": b"out\n", "stderr": b"err\n"}
    assert seen[-1] == Exited(3, output=b'{"n": 1}')


class Torn(Wire):
    """Goes silent in the middle of what the script wrote as its outputs."""

    def send(self, data: bytes) -> None:
        super().send(data)
        if self.pieces:
            stream, text = self.pieces[-1]
            self.pieces[-1] = (stream, text[: text.index(b'{"n"') + 3])


def test_outputs_that_came_in_part_are_unknown_and_not_wrong():
    session = SupervisedSession("here", lambda _command: Torn(4096))
    job = RunScript(b"x", hashlib.sha256(b"x").hexdigest(), "x.sh", "m" * 32)
    with pytest.raises(SessionLost, match="its output is cut off"):
        list(session.start(job))


@pytest.mark.skipif(os.name != "posix", reason="runs a POSIX shell")
def test_a_slow_reader_loses_nothing_after_the_scripts_end():
    script = b"head -c 400000 /dev/zero\n"
    job = RunScript(script, hashlib.sha256(script).hexdigest(), "x.sh", secrets.token_hex(16))
    session = Local().connect(LOCAL, credentials.chain({}))
    count = 0
    for seen in session.start(job):
        if isinstance(seen, Output):
            count += len(seen.data)
            time.sleep(0.3)
    session.close()
    assert count == 400_000
