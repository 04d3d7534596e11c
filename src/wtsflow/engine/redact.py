"""Secrets masked in a stream of bytes, before lines are cut and before anyone sees them."""

from collections.abc import Iterable, Mapping

from wtsflow.errors import InvalidError
from wtsflow.model.values import MASK, Json, Secret

SHORTEST = 6


class Redactor:
    """Knows the secrets of a run. Raises InvalidError for one that is too short to be masked."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        values = {secret.reveal().encode("utf-8", "surrogatepass") for secret in secrets}
        for value in values:
            if len(value) < SHORTEST:
                raise InvalidError("secret-too-short-to-mask")
        self.needles = sorted(values, key=len, reverse=True)

    def text(self, text: str) -> str:
        """A message with every secret in it masked."""
        if not self.needles:
            return text
        stream = self.stream()
        data = text.encode("utf-8", "surrogatepass")
        return (stream.feed(data) + stream.close()).decode("utf-8", "surrogatepass")

    def json(self, value: Json) -> Json:
        """Data with every secret in its texts and keys masked, and every Secret leaf."""
        match value:
            case Secret():
                return MASK
            case str():
                return self.text(value)
            case bool() | int() | float() | None:
                return value
            case Mapping():
                return {self.text(key): self.json(item) for key, item in value.items()}
            case _:
                return [self.json(item) for item in value]

    def stream(self) -> "StreamRedactor":
        """A fresh stream."""
        return StreamRedactor(self.needles)


class StreamRedactor:
    """One stream of bytes. ``count`` is how many times something was masked."""

    def __init__(self, needles: list[bytes]) -> None:
        self.count = 0
        self._needles = needles
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return those that are sure to hold no part of a secret."""
        if not self._needles:
            return data
        data = self._masked(self._held + data)
        keep = max(
            (
                n
                for needle in self._needles
                for n in range(1, len(needle))
                if data.endswith(needle[:n])
            ),
            default=0,
        )
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def close(self) -> bytes:
        """Return what was held back."""
        held, self._held = self._held, b""
        return held

    def _masked(self, data: bytes) -> bytes:
        for needle in self._needles:
            found = data.count(needle)
            if found:
                self.count += found
                data = data.replace(needle, MASK.encode())
        return data
