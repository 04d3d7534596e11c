"""Everything answered and pinned, no secret inside, immutable."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property

from wtsflow.model.script import PinnedScript
from wtsflow.model.values import MASK, Json, Secret
from wtsflow.model.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Target:
    """A machine and how to reach it. ``settings`` are the transport's own, without secrets."""

    name: str
    transport: str = "ssh"
    host: str = ""
    port: int | None = None
    user: str = ""
    os: str = ""
    """``linux``, ``windows``, ``macos``, or empty: not known."""
    run_as: str = ""
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Json] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it is: the host, or its name."""
        return self.host or self.name

    @property
    def described(self) -> dict[str, Json]:
        """What expressions see of it (``item``, ``targets.web[0]``)."""
        return {
            "name": self.name,
            "host": self.address,
            "os": self.os,
            "groups": list(self.groups),
            "vars": dict(self.variables),
        }


LOCAL = Target(name="local", transport="local", host="localhost")
"""The machine that wtsflow runs on; every workflow has it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who runs it: established from the operating system, never from the environment."""

    name: str
    uid: str = ""
    host: str = ""


ADDED = ("reattach", "closing", "environment", "check", "passed", "undoes", "undone")
"""Parts of a plan that older plans do not have."""


@dataclass(frozen=True)
class Plan:
    """One workflow with all its questions answered.

    ``inputs`` holds plain values; a secret input is there as :data:`~wtsflow.model.values.MASK`
    and its value travels beside the plan. ``targets`` maps each name of the workflow's
    ``targets`` (and ``local``) to its machines. ``scripts`` maps ``pin`` to the resolved script,
    and ``pin@target`` to another one where a ``+`` pin runs a successor on that target.
    ``parallel`` bounds the tasks that run at once; ``timeout`` bounds each task in seconds when
    its step does not say; ``grace`` is how many seconds a process that is stopped has before it is
    killed; ``reattach`` for how many seconds a lost connection is tried again; ``closing`` how many
    seconds ``finally`` may take in a run that was stopped.

    ``environment`` is the one of the workspace that was asked for; ``check`` says that nothing may
    be changed: scripts only tell what they would do; ``passed`` are the static paths of the steps
    that this run passes over (``--start-at``, ``--tags``). ``undoes`` is the run whose deeds are
    taken back instead of performing the steps; ``undone`` names them in their order
    (``path/undo@target``).
    """

    workflow: Workflow
    inputs: Mapping[str, Json]
    targets: Mapping[str, tuple[Target, ...]]
    scripts: Mapping[str, PinnedScript]
    ticket: str = ""
    parallel: int = 50
    timeout: float = 3600.0
    grace: float = 5.0
    limit: str = ""
    reattach: float = 300.0
    closing: float = 300.0
    environment: str = ""
    check: bool = False
    passed: tuple[str, ...] = ()
    undoes: str = ""
    undone: tuple[str, ...] = ()

    def script_for(self, pin: str, target: str) -> PinnedScript:
        """The script that ``pin`` means on ``target``."""
        return self.scripts.get(f"{pin}@{target}") or self.scripts[pin]

    @cached_property
    def machines(self) -> Mapping[str, Target]:
        """Every machine by its name."""
        return {machine.name: machine for machines in self.targets.values() for machine in machines}

    @property
    def facts(self) -> dict[str, Json]:
        """All that decides what runs, where and how, as plain data: what the digest is over.

        The manifest is there by its sha256, a secret input as its mask. What was added after the
        first version is there only where it says something: the digests of older plans stay true.
        """
        return {
            "manifest": self.workflow.sha256,
            **{
                item.name: plain(value)
                for item in fields(self)
                if item.name != "workflow"
                and ((value := getattr(self, item.name)) != item.default or item.name not in ADDED)
            },
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over :attr:`facts`."""
        return hashlib.sha256(canonical(self.facts)).hexdigest()


def plain(value: object) -> Json:
    """Nested dataclasses as JSON data that every reader writes alike.

    A secret is its mask. Whole numbers lose their point; another float is ``{"$float": "0.5"}``,
    because records and digests hold no floats.
    """
    match value:
        case Secret():
            return MASK
        case bool() | int() | None:
            return value
        case str():
            return str(value)
        case float():
            return int(value) if value.is_integer() else {"$float": repr(value)}
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if is_dataclass(value):
            return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    raise TypeError(f"{type(value).__name__} is not data")


def canonical(value: Json) -> bytes:
    """JSON bytes that are the same for the same data (sorted keys, no spaces, UTF-8).

    Within the profile of the audit log (no floats that are not whole, |int| < 2**53) this is
    RFC 8785.
    """
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()
