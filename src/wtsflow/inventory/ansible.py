"""What Ansible's inventories say, in our words.

Values are data: nothing is evaluated, so ``{{ … }}`` in an address or account is refused with its
place, and stays text everywhere else.
"""

from collections.abc import Mapping
from typing import Protocol

from wtsflow.errors import Severity
from wtsflow.inventory.graph import Facts
from wtsflow.inventory.names import is_address, is_name
from wtsflow.inventory.secrets import RULE, is_secret_key
from wtsflow.model.text import shown
from wtsflow.model.values import Json

TRANSPORTS = {
    **dict.fromkeys(("ssh", "smart", "paramiko", "paramiko_ssh", "libssh"), "ssh"),
    **dict.fromkeys(("psrp", "winrm"), "psrp"),
    "local": "local",
}
OPTIONS = ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")
_YES = (True, 1, "true", "yes", "on", "1", "y", "t")


class Report(Protocol):
    """Notes a finding about one variable, whose place the caller knows."""

    def __call__(
        self, rule: str, message: str, key: str, cure: str, severity: Severity = ...
    ) -> None: ...


def facts(variables: Mapping[str, Json], report: Report) -> Facts:
    """What one host's or group's variables say of how to reach it; the rest stay variables."""
    rest: dict[str, Json] = dict(variables)
    found = Facts()
    for key in [key for key in rest if is_secret_key(key)]:
        del rest[key]
        report(
            RULE,
            f"'{shown(key)}' holds a secret in a plain file: it is not used",
            key,
            "keep it in the keyring",
            Severity.WARNING,
        )
    for name, keys in _NAMED.items():
        for key in keys:
            if (value := rest.pop(key, None)) is not None:
                _set(found, name, key, value, report)
    for key in OPTIONS:
        if rest.pop(key, None):
            report(
                "wts607",
                f"'{key}' is not used: no options are passed on",
                key,
                "write 'ssh:' settings in an inventory of wtsflow beside this one",
                Severity.WARNING,
            )
    if rest.get("ansible_shell_type") == "powershell" or found.transport == "psrp":
        found.os = "windows"
    found.variables = rest
    return found


_NAMED = {
    "host": ("ansible_ssh_host", "ansible_host"),
    "port": ("ansible_ssh_port", "ansible_port"),
    "user": ("ansible_ssh_user", "ansible_user"),
    "transport": ("ansible_connection",),
    "run_as": ("ansible_sudo_user", "ansible_become_user"),
    "become": ("ansible_sudo", "ansible_become"),
    "key": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
}


def _set(found: Facts, name: str, key: str, value: Json, report: Report) -> None:
    text = str(value)
    if "{{" in text or "{%" in text:
        report("wts601", f"'{key}' is a template, and none is evaluated here", key,
               "write the value itself")  # fmt: skip
    elif name == "become":
        found.become = (value.lower() if isinstance(value, str) else value) in _YES
    elif name == "key":
        found.settings.setdefault("ssh", {})["identity_file"] = text
    elif name == "port":
        _set_port(found, key, text, report)
    elif name == "transport":
        _set_transport(found, key, text, report)
    elif not (is_address(text) if name == "host" else is_name(text)):
        report("wts601", f"'{shown(text)}' cannot be {_WORDS[name]}", key,
               "letters, digits, '.', '_' and '-', a letter or digit first")  # fmt: skip
    else:
        setattr(found, name, text)


_WORDS = {"host": "an address", "user": "a user", "run_as": "a user"}


def _set_port(found: Facts, key: str, text: str, report: Report) -> None:
    if text.isascii() and text.isdigit() and 0 < int(text[:6]) < 1 << 16:
        found.port = int(text)
    else:
        report("wts601", f"'{shown(text)}' cannot be a port", key, "a number from 1 to 65535")


def _set_transport(found: Facts, key: str, text: str, report: Report) -> None:
    plugin = text.rpartition(".")[2]
    if plugin not in TRANSPORTS:
        report("wts607", f"the connection '{shown(text)}' is not known", key,
               "ssh, psrp, winrm and local are")  # fmt: skip
    else:
        found.transport = TRANSPORTS[plugin]
