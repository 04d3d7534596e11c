"""A run, shown to a person while it happens.

On a terminal: output scrolls by, each line with its target, above a live area that says what runs.
Elsewhere (a pipe, a file, a dumb terminal): the same lines without the area. ``quiet``, for cron:
nothing when all is well, else the end summary. ``verbose``: every beginning and what was skipped.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from wtsflow.model.plan import Plan
from wtsflow.model.record import Event, Line, Record
from wtsflow.model.terminal import Style, visible, width
from wtsflow.ports import Clock
from wtsflow.subscribers import checked, turns, words
from wtsflow.subscribers.area import area
from wtsflow.subscribers.pace import Pace
from wtsflow.subscribers.progress import Progress
from wtsflow.subscribers.question import Answers
from wtsflow.subscribers.summary import summary
from wtsflow.subscribers.tally import Attempt, Tally
from wtsflow.subscribers.words import Spans, painted

if TYPE_CHECKING:
    from wtsflow.subscribers.screen import Screen

FULL = 256 * 1024
"""Characters that may gather before they are written in the thread that brings them."""
BEAT = 0.25
"""Seconds between two drawings of the live area when nothing happens."""
NAMES = 32
"""Cells of the column of targets, at most; a longer name is written out none the less."""
LAST = 400
"""Characters kept of a target's last line."""
ASCII = str.maketrans({"✓": "+", "✗": "x", "•": "*", "▸": ">", "━": "=", "─": "-", "…": "~"})


