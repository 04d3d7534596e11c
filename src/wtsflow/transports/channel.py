"""Our side of one supervisor: commands out, output and records in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wtsflow.errors import (
    ConnectError,
    NotBegun,
    PinMismatch,
    SessionLost,
    Vanished,
    WtsflowError,
)
from wtsflow.ports import RunScript
from wtsflow.transports import supervisor
from wtsflow.transports.become import Account
from wtsflow.transports.supervisor import Records, Said
from wtsflow.transports.wire import Ended, Stream, Wire

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
_EXCERPT = 300


@dataclass(eq=False)
class Supervisor:
    """A supervisor at the end of a wire. ``token`` begins its records."""

    wire: Wire
    account: Account
    token: str
    fresh: bool = True
    early: list[tuple[Stream, bytes | Said]] = field(default_factory=list)
    """What came in the same breath as the answer that was waited for, and is for the next read."""
    records: dict[Stream, Records] = field(init=False)

    def __post_init__(self) -> None:
        self.records = {stream: Records(self.token) for stream in STREAMS}

    def send(self, data: bytes) -> None:
        """Send a command; the first also introduces us. Raises Ended.

        It stands on a line of its own and shows the token: what a script has not read of its
        standard input comes before it, and must not be taken for a command.
        """
        greeting = f"{self.token}\n" if self.fresh else "\n"
        self.fresh = False
        self.wire.send(f"{greeting}{self.token} ".encode() + data)

    def read(self, seconds: float) -> list[tuple[Stream, bytes | Said]]:
        """Output and records in the order of each stream; empty when nothing came. Raises Ended."""
        if self.early:
            early, self.early = self.early, []
            return early
        return [
            (stream, item)
            for stream, data in self.wire.receive(seconds)
            for item in self.records[stream].feed(data)
        ]

    def answer(
        self, word: str, seconds: float, monotonic: Callable[[], float], *, both: bool = False
    ) -> list[str]:
        """The words of a record that is waited for; what came before it is nobody's output.

        ``both``: it comes on both streams. A quick script may have ended by then: what follows
        the record is kept for the next read. Raises Ended, also when ``seconds`` pass, Refusal.
        """
        missing: set[Stream] = set(STREAMS) if both else {"stderr"}
        noise, words = b"", list[str]()
        later: list[tuple[Stream, bytes | Said]] = []
        until = monotonic() + seconds
        while missing:
            left = until - monotonic()
            if left <= 0:
                raise Ended(f"no answer within {seconds:g} s", lost=True)
            try:
                items = self.read(left)
            except Ended as end:
                end.reason += _excerpt(noise)
                raise
            for stream, item in items:
                if both and stream not in missing:
                    later.append((stream, item))
                elif isinstance(item, bytes):
                    noise += item
                elif item.words[:1] == ("refused",):
                    raise Refusal(item.words[1:])
                elif item.words[:1] == (word,):
                    missing.discard(stream)
                    words = list(item.words[1:]) or words
        self.early += later
        return words


def _excerpt(noise: bytes) -> str:
    said = " ".join(noise[-_EXCERPT:].decode("utf-8", "replace").split())
    return f": {said}" if said else ""


class Refusal(Exception):
    """The supervisor did not begin, or knows of nothing to pick up; its words say why."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__(*words)
        self.words = words

    def error(self, place: str, job: RunScript) -> WtsflowError:
        """What to raise about it: in each case nothing ran now."""
        match self.words:
            case ("never",):
                return NotBegun(f"{place}: {job.name} never began there")
            case ("gone", *why):
                return gone(why, place, job)
            case ("again",):
                return SessionLost(
                    f"{place}: {job.name} was begun there before under this attempt's name",
                    cure=f"look at wtsflow-{supervisor.identity(job.marker)}.d on the target",
                )
            case ("sum", found):
                return PinMismatch(job.name, job.sha256, f"{found} on {place}")
            case _:
                return ConnectError(
                    f"{place} has no folder to keep the script in",
                    cure="free some space in $TMPDIR, /tmp, /var/tmp or /dev/shm there",
                )


_GONE = {
    "boot": "the machine was started anew after that",
    "folder": "its folder is no longer there",
    "owner": "what is known of it belongs to another account",
    "old": "results are kept for a week, and it was longer ago",
    "input": "the connection went before all of its standard input was there, so it was ended",
}


def gone(words: Sequence[str], place: str, job: RunScript) -> Vanished:
    """What to raise when the end of a script cannot be known; ``words`` say why."""
    match words:
        case ("dead", count):
            left = f"{count} of its processes still run" if int(count) else "nothing of it runs now"
            why = f"its supervisor was killed, and {left}"
        case (word,):
            why = _GONE.get(word, word)
        case _:
            why = "nothing is known of it"
    return Vanished(
        f"{place}: how {job.name} ended cannot be known: {why}",
        cure="look on the target before running it again",
    )
