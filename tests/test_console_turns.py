"""The console where a run is cut, left, cancelled, parked, gone on with and settled; questions."""

import io
import os
import queue
import threading
import time
from collections.abc import Callable

import pytest

from tests import watching
from tests.test_console import shown
from tests.watching import START, FakeClock, Tape, Terminal, due, ended
from wtsflow.errors import Exit
from wtsflow.model.record import Record
from wtsflow.model.terminal import Style, visible
from wtsflow.subscribers.area import area
from wtsflow.subscribers.console import Console
from wtsflow.subscribers.progress import Progress
from wtsflow.subscribers.result import result
from wtsflow.subscribers.tally import Tally
from wtsflow.subscribers.words import painted


def records(tape: Tape, until: float = float("inf")) -> list[Record]:
    return [seen for at, seen in tape.play() if at <= until and isinstance(seen, Record)]


# --- what is counted ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tape", "until", "status"),
    [
        (watching.cut, 30, "running"),
        (watching.left, 2.5, "stopping"),
        (watching.left, 10, "left"),
        (watching.left, 50.2, "running"),
        (watching.left, 60, "cancelled"),
        (watching.parked, 10, "waiting"),
        (lambda: watching.cut("success"), 350, "partial"),
        (lambda: watching.cut("success"), 500, "success"),
    ],
)
def test_a_run_stands_as_its_last_turn_says(
    tape: Callable[[], Tape], until: float, status: str
) -> None:
    assert Tally.of(records(tape(), until)).status == status


def test_an_attempt_that_never_began_is_not_counted_beside_the_next() -> None:
    tally = Tally.of(records(watching.cut(), 300))
    assert [(one.target, one.number) for one in tally.standing if one.target == "web03"] == [
        ("web03", 2)
    ]
    assert list(tally.running) == ["clean@web02/1"]
    assert {name for name, count in tally.busy.items() if count} == {"web02"}


def test_what_ran_unseen_is_told_when_it_is_known() -> None:
    before, after = (result(records(watching.cut("success"), at)) for at in (350, 500))
    steps = [
        next(one for one in document["steps"] if one["target"] == "web02")
        for document in (before, after)
    ]
    assert [one["outcome"] for one in steps] == ["unknown", "success"]
    assert [document["exit"]["code"] for document in (before, after)] == [9, 0]
    assert [document["settled"] for document in (before, after)] == [0, 1]


def test_progress_takes_back_a_failure_that_was_none() -> None:
    console = Console(io.StringIO(), FakeClock(), plan=watching.plan(["web01", "web02"]))
    console.recall(records(watching.cut("success"), 350))
    failed = console._progress.failed
    console.recall(records(watching.cut("success"))[-2:])
    assert (failed, console._progress.failed) == (1, 0)


def test_the_document_says_whose_run_it_is_and_who_ended_it() -> None:
    document = result(records(watching.left()))
    assert document["origin"] == {"kind": "rerun", "run": "01K6ZQ4N8H"}
    assert (document["environment"], document["check"]) == ("prod", False)
    assert [one["by"] for one in document["cancels"]] == ["sam@desk9"]
    assert (document["left"], document["parked"]) == (None, None)
    open_ = result(records(watching.parked()))
    assert open_["parked"]["paths"] == ["patch/wave2"]
    gone = result(records(watching.cut(), 30))
    detached = {one["target"]: one["detached"] for one in gone["steps"] if one["detached"]}
    assert detached == {
        "web01": {"reason": "web01:22: no answer for 15 s", "until_ms": due(320)},
        "web02": {"reason": "web02:22: no answer for 15 s", "until_ms": due(320)},
    }


# --- what is said ---------------------------------------------------------------------------


def test_the_live_area_says_which_connections_are_gone() -> None:
    tally = Tally.of(records(watching.cut(), 30))
    drawn = area(tally, Progress(), {("clean", "web01"): "old"}, START + 30, (80, 24))
    rows = [painted(line, Style()) for line in drawn]
    assert rows[1].split("  ")[-1] == "connection lost, tried for 4m 50s more"
    assert "old" not in rows[1]
    assert rows[3].endswith("29s")  # web03 still has its own


