"""What scripts say of themselves: sidecars, param(), argparse, getopts; unknown said as such."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wtsflow.errors import ManifestError
from wtsflow.model.record import Outcome
from wtsflow.model.script import Interface, Language, Parameter, Passing
from wtsflow.model.workflow import Type
from wtsflow.scripts import Version, interface, language
from wtsflow.scripts.compare import changes, proposed
from wtsflow.scripts.powershell_text import literal


def of(path: str, text: str, sidecar: str | None = None) -> Interface:
    return interface(path, text.encode(), sidecar)


def parameters(path: str, text: str) -> dict[str, Parameter]:
    found = of(path, text).parameters
    assert found is not None
    return dict(found)


# --- languages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "first", "expected"),
    [
        ("a/x.ps1", "", Language.POWERSHELL),
        ("a/x.PS1", "", Language.POWERSHELL),
        ("x.py", "#!/bin/sh", Language.PYTHON),
        ("x.bash", "", Language.SHELL),
        ("x", "#!/bin/sh", Language.SHELL),
        ("x", "#!/usr/bin/env python3.11", Language.PYTHON),
        ("x", "#!/usr/bin/env -S A=b pwsh -NoProfile", Language.POWERSHELL),
        ("x", "#!/usr/bin/perl", Language.OTHER),
        ("x", "#!", Language.OTHER),
        ("x", "echo", Language.OTHER),
        ("x.pl", "", Language.OTHER),
    ],
)
def test_the_language_is_known_by_name_or_first_line(
    path: str, first: str, expected: Language
) -> None:
    assert language(path, f"{first}\n".encode()) is expected


# --- sidecars -------------------------------------------------------------------------------

SIDECAR = """\
title: Clean the disk
help: Removes old files.
os: [linux, macos]
parameters:
  days: { type: number, default: 7, min: 1, max: 30, help: Age in days. }
  path: string
  password: secret
  force: { switch: true, flag: -f }
  mode: { choices: [fast, safe], optional: true, position: 0 }
