"""A terminal with a live area at its bottom, by rich."""

from collections.abc import Callable
from typing import NoReturn, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style as RichStyle

from wtsflow.model.terminal import Style
from wtsflow.subscribers.words import Spans


class _Terminal(Console):
    """Says that the terminal went away with an exception, where rich would end the process."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


class _Rows:
    """Finished text. It is not wrapped, measured or parsed again: a flood stays cheap."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self._text)


class _Area:
    def __init__(self, lines: Callable[[int, int], list[Spans]], *, color: bool) -> None:
        self._lines = lines
        self._color = color

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self._lines(*console.size)):
            if number:
                yield Segment.line()
            for text, names in line:
                yield Segment(text, RichStyle.parse(names) if self._color and names else None)


class Screen:
    """Rows scroll by above; ``lines(columns, height)`` is asked for the live area.

    ``size`` (columns, lines) is only for tests; else the terminal is asked, again and again.
    """

    def __init__(
        self,
        stream: TextIO,
        style: Style,
        lines: Callable[[int, int], list[Spans]],
        size: tuple[int, int] | None = None,
    ) -> None:
        self._console = _Terminal(
            file=stream,
            force_terminal=True,
            color_system="standard" if style.on else None,
            no_color=not style.on,
            width=size and size[0],
            height=size and size[1],
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live = Live(
            _Area(lines, color=style.on),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @property
    def fit(self) -> bool:
        """Whether this terminal can do it (an old Windows console cannot)."""
        return not self._console.legacy_windows

    @property
    def columns(self) -> int:
        """How wide the terminal is now."""
        return self._console.width

    def start(self) -> None:
        """Show the area."""
        self._live.start()

    def write(self, rows: list[str]) -> None:
        """Let rows scroll by, if any, and draw the area anew."""
        if rows:
            self._console.print(_Rows("\n".join(rows) + "\n"), soft_wrap=True, end="")
        else:
            self._live.refresh()

    def stop(self) -> None:
        """Take the area away; idempotent."""
        self._live.stop()
