"""No name reaches a connection that something could take for an option."""

from pathlib import Path

import pytest

from wtsflow import inventory
from wtsflow.errors import ManifestError, PlanError
from wtsflow.inventory.graph import Graph
from wtsflow.inventory.listing import Listing
from wtsflow.inventory.names import is_address, is_name

OPTIONS = [
    "-oProxyCommand=touch canary",
    "-oProxyCommand=touch${IFS}canary",
    "-F/dev/null",
    "-v",
    "-",
    "--",
    "--help",
    "-E/tmp/canary",
    "-oPermitLocalCommand=yes",
    "-D1080",
    "-J-oProxyCommand=x",
    "-l",
    "-w0:0",
    "-S/tmp/x",
    "\u2010oProxyCommand=x",
    "\u2212o",
]
SIGNS = [
    "a b", "a\tb", "a\nb", "a\rb", "a\x00b", " a", "a ", "a;b", "a|b", "a&b", "a$(b)", "a`b`",
    "a'b", 'a"b', "a\\b", "a/b", "../a", "/etc/passwd", "a>b", "a<b", "a*b", "a?b", "a[b", "a]b",
    "a{b}", "a(b)", "a!b", "a#b", "a%h", "%h", "%p", "a=b", "a,b", "a@b", "user@host", "a:22",
    "~a", "^a", "a+b", "$HOME", "${x}", "`id`", "$(id)", ".a", "..", ".", "_a", "", "ä", "а",
    "ａ", "a\u202eb", "a\u200bb", "a" * 254, "٣",
]  # fmt: skip
WRONG = [*OPTIONS, *SIGNS]
RIGHT = ["a", "A1", "web01", "web-01.example.net", "10.0.0.1", "a_b", "a" * 253, "0", "xn--p1ai"]


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(sign):08x}" for sign in text) + '"'


@pytest.mark.parametrize("name", WRONG)
def test_T03_a_host_that_could_be_an_option_is_refused_where_it_is_written(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(f"hosts:\n  a:\n    host: {quoted(name or '-')}\n", encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        inventory.load([path])
    assert [(d.rule, str(d.location)) for d in caught.value.diagnostics] == [
        ("wts601", f"{path}:3:11")
    ]


@pytest.mark.parametrize("name", WRONG)
def test_T03_a_user_that_could_be_an_option_is_refused_where_it_is_written(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(f"defaults:\n  user: {quoted(name)}\n", encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        inventory.load([path])
    assert [(d.rule, str(d.location)) for d in caught.value.diagnostics] == [
        ("wts601", f"{path}:2:9")
    ]


@pytest.mark.parametrize("name", [name for name in WRONG if name])
def test_T03_a_listed_name_that_could_be_an_option_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(f"groups:\n  g:\n    hosts: [{quoted(name)}]\n", encoding="utf-8")
    if name == "a[b":  # not a range: refused as a name too
        assert not is_name(name)
    with pytest.raises(ManifestError) as caught:
        inventory.load([path])
    assert [d.location.line for d in caught.value.diagnostics] == [3]


@pytest.mark.parametrize("name", WRONG)
def test_T03_a_name_that_a_user_types_is_refused_before_connecting(name: str) -> None:
    with pytest.raises(PlanError, match="cannot be a host"):
        Listing(Graph()).host(name)


@pytest.mark.parametrize("name", [name for name in WRONG if "\n" not in name and name != "a#b"])
def test_T03_an_ansible_inventory_is_held_to_the_same_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        f"all:\n  hosts:\n    a:\n      ansible_host: {quoted(name or '-')}\n", encoding="utf-8"
    )
    with pytest.raises(ManifestError) as caught:
        inventory.load([path])
    assert {d.rule for d in caught.value.diagnostics} == {"wts601"}


@pytest.mark.parametrize("name", RIGHT)
def test_usual_names_are_allowed(name: str) -> None:
    assert is_name(name)
    assert is_address(name)


@pytest.mark.parametrize("address", ["::1", "fe80::1", "2001:db8::10"])
def test_an_ipv6_address_is_an_address_and_no_name(address: str) -> None:
    assert is_address(address)
    assert not is_name(address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "::1 -o", "[::1]", ":::", "::1\n"])
def test_what_only_looks_like_ipv6_is_refused(address: str) -> None:
    assert not is_address(address)


def test_a_message_about_a_name_moves_no_cursor() -> None:
    with pytest.raises(PlanError) as caught:
        Listing(Graph()).host("\x1b[2Jevil\r\n" + "x" * 500)
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 100
