"""Waiting at the command line for targets that another run has: who it is, for how long yet."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from wtsflow.cli.common import frame, note, write
from wtsflow.locks import Patience, Takeover, Waiting, lasting
from wtsflow.model.terminal import cut, visible

if TYPE_CHECKING:
    from wtsflow.app import App

AGAIN = 60.0
"""Seconds after which a log (what is no terminal) is told once more."""
BEAT = 1.0
"""Seconds after which a terminal shows a new age."""
CLEAR = "\r\x1b[2K"


def patience(app: "App", wait: float) -> Patience:
    """Wait so many seconds, and say on standard error who is waited for."""
    return Patience(wait, Teller(app))


def shown_by(app: "App", watcher: object) -> None:
    """Let a live display say who is waited for, where there is one."""
    if app.patience and isinstance(app.patience.report, Teller):
        app.patience.report.notice = getattr(watcher, "notice", None)


def progress(said: Waiting, now: float) -> str:
    """``waiting for web01, 4m 10s left: ada has it for 3m 05s (disk, INC1), run 01J…``."""
    first, more = said.obstacles[0], len(said.obstacles) - 1
    who = first.holder
    name = first.name + (f" and {first.count - 1} more" if first.count > 1 else "")
    what = ", ".join(filter(None, (who.workflow, who.ticket)))
    has = "waits for it before us" if first.waiting else "has it"
    also = f", and {more} more run{'s' if more > 1 else ''}" if more else ""
    return (
        f"waiting for {name}, {lasting(said.left)} left: {who.actor} {has} "
        f"for {lasting(now - who.since)} ({what}), run {who.run}{also}"
    )


class Teller:
    """On a terminal one line that changes; elsewhere a line for each change, and now and then."""

    def __init__(self, app: "App") -> None:
        self._app = app
        stream: TextIO | None = frame().stderr
        self._stream = stream
        self._live = stream is not None and stream.isatty() and not frame().quiet
        self.notice: Callable[[str], bool] | None = None
        """Shows a line in a live display, where there is one: it would write over ours."""
        self._said: tuple[str, ...] = ()
        self._last = float("-inf")

    def __call__(self, said: Waiting | Takeover) -> None:
        if isinstance(said, Takeover):
            self._taken(said)
        elif said.obstacles:
            self._waiting(said)
        else:
            self._clear()

    def _waiting(self, said: Waiting) -> None:
        now = self._app.clock.monotonic()
        runs = tuple(one.holder.run for one in said.obstacles)
        if runs == self._said and now - self._last < (BEAT if self._live else AGAIN):
            return
        self._said, self._last = runs, now
        text = progress(said, self._app.clock.now())
        if self.notice and self.notice(text):
            return
        if self._live and self._stream is not None:
            self._stream.write(CLEAR + cut(visible(text), max(1, frame().width - 1)))
            self._stream.flush()
        else:
            note(text)

    def _clear(self) -> None:
        """Take the line that changes off the screen."""
        if self._said and self.notice and self.notice(""):
            self._said = ()
        if self._live and self._said and self._stream is not None:
            self._stream.write(CLEAR)
            self._stream.flush()
        self._said = ()

    def _taken(self, said: Takeover) -> None:
        self._clear()
        run, names = said.holder.run, ", ".join(said.names[:3])
        more = f" and {len(said.names) - 3} more" if len(said.names) > 3 else ""
        note(f"took over {names}{more} from run {run} of {said.holder.actor}: its process is gone")
        for label, target in self._left(said):
            write(
                self._stream,
                visible(
                    f"warning: run {run} was cut off during '{label}' on {target}, which may still "
                    f"go on there; to find out: wtsflow resume {run}"
                ),
            )

    def _left(self, said: Takeover) -> list[tuple[str, str]]:
        """What a killed run had begun on the machines, and nobody saw end."""
        from wtsflow.subscribers.tally import Tally

        tally = Tally.of(self._app.journal.load(said.holder.run))
        running = [one for one in tally.running.values() if one.target in said.called]
        return [(one.label, one.target) for one in running]
