"""Parameters of a Python script: its ``argparse`` calls, read from the syntax tree.

Nothing is imported or executed. Where a name, an action or a parser is not written out, the list
is unknown rather than incomplete.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from wtsflow.model.script import Interface, Parameter
from wtsflow.model.values import Json
from wtsflow.model.workflow import Type

MAX_BYTES = 1 << 20
_SWITCHES = {"store_true", "store_false", "store_const", "append_const", "count"}
_ENDS = {"help", "version"}
_MANY = {"+", "*", "..."}
_TYPES = {
    **dict.fromkeys(("str", "Path", "pathlib.Path", "argparse.FileType"), Type.STRING),
    **dict.fromkeys(("int", "float"), Type.NUMBER),
}
_ARGUMENTS = {"argv", "getopt", "optparse", "fileinput", "orig_argv"}


class _Unknown(Exception):
    """Something of the command line is not written out."""


def read(text: str) -> Interface:
    """The interface of a script; ``parameters`` is None where it cannot be known."""
    try:
        tree = ast.parse(text) if len(text) <= MAX_BYTES else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        return Interface()
    title = (ast.get_docstring(tree) or "").strip().split("\n")[0]
    try:
        parameters, said = _Reader(tree).parameters()
    except (_Unknown, RecursionError):
        return Interface(title=title)
    return Interface(title=title, help=said, parameters=parameters, source="argparse")


class _Reader:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self.defined = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }

    def parameters(self) -> tuple[dict[str, Parameter], str]:
        parsers = [call for call in self.calls if _name(call.func).endswith("ArgumentParser")]
        if not parsers:
            return self._none(), ""
        self._check(parsers)
        found: dict[str, Parameter] = {}
        position = 0
        for call, sure in _in_order(self.tree):
            if _last(call.func) != "add_argument":
                continue
            parameter = _argument(call, position)
            if parameter is None:
                continue
            position += parameter.position is not None
            excluding = self._excluding(call)
            if parameter.required and not (sure and not excluding):
                parameter = replace(parameter, required=None)
            found[parameter.name] = parameter
        return found, str(_keyword(parsers[0], "description", "") or "")

    def _none(self) -> dict[str, Parameter]:
        """A script that reads no arguments has none; raises _Unknown where that is not sure."""
        modules = {name.split(".")[0] for name in _imports(self.tree)}
        names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(self.tree)}
        if modules - sys.stdlib_module_names or (names | modules) & _ARGUMENTS:
            raise _Unknown
        return {}

    def _check(self, parsers: list[ast.Call]) -> None:
        """Refuse what adds arguments that are not written in this file."""
        names = {_last(call.func) for call in self.calls}
        if len(parsers) > 1 or "add_subparsers" in names:
            raise _Unknown
        if any(word.arg in ("parents", "prefix_chars", None) for word in parsers[0].keywords):
            raise _Unknown
        variables = {
            _name(target)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign) and node.value is parsers[0]
            for target in node.targets
        }
        for call in self.calls:
            given = {_name(argument) for argument in call.args}
            if variables & given and _last(call.func) not in self.defined:
                raise _Unknown

    def _excluding(self, call: ast.Call) -> bool:
        """Whether an argument is added to a group of which only one may be given."""
        receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
        groups = {
            _name(target)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            if _last(node.value.func) == "add_mutually_exclusive_group"
            for target in node.targets
        }
        return receiver is not None and _name(receiver) in groups


def _in_order(node: ast.AST, sure: bool = True) -> Iterator[tuple[ast.Call, bool]]:
    """Calls in the order of writing, and whether they are made in any case."""
    for child in ast.iter_child_nodes(node):
        certain = sure and not isinstance(child, ast.For | ast.While | ast.Try)
        if isinstance(child, ast.If) and "__name__" not in ast.dump(child.test):
            certain = False
        if isinstance(child, ast.Call):
            yield from _in_order(child, certain)
            yield child, certain
        else:
            yield from _in_order(child, certain)


def _argument(call: ast.Call, position: int) -> Parameter | None:
    names = [_literal(argument) for argument in call.args]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise _Unknown
    if any(word.arg is None for word in call.keywords):
        raise _Unknown
    action = _action(call)
    if action in _ENDS:
        return None
    flags = [str(name) for name in names if str(name).startswith("-")]
    flag = next((name for name in flags if name.startswith("--")), flags[0] if flags else "")
    switch = action in _SWITCHES or action == "BooleanOptionalAction"
    name = str(names[0]) if not flags else flag.lstrip("-").replace("-", "_")
    dest = _keyword(call, "dest", None)
    if isinstance(dest, str) and action != "store_false":
        name = dest
    default = _default(call)
    return Parameter(
        name,
        type=Type.BOOLEAN if switch else _type(call, action),
        required=_required(call, flags=bool(flags)),
        default=default[1] if default else None,
        has_default=default is not None,
        choices=_choices(call),
        help=_help(call, default),
        flag=flag,
        position=None if flags else position,
        switch=switch,
    )


def _action(call: ast.Call) -> str:
    node = _value(call, "action")
    if node is None:
        return "store"
    said = _literal(node)
    return said if isinstance(said, str) else _last(node) or "?"


def _type(call: ast.Call, action: str) -> Type:
    nargs = _keyword(call, "nargs", None)
    if nargs in _MANY or isinstance(nargs, int):
        return Type.LIST
    if action not in ("store", "append", "extend"):
        return Type.ANY
    node = _value(call, "type")
    if node is None:
        choices = _choices(call)
        return Type.STRING if all(isinstance(one, str) for one in choices) else Type.ANY
    return _TYPES.get(_name(node.func if isinstance(node, ast.Call) else node), Type.ANY)


def _required(call: ast.Call, *, flags: bool) -> bool | None:
    if not flags:
        return _keyword(call, "nargs", None) not in ("?", "*", "...")
    node = _value(call, "required")
    if node is None:
        return False
    said = _literal(node)
    return said if isinstance(said, bool) else None


def _default(call: ast.Call) -> tuple[bool, Json] | None:
    """None: no default; else whether its value is known, and the value."""
    node = _value(call, "default")
    if node is None or _last(node) == "SUPPRESS":
        return None
    said = _literal(node)
    if said is None:
        return None if isinstance(node, ast.Constant) else (False, None)
    return True, list(said) if isinstance(said, tuple | set) else said


def _choices(call: ast.Call) -> tuple[Json, ...]:
    node = _value(call, "choices")
    if node is None:
        return ()
    if isinstance(node, ast.Call) and _name(node.func) == "range":
        bounds = [_literal(argument) for argument in node.args]
        if all(isinstance(bound, int) for bound in bounds) and bounds:
            return tuple(range(*bounds))[:1000]
    said = _literal(node)
    return tuple(said) if isinstance(said, list | tuple | set | str) else ()


def _help(call: ast.Call, default: tuple[bool, Json] | None) -> str:
    said = _keyword(call, "help", "")
    if not isinstance(said, str):
        return ""
    value = str(default[1]) if default and default[0] else "…"
    return " ".join(said.replace("%(default)s", value).replace("%%", "%").split())


# --- nodes ----------------------------------------------------------------------------------


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "?"


def _name(node: ast.AST) -> str:
    """``a.b.c`` of names and attributes; nothing for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return ""


def _last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _value(call: ast.Call, key: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == key), None)


def _keyword(call: ast.Call, key: str, otherwise: Any) -> Any:
    node = _value(call, key)
    return otherwise if node is None else _literal(node)


def _literal(node: ast.expr) -> Any:
    """The value of a literal; None for anything else."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
