"""Read inventories of every kind, and merge them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from wtsflow.errors import ConfigError, Diagnostic, Location, ManifestError, Severity
from wtsflow.inventory import ansible_folder, ansible_ini, own, program
from wtsflow.inventory.ansible_tree import Path, Tree
from wtsflow.inventory.graph import Facts, Graph
from wtsflow.inventory.listing import Listing
from wtsflow.model.values import Json
from wtsflow.source import load as load_yaml
from wtsflow.source.foreign import refuse_foreign

Reading = tuple[Graph, tuple[Diagnostic, ...]]

OWN_KEYS = frozenset({"wtsflow", "defaults", "hosts", "groups"})
_GROUP_KEYS = frozenset({"hosts", "vars", "children"})
_YAML_LINE = re.compile(r"---|[{]|[\w.\"'-]+:(\s|$)")
_SKIPPED = re.compile(r"\.(bak|orig|retry|pyc|pyo|swp|cfg|md|txt|rpm|deb)$|~$")
_FOLDERS = ("group_vars", "host_vars")


def load(
    paths: Sequence[File],
    defaults: Facts | None = None,
    renamed: Callable[[Mapping[str, Json]], dict[str, Json]] | None = None,
) -> Listing:
    """The machines of all these files together; where two say something, the later one wins.

    A folder stands for the files in it, in the order of their names. ``defaults`` lie below all
    that the files say; ``renamed`` is asked about the settings of every host and group. Raises
    ManifestError with every finding of every file, ConfigError for what cannot be read at all.
    """
    graph = Graph(defaults=defaults or Facts())
    findings: list[Diagnostic] = []
    files = tuple(file for path in paths for file in _files(path))
    for file in files:
        found, said = read(file)
        findings.extend(said)
        graph.merge(found)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise ManifestError(tuple(findings))
    if chain := graph.cycle():
        raise ConfigError(f"a group is inside itself: {' > '.join(chain)}", cure="remove one")
    if renamed:
        graph.rename(renamed)
    return Listing(graph, tuple(findings), tuple(str(file) for file in files))


def _files(path: File) -> Iterator[File]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or _SKIPPED.search(file.name) or file.name in _FOLDERS:
            continue
        yield from _files(file)


def read(path: File) -> Reading:
    """One file or program, in the format that it has."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the inventory {path} cannot be read: {error.strerror}",
            cure="mend 'inventory:' in wtsflow.yaml or --inventory, or create the file",
        ) from None
    if program.is_program(path, data):
        refuse_foreign(path)
        return _program(path)
    if data.startswith(b"#!") and not path.suffix:
        raise ConfigError(f"{path} is a program, but may not be run", cure=f"chmod +x {path}")
    if path.suffix in (".yaml", ".yml", ".json") or _looks_like_yaml(data):
        return _yaml(data, path)
    reader, findings = ansible_ini.read(_text(data, path), str(path))
    return _with_folders(reader, findings, path)


def _text(data: bytes, path: File) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"the inventory {path} is not UTF-8", cure="save it as UTF-8") from None


def _looks_like_yaml(data: bytes) -> bool:
    for line in data.decode(errors="replace").splitlines():
        text = line.strip()
        if text and text[0] not in "#;":
            return _YAML_LINE.match(text) is not None
    return False


def _yaml(data: bytes, path: File) -> Reading:
    try:
        document = load_yaml(data, str(path))
    except ManifestError as error:
        return Graph(), error.diagnostics
    if not _is_ansible(document.data):
        return own.read(document)
    tree = Tree(document.diagnostic)
    if _is_listing(document.data):
        tree.listing(document.data)
    else:
        tree.yaml(document.data)
    return _with_folders(tree, tuple(tree.findings), path)


def _is_ansible(data: Any) -> bool:
    """Whether the top level is groups: ours has few keys, and Ansible's values have few."""
    if not isinstance(data, Mapping) or (OWN_KEYS & data.keys() and "all" not in data):
        return False
    return bool({"all", "ungrouped", "_meta"} & data.keys()) or any(
        isinstance(said, Mapping) and _GROUP_KEYS & said.keys() for said in data.values()
    )


def _is_listing(data: Mapping[str, Any]) -> bool:
    return "_meta" in data or any(
        isinstance(said.get("hosts") if isinstance(said, Mapping) else said, list)
        for said in data.values()
    )


def _program(path: File) -> Reading:
    tree = Tree(_Printed(f"{path} --list"))
    tree.listing(program.listing(path))
    return _with_folders(tree, tuple(tree.findings), path)


@dataclass(frozen=True, slots=True)
class _Printed:
    """Findings about what a program printed: their place is a path in the data."""

    name: str

    def __call__(
        self,
        rule: str,
        message: str,
        path: Path = (),
        *,
        key: bool = False,  # noqa: ARG002 - keys and values have the same path
        cure: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Diagnostic:
        where = f"{'.'.join(str(part) for part in path)}: " if path else ""
        return Diagnostic(rule, where + message, Location(self.name, 1, 1), cure, severity)


def _with_folders(tree: Tree, findings: tuple[Diagnostic, ...], path: File) -> Reading:
    more = ansible_folder.read(tree.graph, path.parent)
    return tree.graph, (*findings, *more)
