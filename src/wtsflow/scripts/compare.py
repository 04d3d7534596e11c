"""Whether one version of a script can stand in for another, by what it takes and what it leaves."""

from collections.abc import Iterator
from dataclasses import dataclass

from wtsflow.model.script import Interface, Parameter
from wtsflow.model.text import listed
from wtsflow.model.workflow import Type
from wtsflow.scripts.pin import Version


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; ``breaking``: a caller that was right may now be wrong."""

    breaking: bool
    text: str


def changes(old: Interface, new: Interface) -> tuple[Change, ...]:
    """Every difference that a caller can notice, breaking ones first."""
    found = [*_parameters(old, new), *_outputs(old, new), *_rest(old, new)]
    return tuple(sorted(found, key=lambda change: not change.breaking))


def proposed(now: Version, found: tuple[Change, ...]) -> Version:
    """The version to release after ``now`` with these differences."""
    if any(change.breaking for change in found):
        return Version(now.major + 1, 0, 0)
    if found:
        return Version(now.major, now.minor + 1, 0)
    return Version(now.major, now.minor, now.patch + 1)


def _parameters(old: Interface, new: Interface) -> Iterator[Change]:
    if old.parameters is None or new.parameters is None:
        if old.parameters != new.parameters:
            known = "can no longer" if new.parameters is None else "can now"
            yield Change(False, f"parameters {known} be known")
        return
    for name, before in old.parameters.items():
        after = new.parameters.get(name)
        if after is None:
            yield Change(True, f"parameter '{name}' is gone")
        else:
            yield from _parameter(before, after)
    for name, added in new.parameters.items():
        if name not in old.parameters:
            must = bool(added.required) and not added.has_default
            yield Change(must, f"new {'required ' if must else ''}parameter '{name}'")


def _parameter(before: Parameter, after: Parameter) -> Iterator[Change]:
    name = before.name
    if before.type != after.type:
        wider = after.type is Type.ANY
        yield Change(not wider, f"parameter '{name}' is {after.type}, was {before.type}")
    if after.required and not after.has_default and before.required is False:
        yield Change(True, f"parameter '{name}' is required now")
    if before.has_default and after.has_default and before.default != after.default:
        yield Change(False, f"parameter '{name}' has another default")
    gone = [str(one) for one in before.choices if one not in after.choices]
    if after.choices and (gone or not before.choices):
        text = f"no longer takes {listed(gone)}" if gone else "takes only certain values now"
        yield Change(True, f"parameter '{name}' {text}")
    elif before.choices != after.choices:
        yield Change(False, f"parameter '{name}' takes more values")
    if after.pattern != before.pattern:
        yield Change(bool(after.pattern), f"parameter '{name}' has another pattern")
    if _narrower(before, after):
        yield Change(True, f"parameter '{name}' takes a smaller range of numbers")


def _narrower(before: Parameter, after: Parameter) -> bool:
    low = after.min is not None and (before.min is None or after.min > before.min)
    high = after.max is not None and (before.max is None or after.max < before.max)
    return low or high


def _outputs(old: Interface, new: Interface) -> Iterator[Change]:
    if old.outputs is None:
        if new.outputs is not None:
            yield Change(False, "outputs are declared now")
        return
    if new.outputs is None:
        yield Change(True, "outputs are no longer declared")
        return
    for name, kind in old.outputs.items():
        if name not in new.outputs:
            yield Change(True, f"output '{name}' is gone")
        elif new.outputs[name] != kind:
            yield Change(True, f"output '{name}' is {new.outputs[name]}, was {kind}")
    for name in new.outputs.keys() - old.outputs.keys():
        yield Change(False, f"new output '{name}'")


def _rest(old: Interface, new: Interface) -> Iterator[Change]:
    before, after = dict(old.outcomes), dict(new.outcomes)
    for code, name in before.items():
        if after.get(code) != name:
            now = f"is '{after[code]}', was" if code in after else "is no longer"
            yield Change(True, f"exit code {code} {now} '{name}'")
    for code in after.keys() - before.keys():
        yield Change(True, f"exit code {code} is the outcome '{after[code]}' now")
    gone = set(old.os or ("linux", "macos", "windows")) - set(new.os or old.os)
    if new.os and gone:
        yield Change(True, f"no longer for {listed(sorted(gone))}")
    if old.run_as != new.run_as:
        yield Change(True, f"runs as '{new.run_as}', was '{old.run_as}'")
