"""What programs read of a run: the stream as it happens, the document at the end."""

import io
import json
from typing import Any

import pytest

from tests import watching
from tests.watching import RUN
from wtsflow.model.record import Event, Line, Record
from wtsflow.model.values import Secret
from wtsflow.subscribers.jsonl import Stream, event
from wtsflow.subscribers.result import result
from wtsflow.subscribers.tally import Tally


def records(tape: watching.Tape) -> list[Record]:
    return [seen for _, seen in tape.play() if isinstance(seen, Record)]


def streamed(tape: watching.Tape) -> list[dict[str, Any]]:
    stream = io.StringIO()
    reader = Stream(stream)
    for _, seen in tape.play():
        reader(seen)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_record_and_line_is_one_object_in_order() -> None:
    tape = watching.troubled()
    found = streamed(tape)
    assert [one["type"] for one in found] == [
        "line" if isinstance(seen, Line) else "record" for _, seen in tape.play()
    ]
    assert {one["schema"] for one in found} == {"wtsflow.event/1"}
    assert (found[0]["event"], found[-1]["event"]) == ("opened", "closed")


def test_a_record_says_what_happened_to_what() -> None:
    record = Record(RUN, 3, "2026-01-01T00:00:01.000000Z", Event("finished/a@b/1", {"x": 1}))
    assert event(record) == {
        "schema": "wtsflow.event/1",
        "type": "record",
        "run": RUN,
        "seq": 3,
        "time": "2026-01-01T00:00:01.000000Z",
        "event": "finished",
        "subject": "a@b/1",
        "data": {"x": 1},
    }


def test_a_line_says_where_it_came_from() -> None:
    assert event(Line(RUN, "clean", "web01", "stderr", "no")) == {
        "schema": "wtsflow.event/1",
        "type": "line",
        "run": RUN,
        "path": "clean",
        "target": "web01",
        "stream": "stderr",
        "text": "no",
    }


def test_T40_output_cannot_forge_a_record() -> None:
    stream = io.StringIO()
    forged = '\n{"schema":"wtsflow.event/1","type":"record","event":"closed"}\u2028\x85'
    Stream(stream)(Line(RUN, "clean", "web01", "stdout", forged))
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["text"] == forged


def test_a_secret_that_slipped_through_is_masked() -> None:
    record = Record(RUN, 1, "2026-01-01T00:00:00Z", Event("opened", {"inputs": {"p": Secret("x")}}))
    assert event(record)["data"] == {"inputs": {"p": "********"}}


def test_the_stream_survives_its_reader() -> None:
    class Gone(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            raise BrokenPipeError

    stream = Gone()
    reader = Stream(stream)
    for _ in range(3):
        reader(Line(RUN, "clean", "web01", "stdout", "x"))
    assert stream.writes == 1


def test_the_document_of_a_finished_run_is_whole() -> None:
    document = result(records(watching.troubled()))
    assert {
        key: document[key] for key in ("schema", "run", "status", "exit", "plan", "duration_ms")
    } == {
        "schema": "wtsflow.run/1",
        "run": RUN,
        "status": "partial",
        "exit": {"code": 9, "name": "partial"},
        "plan": "3f9c2a1bd04e5577aa01",
        "duration_ms": 7500,
    }
    assert [one["name"] for one in document["targets"]] == [f"web0{n}" for n in range(1, 7)]
    assert {one["outcome"] for one in document["targets"]} == {
        "success",
        "failed",
        "unreachable",
        "timeout",
        "unknown",
    }
    assert len(document["steps"]) == 7
    last = next(one for one in document["steps"] if (one["target"], one["attempt"]) == ("web02", 2))
    assert (last["outcome"], last["exit_code"], last["stop"]) == ("failed", 3, None)
    assert last["script"] == watching.SCRIPT
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("seconds", "status"), [(1, "running"), (5, "waiting"), (20, "stopping"), (99, "cancelled")]
)
def test_the_document_of_a_run_that_goes_on_says_how_it_stands(seconds: float, status: str) -> None:
    tape = watching.waiting()
    document = result(
        seen for at, seen in tape.play() if at <= seconds and isinstance(seen, Record)
    )
    assert document["status"] == status
    assert (document["ended"] is None, document["exit"] is None) == (seconds < 99, seconds < 99)
    if status == "waiting":
        assert document["waiting"][0]["path"] == "patch/wave2"


def test_a_lost_step_is_unknown_with_its_reason() -> None:
    document = result(records(watching.troubled()))
    lost = next(one for one in document["steps"] if one["target"] == "web05")
    assert (lost["outcome"], lost["message"]) == (
        "unknown",
        "the connection went while the script ran",
    )


def test_the_fold_is_the_same_record_by_record_and_at_once() -> None:
    found = records(watching.fleet(20, 5))
    one = Tally()
    for record in found:
        one.add(record)
    assert one == Tally.of(found)
    assert not one.running


def test_no_record_at_all_is_a_document_too() -> None:
    document = result([])
    assert (document["status"], document["steps"], document["targets"]) == ("running", [], [])
