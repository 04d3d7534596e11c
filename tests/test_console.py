"""The console: what a person sees, on a terminal of 80 or 200 columns, in a pipe, in cron."""

import io
import os
import re
import threading
import time
from pathlib import Path

import pytest

from tests import watching
from tests.scripted import Scripted, perform
from tests.watching import RUN, START, FakeClock, Tape, Terminal, ended
from wtsflow.errors import Exit
from wtsflow.model.record import Line
from wtsflow.model.terminal import Style, visible, width
from wtsflow.ports import Exited
from wtsflow.subscribers.area import area
from wtsflow.subscribers.console import Console
from wtsflow.subscribers.progress import Progress
from wtsflow.subscribers.summary import CAUSES, summary
from wtsflow.subscribers.tally import Tally
from wtsflow.subscribers.words import clipped, duration, painted

GOLDEN = Path(__file__).parent / "golden" / "console"
SMALL = {
    "single": watching.single,
    "troubled": watching.troubled,
    "waiting": watching.waiting,
    "fleet": lambda: watching.fleet(12, 5),
    "cut": watching.cut,
    "settled": lambda: watching.cut("success"),
    "left": watching.left,
    "parked": watching.parked,
}


def shown(tape: Tape, columns: int = 80, **options: object) -> str:
    """What the console writes for a tape: every record at its own time."""
    stream = io.StringIO()
    clock = FakeClock()
    console = Console(
        stream,
        clock,
        size=(columns, 24),
        output=lambda run: f"/state/spool/{run}",
        **options,  # type: ignore[arg-type]
    )
    with console:
        for at, seen in tape.play():
            clock.at = START + at
            console(seen)
    return stream.getvalue()


