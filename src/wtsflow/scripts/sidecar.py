"""Sidecars: ``<script>.yaml`` in the same commit, where an author says what the script takes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from wtsflow import source
from wtsflow.errors import Diagnostic, ManifestError
from wtsflow.model.record import Outcome
from wtsflow.model.script import Interface, Parameter, Passing
from wtsflow.model.text import listed
from wtsflow.model.workflow import Type

RESERVED = frozenset(Outcome)
"""Outcomes of the engine; a script cannot name its own so."""
NO_CHECK = "none"
"""``check: none``: it cannot be checked, whatever its text says."""
LABELS = {
    "sidecar": "from its sidecar",
    "param()": "from its param() block",
    "argparse": "from its argparse calls",
    "getopts": "from its getopts letters",
    "usage": "from its text",
}
"""Where an interface comes from, as people read it."""
_PLAIN = {
    Type.STRING: (str,),
    Type.SECRET: (str,),
    Type.NUMBER: (int, float),
    Type.BOOLEAN: (bool,),
    Type.LIST: (list,),
}


def read(text: str | bytes, name: str) -> Interface:
    """The interface that a sidecar declares. Raises ManifestError with every finding."""
    document = source.load(text, name)
    findings = source.check(document, "sidecar-1")
    findings = findings or tuple(_findings(document))
    if findings:
        raise ManifestError(findings)
    return _made(document.data)


def _made(data: Mapping[str, Any]) -> Interface:
    parameters = data.get("parameters")
    outputs = data.get("outputs")
    return Interface(
        title=data.get("title", ""),
        help=data.get("help", ""),
        os=tuple(data.get("os", ())),
        parameters=None
        if parameters is None
        else {name: _parameter(name, said) for name, said in parameters.items()},
        outputs=None if outputs is None else {name: Type(kind) for name, kind in outputs.items()},
        outcomes={int(code): name for code, name in data.get("outcomes", {}).items()},
        passing=Passing(data["input"]) if "input" in data else None,
        check=data.get("check", ""),
        run_as=data.get("run_as", ""),
        idempotent=data.get("idempotent", False),
        exclusive=data.get("exclusive", False),
        sensitive=data.get("sensitive", False),
        interpreter=data.get("interpreter", ""),
        source="sidecar",
    )


def _parameter(name: str, said: str | Mapping[str, Any]) -> Parameter:
    if isinstance(said, str):
        return Parameter(name, Type(said), required=True)
    return Parameter(
        name,
        type=Type.BOOLEAN if said.get("switch") else Type(said.get("type", "string")),
        required=not ("default" in said or said.get("optional") or said.get("switch")),
        default=said.get("default"),
        has_default="default" in said,
        choices=tuple(said.get("choices", ())),
        pattern=said.get("pattern", ""),
        min=said.get("min"),
        max=said.get("max"),
        help=said.get("help", ""),
        flag=said.get("flag", ""),
        position=said.get("position"),
        switch=said.get("switch", False),
    )


def _findings(document: source.Document) -> Iterator[Diagnostic]:
    """What the schema cannot say."""
    data = document.data
    for code, name in data.get("outcomes", {}).items():
        if name in RESERVED:
            yield document.diagnostic(
                "wts621",
                f"'{name}' is an outcome of the engine's own",
                ("outcomes", code),
                cure=f"use another name; taken are {listed(sorted(RESERVED), 12)}",
            )
    for name, said in data.get("parameters", {}).items():
        if isinstance(said, Mapping):
            yield from _parameter_findings(document, name, said)


def _parameter_findings(
    document: source.Document, name: str, said: Mapping[str, Any]
) -> Iterator[Diagnostic]:
    path = ("parameters", name)
    kind = Type(said.get("type", "boolean" if said.get("switch") else "string"))
    if said.get("switch") and kind is not Type.BOOLEAN:
        yield document.diagnostic(
            "wts622", f"a switch is true or false, not a {kind}", (*path, "type"), cure="boolean"
        )
    if "flag" in said and "position" in said:
        yield document.diagnostic(
            "wts622", "a parameter has a flag or a position", (*path, "position"), cure="keep one"
        )
    for key in ("min", "max"):
        if key in said and kind not in (Type.NUMBER, Type.ANY):
            yield document.diagnostic(
                "wts622", f"'{key}' is for numbers, not for a {kind}", (*path, key), key=True
            )
    if "default" in said and kind is Type.SECRET:
        yield document.diagnostic("wts622", "a secret has no default", (*path, "default"), key=True)
    elif "default" in said and not _is(kind, said["default"]):
        yield document.diagnostic("wts622", f"the default is not a {kind}", (*path, "default"))
    for number, choice in enumerate(said.get("choices", ())):
        if kind is not Type.LIST and not _is(kind, choice):
            yield document.diagnostic(
                "wts622", f"this choice is not a {kind}", (*path, "choices", number)
            )


def _is(kind: Type, value: Any) -> bool:
    if kind is Type.NUMBER and isinstance(value, bool):
        return False
    return kind not in _PLAIN or isinstance(value, _PLAIN[kind])


def completed(declared: Interface, found: Interface) -> Interface:
    """A sidecar's interface, with what only the script's text says filled in.

    What the sidecar declares stands. The text adds help, how it is checked, and how a parameter is
    written: its flag, its position, whether it is a switch.
    """
    title, text = declared.title or found.title, declared.help or found.help
    check = "" if declared.check == NO_CHECK else declared.check or found.check
    if declared.parameters is None:
        return replace(
            declared,
            title=title,
            help=text,
            check=check,
            parameters=found.parameters,
            source=found.source or declared.source,
        )
    known = {name.lower(): parameter for name, parameter in (found.parameters or {}).items()}
    merged = {
        name: _spelled(parameter, known.get(name.lower()))
        for name, parameter in declared.parameters.items()
    }
    return replace(declared, title=title, help=text, check=check, parameters=merged)


def _spelled(declared: Parameter, found: Parameter | None) -> Parameter:
    if found is None or declared.flag or declared.position is not None:
        return declared
    return replace(
        declared,
        flag=found.flag,
        position=found.position,
        switch=declared.switch or (found.switch and declared.type is Type.BOOLEAN),
        help=declared.help or found.help,
    )
