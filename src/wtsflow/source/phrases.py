"""What a schema error says to a person: one mistake, one sentence, at the right characters."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wtsflow.errors import Diagnostic
from wtsflow.source.document import Broken, Document

_TYPES = {str: "a text", bool: "true or false", dict: "a map", list: "a list", type(None): "empty"}
_WANTED = {
    "string": "a text",
    "object": "a map",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def near(word: str, known: Iterable[str]) -> str:
    """``(did you mean 'x'?)`` with the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def short(value: Any) -> str:
    """A value as a message shows it: quoted, one line, at most 60 characters."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"


def _path(error: Any) -> tuple[str | int, ...]:
    return tuple(error.absolute_path)


def _name(path: tuple[str | int, ...]) -> str:
    return f"'{path[-1]}'" if path and isinstance(path[-1], str) else "this"


def _wanted(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return str(schema.get("title") or " or ".join(_WANTED.get(kind, kind) for kind in kinds))


def _unknown_key(document: Document, error: Any, verbs: tuple[str, ...]) -> Iterator[Diagnostic]:
    known = error.schema.get("properties", {})
    verb = error.schema.get("x-verb")
    for key in error.instance:
        if key in known:
            continue
        path = (*_path(error), key)
        if verb and key in verbs:
            yield document.diagnostic(
                "wts106",
                f"a step does one thing: '{verb}' and '{key}' need two steps",
                path,
                key=True,
            )
            continue
        where = f" in a '{verb}' step" if verb else ""
        usable = [name for name, part in known.items() if "x-later" not in part]
        hint = near(key, usable)
        cure = "" if hint else f"known here: {', '.join(usable)}"
        yield document.diagnostic(
            "wts101", f"unknown key {short(key)}{where}{hint}", path, key=True, cure=cure
        )


def _missing(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    known = error.schema.get("properties", {})
    if any("x-later" in known.get(key, ()) for key in error.instance):
        return
    for key in error.validator_value:
        if key not in error.instance and f"'{key}' is a required" in error.message:
            wanted = known.get(key, {})
            cure = f"add '{key}:', {_wanted(wanted)}" if wanted else ""
            yield document.diagnostic(
                "wts102", f"'{key}' is missing", _path(error), key=True, cure=cure
            )


def _type(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    path, value = _path(error), error.instance
    found = _TYPES.get(type(value), f"the number {value}")
    cure = ""
    if isinstance(value, int | float | bool) and "string" in error.validator_value:
        cure = "put it in quotes if it is meant as text"
    if isinstance(value, str) and "array" in error.validator_value and "\n" not in value:
        cure = f"write [{value[:60]}]"
    if value is None:
        cure = "write a value after ':'; what follows '#' is a comment"
    wanted = _wanted(error.schema if path else {"type": error.validator_value})
    message = f"{_name(path)} is {found}, but must be {wanted}"
    yield document.diagnostic("wts103", message, path, cure=cure, key=value is None)


def _enum(document: Document, error: Any, verbs: tuple[str, ...]) -> Iterator[Diagnostic]:
    value, allowed = error.instance, [str(each) for each in error.validator_value]
    if value == "undo":
        yield _reserved(document, _path(error), "undo", verbs, key=False)
        return
    hint = near(str(value), allowed) or near(str(value).lower(), allowed)
    cure = "" if hint else f"write one of: {', '.join(allowed)}"
    message = f"{short(value)} is not allowed here{hint}"
    yield document.diagnostic("wts104", message, _path(error), cure=cure)


def _const(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    wanted = error.validator_value
    message = f"{short(error.instance)} is not a version of the language that this program knows"
    yield document.diagnostic("wts110", message, _path(error), cure=f"write {wanted}")


def _form(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    rule = error.schema.get("x-rule", "wts105")
    names = list(error.absolute_schema_path)[-2:-1] == ["propertyNames"]
    path = (*_path(error), error.instance) if names else _path(error)
    message = f"{short(error.instance)} is not {_wanted(error.schema)}"
    yield document.diagnostic(rule, message, path, key=names)


def _name_form(document: Document, error: Any, _: tuple[str, ...]) -> Iterator[Diagnostic]:
    message = f"{short(error.instance)} is not {_wanted(error.schema)}"
    path = (*_path(error), error.instance)
    yield document.diagnostic("wts105", message, path, key=True)


def _not(document: Document, error: Any, verbs: tuple[str, ...]) -> Iterator[Diagnostic]:
    path = _path(error)
    if error.schema.get("x-rule") != "wts107":
        yield _reserved(document, path, str(path[-1]), verbs, key=True)
        return
    usable = verbs[:3]
    for key in error.instance:
        if hint := near(str(key), usable):
            yield document.diagnostic(
                "wts101", f"unknown key {short(key)} in a step{hint}", (*path, key), key=True
            )
            return
    yield document.diagnostic(
        "wts107", "this step does nothing", path, cure=f"give it one of: {', '.join(usable)}"
    )


def _reserved(
    document: Document,
    path: tuple[str | int, ...],
    word: str,
    verbs: tuple[str, ...],
    *,
    key: bool,
) -> Diagnostic:
    known = ", ".join(verbs[:3])
    return document.diagnostic(
        "wts108",
        f"'{word}' is reserved for a later version of wtsflow",
        path,
        key=key,
        cure=f"the verbs of this version are: {known}" if word in verbs else "remove it",
    )


def _exclusive(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    names = [each["required"][0] for each in error.validator_value]
    message = f"exactly one of {', '.join(repr(name) for name in names)} is needed here"
    yield document.diagnostic("wts112", message, _path(error), key=True)


def _together(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    for key, others in error.validator_value.items():
        for other in others:
            if key in error.instance and other not in error.instance:
                yield document.diagnostic(
                    "wts112", f"'{key}' needs '{other}' beside it", (*_path(error), key), key=True
                )


_LIMITS: Mapping[str, str] = {
    "minimum": "is less than {}",
    "maximum": "is more than {}",
    "minLength": "is empty",
    "maxLength": "is longer than {} characters",
    "minItems": "is an empty list",
    "minProperties": "is an empty map",
    "uniqueItems": "holds something twice",
}


def _limit(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    path = _path(error)
    said = _LIMITS[error.validator].format(error.validator_value)
    yield document.diagnostic("wts109", f"{_name(path)} {said}", path)


def _other(document: Document, error: Any, _: Any) -> Iterator[Diagnostic]:
    yield document.diagnostic(
        "wts104", f"{short(error.instance)} is not allowed here", _path(error)
    )


_Say = Callable[[Document, Any, tuple[str, ...]], Iterator[Diagnostic]]
_SAY: Mapping[str, _Say] = {
    "additionalProperties": _unknown_key,
    "required": _missing,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _form,
    "propertyNames": _name_form,
    "not": _not,
    "oneOf": _exclusive,
    "dependentRequired": _together,
    **dict.fromkeys(_LIMITS, _limit),
}


def translated(document: Document, error: Any, verbs: tuple[str, ...]) -> Iterator[Diagnostic]:
    """The diagnostics that one error of jsonschema stands for; none for what is known broken."""
    if isinstance(error.instance, Broken):
        return
    say: _Say = _SAY.get(str(error.validator), _other)
    yield from say(document, error, verbs)