def golden(name: str, text: str) -> None:
    """Compare with the golden file; ``WTSFLOW_GOLDEN=write`` writes it anew."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("WTSFLOW_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("name", SMALL)
def test_a_run_in_a_pipe_reads_as_it_did(name: str, columns: int) -> None:
    golden(f"{name}-{columns}", shown(SMALL[name](), columns))


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("name", SMALL)
def test_what_stays_on_a_terminal_is_what_a_pipe_gets(name: str, columns: int, color: bool) -> None:
    raw = shown(SMALL[name](), columns, live=True, style=Style(on=color))
    terminal = Terminal(columns)
    terminal.feed(raw)
    assert terminal.text.rstrip() == shown(SMALL[name](), columns).rstrip()
    assert ("\x1b[31m" in raw or "\x1b[32m" in raw) is color


def test_without_colour_no_style_code_is_written() -> None:
    raw = shown(watching.troubled(), live=True)
    assert "\x1b[" in raw
    assert re.findall(r"\x1b\[[0-9;]*m", raw) == []


def test_a_pipe_without_colour_gets_no_escape_byte() -> None:
    assert "\x1b" not in shown(watching.fleet(12, 5))


def test_verbose_says_each_beginning_and_what_was_skipped() -> None:
    tape = watching.single()
    tape.event(13, "skipped/later@web01", reason="when: inputs.deep")
    text = shown(tape, verbose=1)
    assert "web01 ▸ clean  disk/clean.sh@1.4.2" in text
    assert "- later@web01 skipped: when: inputs.deep" in text
    assert "skipped" not in shown(tape)


# --- the live area --------------------------------------------------------------------------


def snapshot(tape: Tape, until: float, size: tuple[int, int], targets: int) -> list[str]:
    """The live area of a run as it stands ``until`` seconds after its beginning."""
    tally = Tally()
    names = [f"web{number:03}" for number in range(1, targets + 1)]
    progress = Progress.of(watching.plan(names))
    last = {}
    for at, seen in tape.play():
        if at > until:
            break
        if isinstance(seen, Line):
            last[seen.path, seen.target] = seen.text
            continue
        running = seen.event.subject in tally.running
        tally.add(seen)
        if seen.event.type == "started":
            progress.began(tally.attempts[seen.event.subject])
        elif seen.event.type == "finished":
            progress.ended(tally.attempts[seen.event.subject], started=running)
    drawn = area(tally, progress, last, START + until, size)
    return [painted(line, Style()) for line in drawn]


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize(("targets", "until"), [(1, 1.5), (200, 12.0)])
def test_the_live_area_reads_as_it_did(size: tuple[int, int], targets: int, until: float) -> None:
    lines = snapshot(watching.fleet(targets), until, size, targets)
    golden(f"area-{targets}-{size[0]}", "\n".join(lines) + "\n")


@pytest.mark.parametrize("size", [(20, 6), (40, 10), (80, 24), (200, 50), (80, 2)])
def test_the_live_area_fits_half_of_the_screen(size: tuple[int, int]) -> None:
    lines = snapshot(watching.fleet(200), 12.0, size, 200)
    assert len(lines) <= max(3, size[1] // 2)
    assert max(map(width, lines)) <= size[0]


def test_the_live_area_says_how_many_more_run() -> None:
    lines = snapshot(watching.fleet(200), 12.0, (80, 24), 200)
    shown_rows = [line for line in lines if line.startswith("  web")]
    more = next(line for line in lines if "more running" in line)
    assert f"and {50 - len(shown_rows)} more running" in more


def test_progress_counts_waves_of_a_loop() -> None:
    tape = Tape()
    tape.open(["a", "b", "c", "d"])
    tape.begin(1, "patch[a]/step1", "a")
    tape.end(2, "patch[a]/step1", "a", "success", 1000)
    tape.begin(2, "patch[a]/install", "a")
    tape.end(3, "patch[a]/install", "a", "success", 1000)
    tape.begin(4, "patch[b]/step1", "b")
    plan = watching.plan(["a", "b", "c", "d"])
    progress, tally = Progress.of(plan), Tally()
    for _, seen in tape.play():
        assert not isinstance(seen, Line)
        tally.add(seen)
        attempt = tally.attempts.get(seen.event.subject)
        if attempt and seen.event.type == "started":
            progress.began(attempt)
        elif attempt:
            progress.ended(attempt, started=True)
    (part,) = progress.current()
    assert (part.number, part.wave, len(part.waves), len(part.done), part.total) == (4, 2, 4, 1, 4)


# --- quiet ----------------------------------------------------------------------------------


def test_quiet_says_nothing_when_all_is_well() -> None:
    assert shown(watching.single(), quiet=True, live=True) == ""


def test_quiet_says_what_failed_and_no_output() -> None:
    text = shown(watching.troubled(), quiet=True)
    assert text.startswith("disk/clean-up 1.2.0")
    assert "looking at" not in text
    for name in ("web02", "web03", "web04", "web05", "web06"):
        assert name in text


# --- the summary ----------------------------------------------------------------------------


def test_the_summary_names_every_failed_target_with_its_cause() -> None:
    text = shown(watching.fleet(200))
    summary = text[text.index("partial in") :]
    tally = Tally.of(seen for _, seen in watching.fleet(200).play() if not isinstance(seen, Line))
    assert tally.closed
    ends = tally.closed["targets"]
    failed = [name for name, end in ends.items() if end["outcome"] != "success"]
    assert len(failed) > 10
    assert [name for name in failed if name not in summary] == []
    assert "at clean: exit code 100" in summary
    assert "E: Could not get lock" in summary


def test_the_summary_of_many_different_causes_is_bounded() -> None:
    ends = {
        f"web{n:03}": {"outcome": "failed", "step": "one", "message": f"cause {n}"}
        for n in range(60)
    }
    tally = Tally(run="R")
    tally.closed = {"status": "failed", "exit": {"code": 1, "name": "failed"}, "targets": ends}
    text = "\n".join("".join(part for part, _ in line) for line in summary(tally))
    assert text.count("cause ") == CAUSES
    assert "and 50 more causes on 50 targets" in text


def test_the_summary_never_offers_to_repeat_what_may_still_run() -> None:
    text = shown(watching.troubled())
    again = next(line for line in text.splitlines() if "--limit" in line)
    assert again.endswith("--limit web02,web03,web04")
    assert "see what happened on web05" in text
    assert "something may still run on web06" in text


def test_a_run_of_the_engine_reads_as_it_did(tmp_path: Path) -> None:
    def play(target: str, _invocation: object) -> list[Exited]:
        return [Exited(3 if target == "web2" else 0)]

    text = """targets: { web: { group: web } }
steps:
  - { id: one, script: a/one.sh@1.0.0, target: web }
  - { id: two, script: a/two.sh@1.0.0, target: web }
"""
    ran = perform(tmp_path, text, Scripted(play, down=frozenset({"web1"})))
    stream = io.StringIO()
    console = Console(stream, FakeClock())
    for record in ran.records:
        console(record)
    said = stream.getvalue()
    assert re.search(r"web3 +✓ two success", said)
    summary = said[said.index("! partial in") :]
    assert re.search(r"✗ failed  web2\n  at one: exit code 3", summary)
    assert re.search(r"✗ unreachable  web1\n  at one: \S+", summary)
    assert "1 success  1 failed  1 unreachable  exit 9 partial" in summary


def test_many_names_are_cut_with_their_number() -> None:
    tape = Tape()
    names = [f"host-with-a-long-name-{number:03}" for number in range(150)]
    tape.open(names)
    tape.close(1, "failed", Exit.FAILED, {name: ended("failed", "x", "why") for name in names})
    text = shown(tape)
    assert max(map(width, text.splitlines())) <= 80
    listed = sum(name in text for name in names)
    assert f" and {150 - listed} more" in text


# --- hostile and awkward --------------------------------------------------------------------


def test_T39_nothing_from_outside_reaches_the_terminal_as_a_command() -> None:
    evil = "x\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\ny"
    tape = Tape()
    tape.open([evil], workflow={"name": evil, "version": evil, "title": evil}, ticket=evil)
    tape.begin(0.1, evil, evil, title=evil, script={"pin": evil})
    tape.end(
        1, evil, evil, "failed", 900, message=evil, signal=evil, output={"tail": f"{evil}\n{evil}"}
    )
    tape.event(2, "skipped/" + evil, reason=evil)
    tape.event(3, "stopping", reason=evil, exit="interrupted")
    tape.close(4, "failed", Exit.FAILED, {evil: ended("failed", evil, evil)})
    for live in (False, True):
        raw = shown(tape, live=live, verbose=1, style=Style(on=True))
        left = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[1A|\x1b\[2K|\r", "", raw)
        assert visible(left, keep="\n") == left
    assert "\\x1b]0;owned" in shown(tape)


def test_a_stream_that_is_not_utf8_gets_plain_signs() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii", errors="strict")
    console = Console(stream, FakeClock())
    for _, seen in watching.fleet(12, 5).play():
        console(seen)
    assert b"+ clean success" in buffer.getvalue()
    assert b"x clean failed" in buffer.getvalue() or b"x clean unreachable" in buffer.getvalue()


class Gone(io.StringIO):
    """A pipe whose reader goes away after the first write."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        if self.writes > 1:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("live", [False, True])
