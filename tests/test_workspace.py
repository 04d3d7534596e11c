"""Where wtsflow.yaml is found, what it says, and which settings hold."""

import os
from pathlib import Path
from typing import Any

import pytest

from wtsflow.errors import ConfigError, ManifestError, UsageError
from wtsflow.workspace import Origin, UserFile, Workspace, effective, locate

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX modes")


def written(folder: Path, text: str = "wtsflow: 1\n", name: str = "wtsflow.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def findings(path: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(ManifestError) as caught:
        Workspace.read(path)
    return [(each.rule, each.location.line, each.message) for each in caught.value.diagnostics]


# --- finding ----------------------------------------------------------------------------------


def test_the_nearest_one_above_is_found(tmp_path: Path) -> None:
    written(tmp_path)
    inner = written(tmp_path / "a" / "b")
    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    assert Workspace.find(deep).file == inner
    assert Workspace.find(inner).root == inner.parent
    assert Workspace.find(tmp_path / "a").root == tmp_path


def test_where_there_is_none_the_message_says_how_to_make_one(tmp_path: Path) -> None:
    if locate(tmp_path) is not None:
        pytest.skip("the temporary folder is inside a workspace")
    with pytest.raises(ConfigError) as caught:
        Workspace.find(tmp_path)
    assert "wtsflow new" in caught.value.cure
    assert caught.value.exit == 3


@posix
def test_a_file_that_everybody_can_write_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.chmod(0o666)
    with pytest.raises(ConfigError) as caught:
        Workspace.find(tmp_path)
    assert caught.value.cure == f"chmod o-w {path}"


@posix
@pytest.mark.parametrize("mode", [0o777, 0o707])
def test_a_file_that_everybody_can_replace_is_not_read(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    written(folder)
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="everybody can write the folder"):
        Workspace.find(folder)


@posix
def test_in_a_sticky_folder_only_our_own_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tmp"
    written(folder)
    folder.chmod(0o1777)
    assert Workspace.find(folder).root == folder
    if os.getuid() == 0:
        os.chown(folder / "wtsflow.yaml", 1234, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(ConfigError, match="everybody can write the folder"):
        Workspace.find(folder)


# --- what it says -----------------------------------------------------------------------------


def test_all_keys_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
wtsflow: 1
scripts: { default: ../scripts, identity: "https://git.example/identity.git" }
inventory: [a.yaml, b.ini]
manifests: flows
settings: { parallel: 5, timeout: 10m, grace: 2s, connect_timeout: 500ms }
trust: { signatures: required, allowed_signers: signers }
ssh: { known_hosts: keys, identity_file: [~/.ssh/k, keys/k], keepalive_interval: 5 }
""",
    )
    found = Workspace.read(path)
    assert found.scripts == {
        "default": "../scripts",
        "identity": "https://git.example/identity.git",
    }
    assert found.inventories == (tmp_path / "a.yaml", tmp_path / "b.ini")
    assert found.manifests == tmp_path / "flows"
    assert found.signatures
    assert found.allowed_signers == tmp_path / "signers"
    assert found.transports["ssh"] == {
        "known_hosts": str(tmp_path / "keys"),
        "identity_file": ["~/.ssh/k", str(tmp_path / "keys" / "k")],
        "keepalive_interval": 5,
    }


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    found = Workspace.read(written(tmp_path))
    assert found.scripts == {"default": "."}
    assert found.inventories == ()
    assert found.manifests == tmp_path / "manifests"
    assert found.lock == tmp_path / "wtsflow.lock"
    assert not found.signatures
    written(tmp_path, "hosts: {}\n", "inventory.yaml")
    assert Workspace.read(found.file).inventories == (tmp_path / "inventory.yaml",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scripts: .\n", ("wts102", 1, "'wtsflow' is missing")),
        (
            "wtsflow: 1\nscript: .\n",
            ("wts101", 2, "unknown key 'script' (did you mean 'scripts'?)"),
        ),
        (
            "wtsflow: 1\nsettings:\n  paralel: 5\n",
            ("wts101", 3, "unknown key 'paralel' (did you mean 'parallel'?)"),
        ),
        (
            "wtsflow: 1\nsettings: { timeout: 5 }\n",
            (
                "wts103",
                2,
                "'timeout' is the number 5, but must be a duration like 30s, 5m or 1h30m",
            ),
        ),
        (
            "wtsflow: 1\nsettings: { timeout: 5 minutes }\n",
            ("wts105", 2, "'5 minutes' is not a duration like 30s, 5m or 1h30m"),
        ),
        ("wtsflow: 1\nsettings: { parallel: 0 }\n", ("wts109", 2, "'parallel' is less than 1")),
        (
            "wtsflow: 1\nssh: { password: x }\n",
            ("wts101", 2, "unknown key 'password' (did you mean 'sudo_password'?)"),
        ),
    ],
)
def test_a_mistake_is_shown_at_its_line(
    tmp_path: Path, text: str, expected: tuple[str, int, str]
) -> None:
    assert findings(written(tmp_path, text))[0] == expected


def test_the_ssh_settings_of_the_schemas_are_those_of_the_transport() -> None:
    import json

    from wtsflow.source import schema_text
    from wtsflow.transports.ssh_settings import DEFAULTS

    listed = json.loads(schema_text("inventory-1"))["$defs"]["ssh"]["properties"]
    assert set(listed) == set(DEFAULTS)
    workspace = json.loads(schema_text("workspace-1"))["$defs"]["ssh"]["properties"]
    assert workspace == listed


@pytest.mark.parametrize("name", ["inventory-1", "workspace-1"])
def test_the_schema_is_a_schema_and_every_key_is_described(name: str) -> None:
    import json

    from jsonschema import Draft202012Validator

    from wtsflow.source import schema_text

    schema = json.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)

    def bare(part: Any, path: str = "") -> list[str]:
        if not isinstance(part, dict):
            return []
        found = []
        for key, inner in part.get("properties", {}).items():
            where = schema["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
            if not (inner.get("description") or where.get("description")):
                found.append(f"{path}/{key}")
            found += bare(inner, f"{path}/{key}")
        for key in part.get("$defs", {}):
            found += bare(part["$defs"][key], f"{path}/$defs/{key}")
        return found

    assert bare(schema) == []


# --- settings ---------------------------------------------------------------------------------


def user(tmp_path: Path, text: str) -> UserFile:
    return UserFile.read(written(tmp_path / "config", text, "config.yaml"))


def test_the_nearest_one_who_says_it_wins(tmp_path: Path) -> None:
    workspace = Workspace.read(
        written(tmp_path, "wtsflow: 1\nsettings: { parallel: 2, grace: 2s }\n")
    )
    said = user(tmp_path, "wtsflow: 1\nsettings: { parallel: 1, grace: 1s, timeout: 1m }\n")
    settings = effective(
        flags={"parallel": 4},
        environ={"WTSFLOW_PARALLEL": "3", "WTSFLOW_GRACE": "3s"},
        workspace=workspace,
        user=said,
    )
    origins = {name: value.origin for name, value in settings.values.items()}
    assert origins == {
        "parallel": Origin.FLAG,
        "grace": Origin.ENVIRONMENT,
        "timeout": Origin.USER,
        "connect_timeout": Origin.DEFAULT,
        "reattach": Origin.DEFAULT,
        "closing": Origin.DEFAULT,
        "park": Origin.DEFAULT,
        "wait": Origin.DEFAULT,
    }
    assert (settings.parallel, settings.grace, settings.timeout) == (4, 3.0, 60.0)
    assert settings.connect_timeout == 10.0
    without = effective(flags={}, environ={}, workspace=workspace, user=said)
    assert without.values["parallel"].origin is Origin.WORKSPACE
    assert without.parallel == 2


def test_an_empty_variable_says_nothing() -> None:
    settings = effective(flags={}, environ={"WTSFLOW_PARALLEL": ""}, workspace=None, user=None)
    assert settings.values["parallel"].origin is Origin.DEFAULT


@pytest.mark.parametrize("value", ["0", "-1", "many", "1001", "1.5", "٣"])
def test_a_variable_that_cannot_be_read_is_named(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        effective(flags={}, environ={"WTSFLOW_PARALLEL": value}, workspace=None, user=None)
    assert "WTSFLOW_PARALLEL" in caught.value.message


def test_a_users_file_holds_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'scripts' belongs to a workspace"):
        user(tmp_path, "wtsflow: 1\nscripts: .\n")


def test_no_users_file_is_no_mistake(tmp_path: Path) -> None:
    assert UserFile.read(tmp_path / "none.yaml").settings == {}


@posix
def test_a_users_file_that_everybody_can_write_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "config", "wtsflow: 1\n", "config.yaml")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="everybody can write"):
        UserFile.read(path)


# --- environments -----------------------------------------------------------------------------

PLACES = """\
wtsflow: 1
inventory: base.yaml
settings: { parallel: 7, grace: 2s }
ssh: { known_hosts: keys, password_from: login }
default_environment: qa
environments:
  qa: {}
  prod:
    inventory: [a.yaml, b.yaml]
    settings: { parallel: 3, connect_timeout: 3s }
    ssh: { known_hosts: prod/keys }
    credentials: prod
    access: rules/prod.yaml
  map: { credentials: { login: other } }
"""


def test_an_environment_says_what_differs_from_the_workspace(tmp_path: Path) -> None:
    found = Workspace.read(written(tmp_path, PLACES))
    live = found.within("prod")
    assert live.environment == "prod"
    assert live.inventories == (tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert live.settings == {"parallel": 3, "grace": "2s", "connect_timeout": "3s"}
    assert live.access == tmp_path / "rules" / "prod.yaml"
    assert live.transports["ssh"] == {
        "known_hosts": str(tmp_path / "prod" / "keys"),
        "password_from": "prod/login",
        "connect_timeout": "3s",
    }
    qa = live.within("qa")
    assert qa.inventories == (tmp_path / "base.yaml",)
    assert qa.transports["ssh"]["password_from"] == "login"
    assert (qa.access, qa.within("").environment) == (None, "")


def test_credentials_are_renamed_by_prefix_or_by_map_and_only_once(tmp_path: Path) -> None:
    found = Workspace.read(written(tmp_path, PLACES))
    by_prefix, by_map = found.environments["prod"], found.environments["map"]
    assert [by_prefix.credential(name) for name in ("sudo", "prod/sudo")] == ["prod/sudo"] * 2
    assert [by_map.credential(name) for name in ("login", "sudo")] == ["other", "sudo"]
    listing = "hosts: { web1: { ssh: { sudo_password: sudo, shell: /bin/sh } } }\n"
    written(tmp_path, listing, "a.yaml")
    written(tmp_path, "hosts: {}\n", "b.yaml")
    target = found.within("prod").inventory().host("web1")
    assert target.settings == {"sudo_password": "prod/sudo", "shell": "/bin/sh"}


def test_the_sudo_password_of_the_workspace_holds_for_every_target(tmp_path: Path) -> None:
    text = "wtsflow: 1\nssh: { sudo_password: sudo }\n"
    found = Workspace.read(written(tmp_path, text))
    written(tmp_path, "hosts: { a: {}, b: { ssh: { sudo_password: mine } } }\n", "hosts.yaml")
    listing = found.inventory([tmp_path / "hosts.yaml"])
    assert [listing.host(name).settings["sudo_password"] for name in "ab"] == ["sudo", "mine"]


def test_a_setting_says_which_environment_it_comes_from(tmp_path: Path) -> None:
    path = written(tmp_path, PLACES)
    live = Workspace.read(path).within("prod")
    values = effective(flags={}, environ={}, workspace=live, user=None).values
    assert (values["parallel"].number, values["grace"].number) == (3, 2)
    assert values["parallel"].where == f"{path} (environment prod)"
    assert values["grace"].where == str(path)


def test_which_environment_is_meant(tmp_path: Path) -> None:
    found = Workspace.read(written(tmp_path, PLACES))
    assert (found.chosen("prod"), found.chosen("")) == ("prod", "qa")
    with pytest.raises(UsageError, match="there is no environment 'prd'") as caught:
        found.chosen("prd")
    assert caught.value.cure == "did you mean 'prod'?"
    unsaid = Workspace.read(written(tmp_path, PLACES.replace("default_environment: qa\n", "")))
    with pytest.raises(UsageError, match="in which environment") as caught:
        unsaid.chosen("")
    assert "--env qa" in caught.value.cure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("qa: { inventry: a }", ("wts101", "unknown key 'inventry' (did you mean 'inventory'?)")),
        ("QA: {}", ("wts105", "'QA' is not a name of small letters, digits, '_' and '-'")),
        ("qa: { settings: { timeout: 5 } }", ("wts103", "'timeout' is the number 5")),
        ("qa: { production: maybe }", ("wts103", "'production' is")),
    ],
)
def test_a_mistake_in_an_environment_has_its_place(
    tmp_path: Path, text: str, expected: tuple[str, str]
) -> None:
    path = written(tmp_path, f"wtsflow: 1\nenvironments:\n  {text}\n")
    [(rule, line, message)] = findings(path)
    assert (rule, line) == (expected[0], 3)
    assert message.startswith(expected[1])
