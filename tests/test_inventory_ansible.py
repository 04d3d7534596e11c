"""Ansible's inventories are read as they are; Ansible itself is the oracle where it is installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.peers.sshd import require
from wtsflow import inventory
from wtsflow.errors import ManifestError, Severity
from wtsflow.inventory import Listing
from wtsflow.inventory.ansible_ini import literal

INI = """\
# comments, and hosts before any section
mail.example.com   # a comment
; another comment
bastion ansible_host=10.0.0.9 ansible_port=2222 # really a comment

[web]
web[01:03].example.com
web04.example.com:2200 http_port=8080 name="two words" flag=True nothing=None

[db]
db-[a:c] ansible_user=postgres size=1.5 tags="['x', 'y']" literal=0644 yes=yes

[db:vars]
engine = postgresql
ratio=0.75
note=a # is part of the value
password_hint={{ lookup('env', 'HOME') }}

[prod:children]
web
db

[prod:vars]
env=prod
engine=outer

[all:vars]
ansible_user=ops
domain=example.com

[empty]
"""

YAML = """\
---
all:
  hosts:
    mail.example.com:
  vars:
    ansible_user: ops
    domain: example.com
  children:
    web:
      hosts:
        web[01:03].example.com:
        web04.example.com: { http_port: 8080, ansible_port: 2200 }
    db:
      hosts:
        db-[a:c]: { ansible_user: postgres, size: 1.5, tags: [x, y] }
      vars: { engine: postgresql, nested: { a: [1, 2] } }
    prod:
      children: { web: , db: }
      vars: { env: prod, engine: outer }
    ungrouped:
      hosts: { alone: }
