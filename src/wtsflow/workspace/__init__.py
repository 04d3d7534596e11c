"""A folder with ``wtsflow.yaml``, and the settings that hold in it."""

from wtsflow.workspace.environment import Environment
from wtsflow.workspace.folder import DEFAULT, LOCK, NAME, Workspace, locate
from wtsflow.workspace.settings import (
    SETTINGS,
    Origin,
    Setting,
    Settings,
    UserFile,
    effective,
)

__all__ = [
    "DEFAULT",
    "LOCK",
    "NAME",
    "SETTINGS",
    "Environment",
    "Origin",
    "Setting",
    "Settings",
    "UserFile",
    "Workspace",
    "effective",
    "locate",
]
