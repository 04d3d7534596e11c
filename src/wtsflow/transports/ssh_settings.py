"""Where a target is and how to log in: its settings, over the workspace's, over ``ssh_config``."""

import getpass
import ipaddress
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wtsflow.errors import ConfigError
from wtsflow.model.plan import Target
from wtsflow.model.values import Json
from wtsflow.transports.known_hosts import KnownHosts
from wtsflow.transports.ssh_config import SshConfig

HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,252}\$?")

DEFAULTS: Mapping[str, Json] = {
    "known_hosts": None,
    "config": None,
    "identity_file": None,
    "identity": None,
    "certificate_file": None,
    "identities_only": None,
    "agent": True,
    "password_from": "",
    "passphrase_from": "",
    "jump": None,
    "host_key_alias": "",
    "connect_timeout": None,
    "keepalive_interval": 15,
    "keepalive_count": 3,
    "max_sessions": 10,
    "shell": "/bin/sh",
    "sudo_password": "",
}
"""Every setting of the transport, with what holds when nobody says."""

_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way: where it is, who it must be, who logs in.

    Times are seconds. ``identities`` are key files in the order to try; ``certificates`` belong
    to some of them; ``agent`` is the agent's socket, empty for none (``True``: the usual one).
    """

    host: str
    port: int
    user: str
    known_hosts: KnownHosts
    identities: tuple[Path, ...] = ()
    certificates: tuple[Path, ...] = ()
    explicit: bool = False
    """Whether ``identities`` were asked for, rather than found in the usual places."""
    identities_only: bool = False
    agent: str = ""
    password_from: str = ""
    passphrase_from: str = ""
    alias: str = ""
    connect_timeout: float = 10.0
    keepalive_interval: float = 15.0
    keepalive_count: int = 3

    @property
    def place(self) -> str:
        """``web01:22``, as errors name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a target: the jump hosts, then itself; and what its session needs."""

    hops: tuple[Hop, ...]
    max_sessions: int = 10
    shell: str = "/bin/sh"


@dataclass
class Surroundings:
    """This user's home, environment and the settings of the workspace."""

    settings: Mapping[str, Json]
    environment: Mapping[str, str]
    home: Path
    _configs: dict[Path, SshConfig] = field(default_factory=dict)

    def route(self, target: Target) -> Route:
        """The way to a target.

        Raises ConfigError for settings that cannot be, host and user names that could be taken
        for something else (an option, a command), and a ProxyCommand.
        """
        said = {**DEFAULTS, **self.settings, **target.settings}
        unknown = sorted(set(said) - set(DEFAULTS))
        if unknown:
            raise ConfigError(
                f"{target.name}: ssh has no setting '{unknown[0]}'",
                cure=f"the settings are: {', '.join(DEFAULTS)}",
            )
        lookup = self._lookup(said)
        found = lookup(target.address, target.user)
        hop = self._hop(target.address, target.user, target.port, said, found)
        jumps = self._jumps(target.name, said, found, lookup, depth=0)
        return Route((*jumps, hop), _whole(said, "max_sessions"), str(said["shell"]))

    def _lookup(self, said: Mapping[str, Json]) -> "_Lookup":
        path = said["config"]
        if path is False:
            return _Lookup(None, "")
        file = self._path(str(path)) if path else self.home / ".ssh" / "config"
        if file not in self._configs:
            if path and not file.exists():
                raise ConfigError(f"ssh.config: there is no file {file}")
            self._configs[file] = SshConfig(file, self.home)
        return _Lookup(self._configs[file], self._user())

    def _jumps(
        self,
        name: str,
        said: Mapping[str, Json],
        found: Mapping[str, list[str]],
        lookup: "_Lookup",
        depth: int,
    ) -> tuple[Hop, ...]:
        words = _list(said["jump"])
        if said["jump"] is None:
            if _first(found, "proxyjump", "none").lower() != "none":
                words = tuple(map(str.strip, found["proxyjump"][0].split(",")))
            elif _first(found, "proxycommand", "none").lower() != "none":
                raise ConfigError(
                    f"{name}: its ssh_config asks for a ProxyCommand, and no command is run",
                    cure="write ProxyJump (or the setting 'jump') instead",
                )
        if depth > 8:
            raise ConfigError(f"{name}: its jump hosts lead in a circle")
        hops: list[Hop] = []
        for index, word in enumerate(filter(None, words)):
            user, host, port = _jump(word)
            here = lookup(host, user)
            if index == 0:
                inner = {**said, "jump": None}
                hops += self._jumps(host, inner, here, lookup, depth + 1)
            own = {**said, "host_key_alias": "", "connect_timeout": said["connect_timeout"]}
            hops.append(self._hop(host, user, port, own, here))
        return tuple(hops)

    def _hop(
        self,
        name: str,
        user: str,
        port: int | None,
        said: Mapping[str, Json],
        found: Mapping[str, list[str]],
    ) -> Hop:
        host = _first(found, "hostname", name).replace("%h", name).replace("%%", "%")
        user = user or _first(found, "user") or self._user()
        _check(name, host, user)
        number = port or _port(_first(found, "port", "22"), name)
        files = _list(said["identity_file"]) or _list(said["identity"])
        named = files or tuple(found.get("identityfile", ()))
        usual = tuple(str(self.home / ".ssh" / key) for key in _KEYS)
        only = said["identities_only"]
        if only is None:
            only = _first(found, "identitiesonly").lower() == "yes"
        certificates = _list(said["certificate_file"]) or tuple(found.get("certificatefile", ()))
        timeout = said["connect_timeout"] or _first(found, "connecttimeout") or 10.0

        def paths(words: Sequence[str]) -> tuple[Path, ...]:
            return tuple(self._path(w, host=host, user=user, port=number) for w in words)

        return Hop(
            host=host,
            port=number,
            user=user,
            known_hosts=KnownHosts(self._known_hosts(said, found)),
            identities=paths(named or usual),
            certificates=paths(certificates),
            explicit=bool(named),
            identities_only=bool(only),
            agent=self._agent(said, found),
            password_from=str(said["password_from"] or ""),
            passphrase_from=str(said["passphrase_from"] or ""),
            alias=str(said["host_key_alias"] or _first(found, "hostkeyalias")),
            connect_timeout=_seconds(timeout, "connect_timeout"),
            keepalive_interval=_seconds(said["keepalive_interval"], "keepalive_interval"),
            keepalive_count=_whole(said, "keepalive_count"),
        )

    def _known_hosts(
        self, said: Mapping[str, Json], found: Mapping[str, list[str]]
    ) -> tuple[Path, ...]:
        given = _list(said["known_hosts"])
        if given:
            return tuple(self._path(word) for word in given)
        personal = _first(found, "userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        general = _first(found, "globalknownhostsfile", "/etc/ssh/ssh_known_hosts")
        words = f"{personal} {general}".split()
        return tuple(self._path(word.strip('"')) for word in words if word != "none")

    def _agent(self, said: Mapping[str, Json], found: Mapping[str, list[str]]) -> str:
        usual = self.environment.get("SSH_AUTH_SOCK", "")
        if said["agent"] is not True:
            return str(self._path(str(said["agent"]))) if said["agent"] else ""
        asked = _first(found, "identityagent", "SSH_AUTH_SOCK")
        if asked.lower() == "none":
            return ""
        return usual if asked == "SSH_AUTH_SOCK" else str(self._path(asked))

    def _path(self, word: str, *, host: str = "", user: str = "", port: int = 22) -> Path:
        tokens = {
            "%": "%",
            "h": host,
            "n": host,
            "r": user,
            "p": str(port),
            "d": str(self.home),
            "u": self.environment.get("USER", ""),
        }
        word = re.sub(r"%(.)", lambda token: tokens.get(token[1], token[0]), word)
        return self.home / word[2:] if word.startswith(("~/", "~\\")) else Path(word)

    def _user(self) -> str:
        for name in ("LOGNAME", "USER", "USERNAME"):
            if self.environment.get(name):
                return self.environment[name]
        if sys.platform == "win32":
            return getpass.getuser()
        try:
            import os
            import pwd

            return pwd.getpwuid(os.getuid()).pw_name
        except (ImportError, KeyError):
            return "root"


@dataclass(frozen=True, slots=True)
class _Lookup:
    config: SshConfig | None
    local: str

    def __call__(self, name: str, user: str) -> Mapping[str, list[str]]:
        return self.config.lookup(name, user, self.local) if self.config else {}


def _check(name: str, host: str, user: str) -> None:
    """T03: what begins with a dash is an option to somebody, what has a space is two words."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not HOST.fullmatch(host):
            raise ConfigError(
                f"{name}: {host!r} cannot be a host",
                cure="letters, digits, '.', '_' and '-', not beginning with a sign",
            ) from None
    if not USER.fullmatch(user):
        raise ConfigError(
            f"{name}: {user!r} cannot be a user",
            cure="letters, digits, '.', '_', '-', '@', '+', not beginning with a sign",
        )


def _jump(word: str) -> tuple[str, str, int | None]:
    user, _, place = word.removeprefix("ssh://").rpartition("@")
    found = re.fullmatch(r"\[([^\]]*:[^\]]*)\](?::(\d+))?|([^:]*)(?::(\d+))?", place)
    if not found:
        raise ConfigError(f"jump: {word!r} is no host", cure="write user@host:port")
    port = found[2] or found[4]
    return user, found[1] or found[3], _port(port, word) if port else None


def _port(text: str, name: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 1 << 16:
        return int(text)
    raise ConfigError(f"{name}: {text!r} cannot be a port", cure="a number from 1 to 65535")


def _first(found: Mapping[str, list[str]], keyword: str, default: str = "") -> str:
    return found.get(keyword, [default])[0]


def _list(value: Json) -> tuple[str, ...]:
    if value is None or value == "" or value is False:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, Sequence) else (str(value),)


def _seconds(value: Json, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", str(value))
    if not found or not float(found[1]):
        raise ConfigError(f"ssh.{name}: {value!r} is no duration", cure="write 10s or 500ms")
    return float(found[1]) * _UNITS[found[2]]


def _whole(said: Mapping[str, Json], name: str) -> int:
    value = said[name]
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ConfigError(f"ssh.{name}: {value!r} is no number above 0")
