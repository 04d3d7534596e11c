"""How outputs come back: a JSON object in ``$WTS_OUTPUT``, or as standard output's last line."""

import json
from collections.abc import Mapping
from math import isfinite

from wtsflow.errors import PlanError
from wtsflow.model.values import Json, Secret
from wtsflow.model.workflow import Type

LIMIT = 1 << 20
"""Bytes of a last line that are looked at."""

DEPTH = 32
"""How deep lists and objects may stand in each other."""

_LARGEST = 1 << 53


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


def written(file: bytes, last: bytes) -> dict[str, Json]:
    """What a script left, whatever it declares. Raises PlanError where a file is no JSON object."""
    return _object(file, "$WTS_OUTPUT") if file.strip() else _maybe(last)


def outputs(
    file: bytes, last: bytes, declared: Mapping[str, Type] | None, *, partial: bool = False
) -> dict[str, Json]:
    """The outputs of a script, with those declared ``secret`` as :class:`Secret`.

    Rule: what two readers of JSON would understand differently (RFC 8259 §4, §6, §8.2) is refused.
    ``file`` is the content of ``$WTS_OUTPUT``, ``last`` the last line of standard output; the
    first wins. Secrets are taken from ``file`` only: what was printed was shown. Raises PlanError
    with what does not fit ``declared``; ``partial``: what is not there is left out.
    """
    found = written(file, last)
    if declared is None:
        return found
    if partial:
        declared = {name: wanted for name, wanted in declared.items() if name in found}
    for name, wanted in declared.items():
        if name not in found:
            raise PlanError(f"the script did not give its output '{name}'")
        if wanted is Type.SECRET:
            if not file.strip():
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
        found = json.loads(
            text.decode(), parse_constant=_refused, object_pairs_hook=_once, parse_int=_small
        )
        if not isinstance(found, dict):
            raise PlanError(f"{place} is not a JSON object")
        _portable(found, DEPTH)
    except (ValueError, RecursionError) as error:
        why = f": {error.args[0]}" if isinstance(error, _Unclear) else ""
        raise PlanError(f"{place} is not JSON{why}") from None
    return found


class _Unclear(ValueError):
    """JSON that is read differently by different readers."""


def _small(digits: str) -> int:
    if len(digits) > len(str(_LARGEST)) or abs(int(digits)) > _LARGEST:
        raise _Unclear("a number is larger than 2^53")
    return int(digits)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Unclear("a name is there twice in one object")
    return found


def _portable(value: Json, depth: int) -> None:
    """Raises _Unclear for what cannot be written down so that everybody reads the same."""
    if depth < 0:
        raise _Unclear(f"it is more than {DEPTH} deep")
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
                raise _Unclear("a text holds half of a character")
        case float():
            if not isfinite(value):
                raise _Unclear("a number is larger than there is")
        case Mapping():
            for key, item in value.items():
                _portable(key, depth)
                _portable(item, depth - 1)
        case list():
            for item in value:
                _portable(item, depth - 1)


def _refused(word: str) -> None:
    raise ValueError(word)


def _maybe(line: bytes) -> dict[str, Json]:
    if not line.lstrip().startswith(b"{"):
        return {}
    try:
        return _object(line, "the last line")
    except PlanError:
        return {}
