"""Expressions: how they are read, what they give, and what they can never do."""

import ast
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from wtsflow.model.expression import (
    FUNCTIONS,
    AbsentError,
    Expression,
    ExpressionError,
    Template,
    as_text,
    column,
    condition,
    evaluate,
    fill,
    parse,
    parse_template,
)
from wtsflow.model.syntax import span
from wtsflow.model.values import MASK, Secret

SCOPE: dict[str, Any] = {
    "inputs": {
        "days": 3,
        "user": "anna",
        "from": "Rome",
        "class": "A",
        "list": ["a", "b"],
        "flag": True,
        "none": None,
        "token": Secret("hunter22"),
        "half": 2.5,
    },
    "steps": {"a": {"outputs": {"x-y": 7}, "outcome": "success"}},
    "targets": {"web": [{"name": "web01", "os": "linux"}]},
}


def value(text: str) -> Any:
    return evaluate(parse(text), SCOPE)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("inputs.days", 3),
        ("inputs.days + 1 == 4", True),
        ("inputs.days * 2 - 1", 5),
        ("7 / 2", 3.5),
        ("7 % 4", 3),
        ("-inputs.days", -3),
        ("'a' + 'b'", "ab"),
        ("[1] + [2, 3]", [1, 2, 3]),
        ("1 < inputs.days < 5", True),
        ("inputs.days >= 3 and not false", True),
        ("false or inputs.flag", True),
        ("inputs.user in ['anna', 'bob']", True),
        ("'nn' in inputs.user", True),
        ("'z' not in inputs.list", True),
        ("inputs.list[1]", "b"),
        ("inputs['user']", "anna"),
        ("steps.a.outputs['x-y']", 7),
        ("targets.web[0].name", "web01"),
        ("inputs.from == 'Rome' and inputs.class == 'A'", True),
        ("null == inputs.none", True),
        ("true == 1", False),
        ("1 == 1.0", True),
        ("'1' == 1", False),
        (r"'C:\temp\new'", r"C:\temp\new"),
        ('"it\'s"', "it's"),
        ("inputs.\n user", "anna"),
        ("size(inputs.user)", 4),
        ("contains(inputs.list, 'a')", True),
        ("startsWith('abc', 'a') and endsWith('abc', 'c')", True),
        ("upper(lower('aB')) + trim(' x ')", "ABx"),
        ("join(inputs.list)", "a, b"),
        ("join(split('a-b', '-'), '+')", "a+b"),
        ("string(3.0) + string(true) + string(2.5)", "3true2.5"),
        ("default(inputs.none, 'x')", "x"),
        ("default(inputs.gone, 'x')", "x"),
        ("default(inputs.user, 'x')", "anna"),
        ("has(inputs.user) and not has(inputs.gone) and not has(inputs.none)", True),
        ("if(inputs.flag, 1, inputs.gone)", 1),
        ("if(inputs.days > 9, inputs.gone, 2)", 2),
        ("inputs.flag or inputs.gone", True),
        ("  inputs.days  ", 3),
    ],
)
def test_an_expression_has_a_value(text: str, result: object) -> None:
    found = value(text)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs.gone", "there is no 'gone' here"),
        ("gone", "'gone' has no value here"),
        ("inputs.list[9]", "there is no '9' here"),
        ("inputs.user.length", "there is no 'length' here"),
        ("inputs.days and true", "this is not true or false"),
        ("inputs.user + 1", "this is not a number"),
        ("true + 1", "this is not a number"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("'a' < 1", "only two numbers or two texts have an order"),
        ("1 in 2", "'in' looks in a list or, for text, in a text"),
        ("1 in 'a1'", "'in' looks in a list or, for text, in a text"),
        ("inputs.token == 'x'", "a secret is not compared"),
        ("size(inputs.token)", "'size' does not take a secret"),
        ("size(3)", "'size' does not fit these values"),
        ("nope(3)", "there is no function 'nope'"),
        ("size()", "'size' takes 1 argument"),
        ("join()", "'join' takes 1 to 2 arguments"),
        ("9007199254740991 + 1", "the number is too big: 2^53 and more"),
        ("9007199254740991 * 9007199254740991", "the number is too big: 2^53 and more"),
    ],
)
def test_a_wrong_value_is_an_error_with_a_place(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert caught.value.message == message
    assert 0 <= caught.value.offset < len(text)


def test_only_true_and_false_are_conditions() -> None:
    assert condition(parse("inputs.flag"), SCOPE) is True
    with pytest.raises(ExpressionError, match="not true or false"):
        condition(parse("inputs.days"), SCOPE)


@pytest.mark.parametrize("text", ["f(*a)", "f(a=1)", "a.b(1)", "a[1:2]", "(a, b)", "{a}", "{}", "lambda: 1",
                                  "a if b else c", "[x for x in a]", "a := 1", "await a",
                                  "*a", "a ** b", "a // b", "a @ b", "~a", "a is b", "...", "1j", "b'x'",
                                  "f'x'", "'a' 'b'", "r'x'", "'''a'''", "1_0", "0x1", "1e3", "é", "a;b",
                                  "None", "not", "a\x00", "`a`", "a b", "+a", "a.1", "a..b", ".a", "()"])  # fmt: skip
def test_nothing_else_of_python_is_in_the_language(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert 0 <= caught.value.offset <= len(text)
    assert caught.value.length >= 1


@pytest.mark.parametrize("text", ["(" * 300, "not " * 400 + "a", "-" * 1990 + "1", "a" * 2001,
                                  "[" * 900, "a[" * 900, "f(" * 500, "a" + ".b" * 900, "a" + "+a" * 900,
                                  "if(a, " * 300])  # fmt: skip
def test_what_is_too_long_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


WHITE = {"Constant", "Name", "Attribute", "Subscript", "Call", "List", "BoolOp", "UnaryOp", "BinOp",
         "Compare"}  # fmt: skip
ALPHABET = st.text(alphabet="ab.()[]'\"+-*/%<>=!&|,: \\09_\n$é", max_size=25)
WORDS = st.lists(
    st.sampled_from(
        ["inputs", ".", "days", "user", "(", ")", "[", "]", "'a'", "3", "==", "<", "+", "and", "not",
         "if", "in", "has", "default", ",", "size", "__class__", "lambda", ":", "for", "is", "None"]
    ),
    max_size=12,
).map(" ".join)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(ALPHABET | WORDS)
def test_T06_a_tree_holds_nothing_but_the_white_list(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError as error:
        assert 0 <= error.offset <= max(len(text), 1)  # noqa: PT017 - both ways are right
        return
    kinds = {
        type(node).__name__ for node in ast.walk(expression.tree) if isinstance(node, ast.expr)
    }
    assert kinds <= WHITE
    for node in ast.walk(expression.tree):
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
        if isinstance(node, ast.expr):
            assert 0 <= column(expression, node) < len(text)
            offset, length = span(expression, node)
            assert 0 <= offset < offset + length <= len(text)
    try:
        evaluate(expression, SCOPE)
    except ExpressionError as error:
        assert error.message  # noqa: PT017 - both ways are right


HOSTILE = (
    "${{ secrets.X }}", "{{ inputs.user }}", "$(inputs.token)", "%s%n%d", "$(rm -rf /)", "`id`",
    "__import__('os')", "$$(x)", "{0.__class__}", "'; --", "$((1+1))", "\\$(x)", "a\x00b",
)  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_T06_an_inserted_value_is_never_read_again(hostile: str) -> None:
    scope = {"steps": {"a": {"outputs": {"x": hostile}}}, "inputs": {"token": Secret("s3cret!!")}}
    alone = parse_template("$(steps.a.outputs.x)")
    inside = parse_template("<$(steps.a.outputs.x)|$(upper('b'))>")
    assert fill(alone, scope) == hostile
    assert fill(inside, scope) == f"<{hostile}|B>"
    assert fill({"k": [inside, alone]}, scope) == {"k": [f"<{hostile}|B>", hostile]}


@given(st.text(max_size=40), st.text(max_size=40))
def test_T06_values_come_out_as_they_are(one: str, other: str) -> None:
    template = parse_template("$(inputs.a)-$(inputs.b)")
    assert fill(template, {"inputs": {"a": one, "b": other}}) == f"{one}-{other}"


@pytest.mark.parametrize("name", ["__class__", "__globals__", "__init__", "mro", "keys", "items"])
def test_T06_a_dot_looks_into_maps_and_never_into_objects(name: str) -> None:
    for base in ("inputs", "inputs.user", "inputs.list", "inputs.days", "inputs.token"):
        with pytest.raises(AbsentError):
            value(f"{base}.{name}")


# --- templates ----------------------------------------------------------------------------------


def test_one_single_insertion_keeps_its_type() -> None:
    assert fill(parse_template("$(inputs.days)"), SCOPE) == 3
    assert fill(parse_template("$(inputs.list)"), SCOPE) == ["a", "b"]
    assert fill(parse_template(" $(inputs.days)"), SCOPE) == " 3"


def test_a_secret_makes_a_longer_text_secret() -> None:
    found = fill(parse_template("Bearer $(inputs.token)"), SCOPE)
    assert isinstance(found, Secret)
    assert found.reveal() == "Bearer hunter22"
    assert str(found) == MASK


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("costs $5", "costs $5"),
        ("$$(inputs.days)", "$(inputs.days)"),
        ("a $$(x) $$(y)", "a $(x) $(y)"),
        ("$$$(inputs.days)", "$$(inputs.days)"),
        ("$HOME ${HOME} $", "$HOME ${HOME} $"),
    ],
)
def test_a_text_without_an_insertion_is_a_text(text: str, result: str) -> None:
    assert parse_template(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(inputs.days)$(inputs.user)", "3anna"),
        ("$$(a) $(inputs.days) $$(b)", "$(a) 3 $(b)"),
        ("$(join(inputs.list, ')'))", "a)b"),
        ("($(inputs.days))", "(3)"),
        ("$(inputs.none)|$(inputs.flag)|$(inputs.half)", "|true|2.5"),
        ("x $(inputs.list)", 'x ["a", "b"]'),
    ],
)
def test_values_are_written_into_a_text(text: str, result: str) -> None:
    template = parse_template(text)
    assert isinstance(template, Template)
    assert fill(template, SCOPE) == result
    assert str(template) == text


