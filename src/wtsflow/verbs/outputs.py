"""How outputs come back: a JSON object in ``$WTS_OUTPUT``, or as standard output's last line."""

import json
from collections.abc import Mapping

from wtsflow.errors import PlanError
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Type

LIMIT = 1 << 20
"""Bytes of a last line that are looked at."""


class LastLine:
    """Keeps the last line that is not empty, of a stream of any length."""

    def __init__(self) -> None:
        self._last = b""
        self._open = b""

    def feed(self, data: bytes) -> None:
        """Take in bytes as they come."""
        *whole, rest = (self._open + data).split(b"\n")
        for line in reversed(whole):
            if line.strip():
                self._last = line
                break
        self._open = rest if len(rest) <= LIMIT else b""

    @property
    def text(self) -> bytes:
        """The last line so far."""
        return self._open if self._open.strip() else self._last


def outputs(written: bytes, last: bytes, declared: Mapping[str, Type] | None) -> dict[str, Json]:
    """The outputs of a script, with those declared ``secret`` as :class:`Secret`.

    ``written`` is the content of ``$WTS_OUTPUT``, ``last`` the last line of standard output; the
    first wins. Secrets are taken from ``written`` only: what was printed was shown. Raises
    PlanError with what does not fit ``declared``.
    """
    found = _object(written, "$WTS_OUTPUT") if written.strip() else _maybe(last)
    if declared is None:
        return found
    for name, wanted in declared.items():
        if name not in found:
            raise PlanError(f"the script did not give its output '{name}'")
        if wanted is Type.SECRET:
            if not written.strip():
                raise PlanError(f"the secret output '{name}' must be written to $WTS_OUTPUT")
            found[name] = Secret(str(found[name]))
        elif not fits(found[name], wanted):
            raise PlanError(f"output '{name}' is not a {wanted}")
    return {name: found[name] for name in declared}


def fits(value: Json, wanted: Type) -> bool:
    """Whether a JSON value is of a declared type."""
    match wanted:
        case Type.STRING | Type.SECRET:
            return isinstance(value, str)
        case Type.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Type.BOOLEAN:
            return isinstance(value, bool)
        case Type.LIST:
            return isinstance(value, list)
        case _:
            return True


def _object(text: bytes, place: str) -> dict[str, Json]:
    try:
        found = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise PlanError(f"{place} is not JSON") from None
    if not isinstance(found, dict):
        raise PlanError(f"{place} is not a JSON object")
    return found


def _refused(word: str) -> None:
    raise ValueError(word)


def _maybe(line: bytes) -> dict[str, Json]:
    if not line.lstrip().startswith(b"{"):
        return {}
    try:
        return _object(line, "the last line")
    except PlanError:
        return {}
