"""``ssh_config`` as far as we read it; ``ssh -G`` is the oracle where it is there."""

import getpass
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.peers.sshd import require
from wtsflow.errors import ConfigError
from wtsflow.model.plan import Target
from wtsflow.model.values import Json
from wtsflow.transports.ssh_config import SshConfig
from wtsflow.transports.ssh_settings import DEFAULTS, Route, Surroundings

CONFIG = """\
# A comment
Host web1 web2 !web3
    HostName %h.example
    User deploy

Host *.lab !gate.lab
    Port 2222
    ProxyJump gate.lab
    IdentityFile ~/.ssh/lab_key
    IdentityFile "~/.ssh/other key"

match host db* user %ME%
    Port 2200

Match originalhost alias
    HostName 10.0.0.9

Match exec "touch canary"
    User stolen

Match all
    ConnectTimeout 7

Host *
    User fallback
    Port=22
    IdentitiesOnly = yes
    UnknownThing whatever
"""


def home(tmp_path: Path, text: str = CONFIG) -> Path:
    (tmp_path / ".ssh").mkdir(exist_ok=True)
    (tmp_path / ".ssh" / "config").write_text(text)
    return tmp_path


def route(tmp_path: Path, target: Target, me: str = "me", **settings: Json) -> Route:
    return Surroundings(settings, {"LOGNAME": me}, tmp_path).route(target)


@pytest.mark.parametrize("name", ["web1", "web2", "web3", "a.lab", "gate.lab", "db7", "alias", "x"])
def test_openssh_reads_the_same(tmp_path: Path, name: str) -> None:
    ssh = shutil.which("ssh")
    require(ssh, "ssh (openssh-client)")
    text = (
        CONFIG.replace("%ME%", getpass.getuser())
        .replace("Match exec", "# Match exec")
        .replace("    User stolen\n", "")
    )
    text = text.replace("    UnknownThing whatever\n", "")
    path = home(tmp_path, text) / ".ssh" / "config"
    said = subprocess.run(
        [str(ssh), "-G", "-F", path, name], capture_output=True, text=True, check=True
    ).stdout
    theirs = dict(line.split(" ", 1) for line in reversed(said.splitlines()) if " " in line)
    (*jumps, hop) = route(tmp_path, Target(name=name), getpass.getuser(), config=str(path)).hops
    assert (hop.host, str(hop.port), hop.user) == (
        theirs["hostname"],
        theirs["port"],
        theirs["user"],
    )
    assert [jump.host for jump in jumps] == [
        word for word in [theirs.get("proxyjump", "none")] if word != "none"
    ]
    assert hop.connect_timeout == float(theirs["connecttimeout"])


def test_a_targets_own_settings_win(tmp_path: Path) -> None:
    target = Target(
        name="a.lab",
        port=2300,
        user="own",
        settings={"jump": [], "identity_file": "/k", "connect_timeout": 3},
    )
    (hop,) = route(home(tmp_path), target).hops
    assert (hop.port, hop.user, hop.connect_timeout) == (2300, "own", 3.0)
    assert [str(path) for path in hop.identities] == ["/k"]
    assert hop.identities_only


def test_several_identity_files_add_up(tmp_path: Path) -> None:
    *_, hop = route(home(tmp_path), Target(name="a.lab")).hops
    ssh = tmp_path / ".ssh"
    assert hop.identities == (ssh / "lab_key", ssh / "other key")
    assert hop.explicit


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    (hop,) = route(home(tmp_path), Target(name="x")).hops
    assert hop.user == "fallback"
    assert not list(tmp_path.rglob("canary"))


def test_a_file_includes_others_where_it_stands(tmp_path: Path) -> None:
    path = home(tmp_path, "Host web\n  Include parts/*.conf\nHost *\n  User last\n") / ".ssh"
    (path / "parts").mkdir()
    (path / "parts" / "1.conf").write_text("User first\n")
    (path / "parts" / "2.conf").write_text("User second\nHost db\n  Port 5\n")
    config = SshConfig(path / "config", tmp_path)
    assert config.lookup("web")["user"] == ["first"]
    assert config.lookup("db") == {"user": ["last"]}, "the included file stands in Host web"
    assert config.lookup("other")["user"] == ["last"]


def test_files_that_include_each_other_are_refused(tmp_path: Path) -> None:
    path = home(tmp_path, "Include config\n") / ".ssh" / "config"
    with pytest.raises(ConfigError, match="deeper than 16"):
        SshConfig(path, tmp_path)


def test_a_missing_quotation_mark_has_its_place(tmp_path: Path) -> None:
    path = home(tmp_path, '\nHost "web\n') / ".ssh" / "config"
    with pytest.raises(ConfigError, match="config:2: a quotation mark is missing"):
        SshConfig(path, tmp_path)


def test_no_file_is_no_settings_but_a_named_one_must_be_there(tmp_path: Path) -> None:
    (hop,) = route(tmp_path, Target(name="web")).hops
    assert (hop.host, hop.port, hop.user) == ("web", 22, "me")
    with pytest.raises(ConfigError, match="there is no file"):
        route(tmp_path, Target(name="web"), config=str(tmp_path / "none"))
    (hop,) = route(home(tmp_path), Target(name="web1"), config=False).hops
    assert hop.host == "web1"


def test_jumps_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    text = "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n"
    with pytest.raises(ConfigError, match="circle"):
        route(home(tmp_path, text), Target(name="a"))


@pytest.mark.parametrize(
    ("jump", "expected"),
    [
        ("gate", [("gate", 22, "me")]),
        ("ann@gate:2222", [("gate", 2222, "ann")]),
        (["one", "two"], [("one", 22, "me"), ("two", 22, "me")]),
        ("ann@[fe80::1]:2222", [("fe80::1", 2222, "ann")]),
    ],
)
def test_a_jump_host_is_written_as_for_ssh(
    tmp_path: Path, jump: Json, expected: list[tuple[str, int, str]]
) -> None:
    *jumps, last = route(tmp_path, Target(name="web"), jump=jump, host_key_alias="other").hops
    assert [(hop.host, hop.port, hop.user) for hop in jumps] == expected
    assert all(not hop.alias for hop in jumps)
    assert last.alias == "other"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"connect_timeout": "soon"}, "no duration"),
        ({"connect_timeout": -1}, "no duration"),
        ({"keepalive_count": 0}, "no number above 0"),
        ({"max_sessions": "many"}, "no number above 0"),
        ({"keepalive_count": True}, "no number above 0"),
        ({"jump": "a:99999"}, "cannot be a port"),
        ({"jump": "[x"}, "cannot be a host"),
        ({"jump": "a:b:c"}, "is no host"),
        ({"known_host": "x"}, "no setting 'known_host'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    tmp_path: Path, settings: dict[str, Json], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        route(tmp_path, Target(name="web"), "me", **settings)


def test_durations_are_written_as_people_write_them(tmp_path: Path) -> None:
    for value, seconds in (("500ms", 0.5), ("10s", 10.0), ("2m", 120.0), (3, 3.0), ("4", 4.0)):
        (hop,) = route(tmp_path, Target(name="web"), connect_timeout=value).hops
        assert hop.connect_timeout == seconds


def test_no_setting_has_a_secret_in_its_name() -> None:
    from wtsflow.inventory.secrets import is_secret_key

    assert [name for name in DEFAULTS if is_secret_key(name)] == ["sudo_password"]
