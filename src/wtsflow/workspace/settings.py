"""Settings, and where each comes from: flag, environment, workspace, user file, default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from wtsflow import source
from wtsflow.errors import ConfigError, ManifestError, UsageError
from wtsflow.manifest.part import seconds
from wtsflow.model.text import shown
from wtsflow.model.values import Json
from wtsflow.source.foreign import refuse_foreign
from wtsflow.workspace.folder import Workspace

PREFIX = "WTSFLOW_"


class Origin(StrEnum):
    """Where a setting's value comes from; the first that says it wins."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    WORKSPACE = "wtsflow.yaml"
    USER = "user file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key in ``settings:``, what it is, and how a text of it is read."""

    name: str
    default: str
    help: str
    read: Callable[[str], float | None]
    form: str

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value (a count or seconds), as it was written, and who said it."""

    number: float
    text: str
    origin: Origin
    where: str = ""


def _count(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 1000 else None


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("parallel", "50", "tasks that run at once", _count, "a number from 1 to 1000"),
        Setting("timeout", "1h", "limit of a step that does not say", seconds, "30s, 10m or 1h30m"),
        Setting("grace", "5s", "between asking a process to end and killing it", seconds, "5s"),
        Setting("connect_timeout", "10s", "limit of connecting", seconds, "10s"),
        Setting("reattach", "5m", "how long a lost connection is tried again", seconds, "5m"),
        Setting("closing", "5m", "limit of `finally` in a run that was stopped", seconds, "5m"),
        Setting("park", "15m", "a longer wait lets the process end (exit 10)", seconds, "15m"),
        Setting("wait", "0s", "how long locked targets are waited for", seconds, "5m"),
    )
}


@dataclass(frozen=True, slots=True)
class UserFile:
    """The settings file of one user: ``settings:`` and ``ssh:``, as in wtsflow.yaml."""

    path: Path
    settings: Mapping[str, Json] = field(default_factory=dict)
    ssh: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What the file says; nothing where there is none. Raises ConfigError, ManifestError."""
        if not path.is_file():
            return cls(path)
        refuse_foreign(path)
        document = source.load(path.read_bytes(), str(path))
        if findings := source.check(document, "workspace-1"):
            raise ManifestError(findings)
        for key in document.data:
            if key not in ("wtsflow", "settings", "ssh"):
                raise ConfigError(
                    f"'{key}' belongs to a workspace, not to a user",
                    cure="write it in wtsflow.yaml",
                    location=document.location((key,), key=True),
                )
        return cls(path, document.data.get("settings", {}), document.data.get("ssh", {}))


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting's value."""

    values: Mapping[str, Value]

    @property
    def parallel(self) -> int:
        """How many tasks run at once."""
        return int(self.values["parallel"].number)

    @property
    def timeout(self) -> float:
        """Seconds that a step may take which does not say it."""
        return self.values["timeout"].number

    @property
    def grace(self) -> float:
        """Seconds between asking a process to end and killing it."""
        return self.values["grace"].number

    @property
    def connect_timeout(self) -> float:
        """Seconds that connecting may take."""
        return self.values["connect_timeout"].number

    @property
    def reattach(self) -> float:
        """Seconds for which a lost connection is tried again."""
        return self.values["reattach"].number

    @property
    def closing(self) -> float:
        """Seconds that ``finally`` may take in a run that was stopped."""
        return self.values["closing"].number

    @property
    def park(self) -> float:
        """Seconds: a longer wait does not keep the process."""
        return self.values["park"].number

    @property
    def wait(self) -> float:
        """Seconds for which targets that another run has are waited for."""
        return self.values["wait"].number


def effective(
    *,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    workspace: Workspace | None,
    user: UserFile | None,
) -> Settings:
    """Every setting's value: flag > environment > wtsflow.yaml > user file > default.

    Raises UsageError for a flag or variable that cannot be read.
    """
    return Settings(
        {
            setting.name: _value(setting, flags, environ, workspace, user)
            for setting in SETTINGS.values()
        }
    )


def _file(setting: Setting, workspace: Workspace) -> str:
    here = workspace.present
    which = f" (environment {here.name})" if here and setting.name in here.settings else ""
    return f"{workspace.file}{which}"


def _value(
    setting: Setting,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    workspace: Workspace | None,
    user: UserFile | None,
) -> Value:
    said = (
        (Origin.FLAG, flags.get(setting.name), setting.flag),
        (Origin.ENVIRONMENT, environ.get(setting.variable) or None, setting.variable),
        (
            Origin.WORKSPACE,
            workspace.settings.get(setting.name) if workspace else None,
            _file(setting, workspace) if workspace else "",
        ),
        (Origin.USER, user.settings.get(setting.name) if user else None, str(user and user.path)),
        (Origin.DEFAULT, setting.default, ""),
    )
    origin, value, where = next(each for each in said if each[1] is not None)
    number = setting.read(str(value))
    if number is None:
        raise UsageError(
            f"{where} '{shown(value)}' is not {setting.form}", cure=f"write {setting.form}"
        )
    return Value(number, str(value), origin, where)
