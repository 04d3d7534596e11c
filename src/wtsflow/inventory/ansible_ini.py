"""Ansible's INI inventories: host lines, ``[group]``, ``[group:vars]``, ``[group:children]``."""

import ast
import re
import shlex

from wtsflow.errors import Diagnostic, Location, Severity
from wtsflow.inventory.ansible_tree import Path, Tree
from wtsflow.model.text import did_you_mean, shown
from wtsflow.model.values import Json

SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$", re.ASCII)
_PORT = re.compile(r"(?P<host>.+):(?P<port>[0-9]{1,5})$")
_MAX_LITERAL = 10_000


def read(text: str, name: str) -> tuple["Ini", tuple[Diagnostic, ...]]:
    """The graph of an INI inventory (``Ini.graph``) and what is wrong with it, by line."""
    reader = Ini(text, name)
    reader.read()
    return reader, tuple(reader.findings)


class Ini(Tree):
    """Reads line by line; a path is here a line number and an offset's text."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(self._finding)
        self.name = name
        self.lines = text.removeprefix("\ufeff").splitlines()
        self.number = 0
        self.mentioned: dict[str, int] = {}
        """Groups that something was said of, with the line, which must be declared in the end."""
        self.declared = {"all", "ungrouped"}

    def _finding(
        self,
        rule: str,
        message: str,
        path: Path = (),
        *,
        key: bool = False,  # noqa: ARG002 - here every path is a text in the line
        cure: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Diagnostic:
        """``path`` ends with the text in the present line that is meant."""
        line = self.lines[self.number - 1] if self.number else ""
        word = str(path[-1]) if path else line.strip()
        column = max(0, line.find(word))
        place = Location(
            self.name, max(1, self.number), column + 1, max(1, self.number), column + 1 + len(word)
        )
        return Diagnostic(rule, message, place, cure, severity, line)

    def read(self) -> None:
        """Read all lines, then look whether every group that was named exists."""
        group, kind = "ungrouped", "hosts"
        for number, line in enumerate(self.lines, 1):
            self.number, text = number, line.strip()
            if not text or text[0] in "#;":
                continue
            if text.startswith("["):
                group, kind = self._section(text)
                continue
            self._line(kind, group, text)
        for name, number in self.mentioned.items():
            if name not in self.declared:
                self.number = number
                cure = did_you_mean(name, self.declared) or f"add a section [{name}]"
                self.report("wts602", f"there is no group '{shown(name)}'", (name,), cure)
        if self.graph.groups.get("ungrouped"):
            self._leave_ungrouped()

    def _line(self, kind: str, group: str, text: str) -> None:
        """Read a line of a section; lines below one that is already reported are left out."""
        match kind:
            case "hosts":
                self._hosts(group, text)
            case "vars":
                self._vars(group, text)
            case "children":
                self._children(group, text)

    def _section(self, text: str) -> tuple[str, str]:
        found = SECTION.match(text)
        if not found:
            self.report("wts607", "this is not a section", (text,), "write [group]")
            return "", ""
        group, kind = found.group(1), found.group(2) or "hosts"
        if kind not in ("hosts", "vars", "children"):
            self.report("wts607", f"there is no section kind ':{shown(kind)}'", (text,),
                        "':vars' and ':children' are")  # fmt: skip
            return "", ""
        if kind == "vars":
            self.mentioned.setdefault(group, self.number)
        else:
            self.declared.add(group)
            self._group(group, {}, (group,), None)
        return group, kind

    def _hosts(self, group: str, text: str) -> None:
        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            self.report("wts607", "a quote is not closed in this line", (text,))
            return
        if not words:
            return
        variables: dict[str, Json] = {}
        written = words[0]
        if port := _PORT.match(written):
            written, variables["ansible_port"] = port["host"], int(port["port"])
        for word in words[1:]:
            key, sign, value = word.partition("=")
            if not sign:
                self.report("wts607", f"'{shown(word)}' is not 'name=value'", (word,),
                            "put quotes around a value with spaces")  # fmt: skip
                continue
            variables[key] = literal(value)
        found = self.facts(variables, ())
        for host in self.names(written, (written,)):
            self.graph.host(host).override(found)
            self._member(group, host)

    def _vars(self, group: str, text: str) -> None:
        key, sign, value = text.partition("=")
        if not sign:
            self.report("wts607", f"'{shown(text)}' is not 'name=value'", (text,))
            return
        said = self.facts({key.strip(): literal(value.strip())}, ())
        self._say(group, said)

    def _children(self, group: str, text: str) -> None:
        name = text.partition("#")[0].strip()
        self.mentioned.setdefault(name, self.number)
        if group != "all":
            self.graph.group(group).groups[name] = None


def literal(text: str) -> Json:
    """A value as Ansible reads it: a Python literal, or else the text as it stands."""
    if len(text) > _MAX_LITERAL:
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return _plain(value, text)


def _plain(value: object, text: str) -> Json:
    """The value where it is JSON data; tuples are lists; anything else stays text."""
    if isinstance(value, tuple | list):
        return [_plain(item, str(item)) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, str(item)) for key, item in value.items()}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and abs(value) < 1 << 53:
        return value
    return text