"""

MAPPED = {
    "ansible_host", "ansible_port", "ansible_user", "ansible_connection", "ansible_become",
    "ansible_become_user", "ansible_ssh_private_key_file",
}  # fmt: skip


def written(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def listing(folder: Path, text: str, name: str = "hosts") -> Listing:
    return inventory.load([written(folder, text, name)])


def findings(folder: Path, text: str, name: str = "hosts") -> list[tuple[str, int, int]]:
    with pytest.raises(ManifestError) as caught:
        listing(folder, text, name)
    return [
        (each.rule, each.location.line, each.location.column) for each in caught.value.diagnostics
    ]


# --- the oracle -------------------------------------------------------------------------------


def oracle(path: Path) -> dict[str, Any]:
    """What the real ansible-inventory says."""
    program = os.environ.get("WTSFLOW_ANSIBLE_INVENTORY") or shutil.which("ansible-inventory")
    require(program, "ansible-inventory")
    done = subprocess.run(
        [str(program), "-i", str(path), "--list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=path.parent,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "0", "LC_ALL": "C.UTF-8"},
    )
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def members(data: dict[str, Any], group: str) -> set[str]:
    said = data.get(group, {})
    below = (members(data, child) for child in said.get("children", ()))
    return set(said.get("hosts", ())).union(*below)


@pytest.mark.peer("ansible")
@pytest.mark.parametrize(("text", "name"), [(INI, "hosts"), (YAML, "hosts.yml")])
def test_ansible_reads_the_same_hosts_groups_and_variables(
    tmp_path: Path, text: str, name: str
) -> None:
    path = written(tmp_path, text, name)
    written(tmp_path, "colour: blue\nengine: from_group_vars\n", "group_vars/web.yml")
    written(tmp_path, "everywhere: true\n", "group_vars/all/main.yml")
    written(tmp_path, "{ http_port: 9090 }", "host_vars/web01.example.com.yaml")
    data, ours = oracle(path), inventory.load([path])
    variables = data["_meta"]["hostvars"]
    assert set(ours.members) == members(data, "all")
    for group in ("web", "db", "prod"):
        assert {target.name for target in ours.group(group)} == members(data, group)
    for host in ours.members:
        said = variables.get(host, {})
        target = ours.host(host)
        plain = {key: value for key, value in said.items() if key not in MAPPED}
        assert dict(target.variables) == plain, host
        assert target.user == said.get("ansible_user", "")
        assert target.port == said.get("ansible_port")
        assert target.address == said.get("ansible_host", host)


@pytest.mark.peer("ansible")
def test_what_ansible_lists_is_read_back_as_the_same_inventory(tmp_path: Path) -> None:
    path = written(tmp_path, INI, "hosts")
    printed = written(tmp_path, json.dumps(oracle(path)), "printed/list.json")
    ours, theirs = inventory.load([path]), inventory.load([printed])
    assert ours.members.keys() == theirs.members.keys()
    for host in ours.members:
        assert dict(ours.host(host).variables) == dict(theirs.host(host).variables)
        assert set(ours.host(host).groups) == set(theirs.host(host).groups)


# --- INI --------------------------------------------------------------------------------------


def test_an_ini_inventory_is_read(tmp_path: Path) -> None:
    ours = listing(tmp_path, INI)
    assert set(ours.members) == {
        "mail.example.com", "bastion", "db-a", "db-b", "db-c",
        *(f"web0{number}.example.com" for number in range(1, 5)),
    }  # fmt: skip
    bastion = ours.host("bastion")
    assert (bastion.host, bastion.port, bastion.user) == ("10.0.0.9", 2222, "ops")
    web04 = ours.host("web04.example.com")
    assert web04.port == 2200
    assert web04.variables == {
        "domain": "example.com", "env": "prod", "engine": "outer", "http_port": 8080,
        "name": "two words", "flag": True, "nothing": None,
    }  # fmt: skip
    dba = ours.host("db-a")
    assert (dba.user, dba.groups) == ("postgres", ("prod", "db"))
    assert dba.variables["engine"] == "postgresql"
    assert dba.variables["tags"] == ["x", "y"]
    assert dba.variables["literal"] == "0644"
    assert dba.variables["yes"] == "yes"


def test_a_template_is_data_and_never_evaluated(tmp_path: Path) -> None:
    assert listing(tmp_path, INI).host("db-a").variables["password_hint"] == (
        "{{ lookup('env', 'HOME') }}"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("1.5", 1.5), ("True", True), ("true", "true"), ("None", None), ("'5'", "5"),
        ("[1, 'a']", [1, "a"]), ("(1, 2)", [1, 2]), ("{'a': 1}", {"a": 1}), ("a b", "a b"),
        ("0644", "0644"), ("1_000", 1000), ("__import__('os')", "__import__('os')"),
        ("[" * 5000, "[" * 5000), ("b'x'", "b'x'"), ("1e999", "1e999"), ("{1, 2}", "{1, 2}"),
        (str(2**60), str(2**60)), ("-3", -3), ("", ""),
    ],
)  # fmt: skip
def test_a_value_is_a_literal_or_stays_text(text: str, value: object) -> None:
    assert literal(text) == value
    assert type(literal(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ansible_host=-oX\n", ("wts601", 1, 3)),
        ("a\nb ansible_user='x y'\n", ("wts601", 2, 3)),
        ("a ansible_port=99999\n", ("wts601", 1, 3)),
        ("a ansible_host={{ x }}\n", ("wts607", 1, 19)),
        ("a 'ansible_host={{ x }}'\n", ("wts601", 1, 4)),
        ("a ansible_connection=docker\n", ("wts607", 1, 3)),
        ("[web\na\n", ("wts607", 1, 1)),
        ("[web:hots]\na\n", ("wts607", 1, 1)),
        ("[a:children]\nbb\n[bbb]\n", ("wts602", 2, 1)),
        ("[a:vars]\nx=1\n", ("wts602", 1, 2)),
        ("a b c=1\n", ("wts607", 1, 3)),
        ("a 'x\n", ("wts607", 1, 1)),
        ("web[3:1]\n", ("wts604", 1, 1)),
        ("-oProxyCommand=x\n", ("wts601", 1, 1)),
        ("[web]\n[web:vars]\nnovalue\n", ("wts607", 3, 1)),
    ],
)
def test_a_mistake_is_shown_in_its_line(
    tmp_path: Path, text: str, expected: tuple[str, int, int]
) -> None:
    assert findings(tmp_path, text)[0] == expected


# --- connection, become, secrets --------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "field", "value"),
    [
        ("ansible_connection=local", "transport", "local"),
        ("ansible_connection=ansible.builtin.paramiko_ssh", "transport", "ssh"),
        ("ansible_connection=winrm", "transport", "psrp"),
        ("ansible_connection=winrm", "os", "windows"),
        ("ansible_shell_type=powershell", "os", "windows"),
        ("ansible_ssh_host=h ansible_ssh_port=23 ansible_ssh_user=u", "port", 23),
        ("ansible_ssh_host=h ansible_ssh_port=23 ansible_ssh_user=u", "user", "u"),
        ("ansible_become=yes", "run_as", "root"),
        ("ansible_become=true ansible_become_user=app", "run_as", "app"),
        ("ansible_become=no ansible_become_user=app", "run_as", ""),
        ("ansible_become_user=app", "run_as", ""),
        ("ansible_ssh_private_key_file=~/k", "settings", {"identity_file": "~/k"}),
    ],
)
def test_connection_variables_become_ours(
    tmp_path: Path, variables: str, field: str, value: object
) -> None:
    assert getattr(listing(tmp_path, f"a {variables}\n").host("a"), field) == value


def test_become_and_its_user_may_be_said_at_different_levels(tmp_path: Path) -> None:
    text = "[all:vars]\nansible_become_user=deploy\n[web]\na\n[web:vars]\nansible_become=true\n"
    assert listing(tmp_path, text).host("a").run_as == "deploy"


@pytest.mark.parametrize(
    "name",
    ["ansible_password", "ansible_ssh_pass", "ansible_become_pass", "ansible_become_password",
     "db_password", "api_key", "vault_token", "secret", "ansible_ssh_passphrase"],
)  # fmt: skip
def test_T38_a_password_in_an_inventory_is_dropped_with_a_warning(
    tmp_path: Path, name: str
) -> None:
    ours = listing(tmp_path, f"a {name}=hunter2! keep=me\n")
    assert ours.host("a").variables == {"keep": "me"}
    (warning,) = ours.warnings
    assert (warning.rule, warning.severity) == ("wts606", Severity.WARNING)
    assert "hunter2" not in warning.message


def test_ssh_options_are_not_passed_on_and_said_so(tmp_path: Path) -> None:
    ours = listing(tmp_path, "a ansible_ssh_common_args='-o ProxyCommand=x'\n")
    assert [warning.rule for warning in ours.warnings] == ["wts607"]
    assert "ProxyCommand" not in str(ours.host("a"))


# --- YAML -------------------------------------------------------------------------------------


def test_a_yaml_inventory_is_read(tmp_path: Path) -> None:
    ours = listing(tmp_path, YAML, "hosts.yaml")
    assert ours.host("web04.example.com").port == 2200
    assert ours.host("db-b").variables == {
        "domain": "example.com", "env": "prod", "engine": "postgresql",
        "nested": {"a": [1, 2]}, "size": 1.5, "tags": ["x", "y"],
    }  # fmt: skip
    assert ours.host("alone").groups == ("ungrouped",)


def test_a_group_priority_decides_between_groups_of_one_depth(tmp_path: Path) -> None:
    text = "[a]\nh\n[b]\nh\n[a:vars]\nx=a\nansible_group_priority=10\n[b:vars]\nx=b\n"
    target = listing(tmp_path, text).host("h")
    assert target.variables == {"x": "a"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all:\n  hosts:\n    a: { ansible_host: '-x' }\n", ("wts601", 3, 10)),
        ("all:\n  hots:\n    a:\n  vars: {}\n", ("wts607", 2, 3)),
        ("all:\n  hosts:\n    a: 5\n", ("wts607", 3, 5)),
        ("all:\n  children:\n    'b c': {}\n", ("wts601", 3, 5)),
        ("all:\n  vars: {}\n  children: 5\n", ("wts607", 3, 3)),
        ("all:\n  hosts:\n    'web[3:1]':\n", ("wts604", 3, 5)),
        ("all:\n  vars:\n    ansible_user: '{{ me }}'\n", ("wts601", 3, 5)),
    ],
)
def test_a_mistake_in_yaml_is_shown_at_its_place(
    tmp_path: Path, text: str, expected: tuple[str, int, int]
) -> None:
    assert findings(tmp_path, text, "hosts.yaml")[-1] == expected


def test_groups_that_contain_each_other_are_refused(tmp_path: Path) -> None:
    text = "[a:children]\nb\n[b:children]\na\n"
    with pytest.raises(Exception, match="a > b > a"):
        listing(tmp_path, text)


# --- which format ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[web]\na\n", "hosts"),
        ("[web]\na\n", "hosts.ini"),
        ("a\n", "hosts"),
        ("a:2222\n", "hosts"),
        ("; note\n\na x=1\n", "inventory"),
        ("web: { hosts: { a: } }\n", "hosts"),
        ("all:\n  hosts:\n    a:\n", "hosts"),
        ("---\nall:\n  hosts:\n    a:\n", "hosts"),
        ('{"web": {"hosts": ["a"]}, "_meta": {"hostvars": {}}}', "hosts"),
        ("hosts: { a: }\n", "hosts"),
        ("groups: { web: { hosts: [a] } }\n", "x.yml"),
    ],
)
def test_the_format_is_found_by_what_is_written(tmp_path: Path, text: str, name: str) -> None:
    assert set(listing(tmp_path, text, name).members) == {"a"}


def test_an_encrypted_file_of_variables_is_left_out_with_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path, "[web]\na\n", "hosts")
    written(tmp_path, "$ANSIBLE_VAULT;1.1;AES256\n3132\n", "group_vars/web/vault.yml")
    written(tmp_path, "x: 1\n", "group_vars/web/vars.yml")
    ours = inventory.load([path])
    assert ours.host("a").variables == {"x": 1}
    assert "ansible-vault" in ours.warnings[0].message
