"""What a check may run, how it is said to a script, and what is heard of it."""

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.scripted import Ran, Scripted, perform
from tests.watching import Tape, ended
from wtsflow.errors import Exit, ManifestError, SessionLost
from wtsflow.model.plan import Plan
from wtsflow.model.record import Record
from wtsflow.model.script import Interface, Language, PinnedScript
from wtsflow.model.terminal import Style
from wtsflow.model.values import MASK, Secret
from wtsflow.model.workflow import Type
from wtsflow.ports import Exited, Invocation, Output, RunScript, Signal
from wtsflow.scripts import powershell, sidecar
from wtsflow.scripts.interface import interface
from wtsflow.subscribers import checked
from wtsflow.subscribers.tally import Tally
from wtsflow.subscribers.words import painted
from wtsflow.verbs import check
from wtsflow.verbs.check import LINE, LONGEST, MOST, Listener

# --- whether a script can be checked --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "can"),
    [
        ("[CmdletBinding(SupportsShouldProcess)]\nparam([string]$A)", True),
        ("[CmdletBinding(SupportsShouldProcess=$true, ConfirmImpact='High')] param()", True),
        ("[cmdletbinding( supportsshouldprocess = 1 )]\r\nparam\r\n()", True),
        (("#requires -Version 7\n<# x #>\nusing namespace System\n[Suppress('x','')]\n"
         "[System.Management.Automation.CmdletBindingAttribute( # why\n ConfirmImpact='Low',\n"
         " # not this\n SupportsShouldProcess)]\nparam()"), True),
        ("[CmdletBinding(SupportsShouldProcess = $false)] param()", False),
        ("[CmdletBinding(SupportsShouldProcess = $unknown)] param()", False),
        ("[CmdletBinding()] param()", False),
        ("[CmdletBinding(HelpUri='SupportsShouldProcess')] param()", False),
        ("# [CmdletBinding(SupportsShouldProcess)]\nparam()", False),
        ("function F { [CmdletBinding(SupportsShouldProcess)] param() }\nF", False),
        ("[CmdletBinding(SupportsShouldProcess)]\nfunction F {}", False),
        ("[CmdletBinding(SupportsShouldProcess", False),
        ("param([switch]$WhatIf)", False),
        ("", False),
    ],
)  # fmt: skip
def test_powershell_can_be_checked_where_the_whole_script_says_so(text: str, can: bool) -> None:
    assert powershell.read(text).check == ("-WhatIf" if can else "")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, "-WhatIf"),
        ("title: T\n", "-WhatIf"),
        ("check: -DryRun\n", "-DryRun"),
        ("check: env\n", "env"),
        ("check: read-only\n", "read-only"),
        ("check: none\n", ""),
        ("parameters: {}\n", "-WhatIf"),
        ("parameters: {}\ncheck: none\n", ""),
    ],
)
def test_a_sidecar_has_the_last_word_on_checks(said: str | None, found: str) -> None:
    text = b"[CmdletBinding(SupportsShouldProcess)] param()"
    assert interface("a.ps1", text, said).check == found


@pytest.mark.parametrize("said", ["", "dry-run", "--check --force", "--check=1", "true", "-"])
def test_a_check_that_is_more_than_one_argument_is_refused(said: str) -> None:
    with pytest.raises(ManifestError):
        sidecar.read(f"check: {json.dumps(said)}\n", "a.sh.yaml")


def script(can: str, language: Language = Language.SHELL) -> PinnedScript:
    face = Interface(check=can)
    return PinnedScript("a.sh@1.0.0", "a.sh", "1.0.0", "c", "b", "d" * 64, language, face)