outputs: { freed: number, files: list }
outcomes: { 3: nothing_to_do }
check: --dry-run
run_as: root
idempotent: true
exclusive: true
sensitive: true
input: env
interpreter: /bin/bash -eu
"""


def test_a_sidecar_says_everything() -> None:
    found = of("x.sh", "echo $1\n", SIDECAR)
    assert found.source == "sidecar"
    assert (found.title, found.help) == ("Clean the disk", "Removes old files.")
    assert found.os == ("linux", "macos")
    assert found.outputs == {"freed": Type.NUMBER, "files": Type.LIST}
    assert found.outcomes == {3: "nothing_to_do"}
    assert (found.check, found.run_as, found.interpreter) == (
        "--dry-run",
        "root",
        "/bin/bash -eu",
    )
    assert (found.idempotent, found.exclusive, found.sensitive) == (True, True, True)
    assert found.passing is Passing.ENV
    assert found.parameters == {
        "days": Parameter(
            "days",
            Type.NUMBER,
            required=False,
            default=7,
            has_default=True,
            min=1,
            max=30,
            help="Age in days.",
        ),
        "path": Parameter("path", Type.STRING, required=True),
        "password": Parameter("password", Type.SECRET, required=True),
        "force": Parameter("force", Type.BOOLEAN, required=False, flag="-f", switch=True),
        "mode": Parameter(
            "mode", Type.STRING, required=False, choices=("fast", "safe"), position=0
        ),
    }


def test_a_sidecar_without_parameters_leaves_them_to_the_text() -> None:
    found = of("x.sh", "while getopts d: o; do :; done\n", "title: X\n")
    assert found.parameters is not None
    assert list(found.parameters) == ["d"]
    assert (found.title, found.source) == ("X", "getopts")


def test_an_empty_map_says_that_it_takes_nothing() -> None:
    assert of("x.sh", "echo $1\n", "parameters: {}\n").parameters == {}


def test_the_text_says_how_a_declared_parameter_is_written() -> None:
    text = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--dry', action='store_true', help='look')\np.add_argument('place')\n"
    found = of("x.py", text, "parameters: { dry: boolean, place: string, other: string }\n")
    assert found.parameters is not None
    dry, place, other = found.parameters.values()
    assert (dry.flag, dry.switch, dry.help) == ("--dry", True, "look")
    assert (place.flag, place.position) == ("", 0)
    assert (other.flag, other.position) == ("", None)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("titel: x\n", "1:1", "did you mean 'title'"),
        ("os: linux\n", "1:5", "list of systems"),
        ("os: [linux, Windows]\n", "1:13", "did you mean 'windows'"),
        ("input: stdin\n", "1:8", "not allowed"),
        ("parameters: { a b: string }\n", "1:15", "a name of letters"),
        ("parameters: { a: text }\n", "1:18", "not allowed"),
        ("parameters: { a: { type: number, default: x } }\n", "1:43", "default is not a number"),
        ("parameters: { a: { type: secret, default: x } }\n", "1:34", "no default"),
        ("parameters: { a: { min: 1 } }\n", "1:20", "for numbers"),
        ("parameters: { a: { flag: -a, position: 1 } }\n", "1:40", "flag or a position"),
        ("parameters: { a: { switch: true, type: number } }\n", "1:40", "switch is true or false"),
        ("parameters: { a: { type: number, choices: [1, b] } }\n", "1:47", "choice is not"),
        ("parameters: { a: { flag: '--a; rm' } }\n", "1:26", "a flag like"),
        ("outcomes: { 3: failed }\n", "1:16", "engine's own"),
        ("outcomes: { 256: x }\n", "1:13", "exit code"),
        ("outcomes: { 3: No-Reply }\n", "1:16", "small letters"),
        ("check: --dry run\n", "1:8", "one argument"),
        ("interpreter: sh -c 'x; y'\n", "1:14", "a program and its options"),
        ("outputs: { a: text }\n", "1:15", "not allowed"),
    ],
)
def test_a_wrong_sidecar_is_named_with_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as error:
        of("x.sh", "echo\n", text)
    assert str(error.value.diagnostics[0].location) == f"x.sh.yaml:{place}"


@pytest.mark.parametrize("name", list(Outcome))
def test_no_outcome_of_the_engine_can_be_redefined(name: str) -> None:
    with pytest.raises(ManifestError):
        of("x.sh", "echo\n", f"outcomes: {{ 3: {name} }}\n")


@pytest.mark.parametrize("name", ["sidecar-1", "rollouts-1"])
def test_the_schema_is_valid_and_describes_every_key(name: str) -> None:
    from jsonschema import Draft202012Validator

    from wtsflow.source import schema_text

    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)

    def undescribed(node: Any, definitions: Any) -> list[str]:
        if isinstance(node, list):
            return [one for item in node for one in undescribed(item, definitions)]
        if not isinstance(node, dict):
            return []
        bad = [
            key
            for key, part in node.get("properties", {}).items()
            if "description" not in part
            and "description" not in definitions.get(part.get("$ref", "")[8:], {})
        ]
        return bad + [one for item in node.values() for one in undescribed(item, definitions)]

    assert undescribed(schema, schema["$defs"]) == []


# --- PowerShell -----------------------------------------------------------------------------

POWERSHELL = """\
<#
.SYNOPSIS
Unlock an account.
.DESCRIPTION
Clears the lock.
And says so.
.PARAMETER User
The account's name.
.EXAMPLE
unlock -User x
#>
#Requires -Version 5.1
using namespace System.Net
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName='a')]
[OutputType([string])]
param(
    [Parameter(Mandatory, Position=0, HelpMessage='not this')]
    [Alias('u')] [string] $User,

    # Days to wait,
    # in full
    [ValidateRange(1, 30)][int]$Days = 5, # trailing, comment
    [ValidateSet("email", 'sms')] [string]$By = "email",
    [switch]$Force,
    [string[]]$Names = @('a', 'b'), [pscredential]$Credential,
    [Security.SecureString]$Pass,
    [datetime]$When = (Get-Date).AddDays(-1), $plain = 'a', $other,
    [Parameter(Mandatory, ParameterSetName='a')]
    [Parameter(ParameterSetName='b')][string]$Sometimes,
    [Parameter(Mandatory=$false)][Nullable[int]]$n = 10MB,
    [ValidateScript({ $_ -gt 1, 2 })]${odd-name} = "a $($x + ")") b",
    [ValidatePattern('^[a-z]{2,9}$')][string]$Short,
    [bool]$On = $true, [hashtable]$Map = @{ a = 1, 2 }, [double]$Half = -0.5,
    [Parameter(HelpMessage="Shown")] $Helped = $null
)
function f { param($inner) }
"""


def test_a_param_block_is_read_in_full() -> None:
    found = of("x.ps1", POWERSHELL)
    assert (found.title, found.help) == ("Unlock an account.", "Clears the lock.\nAnd says so.")
    assert found.source == "param()"
    known = found.parameters
    assert known is not None
    assert list(known) == [
        *("User", "Days", "By", "Force", "Names", "Credential", "Pass", "When", "plain", "other"),
        *("Sometimes", "n", "odd-name", "Short", "On", "Map", "Half", "Helped"),
    ]
    assert known["User"] == Parameter(
        "User", Type.STRING, required=True, help="The account's name.", flag="-User", position=0
    )
    assert known["Days"] == Parameter(
        "Days",
        Type.NUMBER,
        required=False,
        default=5,
        has_default=True,
        min=1,
        max=30,
        help="Days to wait, in full",
        flag="-Days",
    )
    assert known["By"].choices == ("email", "sms")
    assert known["By"].help == ""
    assert known["Force"].switch
    assert known["Names"].default == ["a", "b"]
    assert {known[name].type for name in ("Credential", "Pass")} == {Type.SECRET}
    assert (known["When"].has_default, known["When"].default) == (True, None)
    assert (known["plain"].type, known["plain"].default) == (Type.ANY, "a")
    assert not known["other"].has_default
    assert known["Sometimes"].required is None
    assert (known["n"].type, known["n"].default) == (Type.NUMBER, 10 << 20)
    assert known["odd-name"].has_default
    assert known["Short"].pattern == "(?is).*?(?:^[a-z]{2,9}$).*"
    assert (known["On"].type, known["On"].default) == (Type.BOOLEAN, True)
    assert known["Map"].type is Type.ANY
    assert known["Half"].default == -0.5
    assert (known["Helped"].help, known["Helped"].has_default) == ("Shown", False)


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
def test_other_encodings_of_powershell_files_are_read(mark: str) -> None:
    found = interface("x.ps1", "param([string]$Größe)".encode(mark), None)
    assert found.parameters is not None
    assert list(found.parameters) == ["Größe"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("param()", []),
        ("PARAM ( $a )", ["a"]),
        ("param($a = 'it''s, )', $b = \"`\"), $c\")", ["a", "b"]),
        ("param($a = @'\n), $x\n'@, $b)", ["a", "b"]),
        ("param($a = @{ b = { param($c) } }, $d)", ["a", "d"]),
        ("param($a <# , $no #>, # , $no\n $b)", ["a", "b"]),
        ("param($a = \u2018x, \u2019, $b)", ["a", "b"]),
        ("param(\n$a,\n)", ["a"]),
        ("# param($no)\n<# param($no) #>\nparam($yes)", ["yes"]),
        ("Write-Host hi", []),
    ],
)
def test_awkward_param_blocks_are_read_right(text: str, names: list[str]) -> None:
    assert list(parameters("x.ps1", text)) == names


@pytest.mark.parametrize(
    "text",
    [
        "param($a",
        "param($a = 'x)",
        "param($a)\ndynamicparam { }\nbegin { }",
        "Write-Host $args[0]",
        "& f @args",
        "$x = 1\nparam($late)",
        'param($a = "' + '$("' * 5000,
    ],
)
def test_what_powershell_hides_is_unknown(text: str) -> None:
    assert of("x.ps1", text).parameters is None


@pytest.mark.parametrize(
    ("text", "known", "value"),
    [
        ("'a'", True, "a"),
        ("'it''s'", True, "it's"),
        ('"a""b"', True, 'a"b'),
        ('"a$b"', False, None),
        ("0x10", True, 16),
        ("1.5", True, 1.5),
        ("-3", True, -3),
        ("2kb", True, 2048),
        ("1,2", True, [1, 2]),
        ("@()", True, []),
        ("$TRUE", True, True),
        ("Get-Date", False, None),
        ("'a' + 'b'", False, None),
        ("'a' # why", True, "a"),
    ],
)
def test_literals_are_told_from_expressions(text: str, known: bool, value: Any) -> None:
    assert literal(text) == (known, value)


@pytest.mark.parametrize("pattern", [r"^\w+$", r"(?<=a)b", r"a\b", "[", "(?i)x"])
def test_patterns_that_mean_something_else_here_are_left_to_powershell(pattern: str) -> None:
    text = f"param([ValidatePattern('{pattern}')]$a)"
    assert parameters("x.ps1", text)["a"].pattern == ""


# --- Python ---------------------------------------------------------------------------------

PYTHON = '''\
"""Clean the disk.

