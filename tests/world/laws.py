"""What holds of every history, whatever befell it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wtsflow.audit.verify import verify

if TYPE_CHECKING:
    from tests.world.world import World


def violations(world: "World") -> list[str]:
    """What of it does not hold; empty when all does."""
    return [*once(world), *(said for law in HONEST if not world.lying for said in law(world))]


def once(world: "World") -> Iterator[str]:
    """Law 1: an attempt takes effect once at most, even when the disk has lied."""
    for name, count in world.effects().items():
        if count > 1:
            yield f"{tasks(world).get(name, name)} took effect {count} times"


def recorded(world: "World") -> Iterator[str]:
    """Law 2: no effect without a record of its beginning that lasts."""
    for marker in world.effects():
        if marker not in tasks(world):
            yield f"{marker} took effect and was never recorded"


def told(world: "World") -> Iterator[str]:
    """Law 3: what is said of an attempt is so."""
    effects = world.effects()
    for marker, task in tasks(world).items():
        ended, again, lost = (
            key(world, f"{kind}/{task}") for kind in ("finished", "again", "lost")
        )
        if again and not again.get("begun") and effects[marker]:
            yield f"{task} is said never to have begun, and took effect"
        if ended and ended["outcome"] == "unreachable" and effects[marker]:
            yield f"{task} is said not to have been reached, and took effect"
        done = ended and ended["message"] != "taken as done on request"
        if done and ended["outcome"] == "success" and not effects[marker]:
            yield f"{task} is said to have succeeded, and took no effect"
        if not (ended or again or lost):
            yield f"of {task} nobody says how it ended"


def repeated(world: "World") -> Iterator[str]:
    """Law 4: an effect comes again only where it is written down why."""
    attempts: dict[str, list[int]] = defaultdict(list)
    for task in tasks(world).values():
        name, _, number = task.rpartition("/")
        attempts[name].append(int(number))
    for name, numbers in attempts.items():
        for before in sorted(numbers)[:-1]:
            ended = key(world, f"finished/{name}/{before}")
            again = key(world, f"again/{name}/{before}")
            if not again and (not ended or ended["outcome"] in {"unknown", "success"}):
                yield f"{name} was begun again after attempt {before}, and nobody says why"


def unknown(world: "World") -> Iterator[str]:
    """Law 5: what is not known is reported with the run's end."""
    closed = dict(key(world, "closed") or {})
    for record in world.records:
        if record.event.type == "settled":
            closed |= record.event.data
    if not closed:
        return
    if "on_failure" in world.workflow.text or "on_timeout" in world.workflow.text:
        return  # its author takes failures, unknown ones among them, as mended by a handler
    known_by = max(r.seq for r in world.records if r.event.type in {"closed", "settled"})
    for record in world.records:
        task = record.event.subject
        later = key(world, f"again/{task}") or key(world, f"finished/{task}")
        if record.event.type != "lost" or record.seq > known_by or later:
            continue
        target = re.sub(r".*@(.*)/\d+$", r"\1", task)
        if closed["exit"]["name"] == "success":
            yield f"{task} is unknown, and the run is said to have succeeded"
        if closed["targets"].get(target, {}).get("outcome") in {None, "success"}:
            yield f"{task} is unknown, and {target} is said to be well"


def ended(world: "World") -> Iterator[str]:
    """Law 6: whoever takes it up often enough brings it to its end."""
    if not key(world, "closed"):
        yield f"the run is not over: {world.exits[-5:]}"


def evidence(world: "World") -> Iterator[str]:
    """Law 7: the audit log is whole, and it is the journal."""
    from tests.world.disk import Journal

    found = verify(world.folder, Journal(world.disk))
    for problem in found.problems:
        yield f"audit: {problem}"
    if found.runs.get("RUN", (0, ""))[0] != len(world.records) and not found.pending:
        yield "the audit log and the journal are not the same"


HONEST = (recorded, told, repeated, unknown, ended, evidence)


def tasks(world: "World") -> dict[str, str]:
    """Every attempt that is recorded as begun, by its marker."""
    from tests.world.world import marker

    begun = (one.event.subject for one in world.records if one.event.type == "started")
    return {marker(task): task for task in begun}


def key(world: "World", name: str):
    for record in world.records:
        if record.event.key == name:
            return record.event.data
    return None