def test_a_reader_that_went_away_stops_no_run(live: bool) -> None:
    stream = Gone()
    with Console(stream, FakeClock(), live=live, size=(80, 24)) as console:
        for _, seen in watching.fleet(12, 5).play():
            console(seen)
    assert console.tally.closed is not None
    assert stream.writes == 2


def test_the_cursor_comes_back_when_the_run_breaks_off() -> None:
    stream = io.StringIO()
    with (
        pytest.raises(KeyboardInterrupt),
        Console(stream, FakeClock(), live=True, size=(80, 24)) as console,
    ):
        for at, seen in watching.troubled().play():
            if at > 3:
                raise KeyboardInterrupt
            console(seen)
    raw = stream.getvalue()
    assert raw.rindex("\x1b[?25h") > raw.rindex("\x1b[?25l")


def test_a_name_is_never_cut_before_its_output() -> None:
    tape = Tape()
    tape.open(["db1", "db2"])
    long = "a-very-long-name.of-a-host.in-a-zone.example.org"
    tape.line(1, "look", "local", "here")
    tape.line(2, "look", "db1", "there")
    tape.line(3, "look", long, "far")
    assert shown(tape).splitlines()[4:7] == ["local | here", "db1   | there", f"{long} | far"]


def test_two_steps_at_once_on_a_target_are_told_apart() -> None:
    tape = Tape()
    tape.open(["web01"])
    tape.begin(1, "copy", "web01")
    tape.line(1.1, "copy", "web01", "alone")
    tape.begin(2, "watch", "web01")
    tape.line(2.1, "watch", "web01", "both")
    text = shown(tape)
    assert "web01 | alone" in text
    assert "web01 watch | both" in text


# --- pace -----------------------------------------------------------------------------------


class Wall:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Arrivals(io.StringIO):
    """Notes when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        self.came.set()
        return super().write(text)


def test_the_first_line_after_quiet_is_written_by_the_call_that_brings_it() -> None:
    stream = Arrivals()
    clock = FakeClock()
    with Console(stream, clock) as console:
        console(Line(RUN, "clean", "web01", "stdout", "first"))
        assert "first" in stream.getvalue()


def test_a_line_right_after_another_is_not_held_back() -> None:
    stream = Arrivals()
    with Console(stream, Wall()) as console:
        console(Line(RUN, "clean", "web01", "stdout", "first"))
        stream.came.clear()
        console(Line(RUN, "clean", "web01", "stdout", "second"))
        assert stream.came.wait(10)
        assert "second" in stream.getvalue()


def test_a_flood_is_written_in_batches_and_nothing_is_lost() -> None:
    stream = Arrivals()
    line = [Line(RUN, "clean", f"web{n % 9}", "stdout", f"line {n}") for n in range(50_000)]
    clock = FakeClock()
    with Console(stream, clock) as console:
        for one in line:
            console(one)
    written = [text.partition("| ")[2] for text in stream.getvalue().splitlines()]
    assert written == [one.text for one in line]
    assert stream.writes < 200


def test_endless_lines_are_held_in_bounded_memory() -> None:
    stream = Arrivals()
    held = []
    with Console(stream, FakeClock()) as console:
        for _ in range(200):
            console(Line(RUN, "clean", "web01", "stdout", "x" * 65536))
            held.append(sum(map(len, console._rows)))
    assert max(held) < 1 << 20
    assert stream.getvalue().count("x") == 200 * 65536


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0.0s"),
        (940, "0.9s"),
        (9_949, "9.9s"),
        (9_960, "10s"),
        (59_600, "1m 00s"),
        (65_000, "1m 05s"),
        (7_620_000, "2h 07m"),
        (273_600_000, "3d 04h"),
    ],
)
def test_durations_read_well(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_a_line_is_clipped_by_cells_not_by_characters() -> None:
    assert clipped([("日本語", ""), ("abc", "red")], 7) == [("日本語", ""), ("…", "red")]
    assert clipped([("日本語", "")], 4) == [("日…", "")]
