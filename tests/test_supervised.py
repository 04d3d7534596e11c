"""Our side of the supervisor, against a wire that answers in one breath."""

import hashlib
from collections.abc import Sequence

import pytest

from wtsflow.ports import Exited, Output, RunScript
from wtsflow.transports.supervised import SupervisedSession
from wtsflow.transports.wire import Piece


class Wire:
    """Answers the whole life of a quick script in pieces of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pieces: list[Piece] = []

    def send(self, data: bytes) -> None:
        if b"\nrun " not in data:
            return
        mark = b"\x1e" + data.split(b"\n")[0] + b" "
        streams = {
            "stdout": mark + b"hello\n" + mark + b"go\n" + b"out\n" + mark + b"end\n",
            "stderr": mark + b"hello\n" + mark + b"go\n" + b"err\n" + mark + b"exit 3 0 -\n"
            + mark + b"output\n" + b'{"n": 1}' + mark + b"end\n",
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
