"""Text to a checked workflow."""

from collections.abc import Callable

from wtsflow.errors import Diagnostic, ManifestError, Severity
from wtsflow.manifest.build import Builder
from wtsflow.model.script import PinnedScript
from wtsflow.model.workflow import Workflow
from wtsflow.source import check, scan

Lookup = Callable[[str], PinnedScript]


def load(
    text: str | bytes, source: str, *, scripts: Lookup | None = None, strict: bool = False
) -> Workflow:
    """Read a manifest. Raises ManifestError with every finding (with ``strict``: warnings too)."""
    workflow, findings = read(text, source, scripts=scripts)
    bad = tuple(each for each in findings if strict or each.severity is Severity.ERROR)
    if bad or workflow is None:
        raise ManifestError(bad)
    return workflow


def read(
    text: str | bytes, source: str, *, scripts: Lookup | None = None
) -> tuple[Workflow | None, tuple[Diagnostic, ...]]:
    """Read a manifest: the workflow, or None where there are errors, and every finding by place.

    ``scripts`` looks a pin up; without it (offline) nothing is said about scripts and their
    parameters, and outputs have no types.
    """
    document, findings = scan(text, source)
    if document.spot is None:
        return None, findings
    builder = Builder(document)
    findings = (*findings, *check(document, "wtsflow-1"))
    workflow = builder.workflow()
    findings = (*findings, *builder.findings)
    ordered = tuple(sorted(findings, key=lambda each: (each.location.line, each.location.column)))
    valid = not any(each.severity is Severity.ERROR for each in ordered)
    return (workflow if valid else None), ordered
