"""One line that says what is being done, on a terminal only, gone when it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wtsflow.cli.common import frame
from wtsflow.model.terminal import cut, visible


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """A function that shows what is being done now, on standard error."""
    here = frame()
    stream = here.stderr
    live = stream.isatty() and not here.quiet
    live = live and here.environ.get("TERM") != "dumb"

    def tell(text: str) -> None:
        if live:
            stream.write("\r\x1b[K" + cut(visible(text), here.width - 1))
            stream.flush()

    try:
        yield tell
    finally:
        if live:
            stream.write("\r\x1b[K")
            stream.flush()
