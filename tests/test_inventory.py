"""wtsflow's own inventory: groups, precedence, ranges, and what is said of mistakes."""

from pathlib import Path

import pytest

from wtsflow import inventory
from wtsflow.errors import ConfigError, ManifestError, PlanError
from wtsflow.inventory import Listing
from wtsflow.model.plan import LOCAL, Target

EXAMPLE = """\
defaults: { user: ops, port: 22, transport: ssh, vars: { site: none, level: defaults } }
hosts:
  web01: { host: 10.0.0.1, os: linux, vars: { site: paris } }
  db1: { port: 2222, run_as: postgres }
groups:
  web:
    hosts: [web01, "web[02:20]"]
    vars: { level: inner, role: web }
    ssh: { keepalive_interval: 10, identity: web }
    run_as: root
  db: { hosts: [db1] }
  prod:
    groups: [web, db]
    vars: { level: outer, env: prod }
    ssh: { identity: prod, agent: false }
"""


def written(tmp_path: Path, text: str, name: str = "inventory.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def listing(tmp_path: Path, text: str = EXAMPLE) -> Listing:
    return inventory.load([written(tmp_path, text)])


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target.name for target in targets]


def findings(tmp_path: Path, text: str) -> list[tuple[str, int, int, str]]:
    with pytest.raises(ManifestError) as caught:
        listing(tmp_path, text)
    return [
        (each.rule, each.location.line, each.location.column, f"{each.message} {each.cure}".strip())
        for each in caught.value.diagnostics
    ]


def test_a_host_has_what_it_says_and_what_its_groups_and_the_defaults_say(tmp_path: Path) -> None:
    web01 = listing(tmp_path).host("web01")
    assert (web01.host, web01.user, web01.port, web01.os) == ("10.0.0.1", "ops", 22, "linux")
    assert web01.run_as == "root"
    assert web01.groups == ("prod", "web")


def test_the_nearer_one_wins_for_variables_and_settings(tmp_path: Path) -> None:
    web01 = listing(tmp_path).host("web01")
    assert web01.variables == {"site": "paris", "level": "inner", "env": "prod", "role": "web"}
    assert web01.settings == {"identity": "web", "agent": False, "keepalive_interval": 10}


def test_a_range_stands_for_hosts_with_their_leading_zeros(tmp_path: Path) -> None:
    found = names(listing(tmp_path).group("web"))
    assert found == [f"web{number:02}" for number in range(1, 21)]


