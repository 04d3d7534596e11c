"""Order and time: what a step needs, the waves of a loop, when a wait is over."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from zoneinfo import ZoneInfo

from wtsflow.model.expression import ExpressionError, as_text
from wtsflow.model.values import Json
from wtsflow.model.workflow import Retry, Rolling, Step, Wait


def needs(step: Step, index: int, numbers: Mapping[str, int]) -> list[int]:
    """The positions of the steps that must have ended before the one at ``index``."""
    if step.needs is None:
        return [index - 1] if index else []
    return [numbers[name] for name in step.needs]


def items(value: object, mask: Callable[[str], str] = str) -> dict[str, Json]:
    """A ``for_each``'s items by key: an item's name, else its text; made unique by number.

    Keys stand in the paths of records and files, so ``mask`` is asked to hide what is secret.
    Raises ExpressionError when ``value`` is not a list.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ExpressionError("this is not a list")
    found: dict[str, Json] = {}
    for number, item in enumerate(value):
        key = mask(label(item, str(number + 1)))
        key = "".join(c if c.isalnum() or c in "._-" else "_" for c in key)[:64] or "_"
        numbered = (f"{key}_{n}" for n in count(number + 1))
        found[next(one for one in chain([key], numbered) if one not in found)] = item
    return found


def label(item: Json, otherwise: str) -> str:
    """What an item is called: its name, or its own text; ``otherwise`` where it has none."""
    named = item.get("name") if isinstance(item, Mapping) else item
    return as_text(named) if isinstance(named, str | int | float) else otherwise


def waves(keys: Sequence[str], rolling: Rolling) -> list[Sequence[str]]:
    """The keys in the order and grouping in which they are done."""
    found, start = [], 0
    for size in rolling.waves(len(keys)):
        found.append(keys[start : start + size])
        start += size
    return found


def back_off(retry: Retry, number: int) -> float:
    """The seconds between attempt ``number`` and the next one."""
    try:
        return retry.wait * retry.backoff ** (number - 1) if retry.wait else 0.0
    except OverflowError:
        return float("inf")


def due(step: Step, now: float) -> float:
    """When a ``wait`` that begins at ``now`` is over (both: seconds since the epoch)."""
    action = step.action
    assert isinstance(action, Wait)  # noqa: S101 - decide dispatches on it
    if action.seconds is not None:
        return now + action.seconds
    zone = ZoneInfo(action.zone) if action.zone else UTC
    hour, minute = (int(part) for part in action.until.split(":"))
    start = datetime.fromtimestamp(now, zone)
    then = start.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (then if then > start else then + timedelta(days=1)).timestamp()
