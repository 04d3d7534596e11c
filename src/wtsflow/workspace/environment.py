"""Environments: the same manifests from dev to prod, and what differs there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from wtsflow.errors import ConfigError, UsageError
from wtsflow.model.text import did_you_mean, listed, shown
from wtsflow.model.values import Json
from wtsflow.model.workflow import Input, Type

CREDENTIALS = ("password_from", "passphrase_from", "sudo_password")
"""Settings of targets and of ssh that name a credential."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What ``environments: <name>:`` says. Paths are as written, from the workspace's folder.

    ``inventories`` is None where the workspace's holds; ``credentials`` is a prefix or a map of
    names; ``access`` names the file of access rules.
    """

    name: str
    title: str = ""
    production: bool = False
    inventories: tuple[str, ...] | None = None
    variables: Mapping[str, Json] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)
    ssh: Mapping[str, Json] = field(default_factory=dict)
    credentials: str | Mapping[str, str] = ""
    access: Path | None = None

    @classmethod
    def read(cls, name: str, said: Mapping[str, Any]) -> Self:
        """What the file says of it, checked against the schema before."""
        inventory = said.get("inventory")
        return cls(
            name=name,
            title=said.get("title", ""),
            production=said.get("production", False),
            inventories=(inventory,)
            if isinstance(inventory, str)
            else inventory and tuple(inventory),
            variables=said.get("variables", {}),
            settings=said.get("settings", {}),
            ssh=said.get("ssh", {}),
            credentials=said.get("credentials", ""),
            access=Path(said["access"]) if "access" in said else None,
        )

    def fill(self, inputs: Mapping[str, Input], given: Mapping[str, Json]) -> dict[str, Json]:
        """The variables that declared inputs of the same names take which were not given.

        Raises ConfigError for a secret: the file is no place for one.
        """
        filled = {
            name: value
            for name, value in self.variables.items()
            if name in inputs and given.get(name) is None
        }
        for name in filled:
            if inputs[name].type is Type.SECRET:
                raise ConfigError(
                    f"environment '{self.name}' has a variable '{name}', which is a secret input",
                    cure=f"take it out of wtsflow.yaml; WTSFLOW_INPUT_{name.upper()} may hold it",
                )
        return filled

    def credential(self, name: str) -> str:
        """What the credential of this name is called here: ``sudo`` is ``prod/sudo``."""
        if not isinstance(self.credentials, str):
            return self.credentials.get(name, name)
        prefix = f"{self.credentials.rstrip('/')}/" if self.credentials else ""
        return name if name.startswith(prefix) else prefix + name

    def renamed(self, settings: Mapping[str, Json]) -> dict[str, Json]:
        """Settings with the credentials that they name as they are called here."""
        return {
            key: self.credential(value)
            if key in CREDENTIALS and isinstance(value, str) and value
            else value
            for key, value in settings.items()
        }


def unknown(name: str, known: Mapping[str, Environment]) -> UsageError:
    """The error about an environment that there is not."""
    if not known:
        return UsageError(
            f"this workspace has no environments, so none is called '{shown(name)}'",
            cure="leave --env and WTSFLOW_ENV out, or write 'environments:' in wtsflow.yaml",
        )
    near = did_you_mean(name, known)
    return UsageError(
        f"there is no environment '{shown(name)}'", cure=near or f"there are {listed(known)}"
    )


def unsaid(known: Mapping[str, Environment]) -> UsageError:
    """The error about a command that does not say in which environment."""
    return UsageError(
        f"in which environment? This workspace has {listed(known)}",
        cure=f"--env {next(iter(known))}; 'default_environment:' in wtsflow.yaml says it for all",
    )
