"""Text to data with positions: what plain values mean, where things stand, what is refused."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from wtsflow.errors import ManifestError, Severity
from wtsflow.source import BROKEN, Document, check, load, scan, schema_text
from wtsflow.source.fits import compile_schema
from wtsflow.source.scalars import plain
from wtsflow.source.schema import _resolved, _validator

SCHEMAS = ("wtsflow-1", "inventory-1", "sidecar-1", "workspace-1", "rollouts-1")


def rules(text: str | bytes, *, pure: bool = False) -> list[str]:
    return [each.rule for each in scan(text, "x.yaml", pure=pure)[1]]


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["NO", "no", "yes", "on", "off", "y", "12:30", "12:30:45",
                                  "2026-01-01", "1_000", "0x1F", "0o17", "017", "1e3", ".nan",
                                  ".inf", "-.inf", "+", "1.", ".5", "1.2.3", "=", "<<",
                                  "nil", "none", "tRUE", "0b1", "1,000", "1 000", "--1"])  # fmt: skip
@pytest.mark.parametrize("pure", [False, True])
def test_what_other_yaml_readers_change_stays_text(text: str, *, pure: bool) -> None:
    document, findings = scan(f"a: {text}\n", "x.yaml", pure=pure)
    assert findings == ()
    assert document.data == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None),
     ("0", 0), ("-7", -7), ("+7", 7), ("3.5", 3.5), ("-0.25", -0.25), ("1.5e3", 1500.0),
     ("9007199254740991", 9007199254740991)],
)  # fmt: skip
def test_only_these_are_not_text(text: str, value: object) -> None:
    found = load(f"a: {text}\n", "x.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)
    assert load(f"a: '{text}'\n", "x.yaml").data["a"] == text


@given(st.integers() | st.floats(allow_nan=False).map(lambda number: round(number, 3)))
def test_a_number_is_itself_or_refused_or_text(number: float) -> None:
    try:
        value = plain(str(number))
    except ValueError:
        assert abs(number) >= 2**53
    else:
        assert value == number or value == str(number)


def test_a_mapping_in_a_list_in_a_mapping() -> None:
    text = "a:\n  - b: 1\n    c: [x, {d: y}]\n  - |\n    one\n    two\n"
    assert load(text, "x").data == {"a": [{"b": 1, "c": ["x", {"d": "y"}]}, "one\ntwo\n"]}


def test_an_address_in_braces_needs_no_quotes() -> None:
    found = load("with: { url: https://a.example:8443/x?y=1, at: 12:30:45 }\n", "x").data
    assert found == {"with": {"url": "https://a.example:8443/x?y=1", "at": "12:30:45"}}


# --- places -----------------------------------------------------------------------------------

TEXT = """\
a: one
b:
  - first
  - { c: "d e", f: 'it''s' }
g: >-
  folded
  text