def test_a_resumed_run_begins_with_what_was_done_before() -> None:
    stream = io.StringIO()
    names = [f"web{n:03}" for n in range(1, 13)]
    tape = watching.fleet(12, 5)
    past = records(tape, 8)
    done = sum(one.outcome == "success" for one in Tally.of(past).standing)
    assert 0 < done < 36
    console = Console(stream, FakeClock(), plan=watching.plan(names))
    console.recall(past)
    assert stream.getvalue() == ""
    again = Tape()
    again.event(60, "resumed/1", actor={"name": "sam", "host": "desk9"})
    for _, seen in again.play():
        console(seen)
    said = stream.getvalue()
    assert said.startswith("disk/clean-up 1.2.0")
    assert f"resumed by sam@desk9: begun 2026-01-01 00:00 UTC, {done} of " in said
    assert "done earlier" in said


def test_who_only_watches_is_not_told_what_ctrl_c_does() -> None:
    assert "Ctrl-C again stops it" in shown(watching.left())
    assert "Ctrl-C again" not in shown(watching.left(), own=False)
    assert "finishing what runs" in shown(watching.left(), own=False)


def test_an_old_interrupt_reads_as_it_was_meant() -> None:
    tape = Tape()
    tape.open(["db1"])
    tape.begin(1, "patch", "db1")
    tape.event(2, "stopping", reason="Ctrl-C", exit="interrupted")
    tape.event(3, "stopping/hard", reason="Ctrl-C", exit="interrupted", hard=True)
    text = shown(tape)
    assert "stopping (Ctrl-C): ending what runs on 1 target" in text
    assert "leaving (Ctrl-C): what runs on 1 target is left running" in text


def test_a_watched_run_that_is_gone_on_with_gets_its_live_area_back() -> None:
    raw = shown(watching.left(), live=True)
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 2
    terminal = Terminal(80)
    terminal.feed(raw)
    assert terminal.text.rstrip() == shown(watching.left()).rstrip()


def test_quiet_says_nothing_of_a_run_that_settles_well() -> None:
    text = shown(watching.cut("success"), quiet=True)
    assert text.count("partial in") == 1
    assert "settled" not in text


def test_T39_no_turn_lets_anything_through_to_the_terminal() -> None:
    evil = "x\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\ny"
    tape = Tape()
    origin = {"kind": evil, "run": evil, "slot": evil}
    tape.open([evil], origin=origin, environment=evil)
    tape.begin(0.1, evil, evil, title=evil)
    tape.event(1, f"detached/{evil}@{evil}/1/1", reason=evil, until_ms=due(9))
    tape.event(2, f"attached/{evil}@{evil}/1/1")
    tape.event(3, f"again/{evil}@{evil}/1", begun=True, why=evil, by=evil)
    tape.begin(3.5, evil, evil, 2)
    tape.event(4, "cancel/1", by=evil, reason=evil, level=1)
    tape.event(5, "stopping/1", reason=evil, exit="cancelled", level=1)
    tape.event(6, "parked/1", until_ms=due(9), paths=[evil, evil])
    tape.event(7, "left/1", reason=evil)
    tape.event(8, "resumed/1", actor={"name": evil, "host": evil}, host=evil)
    tape.close(9, evil, Exit.FAILED, {evil: ended("unknown", evil, evil)})
    tape.event(10, "settled/1", status=evil)
    text = shown(tape)
    assert visible(text, keep="\n") == text
    assert text.count("\\x1b]0;owned") > 20


# --- questions ------------------------------------------------------------------------------


class Keyboard(io.StringIO):
    """A terminal on which these lines are typed, each when it is asked for."""

    def isatty(self) -> bool:
        return True


class Held:
    """A terminal on which nothing is typed until it is put there."""

    def __init__(self) -> None:
        self.typed: queue.Queue[str] = queue.Queue()

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError

    def readline(self) -> str:
        return self.typed.get()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


CHOICES = ("attach", "done", "again", "stop")


