"""How findings look: the place, the marked line, the cure, the page; and as a document."""

import pytest

from wtsflow.cli.errors import (
    diagnostic_document,
    error_document,
    render_diagnostic,
    render_diagnostics,
    render_error,
)
from wtsflow.errors import ConfigError, Diagnostic, Location, ManifestError, Severity
from wtsflow.model.terminal import Style, cut, visible, width


def finding(text: str, column: int, length: int, **more: object) -> Diagnostic:
    return Diagnostic(
        rule="wts102",
        message="unknown key 'timout' in a 'script' step",
        location=Location("disk.yaml", 46, column, 46, column + length),
        excerpt=text,
        **more,  # type: ignore[arg-type]
    )


def marked(found: Diagnostic, columns: int = 80) -> tuple[str, str]:
    """The line of the code and the line of the marks, without what is before the bar."""
    lines = render_diagnostic(found, columns=columns).splitlines()
    return lines[1].partition("| ")[2], lines[2].partition("| ")[2]


def test_a_finding_has_place_message_code_marks_and_cure() -> None:
    assert render_diagnostic(
        finding("    timout: 2m", 5, 6, cure="did you mean 'timeout'?")
    ).splitlines() == [
        "disk.yaml:46:5: error: unknown key 'timout' in a 'script' step [wts102]",
        "    46 |     timout: 2m",
        "       |     ^^^^^^",
        "   cure: did you mean 'timeout'?",
    ]


def test_a_warning_says_so() -> None:
    assert ": warning: " in render_diagnostic(finding("x", 1, 1, severity=Severity.WARNING))


def test_a_finding_without_a_line_has_no_code() -> None:
    assert len(render_diagnostic(finding("", 1, 1)).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "column", "length", "code", "marks"),
    [
        ("\ta: b", 2, 1, "    a: b", "    ^"),
        ("a:\tb", 4, 1, "a:    b", "      ^"),
        ("日本: 値", 5, 1, "日本: 値", "      ^^"),
        ("e\u0301x: 1", 3, 1, "e\u0301x: 1", " ^"),
        ("a: \x1b[31m", 4, 5, "a: \\x1b[31m", "   ^^^^^^^^"),
        ("a\u202eb: 1", 3, 1, "a\\u202eb: 1", "       ^"),
        ("abc", 9, 3, "abc", "   ^"),
        ("", 1, 1, "", ""),
    ],
)
def test_marks_stand_under_their_span(
    text: str, column: int, length: int, code: str, marks: str
) -> None:
    found = finding(text, column, length)
    if not text:
        assert "|" not in render_diagnostic(found)
        return
    assert marked(found) == (code, marks)


def test_a_span_over_several_lines_is_marked_to_the_end_of_its_first() -> None:
    found = Diagnostic("wts1", "no", Location("a", 1, 4, 3, 2), excerpt="a: [1, 2,")
    assert marked(found) == ("a: [1, 2,", "   ^^^^^^")


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("column", [1, 300, 980])
def test_a_long_line_is_cut_around_its_span(columns: int, column: int) -> None:
    text = "".join(chr(97 + n % 26) for n in range(990))
    code, marks = marked(finding(text, column, 5), columns)
    assert width(code) <= columns - 9
    at = marks.index("^")
    assert code[at : at + 5] == text[column - 1 : column + 4]
    assert marks.count("^") == 5


def test_a_span_wider_than_the_terminal_is_marked_as_far_as_it_goes() -> None:
    code, marks = marked(finding("x" * 900, 1, 900), 60)
    assert width(code) <= 51
    assert 40 <= marks.count("^") <= 51


def test_many_findings_end_with_where_to_read_on() -> None:
    text = render_diagnostics((finding("a", 1, 1), finding("b", 1, 1)))
    assert text.count("wts102]") == 2
    assert text.splitlines()[-1] == "more: wtsflow explain wts102"
    assert render_diagnostics(()) == ""


def test_a_manifest_error_shows_all_its_findings() -> None:
    error = ManifestError((finding("a", 1, 1), finding("b", 1, 1)))
    assert render_error(error).count("disk.yaml:46:1") == 2


def test_an_error_with_a_place_begins_with_it() -> None:
    error = ConfigError("no such host", location=Location("inventory.yaml", 3, 7))
    assert render_error(error) == "inventory.yaml:3:7: error: no such host"


def test_colour_changes_nothing_but_the_colour() -> None:
    import re

    found = finding("    timout: 2m", 5, 6, cure="did you mean 'timeout'?")
    colored = render_diagnostics([found], Style(on=True))
    assert "\x1b[31mtimout\x1b[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render_diagnostics([found])


def test_T39_a_hostile_finding_is_escaped_everywhere() -> None:
    evil = "\x1b]0;x\x07\x9b\u2066"
    found = Diagnostic("wts1", evil, Location(evil, 1, 1, 1, 9), evil, excerpt=f"{evil}{evil}")
    text = render_diagnostics([found])
    assert visible(text, keep="\n") == text


def test_a_finding_as_a_document_has_its_whole_span() -> None:
    assert diagnostic_document(finding("    timout: 2m", 5, 6, cure="so")) == {
        "rule": "wts102",
        "severity": "error",
        "message": "unknown key 'timout' in a 'script' step",
        "cure": "so",
        "location": {
            "source": "disk.yaml",
            "line": 46,
            "column": 5,
            "end_line": 46,
            "end_column": 11,
        },
    }


def test_a_manifest_error_as_a_document_has_all_its_findings() -> None:
    document = error_document(ManifestError((finding("a", 1, 1), finding("b", 1, 1))))
    assert len(document["error"]["diagnostics"]) == 2
    assert document["exit"] == {"code": 3, "name": "invalid"}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain – größe 日本 👍", "plain – größe 日本 👍"),
        ("a\tb\rc\nd", "a\\tb\\rc\\nd"),
        ("\x00\x1b\x7f\x9b", "\\x00\\x1b\\x7f\\x9b"),
        ("\u202e\u2066\u200b\ufeff", "\\u202e\\u2066\\u200b\\ufeff"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_text_from_outside_is_made_visible(text: str, safe: str) -> None:
    assert visible(text) == safe


def test_kept_characters_stay() -> None:
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("text", "cells", "short"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…")],
)
def test_text_is_cut_by_cells(text: str, cells: int, short: str) -> None:
    assert cut(text, cells) == short