More about it.
"""
import argparse
from pathlib import Path

def main():
    parser = argparse.ArgumentParser(description="Removes old files.")
    parser.add_argument("path", type=Path, help="where")
    parser.add_argument("more", nargs="*")
    parser.add_argument("-d", "--max-age", type=int, default=7, help="days, %(default)s if 100%% sure")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--no-color", action="store_false", dest="color")
    parser.add_argument("--mode", choices=["fast", "safe"], required=True)
    parser.add_argument("--level", type=int, choices=range(3))
    parser.add_argument("--tags", nargs="+", default=["a"])
    parser.add_argument("-x", dest="other")
    parser.add_argument("--since", type=parse_date, default=today())
    parser.add_argument("--version", action="version", version="1")
    group = parser.add_argument_group("g")
    group.add_argument("--in-group")
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("--a", required=True)
    if parser:
        parser.add_argument("--maybe", required=True)
    parser.add_argument("--verbose", "-v", action="count")
'''


def test_argparse_calls_are_read_in_full() -> None:
    found = of("x.py", PYTHON)
    assert (found.title, found.help, found.source) == (
        "Clean the disk.",
        "Removes old files.",
        "argparse",
    )
    known = found.parameters
    assert known is not None
    assert list(known) == [
        *("path", "more", "max_age", "force", "no_color", "mode", "level", "tags", "other"),
        *("since", "in_group", "a", "maybe", "verbose"),
    ]
    assert known["path"] == Parameter("path", Type.STRING, required=True, help="where", position=0)
    assert (known["more"].type, known["more"].position, known["more"].required) == (
        Type.LIST,
        1,
        False,
    )
    assert known["max_age"] == Parameter(
        "max_age",
        Type.NUMBER,
        required=False,
        default=7,
        has_default=True,
        help="days, 7 if 100% sure",
        flag="--max-age",
    )
    assert known["force"].switch
    assert (known["no_color"].flag, known["no_color"].switch) == ("--no-color", True)
    assert (known["mode"].required, known["mode"].choices) == (True, ("fast", "safe"))
    assert known["level"].choices == (0, 1, 2)
    assert (known["tags"].type, known["tags"].default) == (Type.LIST, ["a"])
    assert known["other"].flag == "-x"
    assert (known["since"].type, known["since"].has_default, known["since"].default) == (
        Type.ANY,
        True,
        None,
    )
    assert known["a"].required is None
    assert known["maybe"].required is None
    assert known["verbose"].switch


HEAD = "import argparse\np = argparse.ArgumentParser()\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "for name in names:\n    p.add_argument('--' + name)\n",
        HEAD + "p.add_argument('--a', **more)\n",
        HEAD + "p.add_subparsers()\n",
        HEAD + "import shared\nshared.add_common(p)\n",
        "import argparse\np = argparse.ArgumentParser(parents=[q])\n",
        HEAD + "q = argparse.ArgumentParser()\n",
        "import sys\nprint(sys.argv[1])\n",
        "import click\n",
        "from . import cli\n",
        "def broken(:\n",
        "x = " + "(" * 1000,
    ],
)
def test_what_a_python_script_computes_is_unknown(text: str) -> None:
    assert of("x.py", text).parameters is None


def test_a_python_script_that_reads_no_arguments_takes_none() -> None:
    assert parameters("x.py", "import os, json\nprint(os.getpid())\n") == {}


# --- shell ----------------------------------------------------------------------------------

GETOPTS = """\
#!/bin/sh
# Clean the disk.
# -d DAYS  how old
while getopts ":d:fh" option; do
  case $option in d) days=$OPTARG ;; f) force=1 ;; h) usage ;; esac
