"""Parameters of a PowerShell script: its ``param()`` block and its comment-based help.

Read by scanning, never by running. A default that is an expression is known to be there, its value
is not; ``dynamicparam`` makes the whole list unknown. Smart quotes and dashes count as quotes and
dashes, as they do for PowerShell.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from wtsflow.model.script import Interface, Parameter
from wtsflow.model.values import Json
from wtsflow.model.workflow import Type
from wtsflow.scripts.powershell_text import (
    Unbalanced,
    closing,
    comment_help,
    literal,
    lone_comments,
    pieces,
    skip_space,
)

MAX_CHARACTERS = 1 << 20
WHAT_IF = "-WhatIf"
_NUMBERS = {
    *("byte", "sbyte", "int", "int16", "int32", "int64", "long", "short", "uint16", "uint32"),
    *("uint64", "uint", "ulong", "ushort", "single", "float", "double", "decimal", "bigint"),
}
_TEXTS = {
    *("string", "char", "datetime", "timespan", "guid", "uri", "version", "ipaddress", "regex"),
    *("mailaddress", "fileinfo", "directoryinfo", "net.ipaddress", "net.mail.mailaddress"),
    *("io.fileinfo", "io.directoryinfo", "datetimeoffset", "cultureinfo", "semver"),
}
_SWITCHES = {"switch", "switchparameter", "management.automation.switchparameter"}
_BOOLEANS = {"bool", "boolean"}
_SECRETS = {
    *("securestring", "security.securestring", "pscredential", "credential"),
    "management.automation.pscredential",
}
_LISTS = {"array", "arraylist", "collections.arraylist"}
_PARAM = re.compile(r"(?i)param\s*(?=\()")
_USING = re.compile(r"(?i)using\s[^\n;]*[\n;]")
_VARIABLE = re.compile(r"\$(?:\{([^}]+)\}|(\w+))")
_SHARED = re.compile(r"(?:[^\\(]|\((?!\?)|\\[d.\\/@$^*+?()\[\]{}|-])*")
"""Patterns that mean the same to PowerShell and to RE2."""
_DYNAMIC = re.compile(r"(?im)^[ \t]*dynamicparam\b")
_ARGUMENTS = re.compile(r"(?i)\$(?:args|myinvocation|psboundparameters)\b|@args\b")


def read(text: str) -> Interface:
    """The interface of a script; ``parameters`` is None where it cannot be known."""
    if len(text) > MAX_CHARACTERS:
        return Interface()
    text = text.replace("\r\n", "\n")
    said = comment_help(text)
    try:
        block = _block(text)
        known = None if block is None or _DYNAMIC.search(text) else _parameters(block, said)
    except (Unbalanced, RecursionError):
        known = None
    if known is None and _param_free(text):
        known = {}
    synopsis = said.get("synopsis", "")
    return Interface(
        title=synopsis.split("\n")[0],
        help=said.get("description", ""),
        parameters=known,
        source="param()" if known is not None else "",
        check=WHAT_IF if _should_process(text) else "",
    )


def _param_free(text: str) -> bool:
    return not re.search(r"(?i)\bparam\s{0,99}\(", text) and not _ARGUMENTS.search(text)


def _should_process(text: str) -> bool:
    """Whether the script as a whole declares SupportsShouldProcess, and so takes -WhatIf."""
    try:
        attributes, start = _head(text)
        return start is not None and any(map(_binding, attributes))
    except (Unbalanced, RecursionError):
        return False


def _binding(attribute: str) -> bool:
    name, _, arguments = attribute.partition("(")
    name = name.strip().lower().removeprefix("system.management.automation.")
    if name.removesuffix("attribute") != "cmdletbinding":
        return False
    for part in pieces(arguments.rstrip().removesuffix(")"), ","):
        key, equals, value = part[skip_space(part, 0) :].partition("=")
        if key.strip().lower() == "supportsshouldprocess":
            known, said = literal(value) if equals else (True, True)
            return known and (said is True or said == 1)
    return False


def _block(text: str) -> str | None:
    """What stands between the parentheses of the script's own ``param()``, or None."""
    _, start = _head(text)
    return None if start is None else text[start + 1 : closing(text, start) - 1]


def _head(text: str) -> tuple[list[str], int | None]:
    """The attributes of the script's own ``param()``, and where its parentheses open."""
    attributes: list[str] = []
    at = skip_space(text, 0)
    while at < len(text):
        if found := _USING.match(text, at):
            at = found.end()
        elif text[at] == "[":
            end = closing(text, at)
            attributes.append(text[at + 1 : end - 1])
            at = end
        elif found := _PARAM.match(text, at):
            return attributes, found.end()
        else:
            return attributes, None
        at = skip_space(text, at)
    return attributes, None


