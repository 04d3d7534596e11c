"""What an examination finds: a stable id, how bad it is, one sentence, one line of cure."""

from dataclasses import dataclass
from enum import StrEnum

HERE = "here"
"""The machine that wtsflow runs on, as what a finding is about."""


class Level(StrEnum):
    """How bad it is: only problems make an examination end badly."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """``about`` is :data:`HERE` or the name of a target."""

    id: str
    level: Level
    message: str
    cure: str = ""
    about: str = HERE


def ok(id_: str, message: str) -> Finding:
    """All is well."""
    return Finding(id_, Level.OK, message)


def warning(id_: str, message: str, cure: str) -> Finding:
    """Runs go on; something is to be looked at."""
    return Finding(id_, Level.WARNING, message, cure)


def problem(id_: str, message: str, cure: str) -> Finding:
    """Runs cannot be begun, or what was written down cannot be trusted."""
    return Finding(id_, Level.PROBLEM, message, cure)
