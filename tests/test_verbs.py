"""How values reach a script and how its outputs come back."""

import json

import pytest
from hypothesis import given, strategies as st

from wtsflow.errors import PlanError
from wtsflow.model.script import Interface, Language, Parameter, Passing, PinnedScript
from wtsflow.model.values import Secret
from wtsflow.model.workflow import Type
from wtsflow.verbs.outputs import LastLine, outputs
from wtsflow.verbs.passing import interpreter, passed


def script(language=Language.SHELL, passing=None, *parameters: Parameter, **more) -> PinnedScript:
    interface = Interface(
        parameters={p.name: p for p in parameters} or None, passing=passing, **more
    )
    return PinnedScript("a/x@1.0.0", "a/x", "1.0.0", "", "", "", language, interface)


def test_flags_are_the_default_and_follow_the_language():
    values = {"max_days": 5, "user": "ann"}
    assert passed(script(), values).arguments == ["--max-days", "5", "--user", "ann"]
    power = passed(script(Language.POWERSHELL), {"Days": 5, "Force": True})
    assert power.arguments == ["-Days", "5", "-Force:$true"]


def test_a_switch_is_present_or_absent():
    it = script(Language.SHELL, None, Parameter("force", Type.BOOLEAN, flag="-f", switch=True))
    assert passed(it, {"force": True}).arguments == ["-f"]
    assert passed(it, {"force": False}).arguments == []


def test_positional_values_come_last_in_their_order():
    it = script(Language.PYTHON, None, Parameter("b", position=1), Parameter("a", position=0))
    assert passed(it, {"b": "2", "x": "1", "a": "0"}).arguments == ["--x", "1", "0", "2"]


def test_lists_are_several_words_for_argparse_and_one_word_for_the_rest():
    assert passed(script(Language.PYTHON), {"n": [1, 2]}).arguments == ["--n", "1", "2"]
    assert passed(script(), {"n": [1, 2]}).arguments == ["--n", "1,2"]


def test_a_value_that_looks_like_an_option_stays_a_value():
    assert passed(script(), {"name": "--rm"}).arguments == ["--name=--rm"]


def test_environment_and_json_are_the_sidecars_choice():
    env = passed(script(passing=Passing.ENV), {"max-days": 5, "on": True})
    assert env.environment == {"WTS_PARAM_MAX_DAYS": "5", "WTS_PARAM_ON": "true"}
    assert env.arguments == []
    on_stdin = passed(script(passing=Passing.JSON), {"a": [1, {"b": None}]})
    assert json.loads(on_stdin.stdin) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize("way", list(Passing))
@pytest.mark.parametrize("value", [Secret("hunter22"), ["x", Secret("hunter22")]])
def test_T37_a_secret_travels_on_standard_input_only(way, value):
    given_ = passed(script(passing=way), {"password": value, "user": "ann"})
    assert b"hunter22" in given_.stdin
    assert "hunter22" not in " ".join(given_.arguments) + str(given_.environment)


def test_T37_a_parameter_declared_secret_is_kept_off_the_command_line_even_for_plain_text():
    it = script(Language.SHELL, None, Parameter("pin", Type.SECRET))
    assert passed(it, {"pin": "123456"}).arguments == []


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_T01_any_text_is_one_argument_as_it_is(text):
    words = passed(script(), {"name": text}).arguments
    assert words in (["--name", text], [f"--name={text}"])


def test_a_nul_is_refused_with_a_reason():
    with pytest.raises(PlanError, match="NUL"):
        passed(script(), {"name": "a\0b"})


def test_the_interpreter_is_the_sidecars_the_hash_bang_or_the_languages():
    assert interpreter(script(interpreter="ksh -e"), b"#!/bin/bash\n") == ("ksh", "-e")
    assert interpreter(script(), b"#!/usr/bin/env bash\necho\n") == ("/usr/bin/env", "bash")
    assert interpreter(script(Language.PYTHON), b"print()\n") == ("python3",)
    assert interpreter(script(Language.OTHER), b"\x7fELF") == ()


def test_outputs_come_from_the_file_and_else_from_the_last_line():
    assert outputs(b'{"a": 1}', b'{"a": 2}', None) == {"a": 1}
    assert outputs(b"", b'{"a": 2}', {"a": Type.NUMBER}) == {"a": 2}
    assert outputs(b"", b"done", None) == {}


@pytest.mark.parametrize(
    ("written", "declared", "said"),
    [
        (b"{", None, "not JSON"),
        (b"[1]", None, "not a JSON object"),
        (b'{"a": NaN}', None, "not JSON"),
        (b"{}", {"a": Type.NUMBER}, "did not give its output 'a'"),
        (b'{"a": "1"}', {"a": Type.NUMBER}, "not a number"),
        (b'{"a": true}', {"a": Type.NUMBER}, "not a number"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(written, declared, said):
    with pytest.raises(PlanError, match=said.replace("$", r"\$")):
        outputs(written, b"", declared)


def test_a_secret_output_is_never_taken_from_what_was_printed():
    declared = {"password": Type.SECRET}
    assert outputs(b'{"password": "hunter22"}', b"", declared) == {"password": Secret("hunter22")}
    with pytest.raises(PlanError, match="WTS_OUTPUT"):
        outputs(b"", b'{"password": "hunter22"}', declared)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_the_last_line_is_found_however_the_stream_is_cut(lines, size):
    data = b"\n".join(lines)
    last = LastLine()
    for start in range(0, len(data), size):
        last.feed(data[start : start + size])
    filled = [line for line in data.split(b"\n") if line.strip()]
    assert last.text == (filled[-1] if filled else b"")