@pytest.mark.parametrize(
    ("text", "offset", "kind"),
    [
        ("$(inputs.days", 0, "unclosed"),
        ("ab $(f('x)", 3, "unclosed"),
        ("ab $(a && b)", 7, "habit"),
        ("ab $( )", 5, "syntax"),
        ("$(a) $(b c)", 9, "syntax"),
    ],
)
def test_a_mistake_in_a_template_is_found_at_its_place(text: str, offset: int, kind: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_template(text)
    assert (caught.value.offset, caught.value.kind) == (offset, kind)


def test_each_expression_of_a_template_knows_where_it_is() -> None:
    template = parse_template("é $$( $(inputs.days) and $(inputs.user)")
    assert isinstance(template, Template)
    for expression, offset in template.expressions:
        assert template.text[offset:].startswith(expression.text)


def test_text_that_grows_without_end_is_refused() -> None:
    scope = {"inputs": {"a": "x" * 600_000}}
    with pytest.raises(ExpressionError, match="1 MiB"):
        fill(parse_template("$(inputs.a)$(inputs.a)"), scope)
    with pytest.raises(ExpressionError, match="1 MiB"):
        evaluate(parse("inputs.a + inputs.a"), scope)


# --- places in an expression ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("  inputs.«from»  == 'a'", "attribute"),
        ("inputs.class == inputs.«in»", "attribute"),
        ("'é' == inputs.«from»", "attribute"),
        (r"'C:\é' == inputs.«class»", "attribute"),
        ("inputs[«'x-y'»]", "subscript"),
        ("if(inputs.if, «days», 2)", "name"),
    ],
)
def test_a_name_is_found_whatever_is_before_it(text: str, word: str) -> None:
    start, end = text.index("«"), text.index("»") - 1
    expression = parse(text.replace("«", "").replace("»", ""))
    kinds = {"attribute": ast.Attribute, "subscript": ast.Subscript, "name": ast.Name}
    spans = [
        span(expression, node)
        for node in ast.walk(expression.tree)
        if isinstance(node, kinds[word]) and isinstance(node, ast.expr)
    ]
    assert (start, end - start) in spans


