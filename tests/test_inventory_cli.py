"""``wtsflow inventory`` and ``wtsflow config``: what they print."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wtsflow.cli.main import main

INVENTORY = """\
defaults: { user: ops }
hosts:
  web1: { host: 10.0.0.1, port: 2222, vars: { site: paris, "tags\\e[31m": [a, 1] } }
  alone: {}
groups:
  web: { hosts: [web1, web2], os: linux, run_as: root, ssh: { agent: false } }
  prod: { groups: [web] }
"""

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    root = tmp_path / "home"
    root.mkdir()
    (root / "wtsflow.yaml").write_text(
        "wtsflow: 1\nsettings: { timeout: 10m }\nssh: { agent: false }\n", encoding="utf-8"
    )
    (root / "inventory.yaml").write_text(INVENTORY, encoding="utf-8")
    monkeypatch.chdir(root)
    for name in ("WTSFLOW_PARALLEL", "WTSFLOW_TIMEOUT", "WTSFLOW_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WTSFLOW_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("WTSFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WTSFLOW_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def document(cli: Cli, *words: str) -> Any:
    code, out, err = cli(*words, "--format", "json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_list_says_where_each_target_is(cli: Cli) -> None:
    code, out, err = cli("inventory", "list")
    assert (code, err) == (0, "")
    assert out == (
        "name   address            how  os     as    groups\n"
        "alone  ops@alone          ssh  -      -\n"
        "web1   ops@10.0.0.1:2222  ssh  linux  root  prod, web\n"
        "web2   ops@web2           ssh  linux  root  prod, web\n"
    )


def test_a_pattern_chooses(cli: Cli) -> None:
    said = document(cli, "inventory", "list", "prod:!web2")
    assert said["schema"] == "wtsflow.inventory/1"
    assert [target["name"] for target in said["targets"]] == ["web1"]
    assert said["groups"]["prod"] == {"hosts": [], "groups": ["web"], "targets": ["web1"]}


def test_the_graph_shows_groups_in_groups(cli: Cli) -> None:
    assert cli("inventory", "list", "--graph")[1] == (
        "all (3)\n  @prod (2)\n    @web (2)\n      web1\n      web2\n  alone\n"
    )


def test_show_says_all_of_one_target_and_moves_no_cursor(cli: Cli) -> None:
    code, out, _err = cli("inventory", "show", "web1")
    assert code == 0
    assert "address    ops@10.0.0.1:2222" in out
    assert "    agent: false" in out
    assert "    site: paris" in out
    assert "\x1b" not in out
    assert '    tags\\x1b[31m: ["a", 1]' in out


def test_an_unlisted_host_is_shown_as_such(cli: Cli) -> None:
    code, out, err = cli("inventory", "show", "other")
    assert (code, out.splitlines()[1].split()) == (0, ["address", "ops@other"])
    assert "not listed" in err
    assert document_of(cli("inventory", "show", "other", "--format", "json"))["listed"] is False


def document_of(done: tuple[int, str, str]) -> Any:
    assert done[0] == 0
    return json.loads(done[1])


def test_another_inventory_needs_no_workspace(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("[web]\na ansible_password=hunter2!\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, out, err = cli("inventory", "list", "-i", "hosts")
    assert code == 0
    assert out.splitlines()[1].split() == ["a", "a", "ssh", "web"]
    assert "wts606" in err
    assert "hunter2" not in out + err


def test_an_empty_inventory_is_no_error(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("hosts: {}\n", encoding="utf-8")
    assert cli("inventory", "list", "-i", str(tmp_path / "e.yaml")) == (0, "", "no targets\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("inventory", "list", "wbe1"), 3, "did you mean 'web1'?"),
        (("inventory", "show", "-oProxyCommand=x"), 2, ""),
        (("inventory", "show", "--", "-oProxyCommand=x"), 3, "cannot be a host"),
        (("inventory", "list", "-i", "none"), 3, "cannot be read"),
    ],
)
def test_a_mistake_has_its_code(cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    got, _out, err = cli(*words)
    assert got == code
    assert said in err


# --- config -----------------------------------------------------------------------------------


def test_every_setting_says_where_it_comes_from(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(
        "wtsflow: 1\nsettings: { grace: 1s, timeout: 1m }\n", encoding="utf-8"
    )
    monkeypatch.setenv("WTSFLOW_PARALLEL", "7")
    said = document(cli, "config", "show")
    assert said["schema"] == "wtsflow.config/1"
    assert {name: (one["value"], one["origin"]) for name, one in said["settings"].items()} == {
        "parallel": ("7", "environment"),
        "timeout": ("10m", "wtsflow.yaml"),
        "grace": ("1s", "user file"),
        "connect_timeout": ("10s", "default"),
        "reattach": ("5m", "default"),
        "closing": ("5m", "default"),
        "park": ("15m", "default"),
        "wait": ("0s", "default"),
    }
    assert said["ssh"]["agent"] == {"value": False, "origin": "wtsflow.yaml"}
    assert said["paths"]["state"]["value"] == str(tmp_path / "state")
    assert said["paths"]["state"]["origin"] == "environment WTSFLOW_STATE"


def test_origins_are_shown_when_asked_for(cli: Cli) -> None:
    plain, told = cli("config", "show")[1], cli("config", "show", "--origin")[1]
    assert "timeout          10m\n" in plain
    assert "default" not in plain
    line = next(line for line in told.splitlines() if line.startswith("  timeout"))
    assert line.split()[:3] == ["timeout", "10m", "wtsflow.yaml"]


def test_settings_are_shown_without_a_workspace(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = document(cli, "config", "show")
    assert said["settings"]["timeout"]["origin"] == "default"
    assert "workspace" not in said["paths"]


def test_a_wrong_workspace_file_is_shown_with_its_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "home" / "wtsflow.yaml").write_text("wtsflow: 1\nsetting: {}\n", encoding="utf-8")
    code, _out, err = cli("config", "show")
    assert code == 3
    assert "wtsflow.yaml:2:1: error: unknown key 'setting'" in err