def asked(typed: str, default: str = "stop") -> tuple[str, str]:
    screen = Screen()
    console = Console(screen, FakeClock(), answers=Keyboard(typed))
    return console.ask("web01: what now?", CHOICES, default), screen.getvalue()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("done\n", "done"),
        ("d\n", "done"),
        (" AT \n", "attach"),
        ("\n", "stop"),
        ("", "stop"),
        ("x\na\nag\n", "again"),  # no such word; two words begin so; one
        ("x" * 10_000 + "\nd\n", "done"),
        ("\x1b[31m\x00\udc9b\nd\n", "done"),
    ],
)
def test_a_question_takes_a_word_or_its_beginning(typed: str, meant: str) -> None:
    answer, screen = asked(typed)
    assert answer == meant
    assert screen.startswith("web01: what now?\n[attach/done/again/stop] (stop) ")
    assert screen.count("one of attach, done, again, stop") == max(0, typed.count("\n") - 1)


def test_without_a_terminal_nothing_is_asked() -> None:
    screen, keys = Screen(), Keyboard("done\n")
    pipe = io.StringIO("done\n")
    for stream, answers in ((screen, pipe), (io.StringIO(), keys), (screen, None)):
        console = Console(stream, FakeClock(), answers=answers)
        assert console.ask("what now?", CHOICES, "stop") == "stop"
        assert stream.getvalue() == ""


def test_after_the_end_of_the_input_nothing_is_asked_again() -> None:
    screen = Screen()
    console = Console(screen, FakeClock(), answers=Keyboard(""))
    assert console.ask("one?", CHOICES, "stop") == "stop"
    assert console.ask("two?", CHOICES, "done") == "done"
    assert "two?" not in screen.getvalue()


def test_a_question_is_given_up_when_it_is_over() -> None:
    keys, over = Held(), threading.Event()
    console = Console(Screen(), FakeClock(), answers=keys)  # type: ignore[arg-type]
    threading.Timer(0.2, over.set).start()
    assert console.ask("what now?", CHOICES, "stop", over=over.is_set) == "stop"
    assert over.is_set()


def test_what_was_typed_too_late_answers_no_later_question() -> None:
    keys = Held()
    console = Console(Screen(), FakeClock(), answers=keys)  # type: ignore[arg-type]
    calls = iter([False, True])
    assert console.ask("one?", CHOICES, "stop", over=lambda: next(calls)) == "stop"
    keys.typed.put("again\n")
    until = time.monotonic() + 10
    while console._answers._lines.empty() and time.monotonic() < until:
        time.sleep(0.01)

    def typing() -> bool:
        keys.typed.put("done\n")
        return False

    assert console.ask("two?", CHOICES, "stop", over=typing) == "done"


def test_the_live_area_makes_room_for_a_question_and_comes_back() -> None:
    screen = Screen()
    tape = watching.left()
    with Console(
        screen, FakeClock(), live=True, size=(80, 24), answers=Keyboard("done\n")
    ) as console:
        seen = iter(tape.play())
        for _ in range(3):
            console(next(seen)[1])
        before = len(screen.getvalue())
        assert console.ask("db1: what now?", CHOICES, "stop") == "done"
        between = screen.getvalue()[before:]
        for _, one in seen:
            console(one)
    ends, asked_at, begins = (
        between.rindex(part) for part in ("\x1b[?25h", "db1: what now?", "\x1b[?25l")
    )
    assert ends < asked_at < begins
    terminal = Terminal(80)
    terminal.feed(screen.getvalue())
    assert "db1: what now?" in terminal.text
    assert "cancelled by sam@desk9" in terminal.text


def test_a_question_shows_nothing_hostile() -> None:
    screen = Screen()
    console = Console(screen, FakeClock(), answers=Keyboard("\n"))
    console.ask("web\x1b[2J\u202e01:\nwhat now?", CHOICES, "stop")
    assert "web\\x1b[2J\\u202e01:\nwhat now?\n" in screen.getvalue()


@pytest.mark.skipif(os.name != "posix", reason="pseudo terminals")
def test_what_was_typed_ahead_at_a_real_terminal_is_no_answer() -> None:
    import pty

    master, slave = pty.openpty()
    with os.fdopen(slave) as keys, os.fdopen(master, "wb", buffering=0) as hand:
        hand.write(b"again\n")
        console = Console(Screen(), FakeClock(), answers=keys)
        sent = iter([b"done\n"])

        def typing() -> bool:
            hand.write(next(sent, b""))
            return False

        assert console.ask("what now?", CHOICES, "stop", over=typing) == "done"