class Console:
    """Use it as a context around the run: the terminal is put right again whatever happens.

    ``stream`` is where it is shown, ``live`` whether that is a terminal that can do it, ``output``
    the folder of the run's whole output (for the summary), ``plan`` what progress is measured by
    (without it: only counted). ``width`` is that of the output where there is no live area;
    ``size`` (columns, lines) is for tests. ``answers`` is where a person types (:meth:`ask`).
    ``own`` says that this terminal performs the run, and does not just watch it; ``diff`` asks for
    announced changes, before and after. When the reader goes away the run continues and nothing
    more is written.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Clock,
        *,
        style: Style = Style(),  # noqa: B008 - frozen
        live: bool = False,
        quiet: bool = False,
        verbose: int = 0,
        plan: Plan | None = None,
        output: Callable[[str], str] = lambda _run: "",
        width: int = 80,
        size: tuple[int, int] | None = None,
        answers: TextIO | None = None,
        own: bool = True,
        diff: bool = False,
    ) -> None:
        self.tally = Tally()
        self._stream: TextIO | None = stream
        self._answers = Answers(answers)
        self._own = own
        self._diff = diff
        self._untold: set[tuple[str, str]] = set()
        self._headed = self._looks = False
        self._clock = clock
        self._style = style
        self._quiet = quiet
        self._verbose = verbose
        self._output = output
        self._width = size[0] if size else width
        self._size = size
        self._progress = Progress.of(plan)
        self._notice = ""
        self._rows: list[str] = []
        self._held = 0
        self._last: dict[tuple[str, str], str] = {}
        self._prefixes: dict[tuple[str, str, str], str] = {}
        self._order: dict[str, int] = {}
        self._names = 0
        self._steps: set[str] = set()
        self._plain = not _unicode(stream)
        self._live = live and not quiet
        self._screen = self._open()
        self._pace = Pace(self._flush, clock.monotonic, beat=BEAT if self._screen else None)

    def _open(self) -> "Screen | None":
        if not self._live or self._stream is None:
            return None
        from wtsflow.subscribers.screen import Screen

        screen = Screen(self._stream, self._style, self._area, self._size)
        return screen if screen.fit else None

    def __enter__(self) -> Self:
        self._begin()
        self._pace.__enter__()
        return self

    def _begin(self) -> None:
        """Show the live area, where there is to be one; idempotent."""
        with self._pace.lock, self._writing():
            self._screen = self._screen or self._open()
            if self._screen:
                self._screen.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pace.__exit__(kind, error, trace)
        self._leave()

    def recall(self, records: Iterable[Record]) -> None:
        """Take in what was recorded before, silently: of a run that is gone on with."""
        for record in records:
            self._fold(record)

    def ask(
        self,
        question: str,
        choices: Sequence[str],
        default: str,
        *,
        over: Callable[[], bool] = lambda: False,
    ) -> str:
        """Ask the person at the terminal, in the middle of a run; return one of ``choices``.

        The word or its beginning is typed; nothing means ``default``. So does the end of the
        input, ``over`` becoming true (Ctrl-C, say), and that there is no terminal: then nothing is
        shown.
        """
        if self._stream is None or not (self._answers.there and _terminal(self._stream)):
            return default
        live = self._screen is not None
        self._pace.now()
        self._leave()
        with self._pace.lock:
            try:
                return self._answers.ask(question, choices, default, self._stream, over)
            except (OSError, ValueError):
                return default
            finally:
                if live:
                    self._begin()

    def notice(self, text: str) -> bool:
        """Show this in the live area until something else, or nothing, is said; False: no area."""
        with self._pace.lock:
            self._notice = visible(text)
            live = self._screen is not None
        self._pace.touch()
        return live

    def __call__(self, seen: Record | Line) -> None:
        with self._pace.lock:
            if isinstance(seen, Line):
                self._line(seen)
            else:
                self._record(seen)
            full = self._held >= FULL
        if full:
            self._pace.now()
        else:
            self._pace.touch()

    # --- what comes in --------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        if self._quiet or (self._looks and line.text.startswith(checked.ANNOUNCED)):
            return
        if self._screen:
            self._last[line.path, line.target] = line.text[:LAST]
        self._held += len(line.text)
        self._rows.append(self._prefix(line.target, line.path, line.stream) + line.text)

    def _record(self, record: Record) -> None:
        self._fold(record)
        event = record.event
        match event.type:
            case "opened":
                self._opened()
            case "started":
                self._began(event.subject)
            case "finished" | "lost":
                self._ended(event.subject)
            case "skipped" if event.subject in self.tally.untold:
                self._not_told(event.subject)
            case "skipped" if self._verbose:
                why = visible(self.tally.skipped[event.subject])
                self._say([(f"- {visible(event.subject)} skipped: {why}", "dim")])
            case "waiting":
                self._say(words.waits(event.subject, self.tally.waiting[event.subject]))
            case "closed":
                self._closed()
            case _:
                self._turn(event)

    def _fold(self, record: Record) -> None:
        name = record.event.subject
        before = self.tally.attempts.get(name)
        outcome, started = before.outcome if before else "", name in self.tally.running
        self.tally.add(record)
        match record.event.type:
            case "started":
                self._progress.began(self.tally.attempts[name])
            case "finished" | "lost":
                self._progress.ended(self.tally.attempts[name], started=started, before=outcome)
            case "again" if before:
                self._progress.again(before, started=started)

    def _turn(self, event: Event) -> None:
        """What befalls an attempt's connection, or the run as a whole."""
        task = event.subject if event.type == "again" else event.subject.rpartition("/")[0]
        attempt = self.tally.attempts.get(task)
        match event.type:
            case "detached" | "attached" | "again" if attempt:
                self._say(turns.ATTEMPT[event.type](attempt), attempt.target)
            case "cancel":
                self._say(turns.cancel(event.data))
            case "stopping":
                self._say(turns.stopping(self.tally, own=self._own))
            case "parked":
                self._paused(turns.parked(self.tally))
            case "left":
                self._paused(turns.left(self.tally))
            case "resumed":
                self._resumed()
            case "settled":
                self._say(turns.settled(self.tally))
                self._closed()

    def _paused(self, lines: list[Spans]) -> None:
        """The process goes: what is said last stays on the screen."""
        for line in ([], *lines):
            self._say(line)
        self._pace.now()
        self._leave()

    def _resumed(self) -> None:
        if self._headed:
            self._begin()
            self._say([])
        else:
            self._opened()
        self._say(turns.resumed(self.tally, self._progress))
        self._say([])

    def _opened(self) -> None:
        self._headed = True
        self._looks = bool(self.tally.opened.get("check"))
        names = [name for name in self.tally.targets if name != "local"]
        self._order = {name: number for number, name in enumerate(names)}
        self._names = words.columns(names or ["local"], NAMES)
        for line in (*words.header(self.tally, self._columns()), []):
            self._say(line)

    def _began(self, name: str) -> None:
        attempt = self.tally.attempts[name]
        if self._verbose:
            self._say(words.began(attempt), attempt.target)
        elif attempt.step not in self._steps:
            self._say(words.step(attempt))
        self._steps.add(attempt.step)

    def _ended(self, name: str) -> None:
        attempt = self.tally.attempts[name]
        self._last.pop((attempt.path, attempt.target), None)
        line = checked.ended(attempt) if self._looks else None
        self._say(line or words.ended(attempt), attempt.target)
        if self._diff or line:
            for change in checked.changes(attempt, diff=self._diff):
                self._say(change, attempt.target)

    def _not_told(self, subject: str) -> None:
        """Of a step that a check cannot tell, once for each reason; the sum is at the end."""
        fact = self.tally.untold[subject]
        line = checked.untold(subject, fact)
        key = (Attempt(subject, "", 1).step.rpartition("@")[0], str(fact.get("reason")))
        if self._verbose or key not in self._untold:
            self._say(line)
        self._untold.add(key)

    def _closed(self) -> None:
        well = (self.tally.closed or {}).get("status") == "success"
        if self._quiet and well and not self._looks:
            return
        self._pace.now()
        cells = self._columns()
        self._leave()
        lines = summary(self.tally, cells, self._output(self.tally.run))
        if self._quiet:
            lines = [*words.header(self.tally, cells), *lines]
        self._rows += [self._text(line) for line in lines]

    # --- rows -----------------------------------------------------------------------------

    def _say(self, line: Spans, target: str = "") -> None:
        if not self._quiet:
            prefix = self._name(target) if target else ""
            self._rows.append(prefix + self._text(line))

    def _text(self, line: Spans) -> str:
        text = painted(line, self._style)
        return text.translate(ASCII) if self._plain else text

    def _name(self, target: str) -> str:
        self._names = max(self._names, words.columns([target], NAMES))
        shown = visible(target)
        name = words.padded(shown, max(self._names, width(shown)))
        turn = self._order.get(target, 0) % len(words.TARGETS)
        return self._style(name, words.TARGETS[turn]) + " "

    def _prefix(self, target: str, path: str, stream: str) -> str:
        """What stands before a line of output; the step too where a target runs several."""
        several = path if self.tally.busy[target] > 1 else ""
        key = (target, several, stream)
        if key not in self._prefixes:
            bar = self._style("!", "red") if stream == "stderr" else self._style("|", "dim")
            step = f"{visible(path.replace(f'[{target}]', ''))} " if several else ""
            self._prefixes[key] = f"{self._name(target)}{step}{bar} "
        return self._prefixes[key]

    # --- writing --------------------------------------------------------------------------

    def _area(self, columns: int, lines: int) -> list[Spans]:
        drawn = area(self.tally, self._progress, self._last, self._clock.now(), (columns, lines))
        if self._notice:  # a terminal that echoes ^C behind it must not begin a new line
            notice: Spans = [(f"  {self._notice}", "yellow")]
            drawn = [*(drawn or [[("─" * columns, "dim")]]), words.clipped(notice, columns - 3)]
        if not self._plain:
            return drawn
        return [[(text.translate(ASCII), names) for text, names in line] for line in drawn]

    def _flush(self) -> None:
        rows, self._rows, self._held = self._rows, [], 0
        with self._writing():
            if self._screen:
                self._screen.write(rows)
            elif rows and self._stream:
                self._stream.write("\n".join(rows) + "\n")
                self._stream.flush()

    def _columns(self) -> int:
        if self._screen:
            return self._screen.columns
        return self._width

    def _leave(self) -> None:
        """End the live area; what is said after it is plain text."""
        screen, self._screen = self._screen, None
        with self._pace.lock, self._writing():
            if screen:
                screen.stop()

    @contextlib.contextmanager
    def _writing(self) -> "Iterator[None]":
        """A reader that went away ends the writing, not the run."""
        if self._stream is None:
            yield
            return
        try:
            yield
        except (OSError, ValueError):  # a closed pipe, a terminal that is gone, a closed file
            self._stream = self._screen = None


def _terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")
