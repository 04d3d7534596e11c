"""Markdown out of tables and JSON schemas."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
RESERVED = "Reserved for a later version:"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(cell(one) for one in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def cell(text: str) -> str:
    """Text that stays in one cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def anchor(heading: str) -> str:
    """The fragment that a heading of this text gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class SchemaPages:
    """The sections of a schema's page: one for every object with named keys."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.definitions: Mapping[str, Schema] = schema.get("$defs", {})

    def sections(self) -> Iterator[str]:
        """A heading and a table for the top, then for each object below it, in order."""
        yield from self._section("", self.schema)
        for name, definition in self.definitions.items():
            yield from self._section(name, definition)

    def keys(self) -> set[str]:
        """Every key that the schema names anywhere."""
        found: set[str] = set()
        for _, part in self._objects("", self.schema):
            found |= set(self._properties(part))
        for name, definition in self.definitions.items():
            for _, part in self._objects(name, definition):
                found |= set(self._properties(part))
        return found

    def _section(self, name: str, schema: Schema) -> Iterator[str]:
        for title, part in self._objects(name, schema):
            known, reserved = self._sorted(part)
            rows = [
                (
                    f"`{key}`",
                    self.kind(value, inside=f"{title}.{key}" if title else key),
                    "yes" if key in part.get("required", ()) else "",
                    self.meaning(value),
                )
                for key, value in known.items()
            ]
            texts = [f"## {title or 'The file'}", str(part.get("description", ""))]
            if rows:
                texts.append(table(("key", "value", "required", "meaning"), rows))
            if reserved:
                texts.append("Reserved for later versions:")
                texts.append(
                    "\n".join(f"- `{key}`: {self.after(value)}" for key, value in reserved.items())
                )
            yield "\n\n".join(text for text in texts if text)

    def _sorted(self, schema: Schema) -> tuple[dict[str, Schema], dict[str, Schema]]:
        """The keys that work, and those that only have a message."""
        keys = self._properties(schema)
        reserved = {key for key, value in keys.items() if self.meaning(value).startswith(RESERVED)}
        return (
            {key: value for key, value in keys.items() if key not in reserved},
            {key: value for key, value in keys.items() if key in reserved},
        )

    def after(self, schema: Schema) -> str:
        """What a reserved key will mean."""
        return self.meaning(schema).removeprefix(RESERVED).strip()

    def _objects(self, name: str, schema: Any) -> Iterator[tuple[str, Schema]]:
        """The schema itself and what lies below it, as far as it has keys of its own."""
        if not isinstance(schema, Mapping):
            return
        if self._properties(schema):
            yield name, schema
        for key, value in self._properties(schema).items():
            yield from self._objects(f"{name}.{key}" if name else key, value)
        for word in ("additionalProperties", "items", "then", "else"):
            yield from self._objects(name, schema.get(word))
        for word in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(word, ()):
                yield from self._objects(name, part)

    @staticmethod
    def _properties(schema: Schema) -> dict[str, Schema]:
        found = schema.get("properties", {})
        return {key: value for key, value in found.items() if value is not False}

    def meaning(self, schema: Any) -> str:
        """The description, or that of what it refers to."""
        if not isinstance(schema, Mapping):
            return ""
        said = schema.get("description")
        if said:
            return str(said)
        if "$ref" in schema:
            return self.meaning(self._referred(schema))
        return ""

    def kind(self, schema: Any, *, inside: str = "") -> str:
        """What may stand there, in a few words."""
        if not isinstance(schema, Mapping):
            return "anything"
        for word, said in self._said(schema, inside):
            if word in schema:
                return str(said(schema[word]))
        return "anything"

    def _said(self, schema: Schema, inside: str) -> Iterator[tuple[str, Any]]:
        yield "const", lambda value: f"`{json.dumps(value)}`"
        yield "enum", lambda values: ", ".join(f"`{value}`" for value in values)
        yield "$ref", lambda _: self._reference(schema)
        yield "anyOf", lambda parts: self._either(parts, inside)
        yield "oneOf", lambda parts: self._either(parts, inside)
        yield "type", lambda value: self._type(schema, value, inside)
        yield "properties", lambda _: f"[map](#{anchor(inside)})"

    def _either(self, parts: Sequence[Any], inside: str) -> str:
        said = dict.fromkeys(self.kind(part, inside=inside) for part in parts)
        return " or ".join(said)

    def _reference(self, schema: Schema) -> str:
        name = schema["$ref"].rpartition("/")[2]
        referred = self._referred(schema)
        if any(True for _ in self._objects(name, referred)):
            for word in ("anyOf", "oneOf"):
                if word in referred:
                    return self._either(referred[word], name)
            return f"[{name}](#{anchor(name)})"
        return str(referred.get("title") or self.kind(referred))

    def _referred(self, schema: Schema) -> Schema:
        return self.definitions[schema["$ref"].rpartition("/")[2]]

    def _type(self, schema: Schema, kind: Any, inside: str) -> str:
        if isinstance(kind, list):
            if "title" in schema:
                return str(schema["title"]) + self._bounds(schema)
            kinds = [one for one in kind if one != "null"]
            return " or ".join(self._type(schema, one, inside) for one in kinds)
        if kind == "array":
            return f"list of {self.kind(schema.get('items', {}), inside=inside)}"
        if kind == "object":
            if self._properties(schema):
                return f"[map](#{anchor(inside)})"
            values = schema.get("additionalProperties")
            return f"map of {self.kind(values, inside=inside)}" if values else "map"
        name = {"string": "text", "integer": "whole number", "null": "nothing"}.get(kind, kind)
        return str(schema.get("title") or name) + self._bounds(schema)

    @staticmethod
    def _bounds(schema: Schema) -> str:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None and high is None:
            return ""
        if high is None:
            return f" ≥ {low}"
        return f" ≤ {high}" if low is None else f" {low}–{high}"
