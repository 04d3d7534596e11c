"""A schedule of a workspace: what it is called, and where its slots are written down."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from wtsflow.cron import Cron
from wtsflow.errors import ConfigError
from wtsflow.model.workflow import Schedule, Workflow

_FORM = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True, slots=True)
class Entry:
    """``name`` is what people call it; ``book`` the run id under which it is written down.

    The workspace's folder is part of ``book``: two workspaces that share a state folder may have
    workflows of one name.
    """

    name: str
    book: str
    schedule: Schedule
    workflow: Workflow
    cron: Cron
    zone: tzinfo

    @classmethod
    def of(cls, workflow: Workflow, schedule: Schedule, root: Path) -> "Entry":
        """The entry of a proven workflow's schedule."""
        name = f"{workflow.name}#{schedule.id}"
        place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
        zone = UTC if schedule.zone == "UTC" else ZoneInfo(schedule.zone)
        book = f"schedule:{place}:{name}"
        return cls(name, book, schedule, workflow, Cron.parse(schedule.cron), zone)

    @property
    def definition(self) -> str:
        """What decides its slots: another one knows nothing of slots that were missed before."""
        state = "on" if self.schedule.enabled else "off"
        return f"{self.cron.rule} {self.schedule.zone} {state}"

    def page(self, slot: datetime) -> str:
        """The run id under which one slot is written down; they sort by time."""
        return f"{self.book}@{written(slot)}"


def written(slot: datetime) -> str:
    """A slot as records have it: RFC 3339, UTC, to the minute."""
    return slot.astimezone(UTC).strftime(_FORM)


def slot_of(page: str) -> datetime:
    """The slot of a page, or of a text that :func:`written` made."""
    return datetime.strptime(page.rpartition("@")[2], _FORM).replace(tzinfo=UTC)


def entries(workflows: Iterable[Workflow], root: Path) -> tuple[list[Entry], list[ConfigError]]:
    """Every schedule of these workflows; an error for each name that two files have.

    Which of the two is meant nobody can know, so neither fires.
    """
    named: dict[str, list[Workflow]] = {}
    for workflow in workflows:
        if workflow.triggers:
            named.setdefault(workflow.name, []).append(workflow)
    wrong = [
        ConfigError(
            f"{same[0].source} and {same[1].source} both are '{name}': neither's schedules fire",
            cure="give one of them another name, or move the copy out of the manifests",
        )
        for name, same in named.items()
        if len(same) > 1
    ]
    alone = [same[0] for same in named.values() if len(same) == 1]
    return [Entry.of(one, each, root) for one in alone for each in one.triggers], wrong
