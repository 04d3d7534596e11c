"""How values reach a script: named flags, environment or JSON, never by text substitution.

Rule: a secret travels on standard input only, whatever the sidecar says of the rest.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wtsflow.errors import PlanError
from wtsflow.model.expression import as_text
from wtsflow.model.script import Interface, Language, Parameter, Passing, PinnedScript
from wtsflow.model.values import Json, Secret, holds_secret

PREFIX = "WTS_PARAM_"
_SHEBANG = re.compile(rb"#![ \t]*([!-~]+)(?:[ \t]+([ -~]+?))?[ \t]*\r?\n")
_COMMANDS: Mapping[Language, tuple[str, ...]] = {
    Language.SHELL: ("/bin/sh",),
    Language.PYTHON: ("python3",),
    Language.POWERSHELL: ("pwsh", "-NoProfile", "-NonInteractive", "-File"),
}


@dataclass(slots=True)
class Passed:
    """What a script is given: its arguments, its environment and its standard input."""

    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    stdin: bytes = b""


def interpreter(script: PinnedScript, content: bytes) -> tuple[str, ...]:
    """What runs the script: its sidecar's word, its ``#!`` line, or its language's default."""
    if script.interface.interpreter:
        return tuple(script.interface.interpreter.split())
    if found := _SHEBANG.match(content):
        option = found.group(2)
        return (found.group(1).decode(), *((option.decode(),) if option else ()))
    return _COMMANDS.get(script.language, ())


def passed(script: PinnedScript, values: Mapping[str, Json]) -> Passed:
    """Lay out ``values`` for ``script``. Raises PlanError for a value that cannot be passed."""
    interface = script.interface
    way = interface.passing or Passing.FLAGS
    secret = {name for name, value in values.items() if holds_secret(value)}
    secret |= {p.name for p in (interface.parameters or {}).values() if p.secret} & values.keys()
    plain = {name: value for name, value in values.items() if name not in secret}
    on_stdin = dict(values) if way is Passing.JSON else {name: values[name] for name in secret}
    found = Passed()
    if on_stdin:
        found.stdin = json.dumps(_revealed(on_stdin), ensure_ascii=False).encode() + b"\n"
    if way is Passing.ENV:
        found.environment = {PREFIX + _variable(name): _word(v) for name, v in plain.items()}
    elif way is Passing.FLAGS:
        found.arguments = _flags(script.language, interface, plain)
    return found


def _revealed(value: Json) -> Json:
    match value:
        case Secret():
            return value.reveal()
        case Mapping():
            return {key: _revealed(item) for key, item in value.items()}
        case list() | tuple():
            return [_revealed(item) for item in value]
        case _:
            return value


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _word(value: Json) -> str:
    text = as_text(value)
    if "\0" in text:
        raise PlanError("a NUL character cannot be passed to a script in arguments or environment")
    return text


def _flags(language: Language, interface: Interface, values: Mapping[str, Json]) -> list[str]:
    known = interface.parameters or {}
    words: list[str] = []
    placed: list[tuple[int, list[str]]] = []
    for name, value in values.items():
        parameter = known.get(name) or Parameter(name)
        if parameter.position is not None and not parameter.flag:
            placed.append((parameter.position, _words(value)))
        elif value is not None:
            words += _flag(language, parameter, value)
    placed.sort()
    return words + [word for _, group in placed for word in group]


def _words(value: Json) -> list[str]:
    if isinstance(value, list | tuple):
        return [_word(item) for item in value]
    return [_word(value)]


def _flag(language: Language, parameter: Parameter, value: Json) -> list[str]:
    power = language is Language.POWERSHELL
    flag = parameter.flag or (
        f"-{parameter.name}" if power else "--" + parameter.name.replace("_", "-")
    )
    if parameter.switch:
        return [flag] if value is True else []
    if power and isinstance(value, bool):
        return [f"{flag}:${_word(value)}"]
    if isinstance(value, list | tuple):
        listed = _words(value)
        return [flag, *listed] if language is Language.PYTHON else [flag, ",".join(listed)]
    word = _word(value)
    if word.startswith("-") and flag.startswith("--"):
        return [f"{flag}={word}"]
    return [flag, word]
