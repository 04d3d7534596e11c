"""Order and time: what a step needs, the waves of a loop, when a wait is over."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from wtsflow.model.expression import ExpressionError, as_text
from wtsflow.model.values import Json
from wtsflow.model.workflow import Rolling, Step, Wait


def needs(step: Step, index: int, numbers: Mapping[str, int]) -> list[int]:
    """The positions of the steps that must have ended before the one at ``index``."""
    if step.needs is None:
        return [index - 1] if index else []
    return [numbers[name] for name in step.needs]


def items(value: object) -> dict[str, Json]:
    """A ``for_each``'s items by key: an item's name, else its text; made unique by number.

    Raises ExpressionError when ``value`` is not a list.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ExpressionError("this is not a list")
    found: dict[str, Json] = {}
    for number, item in enumerate(value):
        named = item.get("name") if isinstance(item, Mapping) else item
        key = as_text(named) if isinstance(named, str | int | float) else str(number + 1)
        key = "".join(c if c.isalnum() or c in "._-" else "_" for c in key)[:64] or "_"
        found[key if key not in found else f"{key}_{number + 1}"] = item
    return found


def waves(keys: Sequence[str], rolling: Rolling) -> list[Sequence[str]]:
    """The keys in the order and grouping in which they are done."""
    found, start = [], 0
    for size in rolling.waves(len(keys)):
        found.append(keys[start : start + size])
        start += size
    return found


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
