"""Workflows, scripts and inventories for the planning tests."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wtsflow import inventory, manifest, planning
from wtsflow.inventory import Listing
from wtsflow.model.plan import Actor, Plan
from wtsflow.model.script import Choice, Interface, Language, PinnedScript
from wtsflow.model.values import Json
from wtsflow.model.workflow import Workflow

HEAD = "wtsflow: 1\nname: test/plan\nversion: 1.0.0\ntitle: A test\nowner: us\n"
ACTOR = Actor("ann", "1000", "desk")
FLEET = """\
hosts:
  win1: { os: windows }
  old1: {}
groups:
  web: { hosts: ["web[1:4]"], os: linux }
  db: { hosts: [db1], os: linux }
  empty: {}
"""


@dataclass
class Scripts:
    """A script source in memory. ``rollout`` maps a subject to the version that it gets."""

    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    """By path."""
    rollout: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    def resolve(self, pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        self.asked.append((pin, subject, tuple(groups)))
        path, _, version = pin.rstrip("+").rpartition("@")
        choice = None
        if pin.endswith("+"):
            version = self.rollout.get(subject, version)
            choice = Choice(version, "", f"for {version}")
        digest = hashlib.sha256(f"{path}@{version}".encode()).hexdigest()
        return PinnedScript(
            pin=pin,
            path=path,
            version=version,
            commit="c" * 40,
            blob="b" * 40,
            sha256=digest,
            language=Language.SHELL,
            interface=self.interfaces.get(f"{path}@{version}")
            or self.interfaces.get(path, Interface()),
            choice=choice,
        )

    def read(self, script: PinnedScript) -> bytes:
        return f"{script.path}@{script.version}".encode()


def workflow(text: str) -> Workflow:
    return manifest.load(HEAD + text, "test.yaml")


def fleet(folder: Path, text: str = FLEET) -> Listing:
    path = folder / "inventory.yaml"
    path.write_text(text, encoding="utf-8")
    return inventory.load([path])


def planned(
    folder: Path,
    text: str,
    inputs: Mapping[str, Json] | None = None,
    *,
    scripts: Scripts | None = None,
    ticket: str = "",
    limit: str = "",
    groups: Sequence[str] = (),
    listing: str = FLEET,
    transports: Sequence[str] = (),
    passed: Sequence[str] = (),
) -> Plan:
    made = workflow(text)
    return planning.resolve(
        made,
        inputs=planning.bind(made, inputs or {}),
        scripts=scripts or Scripts(),
        inventory=fleet(folder, listing),
        actor=ACTOR,
        ticket=ticket,
        limit=limit,
        groups=groups,
        transports=transports,
        passed=passed,
    )