def _parameters(block: str, said: Mapping[str, str]) -> dict[str, Parameter]:
    found = (_parameter(piece, said) for piece in pieces(block, ","))
    return {parameter.name: parameter for parameter in found if parameter}


@dataclass
class _Attributes:
    type: str = ""
    mandatory: list[bool] = field(default_factory=list)
    position: int | None = None
    help: str = ""
    choices: tuple[Json, ...] = ()
    pattern: str = ""
    min: float | None = None
    max: float | None = None


def _parameter(piece: str, said: Mapping[str, str]) -> Parameter | None:
    attributes = _Attributes()
    at = skip_space(piece, 0)
    while at < len(piece) and piece[at] == "[":
        end = closing(piece, at)
        _attribute(piece[at + 1 : end - 1].strip(), attributes)
        at = skip_space(piece, end)
    named = _VARIABLE.match(piece, at)
    if not named:
        return None
    name = named[1] or named[2]
    rest = piece[skip_space(piece, named.end()) :]
    has_default = rest.startswith("=")
    known, default = literal(rest[1:]) if has_default else (True, None)
    kind, switch = _type(attributes.type)
    mandatory = attributes.mandatory
    return Parameter(
        name,
        type=kind,
        required=None if any(mandatory) and not all(mandatory) else any(mandatory),
        default=default,
        has_default=has_default and not (known and default is None),
        choices=attributes.choices,
        pattern=attributes.pattern,
        min=attributes.min,
        max=attributes.max,
        help=said.get(f"parameter {name.lower()}") or attributes.help or lone_comments(piece[:at]),
        flag=f"-{name}",
        position=attributes.position,
        switch=switch,
    )


def _type(text: str) -> tuple[Type, bool]:
    name = re.sub(r"\s", "", text.lower()).removeprefix("system.")
    if nullable := re.fullmatch(r"nullable\[(.+)\]", name):
        name = nullable[1].removeprefix("system.")
    if name.endswith("[]") or name in _LISTS or name.startswith("collections.generic.list["):
        return Type.LIST, False
    if name in _SWITCHES:
        return Type.BOOLEAN, True
    kinds = (
        (_TEXTS, Type.STRING),
        (_NUMBERS, Type.NUMBER),
        (_BOOLEANS, Type.BOOLEAN),
        (_SECRETS, Type.SECRET),
    )
    return next((kind for names, kind in kinds if name in names), Type.ANY), False


def _attribute(text: str, into: _Attributes) -> None:
    name, bracket, arguments = text.partition("(")
    name = name.strip().lower().removeprefix("system.management.automation.")
    name = name.removesuffix("attribute")
    if not bracket:
        if name not in ("parameter", "alias") and not name.startswith("validate"):
            into.type = text
        return
    body = arguments.rstrip().removesuffix(")")
    parts = [part.strip() for part in pieces(body, ",")]
    if name == "parameter":
        _parameter_attribute(parts, into)
    elif name == "validateset":
        into.choices = tuple(_literals(parts, named=False))
    elif name == "validaterange":
        bounds = [value for value in _literals(parts) if isinstance(value, int | float)]
        if len(bounds) == 2:
            into.min, into.max = bounds
    elif name == "validatepattern" and parts:
        into.pattern = _pattern(parts[0])
    elif not name.startswith(("validate", "allow", "alias", "supports", "credential")):
        into.type = text if "[" in text else into.type


def _literals(parts: list[str], *, named: bool = True) -> Iterator[Json]:
    for part in parts:
        if not named and re.match(r"\w+\s*=", part):
            continue
        known, value = literal(part)
        if known:
            yield value


def _parameter_attribute(parts: list[str], into: _Attributes) -> None:
    mandatory = False
    for part in parts:
        key, equals, value = part.partition("=")
        known, said = literal(value) if equals else (True, True)
        match key.strip().lower():
            case "mandatory":
                mandatory = known and (said is True or said == 1)
            case "position" if isinstance(said, int) and not isinstance(said, bool):
                into.position = said if said >= 0 else None
            case "helpmessage" if isinstance(said, str):
                into.help = said
    into.mandatory.append(mandatory)


def _pattern(text: str) -> str:
    """A ``ValidatePattern`` as a whole-value RE2 pattern; nothing where they would disagree.

    PowerShell's matches anywhere, without case; its character classes are wider than RE2's.
    """
    known, value = literal(text)
    if not known or not isinstance(value, str) or not _SHARED.fullmatch(value):
        return ""
    try:
        re.compile(value)
    except (re.error, OverflowError):
        return ""
    return f"(?is).*?(?:{value}).*"
