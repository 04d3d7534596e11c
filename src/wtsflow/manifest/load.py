"""Text to a checked workflow."""

from collections.abc import Iterable, Iterator

from wtsflow.errors import Diagnostic, LockedElse, ManifestError, Severity
from wtsflow.manifest.build import Builder
from wtsflow.manifest.check import Check
from wtsflow.manifest.scripts import Lookup, Scripts
from wtsflow.model.workflow import Workflow
from wtsflow.source import check, scan

MISMATCH = "wts402"
"""The rule of a script that is not what was locked."""


def load(
    text: str | bytes, source: str, *, scripts: Lookup | None = None, strict: bool = False
) -> Workflow:
    """Read a manifest. Raises ManifestError with every finding (with ``strict``: warnings too).

    It is LockedElse where nothing is wrong but scripts that are not what was locked.
    """
    workflow, findings = read(text, source, scripts=scripts)
    bad = tuple(each for each in findings if strict or each.severity is Severity.ERROR)
    if bad or workflow is None:
        raise LockedElse(bad) if {each.rule for each in bad} == {MISMATCH} else ManifestError(bad)
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
    shape = (*findings, *check(document, "wtsflow-1"))
    builder = Builder(document)
    workflow = builder.workflow()
    known = None
    if scripts is not None:
        known = Scripts(document)
        known.look_up(workflow, scripts)
    meaning = (*builder.findings, *Check(builder, workflow, known).all())
    ordered = _by_place((*shape, *_told_once(shape, meaning)))
    valid = not any(each.severity is Severity.ERROR for each in ordered)
    return (workflow if valid else None), ordered


def _by_place(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda each: (each.location.line, each.location.column)))


def _told_once(
    shape: tuple[Diagnostic, ...], meaning: Iterable[Diagnostic]
) -> Iterator[Diagnostic]:
    """Nothing is said about what a finding about the shape covers already."""
    spans = [
        ((at.line, at.column), (at.end_line, at.end_column))
        for at in (each.location for each in shape)
    ]
    for each in meaning:
        place = (each.location.line, each.location.column)
        if not any(start <= place < end or start == place for start, end in spans):
            yield each
