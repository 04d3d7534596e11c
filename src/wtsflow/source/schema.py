"""Data against a hand-written JSON Schema (draft 2020-12), and its errors in our words.

Beside JSON Schema's own, a schema may carry: ``title``, the phrase that says what is wanted here
(*"a duration like 5m"*); ``x-rule``, the rule that a wrong form or a ``not`` breaks; ``x-later``,
a key of a later version; ``x-verb`` and ``x-verbs``, the key that says what a step does.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path as File
from typing import Any

from wtsflow.errors import Diagnostic
from wtsflow.source.document import Document
from wtsflow.source.fits import Test, compile_schema, compiled
from wtsflow.source.phrases import translated


def schema_text(name: str) -> str:
    """The text of a schema that wtsflow ships, by name (``wtsflow-1``). Raises KeyError."""
    if not re.fullmatch(r"[a-z]+-[0-9]+", name):
        raise KeyError(name)
    here = File(__file__).resolve()
    for folder in (here.parents[1] / "schemas", here.parents[3] / "schemas"):
        file = folder / f"{name}.schema.json"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise KeyError(name)


def check(document: Document, schema: str) -> tuple[Diagnostic, ...]:
    """Everything in the document that does not fit the schema of this name, sorted by place."""
    fits = _tester(schema)
    if fits is not None and fits(document.data):
        return ()
    found = [
        diagnostic
        for error in _validator(schema).iter_errors(document.data)
        for diagnostic in translated(document, error, _verbs(schema))
    ]
    unique = dict.fromkeys(found)
    return tuple(sorted(unique, key=lambda each: (each.location.line, each.location.column)))


@cache
def _verbs(name: str) -> tuple[str, ...]:
    return tuple(_resolved(name).get("x-verbs", ()))


@cache
def _resolved(name: str) -> Any:
    """The schema with each ``$ref`` replaced by what it names; recursion becomes a cycle."""
    schema = json.loads(schema_text(name))
    definitions = schema.get("$defs", {})
    _link(schema, definitions)
    return schema


def _link(node: Any, definitions: Any) -> None:
    """Put definitions in the place of references, without recursion into them."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(node, dict):
        items = iter(list(node.items()))
    elif isinstance(node, list):
        items = iter(list(enumerate(node)))
    for key, child in items:
        if isinstance(child, dict) and "$ref" in child:
            node[key] = _target(child, definitions)
        else:
            _link(child, definitions)


def _target(reference: Any, definitions: Any) -> Any:
    return definitions[reference["$ref"].removeprefix("#/$defs/")]


@cache
def _tester(name: str) -> Test | None:
    return compile_schema(_resolved(name))


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator, validators

    kind = validators.extend(Draft202012Validator, {"pattern": _pattern})
    return kind(_resolved(name))


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Any]:
    """As JSON Schema's, but ``$`` is the very end: not before a last line break."""
    from jsonschema import ValidationError

    if isinstance(instance, str) and not compiled(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")
