"""The part of SARIF 2.1.0 (OASIS, errata 01) that ``wtsflow validate`` writes, as a JSON Schema.

Written from the specification's tables (§3.13 sarifLog … §3.52 reportingDescriptor): names, which
are required, and their limits. Objects are closed, so that a name that SARIF does not have is
found; SARIF's own further names are left out where we do not write them.
"""

from typing import Any


def _closed(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _list(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


TEXT = {"type": "string"}
AT_LEAST_1 = {"type": "integer", "minimum": 1}
REFERENCE = {"type": "string", "pattern": r"^[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*$"}
MULTIFORMAT = _closed(("text",), text=TEXT, markdown=TEXT)
ARTIFACT_LOCATION = _closed(uri=REFERENCE, uriBaseId=TEXT, index={"type": "integer", "minimum": -1})
REGION = _closed(
    startLine=AT_LEAST_1,
    startColumn=AT_LEAST_1,
    endLine=AT_LEAST_1,
    endColumn=AT_LEAST_1,
    snippet=_closed(text=TEXT),
)
LOCATION = _closed(
    physicalLocation=_closed(
        ("artifactLocation",), artifactLocation=ARTIFACT_LOCATION, region=REGION
    )
)
RESULT = _closed(
    ("message",),
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": -1},
    level={"enum": ["none", "note", "warning", "error"]},
    message=_closed(("text",), text=TEXT),
    locations=_list(LOCATION),
)
RULE = _closed(
    ("id",),
    id=TEXT,
    name=TEXT,
    shortDescription=MULTIFORMAT,
    fullDescription=MULTIFORMAT,
    help=MULTIFORMAT,
    helpUri=REFERENCE,
)
RUN = _closed(
    ("tool",),
    tool=_closed(
        ("driver",),
        driver=_closed(("name",), name=TEXT, version=TEXT, rules=_list(RULE, uniqueItems=True)),
    ),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    invocations=_list(
        _closed(
            ("executionSuccessful",),
            executionSuccessful={"type": "boolean"},
            exitCode={"type": "integer"},
        )
    ),
    artifacts=_list(_closed(location=ARTIFACT_LOCATION), uniqueItems=True),
    results=_list(RESULT),
)
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_closed(
        ("version", "runs"),
        **{"$schema": {"type": "string", "pattern": "sarif-schema-2\\.1\\.0\\.json$"}},
        version={"const": "2.1.0"},
        runs=_list(RUN),
    ),
}