done
"""
LONG = """\
#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Restart a service
usage() {
  echo "  --service NAME   which one"
}
while [ $# -gt 0 ]; do
  case "$1" in
    -s|--service) service="$2"; shift 2 ;;
    --max-wait=*) wait="${1#*=}"; shift ;;
    --max-wait) wait="$2"; shift 2 ;;
    --force) force=1; shift ;;
    -h|--help) usage; exit ;;
    *) exit 2 ;;
  esac
done
"""


def test_getopts_letters_are_read() -> None:
    found = of("x.sh", GETOPTS)
    assert (found.title, found.source) == ("Clean the disk.", "getopts")
    assert found.parameters == {
        "d": Parameter("d", Type.ANY, required=None, help="how old", flag="-d"),
        "f": Parameter("f", Type.BOOLEAN, required=False, flag="-f", switch=True),
    }


def test_a_case_of_long_options_is_read() -> None:
    found = of("x.sh", LONG)
    assert (found.title, found.source) == ("Restart a service", "usage")
    assert found.parameters == {
        "service": Parameter(
            "service", Type.ANY, required=None, help="which one", flag="--service"
        ),
        "max_wait": Parameter("max_wait", Type.ANY, required=None, flag="--max-wait"),
        "force": Parameter("force", Type.BOOLEAN, required=False, flag="--force", switch=True),
    }


@pytest.mark.parametrize(
    "text",
    [
        "echo $1\n",
        'for x in "$@"; do :; done\n',
        'echo "${1:-x}"\n',
        "shift\n",
        ". ./lib.sh\nmain\n",
        "source lib.sh\n",
        'f() {\n echo hi\n}\nf "$@"\n',
        "eval set -- $(getopt -o a: -- x)\n",
        "cat <<EOF\n$1\nEOF\n",
        'case "$1" in\n --x=*) x="${1#*=}" ;;\nesac\n',
    ],
)
def test_what_a_shell_script_may_read_otherwise_is_unknown(text: str) -> None:
    assert of("x.sh", text).parameters is None


@pytest.mark.parametrize(
    "text",
    [
        "echo hi\n",
        "# $1 in a comment\necho hi\n",
        "echo '$1'\nawk '{ print $1 }'\n",
        "f() {\n echo $1\n}\nf a\n",
        "cat <<'EOF'\n$1\nEOF\n",
        "echo \\$1 x\n",
    ],
)
def test_a_shell_script_that_mentions_no_argument_takes_none(text: str) -> None:
    assert of("x.sh", text).parameters == {}


def test_another_language_is_unknown() -> None:
    assert of("x.pl", "print $ARGV[0];\n").parameters is None


# --- whatever comes -------------------------------------------------------------------------

pieces = st.lists(
    st.sampled_from(
        [*"'\"`$(){}[]@#,;=\n\\ <>-*|", "param(", "<<EOF", "$(", "@'\n", "case $1 in", "--x)", "x"]
    ),
    max_size=60,
).map("".join)


@given(st.sampled_from(["x.ps1", "x.py", "x.sh", "x"]), pieces)
def test_no_text_breaks_a_reader(path: str, text: str) -> None:
    assert isinstance(of(path, text), Interface)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("x.ps1", "param(" + "[" * 20_000),
        ("x.ps1", "param(" + "$a," * 50_000),
        ("x.ps1", "<#" * 50_000),
        ("x.sh", "<<a\n" * 50_000),
        ("x.sh", "f() {\n" * 30_000),
        ("x.sh", "case $1 in\n" * 20_000),
        ("x.sh", ("-a" + " " * 190 + "\n") * 1000),
        ("x.py", "x" + "[0]" * 50_000),
    ],
)
def test_no_text_takes_long(path: str, text: str) -> None:
    start = time.process_time()
    of(path, text)
    assert time.process_time() - start < 5


# --- compatible or not ----------------------------------------------------------------------


def difference(old: str, new: str) -> list[tuple[bool, str]]:
    found = changes(of("x.sh", "echo\n", old), of("x.sh", "echo\n", new))
    return [(change.breaking, change.text) for change in found]


@pytest.mark.parametrize(
    ("old", "new", "breaking", "text"),
    [
        ("{}", "{ a: string }", True, "new required parameter 'a'"),
        ("{}", "{ a: { default: x } }", False, "new parameter 'a'"),
        ("{ a: string }", "{}", True, "parameter 'a' is gone"),
        ("{ a: string }", "{ a: number }", True, "parameter 'a' is number, was string"),
        ("{ a: string }", "{ a: any }", False, "parameter 'a' is any, was string"),
        ("{ a: { optional: true } }", "{ a: string }", True, "parameter 'a' is required now"),
        ("{ a: { default: x } }", "{ a: { default: y } }", False, "has another default"),
        ("{ a: { choices: [x, y] } }", "{ a: { choices: [x] } }", True, "no longer takes y"),
        ("{ a: { choices: [x] } }", "{ a: { choices: [x, y] } }", False, "takes more values"),
        ("{ a: string }", "{ a: { choices: [x] } }", True, "only certain values"),
        ("{ a: string }", "{ a: { pattern: x } }", True, "another pattern"),
        ("{ a: { type: number } }", "{ a: { type: number, max: 5 } }", True, "smaller range"),
    ],
)
def test_a_parameter_change_is_compatible_or_breaking(
    old: str, new: str, breaking: bool, text: str
) -> None:
    found = difference(f"parameters: {old}\n", f"parameters: {new}\n")
    assert [(is_breaking, text in said) for is_breaking, said in found] == [(breaking, True)]


@pytest.mark.parametrize(
    ("old", "new", "breaking"),
    [
        ("outputs: { n: number }", "outputs: { n: number, m: string }", False),
        ("outputs: { n: number }", "outputs: {}", True),
        ("outputs: { n: number }", "outputs: { n: string }", True),
        ("outputs: { n: number }", "title: x", True),
        ("title: x", "outputs: { n: number }", False),
        ("outcomes: { 3: a }", "outcomes: { 3: b }", True),
        ("title: x", "outcomes: { 3: b }", True),
        ("title: x", "os: [linux]", True),
        ("os: [linux]", "os: [linux, windows]", None),
        ("title: x", "run_as: root", True),
        ("title: x", "title: y", None),
    ],
)
def test_other_changes_are_compatible_or_breaking(
    old: str, new: str, breaking: bool | None
) -> None:
    found = difference(f"parameters: {{}}\n{old}\n", f"parameters: {{}}\n{new}\n")
    assert [is_breaking for is_breaking, _ in found] == ([] if breaking is None else [breaking])


def test_the_next_version_follows_from_the_difference() -> None:
    now = Version(1, 4, 2)
    none = of("x.sh", "echo\n", "parameters: {}\n")
    optional = of("x.sh", "echo\n", "parameters: { a: { default: x } }\n")
    needed = of("x.sh", "echo\n", "parameters: { a: string }\n")
    assert str(proposed(now, changes(none, none))) == "1.4.3"
    assert str(proposed(now, changes(none, optional))) == "1.5.0"
    assert str(proposed(now, changes(none, needed))) == "2.0.0"
