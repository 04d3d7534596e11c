"""Scripts: what a pin means, and what a script says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wtsflow.model.values import Json
from wtsflow.model.workflow import Type


class Language(StrEnum):
    """What a script is written in: decides the interpreter and how flags look."""

    POWERSHELL = "powershell"
    PYTHON = "python"
    SHELL = "shell"
    OTHER = "other"


class Passing(StrEnum):
    """How values reach a script (sidecar key ``input``)."""

    FLAGS = "flags"
    """Named arguments, e.g. ``--days 5`` (``-Days 5`` in PowerShell)."""
    ENV = "env"
    """``WTS_PARAM_DAYS=5`` in the environment."""
    JSON = "json"
    """One JSON object on standard input."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that a script takes."""

    name: str
    type: Type = Type.ANY
    required: bool | None = None
    """None: could not be known."""
    default: Json = None
    has_default: bool = False
    choices: tuple[Json, ...] = ()
    pattern: str = ""
    min: float | None = None
    max: float | None = None
    help: str = ""
    flag: str = ""
    """How it is written on the command line: ``--days``; empty: positional, or by language."""
    position: int | None = None
    switch: bool = False
    """A flag without a value: present when true, absent when false."""

    @property
    def secret(self) -> bool:
        """Whether its value must never be shown or travel in arguments or environment."""
        return self.type is Type.SECRET


@dataclass(frozen=True, slots=True)
class Interface:
    """What a script says of itself, by its sidecar or by its own text.

    ``parameters`` / ``outputs`` are None where it could not be known. ``source`` says where the
    parameters come from: ``sidecar``, ``param()``, ``argparse``, ``getopts``, ``usage`` or empty.
    """

    title: str = ""
    help: str = ""
    os: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] | None = None
    outputs: Mapping[str, Type] | None = None
    outcomes: Mapping[int, str] = field(default_factory=dict)
    """Exit code → outcome of the script's own."""
    passing: Passing | None = None
    """None: flags where the language has them."""
    check: str = ""
    run_as: str = ""
    idempotent: bool = False
    exclusive: bool = False
    sensitive: bool = False
    """Output is withheld entirely."""
    interpreter: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Why this version runs where the pin ends in ``+``."""

    version: str
    ring: str
    """The ring that decided, as people write it: ``10% from 2026-03-08``; empty: none applied."""
    reason: str


@dataclass(frozen=True, slots=True)
class PinnedScript:
    """A pin that was resolved: these bytes and no others.

    ``pin`` is as written in the manifest; ``version`` is the one that runs; ``commit`` and
    ``blob`` are git object ids; ``sha256`` (hex, of the bytes) is authoritative. For a ``+`` pin,
    ``choice`` says which version runs here and why.
    """

    pin: str
    path: str
    version: str
    commit: str
    blob: str
    sha256: str
    language: Language
    interface: Interface
    repository: str = ""
    """Alias; empty for the workspace's first repository."""
    choice: Choice | None = None
    warning: str = ""
    """Deprecated, and until when; shown at validate, plan and run."""
