"""The corpus of broken manifests: each is one mistake, and gives one finding at one place."""

import re
from pathlib import Path

import pytest

from tests.manifests import SCRIPTS, look_up
from wtsflow import manifest
from wtsflow.errors import Diagnostic, ManifestError, Severity
from wtsflow.source import scan
from wtsflow.source.rules import RULES

FOLDER = Path(__file__).parent / "broken"
GOOD = Path(__file__).parent / "good"
CASES = sorted(FOLDER.glob("*/*.yaml"))
SHOWN_ELSEWHERE = {"wts002", "wts022"}
"""Rules whose cases are made by a test: a file of 1 MiB, a file without permission."""


def expected(case: Path) -> tuple[str, str, bool]:
    """Rule, ``line:column``, and whether scripts are looked up."""
    beside = case.with_suffix(".expect")
    if beside.exists():
        rule, place = beside.read_text().split()
        return rule, place, False
    first = case.read_text(encoding="utf-8").partition("\n")[0]
    match = re.fullmatch(r"# expect: (wts\d{3}) (\d+:\d+)( online)?", first)
    assert match, f"{case} does not say what it expects"
    return match.group(1), match.group(2), bool(match.group(3))


def name(case: Path) -> str:
    return f"{case.parent.name}-{case.stem}"


def places(findings: tuple[Diagnostic, ...]) -> list[tuple[str, str]]:
    return [(each.rule, f"{each.location.line}:{each.location.column}") for each in findings]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_mistake_gives_exactly_one_finding_at_its_place(case: Path) -> None:
    rule, place, online = expected(case)
    assert rule == case.parent.name
    _, findings = manifest.read(case.read_bytes(), case.name, scripts=look_up if online else None)
    assert places(findings) == [(rule, place)], [each.message for each in findings]


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_message_is_one_line_and_says_where(case: Path) -> None:
    _, _, online = expected(case)
    _, findings = manifest.read(case.read_bytes(), case.name, scripts=look_up if online else None)
    for each in findings:
        assert each.message
        assert "\n" not in each.message
        assert not each.message.endswith(".")
        assert not each.cure.endswith(".") or each.cure.endswith("..")
        assert each.rule in RULES
        assert (each.location.end_line, each.location.end_column) >= (
            each.location.line,
            each.location.column,
        )


@pytest.mark.parametrize("case", [case for case in CASES if case.parent.name < "wts1"], ids=name)
def test_the_parser_in_python_finds_the_same(case: Path) -> None:
    _, quick = scan(case.read_bytes(), case.name)
    _, pure = scan(case.read_bytes(), case.name, pure=True)
    assert places(pure) == places(quick)
    assert [each.message for each in pure] == [each.message for each in quick]


def test_there_are_at_least_120_cases() -> None:
    assert len(CASES) >= 120


def test_every_rule_has_a_case_and_a_page() -> None:
    cases = {case.parent.name for case in CASES} | SHOWN_ELSEWHERE
    beside = {rule for rule in RULES if rule.startswith("wts6")}
    assert set(RULES) - beside == cases
    for rule in RULES.values():
        assert len(rule.page) > 40, f"{rule.id} has no page"


def test_every_rule_in_the_code_has_a_page() -> None:
    source = Path(manifest.__file__).parent.parent
    said = {
        rule
        for file in source.rglob("*.py")
        for rule in re.findall(r"\"(wts\d{3})\"", file.read_text(encoding="utf-8"))
    }
    assert said <= set(RULES)


def test_every_page_of_a_rule_belongs_to_something() -> None:
    source = Path(manifest.__file__).parent.parent
    schemas = [*(source.parent.parent / "schemas").glob("*.json")]
    text = "".join(file.read_text(encoding="utf-8") for file in [*source.rglob("*.py"), *schemas])
    assert [rule for rule in RULES if f'"{rule}"' not in text] == []


@pytest.mark.parametrize("case", sorted(GOOD.glob("*.yaml")), ids=lambda case: str(case.stem))
def test_a_good_manifest_has_no_finding(case: Path) -> None:
    text = case.read_bytes()
    assert manifest.read(text, case.name)[1] == ()
    workflow, findings = manifest.read(text, case.name, scripts=look_up)
    assert [each.message for each in findings] == []
    assert workflow is not None
    assert workflow.sha256
    assert workflow.text.encode() == text


def test_load_raises_every_error_at_once() -> None:
    text = (GOOD / "everything.yaml").read_text(encoding="utf-8")
    text = text.replace("owner:", "ownr:").replace("timeout: 2h", "timeout: 2 hours")
    with pytest.raises(ManifestError) as caught:
        manifest.load(text, "x.yaml")
    assert [each.rule for each in caught.value.diagnostics] == ["wts102", "wts101", "wts105"]
    assert "(and 2 more)" in str(caught.value)


def test_a_warning_makes_a_manifest_invalid_only_when_strict() -> None:
    text = (FOLDER / "wts503/longer.yaml").read_bytes()
    workflow, findings = manifest.read(text, "x.yaml")
    assert workflow is not None
    assert [each.severity for each in findings] == [Severity.WARNING]
    assert manifest.load(text, "x.yaml").name == "fleet/disk"
    with pytest.raises(ManifestError):
        manifest.load(text, "x.yaml", strict=True)


def test_a_file_over_1_mib_is_not_read() -> None:
    _, findings = manifest.read(b"a: b\n" + b"#" * (1 << 20), "x.yaml")
    assert places(findings) == [("wts002", "1:1")]
    assert not SCRIPTS.keys() & {"x"}
