"""What ``wtsflow validate`` prints, for people and for other programs."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from wtsflow.cli.common import document, frame, out, write
from wtsflow.cli.errors import (
    diagnostic_document,
    exit_document,
    more,
    render_diagnostic,
)
from wtsflow.cli.validate import Checked, ValidateFormat, exit_code, summary
from wtsflow.errors import Diagnostic, Exit, Location
from wtsflow.model.terminal import visible

SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def text(checked: Sequence[Checked]) -> None:
    """For people: each finding with its line, and which pages to read."""
    here = frame()
    style = here.style(here.stdout)
    findings = [each for one in checked for each in one.findings]
    for each in findings:
        out(render_diagnostic(each, style, here.width), raw=True)
    if findings:
        out(more(each.rule for each in findings), raw=True)


def as_json(checked: Sequence[Checked]) -> None:
    """The document ``wtsflow.validate/1``."""
    document(
        {
            "schema": "wtsflow.validate/1",
            "manifests": [
                {
                    "file": one.file,
                    "valid": not one.errors,
                    "name": one.name,
                    "version": one.version,
                    "diagnostics": [diagnostic_document(each) for each in one.findings],
                }
                for one in checked
            ],
            "summary": {
                "manifests": len(checked),
                "invalid": sum(bool(one.errors) for one in checked),
                "errors": sum(len(one.errors) for one in checked),
                "warnings": sum(len(one.findings) - len(one.errors) for one in checked),
            },
            "exit": exit_document(exit_code(checked)),
        }
    )


# --- SARIF 2.1.0 (OASIS) ----------------------------------------------------------------------


def sarif(checked: Sequence[Checked]) -> None:
    """For code scanning services: one run, the rules that it used, a result each."""
    write(frame().stdout, json.dumps(sarif_log(checked), indent=2))


def sarif_log(checked: Sequence[Checked]) -> dict[str, Any]:
    """The log file, as data."""
    from wtsflow import __version__
    from wtsflow.source.rules import RULES

    findings = [each for one in checked for each in one.findings]
    used = sorted({each.rule for each in findings})
    code = exit_code(checked)
    rules = [
        {
            "id": rule,
            "shortDescription": {"text": RULES[rule].title},
            "fullDescription": {"text": RULES[rule].title},
            "help": {"text": RULES[rule].page, "markdown": RULES[rule].page},
        }
        for rule in used
    ]
    run = {
        "tool": {"driver": {"name": "wtsflow", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "exitCode": int(code)}],
        "artifacts": [{"location": {"uri": uri(one.file)}} for one in checked],
        "results": [_result(each, used.index(each.rule)) for each in findings],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(found: Diagnostic, index: int) -> dict[str, Any]:
    said = f"{found.message}. {found.cure}" if found.cure else found.message
    physical = {
        "artifactLocation": {"uri": uri(found.location.source)},
        "region": _region(found.location, found.excerpt),
    }
    return {
        "ruleId": found.rule,
        "ruleIndex": index,
        "level": found.severity.value,
        "message": {"text": said},
        "locations": [{"physicalLocation": physical}],
    }


def _region(at: Location, excerpt: str) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": at.line, "startColumn": at.column}
    if (at.end_line, at.end_column) > (at.line, at.column):
        region |= {"endLine": at.end_line, "endColumn": at.end_column}
    if excerpt:
        region["snippet"] = {"text": excerpt}
    return region


def uri(file: str) -> str:
    """A file's name as a URI reference: relative ones stay so."""
    path = PurePath(file)
    if path.is_absolute():
        return path.as_uri()
    return quote(path.as_posix())


# --- JUnit, GitHub ----------------------------------------------------------------------------


def junit(checked: Sequence[Checked]) -> None:
    """For CI servers that show tests: a case for each manifest."""
    invalid = sum(bool(one.errors) for one in checked)
    suite = ET.Element(
        "testsuite",
        name="wtsflow validate",
        tests=str(len(checked)),
        failures=str(invalid),
        errors="0",
        time=f"{sum(one.seconds for one in checked):.3f}",
    )
    for one in checked:
        case = ET.SubElement(
            suite,
            "testcase",
            name=visible(one.file),
            classname="manifest",
            time=f"{one.seconds:.3f}",
        )
        if one.errors:
            failure = ET.SubElement(case, "failure", message=visible(one.errors[0].message))
            failure.text = "\n".join(render_diagnostic(each) for each in one.errors)
        warnings = [each for each in one.findings if each not in one.errors]
        if warnings:
            ET.SubElement(case, "system-out").text = "\n".join(map(render_diagnostic, warnings))
    ET.indent(suite)
    write(frame().stdout, ET.tostring(suite, encoding="unicode", xml_declaration=False))


def github(checked: Sequence[Checked]) -> None:
    """For GitHub Actions: annotations on the lines of a pull request."""
    for one in checked:
        for each in one.findings:
            at = each.location
            said = f"{each.message}\n{each.cure}" if each.cure else each.message
            place = {
                "file": one.file,
                "line": str(at.line),
                "endLine": str(at.end_line or at.line),
                "col": str(at.column),
                "endColumn": str(at.end_column or at.column),
                "title": each.rule,
            }
            keys = ",".join(f"{key}={_property(value)}" for key, value in place.items())
            out(f"::{each.severity.value} {keys}::{_data(said)}")
    if exit_code(checked) is Exit.SUCCESS:
        out(f"::notice title=wtsflow::{_data(summary(checked))}")


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


FORMATS: Mapping[ValidateFormat, Callable[[Sequence[Checked]], None]] = {
    ValidateFormat.TEXT: text,
    ValidateFormat.JSON: as_json,
    ValidateFormat.SARIF: sarif,
    ValidateFormat.JUNIT: junit,
    ValidateFormat.GITHUB: github,
}
