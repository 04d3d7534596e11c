"""``group_vars/`` and ``host_vars/`` beside an Ansible inventory."""

from collections.abc import Iterator
from pathlib import Path

from wtsflow.errors import Diagnostic, Location, ManifestError, Severity
from wtsflow.inventory.ansible_tree import Tree
from wtsflow.inventory.graph import Facts, Graph
from wtsflow.source import load as load_yaml

_SUFFIXES = ("", ".yml", ".yaml", ".json")
VAULT = b"$ANSIBLE_VAULT;"


def read(graph: Graph, folder: Path) -> tuple[Diagnostic, ...]:
    """Add what the folders say of the groups and hosts that the graph has."""
    findings: list[Diagnostic] = []
    said: dict[str, Facts] = {"all": graph.defaults}
    said.update((name, group.facts) for name, group in graph.groups.items())
    for name, facts in said.items():
        for file in _files(folder / "group_vars" / name):
            facts.override(_facts(file, findings))
    for name, facts in graph.hosts.items():
        for file in _files(folder / "host_vars" / name):
            facts.override(_facts(file, findings))
    return tuple(findings)


def _files(path: Path) -> Iterator[Path]:
    """The files that hold the variables of a name: ``web``, ``web.yml``, or a folder ``web/``."""
    for suffix in _SUFFIXES:
        file = path.with_name(path.name + suffix)
        if file.is_file():
            yield file
        elif file.is_dir() and not suffix:
            yield from sorted(f for f in file.rglob("*") if f.is_file() and f.suffix in _SUFFIXES)


def _facts(file: Path, findings: list[Diagnostic]) -> Facts:
    try:
        data = file.read_bytes()
    except OSError as error:
        findings.append(_finding(file, f"cannot be read: {error.strerror}"))
        return Facts()
    if data.startswith(VAULT):
        findings.append(_finding(file, "is encrypted by ansible-vault: it is not used"))
        return Facts()
    if not data.replace(b"---", b"").strip():
        return Facts()
    try:
        document = load_yaml(data, str(file))
    except ManifestError as error:
        findings.extend(error.diagnostics)
        return Facts()
    tree = Tree(document.diagnostic)
    facts = tree.facts(document.data, ())
    findings.extend(tree.findings)
    return facts


def _finding(file: Path, message: str) -> Diagnostic:
    return Diagnostic(
        "wts607",
        f"{file.name} {message}",
        Location(str(file), 1, 1),
        "keep secrets in the keyring",
        Severity.WARNING,
    )
