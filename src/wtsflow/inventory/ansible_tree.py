"""Ansible's inventories as trees: its YAML form, and the JSON that ``--list`` prints."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from wtsflow.errors import Diagnostic, Severity
from wtsflow.inventory.ansible import facts
from wtsflow.inventory.graph import Facts, Graph
from wtsflow.inventory.names import GROUP, is_name
from wtsflow.inventory.secrets import hidden
from wtsflow.model.pattern import PatternError, expand
from wtsflow.model.plan import LOCAL
from wtsflow.model.text import shown

Path = tuple[str | int, ...]
_PARTS = ("hosts", "vars", "children")


class Place(Protocol):
    """Makes a finding about the value (or the key) at a path: ``Document.diagnostic``."""

    def __call__(
        self,
        rule: str,
        message: str,
        path: Path = ...,
        *,
        key: bool = ...,
        cure: str = ...,
        severity: Severity = ...,
    ) -> Diagnostic: ...


class Tree:
    """Fills a graph from nested maps."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.graph = Graph()
        self.findings: list[Diagnostic] = []

    def report(
        self,
        rule: str,
        message: str,
        path: Path,
        cure: str = "",
        severity: Severity = Severity.ERROR,
        *,
        key: bool = True,
    ) -> None:
        finding = self.place(rule, message, path, key=key, cure=cure, severity=severity)
        self.findings.append(hidden(finding))

    def facts(self, said: Any, path: Path) -> Facts:
        """Variables that stand at ``path``."""
        if said is None:
            return Facts()
        if not isinstance(said, Mapping):
            self.report("wts607", "variables must be a map", path, "write 'name: value' lines")
            return Facts()

        def report(
            rule: str, message: str, key: str, cure: str, severity: Severity = Severity.ERROR
        ) -> None:
            self.report(rule, message, (*path, key), cure, severity)

        return facts(said, report)

    def names(self, written: str, path: Path) -> Iterator[str]:
        """The hosts that a name with ranges stands for."""
        try:
            names = tuple(expand(written))
        except PatternError as error:
            self.report("wts604", error.message, path)
            return
        for name in names:
            if not is_name(name) or name == LOCAL.name:
                self.report("wts601", f"'{shown(name)}' cannot be a host", path)
                return
            yield name

    def yaml(self, data: Any) -> None:
        """``group: {hosts: …, vars: …, children: …}``, nested."""
        self._groups(data, (), None)
        self._leave_ungrouped()

    def _groups(self, said: Any, path: Path, above: str | None) -> None:
        if isinstance(said, str):
            said = {said: None}
        if not isinstance(said, Mapping):
            self.report("wts607", "groups must be a map", path)
            return
        for name, inside in said.items():
            self._group(name, inside or {}, (*path, name), above)

    def _group(self, name: str, said: Any, path: Path, above: str | None) -> None:
        if not GROUP.fullmatch(name):
            self.report("wts601", f"'{shown(name)}' cannot be a group", path)
            return
        if not isinstance(said, Mapping):
            self.report("wts607", f"group '{name}' must be a map", path)
            return
        self._declare(name, above)
        for part in said:
            if part not in _PARTS:
                self.report("wts607", f"'{shown(part)}' means nothing in a group", (*path, part),
                            "hosts, vars and children do")  # fmt: skip
        self._say(name, self.facts(said.get("vars"), (*path, "vars")))
        self._hosts_of(name, said.get("hosts") or {}, (*path, "hosts"))
        if said.get("children"):
            self._groups(said["children"], (*path, "children"), name)

    def _hosts_of(self, group: str, said: Any, path: Path) -> None:
        said = {said: None} if isinstance(said, str) else said
        if not isinstance(said, Mapping):
            self.report("wts607", "hosts must be a map", path, "write 'name:' lines")
            return
        for written, variables in said.items():
            found = self.facts(variables, (*path, written))
            for host in self.names(written, (*path, written)):
                self.graph.host(host).override(found)
                self._member(group, host)

    def _declare(self, name: str, above: str | None) -> None:
        if name != "all":
            self.graph.group(name)
            if above not in (None, "all"):
                self.graph.group(str(above)).groups[name] = None

    def _say(self, name: str, said: Facts) -> None:
        if name == "all":
            self.graph.defaults.override(said)
            return
        group = self.graph.group(name)
        priority = said.variables.pop("ansible_group_priority", None)
        if isinstance(priority, int):
            group.priority = priority
        group.facts.override(said)

    def _member(self, group: str, host: str) -> None:
        self.graph.host(host)
        if group != "all":
            self.graph.group(group).hosts[host] = None

    def _leave_ungrouped(self) -> None:
        """A host that is in any other group is not in ``ungrouped``."""
        ungrouped = self.graph.groups.get("ungrouped")
        if ungrouped is None:
            return
        others = [group for name, group in self.graph.groups.items() if name != "ungrouped"]
        for host in list(ungrouped.hosts):
            if any(host in group.hosts for group in others):
                del ungrouped.hosts[host]

    def listing(self, data: Any) -> None:
        """What ``--list`` prints: ``{group: {hosts: [], vars: {}, children: []}, _meta: …}``."""
        if not isinstance(data, Mapping):
            self.report("wts608", "it must print one JSON object", ())
            return
        for name, said in data.items():
            if name != "_meta":
                self._listed(name, said)
        meta = data.get("_meta")
        variables = meta.get("hostvars") if isinstance(meta, Mapping) else None
        for host, said in (variables or {}).items() if isinstance(variables, Mapping) else ():
            for name in self.names(host, ("_meta", "hostvars", host)):
                found = self.facts(said, ("_meta", "hostvars", host))
                self.graph.host(name).override(found)
        self._leave_ungrouped()

    def _listed(self, name: str, said: Any) -> None:
        if not GROUP.fullmatch(name):
            self.report("wts601", f"'{shown(name)}' cannot be a group", (name,))
            return
        said = {"hosts": said} if isinstance(said, list) else said
        if not isinstance(said, Mapping):
            self.report("wts608", f"group '{name}' must be an object or a list", (name,))
            return
        self._declare(name, None)
        self._say(name, self.facts(said.get("vars"), (name, "vars")))
        for host in _texts(said.get("hosts")):
            for found in self.names(host, (name, "hosts")):
                self._member(name, found)
        for child in _texts(said.get("children")):
            if GROUP.fullmatch(child):
                self._declare(child, name)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