def test_a_group_holds_the_hosts_of_the_groups_inside_it(tmp_path: Path) -> None:
    assert len(listing(tmp_path).group("prod")) == 21
    assert len(listing(tmp_path).group("all")) == 21


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("web01", ["web01"]),
        ("web01,db1", ["db1", "web01"]),
        ("web0*:&prod:!web0[3:9]", ["web01", "web02"]),
        ("!web", ["db1"]),
        ("all:&db", ["db1"]),
        ("*", ["db1", *(f"web{number:02}" for number in range(1, 21))]),
        ("web[01:03]", ["web01", "web02", "web03"]),
        ("web0[12]", ["web01", "web02"]),
        ("prod:!web", ["db1"]),
        ("d?", ["db1"]),
        (" web01 , db1 ", ["db1", "web01"]),
    ],
)
def test_a_pattern_adds_keeps_and_takes_away(
    tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    assert names(listing(tmp_path).select(pattern)) == expected


@pytest.mark.parametrize(
    ("pattern", "message", "cure"),
    [
        ("web0l", "there is no host or group 'web0l'", "did you mean 'web01'?"),
        ("prod:!dd", "there is no host or group 'dd'", ""),
        ("web01:&db", "no target matches 'web01:&db'", ""),
        ("mail*", "no target matches 'mail*'", ""),
        ("web01,,db1", "'web01,,db1' has an empty part", "write names joined by ','"),
        ("~web.*", "'~web.*' is a regular expression", "use '*' and '?'"),
        ("web[9:1]", "'[9:1]' is an empty range", ""),
        ("web[1:99999999999]", "'web[1:99999999999]' stands for more than 65536 names", ""),
    ],
)
def test_a_pattern_that_selects_nothing_says_why(
    tmp_path: Path, pattern: str, message: str, cure: str
) -> None:
    with pytest.raises(PlanError) as caught:
        listing(tmp_path).select(pattern)
    assert (caught.value.message, caught.value.cure) == (message, cure)


def test_an_unlisted_host_is_made_from_the_defaults(tmp_path: Path) -> None:
    made = listing(tmp_path).host("elsewhere.example.net")
    assert (made.address, made.user, made.groups) == ("elsewhere.example.net", "ops", ())


def test_local_is_never_looked_up(tmp_path: Path) -> None:
    assert listing(tmp_path).host("local") is LOCAL


def test_an_unknown_group_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        listing(tmp_path).group("wep")
    assert caught.value.cure == "did you mean 'web'?"


def test_several_inventories_are_merged_and_the_later_one_wins(tmp_path: Path) -> None:
    first = written(tmp_path, EXAMPLE, "a.yaml")
    second = written(tmp_path, "hosts: { web01: { host: 10.9.9.9 }, mail1: }", "b.yaml")
    both = inventory.load([first, second])
    assert both.host("web01").host == "10.9.9.9"
    assert both.host("web01").variables["site"] == "paris"
    assert "mail1" in both.members


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "inventories"
    folder.mkdir()
    written(folder, "hosts: { a: { host: 10.0.0.1 } }", "1.yaml")
    written(folder, "hosts: { a: { host: 10.0.0.2 } }", "2.yaml")
    written(folder, "not an inventory: [", "2.yaml.bak")
    assert inventory.load([folder]).host("a").host == "10.0.0.2"


def test_groups_that_contain_each_other_are_refused_with_the_chain(tmp_path: Path) -> None:
    text = "groups:\n  a: { groups: [b] }\n  b: { groups: [c] }\n  c: { groups: [a] }\n"
    assert findings(tmp_path, text) == [
        ("wts603", 4, 17, "a group is inside itself: a > b > c > a remove one of these")
    ]


def test_a_cycle_over_two_files_is_found(tmp_path: Path) -> None:
    first = written(tmp_path, "groups: { a: { groups: [b] }, b: }", "a.yaml")
    second = written(tmp_path, "groups: { a: , b: { groups: [a] } }", "b.yaml")
    with pytest.raises(ConfigError, match="a > b > a"):
        inventory.load([first, second])


def test_nesting_may_be_deeper_than_python_recurses(tmp_path: Path) -> None:
    lines = [f"  g{number}: {{ groups: [g{number + 1}] }}" for number in range(3000)]
    text = "groups:\n" + "\n".join(lines) + "\n  g3000: { hosts: [deep] }\n"
    assert names(listing(tmp_path, text).group("g0")) == ["deep"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "hosts:\n  web01: { prot: 22 }\n",
            ("wts101", 2, 12, "unknown key 'prot' (did you mean 'port'?)"),
        ),
        (
            "groups:\n  web: { hosts: [a] }\n  prod: { groups: [wbe] }\n",
            ("wts602", 3, 20, "there is no group 'wbe' did you mean 'web'?"),
        ),
        (
            "hosts: { a: }\ngroups:\n  a: { hosts: [b] }\n",
            ("wts605", 3, 3, "'a' is a host and a group rename one of them"),
        ),
        (
            'groups:\n  web: { hosts: ["web[9:1]"] }\n',
            ("wts604", 2, 18, "'[9:1]' is an empty range"),
        ),
        (
            "hosts:\n  db:\n    vars: { password: hunter2 }\n",
            (
                "wts606",
                3,
                13,
                (
                    "'password' would be a secret in a plain file "
                    "keep it in the keyring, and remove it here"
                ),
            ),
        ),
        (
            "hosts: { a: { ssh: { keepalive_intervall: 10 } } }\n",
            (
                "wts101",
                1,
                22,
                "unknown key 'keepalive_intervall' (did you mean 'keepalive_interval'?)",
            ),
        ),
        ("hosts:\n  local: {}\n", ("wts601", 2, 3, "'local' is taken choose another name")),
        ("groups:\n  all: {}\n", ("wts601", 2, 3)),
    ],
)
def test_a_mistake_is_shown_at_its_place(
    tmp_path: Path, text: str, expected: tuple[str, int, int, str]
) -> None:
    (found,) = findings(tmp_path, text)
    assert found[: len(expected)] == expected


def test_all_mistakes_come_at_once_by_line(tmp_path: Path) -> None:
    text = "hosts:\n  -a: {}\n  b: { host: '-o' }\ngroups:\n  g: { groups: [h] }\n"
    assert [(rule, line) for rule, line, *_ in findings(tmp_path, text)] == [
        ("wts601", 2),
        ("wts601", 3),
        ("wts602", 5),
    ]


def test_a_missing_file_says_what_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        inventory.load([tmp_path / "none.yaml"])
    assert "wtsflow.yaml" in caught.value.cure
