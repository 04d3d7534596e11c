"""What is declared: inputs that fit themselves, patterns that can be read, known time zones."""

from collections.abc import Iterator
from functools import lru_cache

from wtsflow.errors import Diagnostic
from wtsflow.manifest.kinds import of_type
from wtsflow.model.values import Json
from wtsflow.model.workflow import Input, Type, Workflow
from wtsflow.source import BROKEN, Document, Path
from wtsflow.source.phrases import short

_PYTHON = {
    Type.STRING: (str,),
    Type.NUMBER: (int, float),
    Type.BOOLEAN: (bool,),
    Type.LIST: (list,),
    Type.SECRET: (str,),
}


def inputs(document: Document, workflow: Workflow) -> Iterator[Diagnostic]:
    """Inputs whose parts contradict each other."""
    for name, declared in workflow.inputs.items():
        path: Path = ("inputs", name)
        yield from _pattern(document, declared, path)
        if declared.type in _PYTHON:
            yield from _parts(document, declared, path)


def _pattern(document: Document, declared: Input, path: Path) -> Iterator[Diagnostic]:
    if not declared.pattern:
        return
    if problem := unreadable(declared.pattern):
        yield document.diagnostic(
            "wts316",
            f"the pattern cannot be read: {problem}",
            (*path, "pattern"),
            cure="it is RE2: no look-around and no back-references",
        )


@lru_cache(maxsize=1024)
def unreadable(pattern: str) -> str:
    """Why RE2 does not take a pattern; empty when it does.

    RE2 needs time in proportion to the text, whatever the pattern: Python's ``re`` was measured
    at 24 s for 28 characters.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return ""


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches the whole of a text; one that cannot be read matches all."""
    import re2

    return bool(unreadable(pattern)) or re2.fullmatch(pattern, text) is not None


def _parts(document: Document, declared: Input, path: Path) -> Iterator[Diagnostic]:
    for index, choice in enumerate(declared.choices):
        if not fits_type(declared, choice) and declared.type is not Type.LIST:
            yield document.diagnostic(
                "wts214",
                f"{short(choice)} is not {wanted(declared)}",
                (*path, "choices", index),
                cure=_type_cure(choice),
            )
            return
    if declared.min is not None and declared.max is not None and declared.min > declared.max:
        yield document.diagnostic(
            "wts214",
            f"the smallest, {declared.min:g}, is more than the biggest, {declared.max:g}",
            (*path, "min"),
        )
    elif declared.has_default and declared.default not in (None, BROKEN):
        yield from _default(document, declared, (*path, "default"))


def _default(document: Document, declared: Input, path: Path) -> Iterator[Diagnostic]:
    value = declared.default
    if declared.type is Type.SECRET:
        yield document.diagnostic(
            "wts410",
            "a secret is written in the manifest",
            path,
            cure="remove it: a secret is asked for, or comes from the environment",
        )
    elif not fits_type(declared, value):
        yield document.diagnostic(
            "wts214",
            f"the default {short(value)} is not {wanted(declared)}",
            path,
            cure=_type_cure(value),
        )
    elif problem := misfit(declared, value):
        yield document.diagnostic("wts214", f"the default {problem}", path)


def fits_type(declared: Input, value: Json) -> bool:
    """Whether a value has an input's type."""
    if isinstance(value, bool):
        return declared.type is Type.BOOLEAN
    return isinstance(value, _PYTHON[declared.type])


def wanted(declared: Input) -> str:
    """An input's type, in words."""
    return of_type(declared.type).described


def _type_cure(value: Json) -> str:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return "add 'type: number', or put it in quotes" if numeric else ""


def misfit(declared: Input, value: Json) -> str:
    """Why a value of the right type does not fit choices, pattern or limits; empty when it does."""
    for item in value if isinstance(value, list) else [value]:
        if declared.choices and item not in declared.choices:
            return f"{short(item)} is not one of: {', '.join(map(str, declared.choices))}"
        if isinstance(item, str) and declared.pattern and not matches(declared.pattern, item):
            return f"{short(item)} does not match the pattern {short(declared.pattern)}"
        if isinstance(item, int | float) and not isinstance(item, bool):
            if declared.min is not None and item < declared.min:
                return f"{item:g} is less than {declared.min:g}"
            if declared.max is not None and item > declared.max:
                return f"{item:g} is more than {declared.max:g}"
    return ""


def zone(document: Document, name: str, path: Path) -> Iterator[Diagnostic]:
    """A time zone that the system does not know; nothing where it knows none at all."""
    if not _known_zone(name) and _known_zone("UTC"):
        yield document.diagnostic(
            "wts504", f"{short(name)} is not a time zone", path, cure="write one like Europe/Paris"
        )


@lru_cache(maxsize=128)
def _known_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True