def plan(*, checks: bool) -> Plan:
    return Plan(None, {}, {}, {}, check=checks)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("can", "checks", "arguments", "environment"),
    [
        ("--check", True, ("--check",), {"WTS_CHECK": "1"}),
        ("-WhatIf", True, ("-WhatIf",), {"WTS_CHECK": "1"}),
        ("env", True, (), {"WTS_CHECK": "1"}),
        ("env", False, (), {"WTS_CHECK": ""}),
        ("read-only", True, (), {"WTS_CHECK": "1"}),
        ("read-only", False, (), {}),
        ("--check", False, (), {}),
        ("", False, (), {}),
    ],
)
def test_a_script_is_told_to_look_only(
    can: str, checks: bool, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    assert check.arguments(plan(checks=checks), script(can)) == arguments
    assert check.environment(plan(checks=checks), script(can)) == environment


def test_a_script_without_a_check_is_never_made_ready_for_one() -> None:
    with pytest.raises(Exception, match="has no check"):
        check.arguments(plan(checks=True), script(""))


# --- what is heard --------------------------------------------------------------------------


def heard(data: bytes, cuts: Iterable[int] = (), *, what_if: bool = False) -> Listener:
    listener = Listener(listening=True, what_if=what_if)
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        listener.feed(data[start:end])
    listener.close()
    return listener


def test_lines_are_heard_as_they_are_meant() -> None:
    text = (
        b"CHANGE one\r\n change no\nCHANGES no\nCHANGE\t two  \nCHANGE\nUNCHANGED: all\nCHANGE last"
    )
    found = heard(text)
    assert (found.heard, found.count, found.unchanged) == ([b"one", b"two  ", b"last"], 3, True)


@pytest.mark.parametrize("prefix", ["What if: ", "WhatIf: ", "WhatIf : "])
def test_powershells_lines_are_heard_in_its_translations(prefix: str) -> None:
    text = f"x\n{prefix}Performing it on 'kim'.\nCHANGE no\n".encode()
    assert heard(text, what_if=True).heard == [b"Performing it on 'kim'."]


@given(st.sets(st.integers(0, 60)))
def test_where_the_bytes_are_cut_changes_nothing(cuts: set[int]) -> None:
    text = b"CHANGE one\nnothing\r\nUNCHANGED\nCHANGE two\nwhat else\nCHANGE three"
    found = heard(text, [cut for cut in cuts if cut < len(text)])
    assert (found.heard, found.count) == ([b"one", b"two", b"three"], 3)


def test_endless_announcements_are_counted_in_bounded_memory() -> None:
    listener = Listener(listening=True, what_if=False)
    for _ in range(200):
        listener.feed(b"CHANGE something that is rather long\n" * 1000)
        listener.feed(b"CHANGE " + b"x" * LINE)
        listener.feed(b"x" * LINE)
        listener.feed(b"CHANGE in the same line\n")
    assert listener.count == 200 * 1001
    assert len(listener.heard) <= MOST
    assert sum(map(len, listener.heard)) <= check.TOGETHER


# --- a run that checks ----------------------------------------------------------------------


def said(*lines: str, output: object = None, code: int = 0):
    def play(_target: str, _invocation: Invocation) -> list[Signal | Exception]:
        text = "".join(f"{line}\n" for line in lines).encode()
        written = b"" if output is None else json.dumps(output).encode()
        return [Output("stdout", text), Exited(code, output=written)]

    return play


def checking(folder: Path, text: str, play=None, *, can: str = "env", **more) -> Ran:
    face = Interface(check=can, **more.pop("face", {}))
    return perform(folder, text, Scripted(play or said()), interface=face, check=True, **more)


ONE = "steps:\n  - { id: one, script: a/one.sh@1.0.0 }\n"


def changes(ran: Ran) -> object:
    return ran.data("finished/one@local/1")["changes"]


@pytest.mark.parametrize(
    ("play", "can", "found"),
    [
        (said("CHANGE it"), "env", {"state": "change", "count": 1, "list": [{"what": "it"}]}),
        (said("UNCHANGED"), "env", {"state": "same", "count": 0}),
        (said(output={"changes": []}), "--check", {"state": "same", "count": 0}),
        (
            said("CHANGE told twice", output={"changes": ["it", {"what": "n", "before": None, "after": 2}]}),
            "env",
            {"state": "change", "count": 2, "list": [{"what": "it"}, {"what": "n", "after": "2"}]},
        ),
        (said("hello"), "-WhatIf", {"state": "same", "count": 0}),
        (said("hello"), "read-only", {"state": "same", "count": 0}),
        (
            said("hello"),
            "env",
            {"state": "unknown", "count": 0, "reason": "its check did not say what would change"},
        ),
        (
            said("CHANGE it", code=4),
            "env",
            {"state": "unknown", "count": 1, "reason": "its check ended as failed", "list": [{"what": "it"}]},
        ),
        (
            said(output={"changes": "all"}),
            "env",
            {"state": "unknown", "count": 0, "reason": "output 'changes' is not a list"},
        ),
    ],
)  # fmt: skip
def test_what_a_check_says_is_what_it_found(tmp_path: Path, play, can: str, found: object) -> None:
    assert changes(checking(tmp_path, ONE, play, can=can)) == found


@pytest.mark.parametrize(("line", "state"), [("UNCHANGED", "unknown"), ("CHANGE it", "change")])
def test_a_check_whose_output_is_not_whole_calls_nothing_good(
    tmp_path: Path, line: str, state: str
) -> None:
    def play(_target: str, _invocation: Invocation) -> list[Signal | Exception]:
        missing = "the end of its output is missing"
        return [Output("stdout", f"{line}\n".encode()), Exited(0, missing=missing)]

    found = changes(checking(tmp_path, ONE, play))
    assert isinstance(found, Mapping)
    assert (found["state"], found["reason"]) == (state, "the end of its output is missing")


def test_a_check_that_was_lost_is_done_again(tmp_path: Path) -> None:
    ends = iter([[SessionLost("the connection went")], said("UNCHANGED")("", None)])
    ran = checking(tmp_path, ONE, lambda _target, _invocation: next(ends))
    assert ran.data("again/one@local/1")["why"] == "a check changes nothing"
    assert ran.data("finished/one@local/2")["changes"] == {"state": "same", "count": 0}
    assert ran.data("closed")["status"] == "success"


def test_a_script_without_a_check_is_not_even_started(tmp_path: Path) -> None:
    ran = checking(tmp_path, ONE, can="")
    assert ran.range.started == []
    assert ran.recorded() == ["opened", "skipped/one@local", "closed"]
    assert ran.data("closed")["exit"] == {"code": 0, "name": "success"}


def test_a_check_that_cannot_give_an_output_is_no_failure(tmp_path: Path) -> None:
    text = ONE + "  - { id: two, script: a/two.sh@1.0.0, when: steps.one.outputs.pid > 1 }\n"
    ran = checking(tmp_path, text, said("UNCHANGED"), face={"outputs": {"pid": Type.NUMBER}})
    assert ran.data("finished/one@local/1")["outcome"] == "success"
    assert str(ran.data("skipped/two@local")["reason"]).startswith("cannot tell: when: ")
    assert ran.data("skipped/two@local")["change"] == "unknown"


def test_what_only_a_real_run_knows_is_not_guessed(tmp_path: Path) -> None:
    text = """targets: { web: { group: web } }
steps:
  - { id: one, script: a/one.sh@1.0.0, target: web }
  - id: all
    when: "'web1' in steps.one.outputs.succeeded"
    steps:
      - { script: a/two.sh@1.0.0, target: web }
  - { id: each, for_each: steps.one.outputs.succeeded, script: a/three.sh@1.0.0 }
  - { id: after, when: "size(steps.each.outputs.failed) == 0", script: a/four.sh@1.0.0 }
  - { id: free, script: a/five.sh@1.0.0 }
"""
    ran = checking(tmp_path, text, can="")
    assert ran.range.started == []
    data = {key: ran.data(key) for key in ran.recorded() if key.startswith("skipped/")}
    assert data["skipped/all"]["targets"] == ["web1", "web2", "web3"]
    assert set(data) == {
        *(f"skipped/one@web{n}" for n in (1, 2, 3)),
        *("skipped/all", "skipped/each", "skipped/after@local", "skipped/free@local"),
    }
    assert all(one["change"] == "unknown" for one in data.values())
    assert ran.data("closed")["status"] == "success"


def test_times_are_passed_over_and_until_is_not_waited_for(tmp_path: Path) -> None:
    text = """targets: { web: { group: web } }
steps:
  - { id: nap, wait: 2d }
  - id: each
    for_each: targets.web
    rolling: { batch: 1, pause: 1h }
    steps:
      - id: one
        script: a/one.sh@1.0.0
        outputs: { up: boolean }
        retry: { times: 5, wait: 1h, until: outputs.up }
"""
    ran = checking(tmp_path, text, said("CHANGE it", output={"up": False, "changes": ["it"]}))
    kinds = {key.partition("/")[0] for key in ran.recorded()}
    assert kinds == {"opened", "looped", "skipped", "started", "finished", "closed"}
    assert [key for key in ran.recorded() if key.startswith("started")] == [
        f"started/each[web{n}]/one@web{n}/1" for n in (1, 2, 3)
    ]


def test_secrets_in_announcements_are_masked_before_anything_is_cut(tmp_path: Path) -> None:
    secret = "correct-horse-battery-staple"
    across = "x" * (LONGEST - 10) + secret + "end"
    output = {"changes": [{"what": across, "before": secret, "after": {"key": secret}}]}
    for number, play in enumerate((said(output=output), said(f"CHANGE {across}"))):
        ran = checking(tmp_path / str(number), ONE, play, values={"password": Secret(secret)})
        kept = json.dumps(ran.data("finished/one@local/1"))
        assert not [secret[:n] for n in (10, len(secret)) if secret[:n] in kept]
        assert MASK[:4] in kept


def test_what_a_sensitive_script_announces_is_only_counted(tmp_path: Path) -> None:
    ran = checking(tmp_path, ONE, said("CHANGE the key of kim"), face={"sensitive": True})
    found = changes(ran)
    assert found == {"state": "change", "count": 1, "list": [{"what": check.WITHHELD}]}
    assert "kim" not in json.dumps([record.event.data for record in ran.records])


def test_a_check_is_told_before_the_scripts_own_arguments(tmp_path: Path) -> None:
    text = "steps:\n  - { id: one, script: a/one.sh@1.0.0, with: { days: 3 } }\n"
    ran = checking(tmp_path, text, can="--look")
    ((_, invocation),) = ran.range.started
    assert isinstance(invocation, RunScript)
    assert invocation.arguments == ("--look", "--days", "3")
    assert invocation.environment["WTS_CHECK"] == "1"


# --- what is shown --------------------------------------------------------------------------


def tally(tape: Tape) -> Tally:
    return Tally.of(seen for _, seen in tape.play() if isinstance(seen, Record))


def test_a_thousand_targets_are_summed_up_in_a_few_lines() -> None:
    tape = Tape()
    names = [f"web{number:04}" for number in range(1000)]
    tape.open(names, check=True)
    for name in names:
        tape.begin(1, "clean", name)
        found = {"state": "change", "count": 3, "list": []}
        tape.end(2, "clean", name, "success", 900, changes=found)
        why = "cannot tell: the script has no check"
        tape.event(3, f"skipped/restart@{name}", reason=why, change="unknown", targets=[name])
    tape.close(4, "success", Exit.SUCCESS, {name: ended("success") for name in names})
    lines = ["".join(text for text, _ in line) for line in checked.summary(tally(tape), 80)]
    assert lines == [
        "",
        "  web0000, web0001, web0002, web0003 and 996 more: 3 would change, 1 unknown",
        "",
        "  ? restart: cannot tell: the script has no check (1000 targets)",
        "",
        "nothing was changed; 1000 targets: 3000 would change, 1000 unknown",
    ]


def test_a_check_that_was_tried_again_is_counted_once() -> None:
    tape = Tape()
    tape.open(["web1"], check=True)
    tape.begin(1, "clean", "web1")
    tape.end(2, "clean", "web1", "unreachable", 900)
    tape.begin(3, "clean", "web1", 2)
    same = {"state": "same", "count": 0}
    tape.end(4, "clean", "web1", "success", 900, number=2, changes=same)
    assert checked.facts(tally(tape)) == {
        "change": 0,
        "same": 1,
        "unknown": 0,
        "targets": [{"name": "web1", "change": 0, "same": 1, "unknown": 0}],
    }


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"what": "w"}, []),
        ({"what": "w", "after": "a\nb"}, ["@@ -0,0 +1,2 @@", "+a", "+b"]),
        ({"what": "w", "before": "a\n"}, ["@@ -1 +0,0 @@", "-a"]),
        ({"what": "w", "before": "a\tb", "after": "a\x1bb"}, ["@@ -1 +1 @@", "-a  b", "+a\\x1bb"]),
        ({"what": "w", "before": "same", "after": "same"}, []),
    ],
)
def test_before_and_after_are_a_unified_diff(entry: dict[str, str], shown: list[str]) -> None:
    lines = ["".join(text for text, _ in line) for line in checked.difference(entry)]
    assert [line.removeprefix("      ") for line in lines] == shown


def test_long_differences_are_not_compared_line_by_line() -> None:
    before = "\n".join(str(n) for n in range(2000))
    rows = checked.difference({"before": before, "after": "x\n" * 2000})
    assert len(rows) == 4000
    assert painted(rows[0], Style()) == "      -0"
