"""Read inventories of every kind, and merge them."""

from collections.abc import Sequence
from pathlib import Path

from wtsflow.errors import ConfigError, Diagnostic, ManifestError, Severity
from wtsflow.inventory import own
from wtsflow.inventory.graph import Graph
from wtsflow.inventory.listing import Listing
from wtsflow.source import load as load_yaml

Reading = tuple[Graph, tuple[Diagnostic, ...]]


def load(paths: Sequence[Path]) -> Listing:
    """The machines of all these files together; where two say something, the later one wins.

    Raises ManifestError with every finding of every file, ConfigError for a file that cannot be
    read at all.
    """
    graph = Graph()
    findings: list[Diagnostic] = []
    for path in paths:
        found, said = _read(path)
        findings.extend(said)
        graph.merge(found)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise ManifestError(tuple(findings))
    if chain := graph.cycle():
        raise ConfigError(f"a group is inside itself: {' > '.join(chain)}", cure="remove one")
    return Listing(graph, tuple(findings), tuple(str(path) for path in paths))


def _read(path: Path) -> Reading:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the inventory {path} cannot be read: {error.strerror}",
            cure="mend 'inventory:' in wtsflow.yaml, or create the file",
        ) from None
    try:
        return own.read(load_yaml(data, str(path)))
    except ManifestError as error:
        return Graph(), error.diagnostics