@pytest.mark.parametrize(
    ("sign", "word"),
    [("&&", "and"), ("||", "or"), ("=", "=="), ("===", "=="), ("<>", "!="), ("-eq", "=="),
     ("-and", "and"), ("is", "=="), ("AND", "and"), ("&", "and"), ("!==", "!=")],
)  # fmt: skip
def test_a_sign_of_another_language_is_said_in_ours(sign: str, word: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(f"inputs.a {sign} inputs.b")
    assert caught.value.kind == "habit"
    assert f"write '{word}'" in caught.value.message
    assert (caught.value.offset, caught.value.length) == (9, len(sign))


def test_every_function_says_how_it_is_written() -> None:
    for name, function in FUNCTIONS.items():
        assert function.signature.startswith(f"{name}(")
        assert function.least <= function.most


def test_an_expression_is_its_text() -> None:
    assert str(parse("a == 1")) == "a == 1"
    assert parse("a == 1") == Expression("a == 1", ast.Constant(1))


@pytest.mark.parametrize(
    ("given_value", "text"),
    [(None, ""), (True, "true"), (3.0, "3"), (3.25, "3.25"), ({"b": 1, "a": [None]}, '{"a": [null], "b": 1}')],
)  # fmt: skip
def test_values_are_written_in_one_way(given_value: object, text: str) -> None:
    assert as_text(given_value) == text


@pytest.mark.parametrize(
    "text",
    ["join([inputs.p])", "join(inputs.l, '')", "string(inputs.m)", "contains(inputs.l, 'x')"],
)
def test_no_function_takes_a_secret_out_of_a_list_or_a_map(text: str) -> None:
    secret = Secret("s3cr3t-value")
    scope = {"inputs": {"p": secret, "l": [secret], "m": {"a": secret}}}
    with pytest.raises(ExpressionError, match="does not take a secret"):
        evaluate(parse(text), scope)


def test_a_secret_that_is_looked_up_is_not_in_the_message() -> None:
    scope = {"inputs": {"p": Secret("s3cr3t-value"), "m": {"a": 1}}}
    with pytest.raises(ExpressionError) as caught:
        evaluate(parse("inputs.m[inputs.p]"), scope)
    assert "s3cr3t" not in caught.value.message
