"""wtsflow's own inventory format: YAML with ``defaults``, ``hosts`` and ``groups``."""

from collections.abc import Iterator, Mapping
from typing import Any

from wtsflow.errors import Diagnostic
from wtsflow.inventory.graph import Facts, Graph, Group
from wtsflow.inventory.names import GROUP, is_address, is_name
from wtsflow.inventory.secrets import RULE, hidden, is_secret_key
from wtsflow.model.pattern import PatternError, expand
from wtsflow.model.plan import LOCAL
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.source import Document, check

_TRANSPORTS = ("ssh", "psrp", "local")
_RESERVED = ("all", LOCAL.name)
_LETTERS = "letters, digits, '.', '_' and '-', a letter or digit first"

Path = tuple[str | int, ...]


def read(document: Document) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """The graph of an inventory, and everything that is wrong with it, by place."""
    findings = list(check(document, "inventory-1"))
    if findings:
        return Graph(), tuple(findings)
    reader = _Reader(document)
    reader.read()
    return reader.graph, tuple(sorted(reader.findings, key=_place))


def _place(finding: Diagnostic) -> tuple[int, int]:
    return finding.location.line, finding.location.column


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.graph = Graph()
        self.findings: list[Diagnostic] = []

    def report(
        self, rule: str, message: str, path: Path, *, key: bool = False, cure: str = ""
    ) -> None:
        finding = self.document.diagnostic(rule, message, path, key=key, cure=cure)
        self.findings.append(hidden(finding))

    def read(self) -> None:
        data: Mapping[str, Any] = self.document.data
        self.graph.defaults = self.facts(data.get("defaults"), ("defaults",))
        for written, said in data.get("hosts", {}).items():
            path: Path = ("hosts", written)
            for name in self.names(written, path, key=True):
                self.graph.host(name).override(self.facts(said, path))
        groups: Mapping[str, Any] = data.get("groups", {})
        for name, said in groups.items():
            self.group(name, said or {}, groups)
        self.refuse_cycle()

    def group(self, name: str, said: Mapping[str, Any], groups: Mapping[str, Any]) -> None:
        path: Path = ("groups", name)
        if not GROUP.fullmatch(name) or name in _RESERVED:
            taken = "is taken" if name in _RESERVED else "cannot be a group"
            self.report("wts601", f"'{shown(name)}' {taken}", path, key=True, cure=_LETTERS)
            return
        if name in self.graph.hosts:
            self.report(
                "wts605",
                f"'{name}' is a host and a group",
                path,
                key=True,
                cure="rename one of them",
            )
        group = Group(self.facts(said, path))
        self.graph.groups[name] = group
        for index, written in enumerate(said.get("hosts", ())):
            for host in self.names(written, (*path, "hosts", index)):
                group.hosts[host] = None
                self.graph.host(host)
        for index, inner in enumerate(said.get("groups", ())):
            if inner in groups:
                group.groups[inner] = None
                continue
            cure = did_you_mean(inner, groups) or f"the groups are {listed(groups)}"
            place = (*path, "groups", index)
            self.report("wts602", f"there is no group '{shown(inner)}'", place, cure=cure)

    def names(self, written: str, path: Path, *, key: bool = False) -> Iterator[str]:
        """The hosts that a text stands for; what cannot be a host is reported and left out."""
        try:
            names = tuple(expand(written))
        except PatternError as error:
            self.report("wts604", error.message, path, key=key)
            return
        for name in names:
            if not is_name(name):
                self.report(
                    "wts601", f"'{shown(name)}' cannot be a host", path, key=key, cure=_LETTERS
                )
                return
            if name in _RESERVED:
                self.report(
                    "wts601", f"'{name}' is taken", path, key=key, cure="choose another name"
                )
                return
            yield name

    def facts(self, said: Mapping[str, Any] | None, path: Path) -> Facts:
        said = said or {}
        address = said.get("host", "")
        if address and not is_address(address):
            self.report(
                "wts601",
                f"'{shown(address)}' cannot be an address",
                (*path, "host"),
                cure="a host name, an IPv4 or an IPv6 address",
            )
        self.refuse_secrets(said.get("vars"), (*path, "vars"))
        return Facts(
            host=address,
            port=said.get("port"),
            user=said.get("user", ""),
            transport=said.get("transport", ""),
            os=said.get("os", ""),
            run_as=said.get("run_as", ""),
            become=True if "run_as" in said else None,
            variables=dict(said.get("vars") or {}),
            settings={name: dict(said[name]) for name in _TRANSPORTS if said.get(name)},
        )

    def refuse_secrets(self, said: Mapping[str, Any] | None, path: Path) -> None:
        """What is read here is recorded with every run: a password must not be among it."""
        for name in said or {}:
            if is_secret_key(name):
                self.report(
                    RULE,
                    f"'{shown(name)}' would be a secret in a plain file",
                    (*path, name),
                    key=True,
                    cure="keep it in the keyring, and remove it here",
                )

    def refuse_cycle(self) -> None:
        chain = self.graph.cycle()
        if not chain:
            return
        inner: Path = ("groups", chain[-2], "groups")
        index = self.document.data["groups"][chain[-2]]["groups"].index(chain[-1])
        self.report(
            "wts603", f"a group is inside itself: {' > '.join(chain)}", (*inner, index),
            cure="remove one of these",
        )  # fmt: skip
