"""Inputs: typed by what the workflow declares, all mistakes at once."""

import time
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from tests.planned import workflow
from wtsflow import planning
from wtsflow.errors import PlanError
from wtsflow.model.values import MASK, Json, Secret

STEP = "steps: [{ wait: 1s }]\n"


def bind(inputs: str, **raw: Json) -> dict[str, Json]:
    return planning.bind(workflow(f"inputs:\n  {inputs}\n{STEP}"), raw)


def refused(inputs: str, **raw: Json) -> PlanError:
    with pytest.raises(PlanError) as caught:
        bind(inputs, **raw)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "5", "5"),
        ("string", "", ""),
        ("string", "a=b", "a=b"),
        ("string", "$(inputs.x)", "$(inputs.x)"),
        ("number", "5", 5),
        ("number", " 5 ", 5),
        ("number", "-2.5", -2.5),
        ("number", "2.0", 2),
        ("number", "1e3", 1000),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("list", "a,b", ["a", "b"]),
        ("list", " a , b ", ["a", "b"]),
        ("list", "a", ["a"]),
        ("list", "", []),
        ("list", '["a,b", 1, true]', ["a,b", 1, True]),
        ("number", 5, 5),
        ("boolean", False, False),
        ("list", ["x"], ["x"]),
    ],
)
def test_a_text_becomes_a_value_of_the_declared_type(kind: str, text: Json, value: Json) -> None:
    bound = bind(f"x: {kind}", x=text)
    assert bound == {"x": value}
    assert type(bound["x"]) is type(value)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("number", "five"),
        ("number", ""),
        ("number", "true"),
        ("number", True),
        ("number", "NaN"),
        ("number", "Infinity"),
        ("number", "1e999"),
        ("number", "9007199254740993"),
        ("number", "[1]"),
        ("number", "0x10"),
        ("number", "1_000"),
        ("boolean", "yes"),
        ("boolean", "True"),
        ("boolean", "1"),
        ("boolean", 1),
        ("boolean", ""),
        ("string", 5),
        ("string", True),
        ("string", ["a"]),
        ("list", "[1"),
        ("list", "[NaN]"),
        ("list", "[" * 100_000),
        ("list", 5),
        ("list", {"a": 1}),
        ("secret", 5),
    ],
)
def test_what_is_not_of_the_type_is_refused(kind: str, given: Json) -> None:
    error = refused(f"x: {kind}", x=given)
    assert error.exit == 3
    assert "'x'" in error.message


def test_a_default_fills_in_and_an_optional_input_may_stay_empty() -> None:
    assert bind("{ a: { default: 7, type: number }, b: { optional: true } }") == {"a": 7, "b": None}


def test_null_means_not_given() -> None:
    assert bind("a: { default: x }", a=None) == {"a": "x"}
    assert "missing" in refused("a: string", a=None).message


def test_a_missing_input_asks_the_authors_question_and_says_how_to_answer() -> None:
    error = refused("days: { type: number, title: Days to keep, choices: [1, 5] }")
    assert error.message == "input 'days' (Days to keep) is missing"
    assert error.cure == "--input days=1"


def test_an_unknown_input_is_named_with_the_nearest() -> None:
    error = refused("user: string", user="ann", usr="ann")
    assert error.message == "test/plan has no input 'usr'"
    assert error.cure == "did you mean 'user'?"


def test_every_bad_input_is_named_at_once() -> None:
    error = refused(
        "{ a: number, b: boolean, c: string }",
        a="x", b="y", d="z",
    )  # fmt: skip
    assert [part in error.message for part in ("'a'", "'b'", "'c'", "'d'")] == [True] * 4


@pytest.mark.parametrize(
    ("declared", "good", "bad", "message"),
    [
        ("{ choices: [eu, us] }", "eu", "uk", "is not one of its choices"),
        ("{ type: number, choices: [1, 5] }", "5", "2", "is not one of its choices"),
        ("{ type: number, min: 1, max: 30 }", "30", "31", "is more than 30"),
        ("{ type: number, min: 1, max: 30 }", "1", "0", "is less than 1"),
        ('{ pattern: "[a-z]+" }', "abc", "abc1", "does not match [a-z]+"),
        ('{ pattern: "[a-z]+" }', "abc", "abc\n", "does not match [a-z]+"),
        ('{ pattern: "a|b" }', "b", "ab", "does not match a|b"),
        ("{ type: list, choices: [a, b] }", "a,b", "a,c", "'c', which is not one of its choices"),
        ('{ type: list, pattern: "[a-z]+" }', "a,b", "a,1", "'1', which does not match"),
    ],
)
def test_a_value_keeps_to_choices_limits_and_pattern(
    declared: str, good: str, bad: str, message: str
) -> None:
    assert bind(f"x: {declared}", x=good)["x"] is not None
    assert message in refused(f"x: {declared}", x=bad).message


def test_true_is_not_the_choice_one() -> None:
    assert "choices" in refused("x: { type: list, choices: [1] }", x="[true]").message


def test_a_secret_is_a_secret_from_here_on() -> None:
    bound = bind("password: secret", password="hunter2!")
    assert bound == {"password": Secret("hunter2!")}
    assert str(bound["password"]) == MASK


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ('{ type: secret, pattern: "[a-z]+" }', "hunter2!"),
        ("{ type: secret, pattern: '[a-z]+' }", Secret("hunter2!")),
    ],
)
def test_a_refused_secret_is_not_in_the_message(declared: str, value: Json) -> None:
    error = refused(f"x: {declared}", x=value)
    assert "hunter2" not in f"{error.message} {error.cure}"


def test_a_secret_is_not_taken_for_a_plain_input() -> None:
    assert "hunter2" not in refused("x: string", x=Secret("hunter2!")).message


def test_a_message_about_an_input_is_one_short_line() -> None:
    error = refused("x: number", x="\x1b[31m\n" + "9" * 5000)
    assert "\x1b" not in error.message
    assert "\n" not in error.message
    assert len(error.message) < 200


EVIL = [
    "(a+)+$",
    "(a|a)*$",
    "(a|aa)+$",
    "([a-zA-Z]+)*$",
    "(.*a){20}",
    "(x+x+)+y",
    "^(a?){50}a{50}$",
]


@pytest.mark.parametrize("pattern", EVIL)
def test_T13_a_pattern_answers_at_once_whatever_it_is(pattern: str) -> None:
    start = time.monotonic()
    with suppress(PlanError):
        bind(f"x: {{ pattern: '{pattern}' }}", x="a" * 50_000 + "!")
    assert time.monotonic() - start < 5


@given(st.text(max_size=200))
def test_a_text_input_arrives_as_it_was_given(text: str) -> None:
    assert bind("x: string", x=text) == {"x": text}