"""


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [((), False, (1, 1)), (("a",), False, (1, 4)), (("a",), True, (1, 1)), (("b", 0), False, (3, 5)),
     (("b", 1, "c"), False, (4, 10)), (("b", 1, "c"), True, (4, 7)), (("b", 1, "f"), False, (4, 20)),
     (("b", 1), True, (4, 7)), (("b", 7), False, (3, 3)), (("zz",), False, (1, 1)),
     (("a", "deeper"), True, (1, 1))],
)  # fmt: skip
def test_every_key_and_value_knows_its_place(
    path: tuple[str | int, ...], place: tuple[int, int], *, key: bool
) -> None:
    found = load(TEXT, "x.yaml").location(path, key=key)
    assert (found.source, found.line, found.column) == ("x.yaml", *place)


@pytest.mark.parametrize(
    "written",
    ["plain X here", '"quoted X"', "'single X'", "'it''s X'", '"\\"\\t\\u00e9\\U0001F600 X"',
     "|\n  block\n  X", ">-\n  folded\n  more\n\n  X", "folded\n  plain X", '"folded\n  in quotes X"',
     '"with \\\n  an escaped break X"', "é😀 X", "|2\n    deeper\n  X", ">\n  a\n    kept\n  X"],
)  # fmt: skip
@pytest.mark.parametrize("pure", [False, True])
def test_a_character_of_a_value_is_found_in_the_text(written: str, *, pure: bool) -> None:
    text = f"k: {written}\n"
    document, findings = scan(text, "x.yaml", pure=pure)
    assert findings == ()
    value = document.data["k"]
    found = document.diagnostic("wts301", "", ("k",), offset=value.index("X"), length=1).location
    line = text.splitlines()[found.line - 1]
    assert line[found.column - 1 : found.end_column - 1] == "X"


@settings(max_examples=300)
@given(st.text(alphabet="ab '\"\\\n:#{}[]$()é😀\t-", max_size=30), st.data())
def test_every_place_in_a_value_is_inside_of_the_text(value: str, data: st.DataObject) -> None:
    for text in (f"k: {json.dumps(value)}\n", f"k: {json.dumps(value, ensure_ascii=False)}\n"):
        document, findings = scan(text, "x.yaml")
        if findings or not document.data["k"]:
            continue
        offset = data.draw(st.integers(0, len(value) - 1))
        length = data.draw(st.integers(1, len(value) - offset))
        at = document.diagnostic("wts301", "", ("k",), offset=offset, length=length).location
        assert (at.line, at.end_line) == (1, 1)
        assert 4 <= at.column < at.end_column <= len(text.splitlines()[0])


def test_a_finding_shows_its_line() -> None:
    found = load(TEXT, "x.yaml").diagnostic(
        "wts101", "m", ("b", 1, "c"), key=True, cure="c", severity=Severity.WARNING
    )
    assert found.excerpt == "  - { c: \"d e\", f: 'it''s' }"
    assert (found.rule, found.message, found.cure) == ("wts101", "m", "c")
    assert found.severity is Severity.WARNING


# --- what is refused ----------------------------------------------------------------------------


def test_several_mistakes_of_the_text_come_at_once_and_in_order() -> None:
    text = "a: #x\nb: 1\nb: 2\nc: !t x\nd: &n y\ne: *n\nf: 99999999999999999999\n"
    with pytest.raises(ManifestError) as caught:
        load(text, "x.yaml")
    assert [(each.rule, each.location.line) for each in caught.value.diagnostics] == [
        ("wts008", 1), ("wts009", 3), ("wts011", 4), ("wts010", 5), ("wts010", 6), ("wts018", 7)
    ]  # fmt: skip


def test_a_pair_of_escapes_is_one_character() -> None:
    assert load('{"a": "\\ud83d\\ude00"}', "x").data == {"a": "\U0001f600"}


def test_what_is_broken_is_marked_so_that_the_rest_can_be_checked() -> None:
    document, findings = scan("name: *x\nversion: 1.0.0\n", "x.yaml")
    assert [each.rule for each in findings] == ["wts010"]
    assert document.data == {"name": BROKEN, "version": "1.0.0"}
    assert "wts103" not in {each.rule for each in check(document, "wtsflow-1")}


def test_at_most_a_hundred_mistakes_are_told() -> None:
    text = "".join(f"a{number}: *x\n" for number in range(500))
    assert len(rules(text)) == 100


def test_a_byte_order_mark_is_no_character() -> None:
    document = load(b"\xef\xbb\xbfa: 1\n", "x")
    assert document.data == {"a": 1}
    assert document.location(("a",), key=True).column == 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(end: str) -> None:
    document = load(f"a: 1{end}b: two{end}", "x")
    assert document.data == {"a": 1, "b": "two"}
    assert document.diagnostic("wts101", "", ("b",)).excerpt == "b: two"
    assert document.location(("b",)).line == 2


def test_a_text_with_half_a_surrogate_is_refused() -> None:
    assert rules("a: \ud800\n") == ["wts015"]


# --- T12, T15 -----------------------------------------------------------------------------------

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (BOMB, "wts010"),
        ("a: !!python/object/apply:os.system [id]\n", "wts011"),
        ("!!python/object/new:type {}\n", "wts011"),
        ("a: 1\na: 2\n", "wts009"),
        ("[" * 100_000, "wts003"),
        ("{a: " * 100_000, "wts003"),
        ("- " * 100_000, "wts003"),
        ("[" + "x," * 60_000 + "]", "wts003"),
        ("a: " + "x" * (1 << 20), "wts002"),
        ("<<: *a\n", "wts010"),
        ("a: !" + "x" * 1_000_000, "wts011"),
        ("a: 1\n---\nb: 2\n", "wts012"),
    ],
    ids=["bomb", "python", "python at the top", "twice", "brackets", "braces", "dashes", "long",
         "big", "merge", "tag", "documents"],
)  # fmt: skip
def test_T12_hostile_yaml_is_refused_by_one_rule(text: str, rule: str) -> None:
    began = time.process_time()
    found = rules(text)
    assert set(found) == {rule}
    assert time.process_time() - began < 2.0


def test_T12_a_bomb_is_never_expanded() -> None:
    began = time.process_time()
    document, findings = scan(BOMB, "x")
    assert len(findings) > 80
    assert time.process_time() - began < 0.2
    assert sum(len(value) for value in document.data.values() if isinstance(value, list)) <= 100


@settings(max_examples=400, deadline=None)
@given(
    st.text(alphabet="ab:-#'\"[]{},&*!|>%@`\n\t ~?\\0.é\x00\ud800", max_size=60)
    | st.binary(max_size=60)
)
def test_T12_nothing_but_a_manifest_error_comes_out(text: str | bytes) -> None:
    for pure in (False, True):
        document, findings = scan(text, "x.yaml", pure=pure)
        assert findings or document.spot is not None
    try:
        document = load(text, "x.yaml")
    except ManifestError as error:
        assert error.diagnostics  # noqa: PT017 - both ways are right, and nothing else
    else:
        check(document, "wtsflow-1")


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="ab:-#'\"[]{},\n ~?.1", max_size=40))
def test_both_parsers_give_the_same_data(text: str) -> None:
    quick, pure = scan(text, "x.yaml"), scan(text, "x.yaml", pure=True)
    assert bool(quick[1]) == bool(pure[1])
    if not quick[1]:
        assert quick[0].data == pure[0].data


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"a": 1, "a": 2}', "wts009"),
        ('{"a": 1152921504606846976}', "wts018"),
        ('{"a": -9007199254740992}', "wts018"),
        ('{"a": 1.7976931348623157e+308}', "wts018"),
        ('{"a": "\\ud800"}', "wts016"),
    ],
)
@pytest.mark.parametrize("pure", [False, True])
def test_T15_json_that_readers_understand_differently_is_refused(
    text: str, rule: str, *, pure: bool
) -> None:
    assert rules(text, pure=pure) == [rule]


def test_T15_what_is_no_number_in_json_is_text() -> None:
    assert load('{"a": NaN, "b": Infinity, "c": -Infinity}', "x").data == {
        "a": "NaN", "b": "Infinity", "c": "-Infinity"
    }  # fmt: skip


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf"), exclude_characters="\ufeff\ufffe\uffff")),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text(st.characters(categories=("L", "N")), min_size=1), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_T15_json_within_the_profile_is_read_as_json_reads_it(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    document, findings = scan(text, "x")
    assert findings == ()
    assert document.data == value


# --- schemas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(json.loads(schema_text(name)))


@pytest.mark.parametrize("name", ["", "nope", "nope-1", "../wtsflow-1", "wtsflow-1.schema"])
def test_an_unknown_schema_is_not_found(name: str) -> None:
    with pytest.raises(KeyError):
        schema_text(name)


def every(schema: Any) -> list[Any]:
    found = [schema] if isinstance(schema, dict) else []
    inside = schema.values() if isinstance(schema, dict) else schema
    for part in inside if isinstance(schema, dict | list) else ():
        found.extend(every(part))
    return found


def test_every_key_has_a_description_and_every_pattern_a_phrase() -> None:
    schema = json.loads(schema_text("wtsflow-1"))
    for part in every(schema):
        for key, value in part.get("properties", {}).items():
            assert isinstance(value.get("description"), str), key
        if isinstance(part.get("pattern"), str):
            assert part.get("title"), part["pattern"]
        if isinstance(part.get("type"), str | list) and len(part) > 1 and "enum" not in part:
            assert part.get("title") or part.get("properties"), part


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_uses_only_what_the_quick_test_knows(name: str) -> None:
    assert compile_schema(_resolved(name)) is not None


MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        "wtsflow": st.sampled_from([1, "1", 2, True, 1.0]),
        "name": st.sampled_from(["a", "A", "a/b", "a\n", "", 3]),
        "version": st.sampled_from(["1.0.0", "1.0", "1.0.0\n", 1]),
        "title": st.sampled_from(["t", "", None]),
        "owner": st.sampled_from(["o", ""]),
        "timeout": st.sampled_from(["5m", "5", 5, "1h30m"]),
        "access": st.dictionaries(
            st.sampled_from(["view", "run"]), st.lists(st.sampled_from(["a", 1]))
        ),
        "inputs": st.dictionaries(
            st.sampled_from(["a", "B"]),
            st.sampled_from(
                ["string", "text", {}, {"type": "number"}, {"choices": [1, True]}, {"choices": [1, 1.0]}]
            ),
        ),
        "targets": st.dictionaries(
            st.just("a"), st.sampled_from([{}, {"hosts": ["a"]}, {"hosts": [], "group": "x"}])
        ),
        "steps": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "script": st.sampled_from(["a@1.0.0", "a", {}, {"linux": "a@1.0.0"}, None]),
                    "wait": st.sampled_from(["5s", {"until": "02:00"}, {"window": "x"}]),
                    "steps": st.lists(st.sampled_from([{"wait": "5s"}, {"ask": "x"}, "x"])),
                    "retry": st.sampled_from([1, 0, {"times": 2}, {"wait": "5s"}, True]),
                    "max_failed": st.sampled_from([1, -1, "10%", "101%", 1.5]),
                    "on_failure": st.sampled_from(
                        ["continue", "undo", [{"wait": "5s"}], [], {"steps": []}]
                    ),
                    "rolling": st.sampled_from([{}, {"batch": 1}]),
                    "approve": st.just({}),
                },
            ),
            max_size=2,
        ),
        "guide": st.just({}),
    },
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(MANIFESTS)
def test_the_quick_test_says_yes_exactly_when_jsonschema_does(data: Any) -> None:
    quick = compile_schema(_resolved("wtsflow-1"))
    assert quick is not None
    assert quick(data) is (not list(_validator("wtsflow-1").iter_errors(data)))


def test_a_schema_with_another_keyword_is_left_to_jsonschema() -> None:
    assert compile_schema({"type": "object", "patternProperties": {}}) is None


def test_a_document_without_positions_still_has_a_place() -> None:
    document = Document("x", "", {"a": 1})
    assert str(document.location(("a",))) == "x:1:1"
    assert document.diagnostic("wts101", "m", ("a",), offset=3, length=2).location.line == 1
