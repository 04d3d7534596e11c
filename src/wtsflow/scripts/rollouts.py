"""Superseding: which version a ``+`` pin runs, which versions are on the way out, which never run.

Rule 1: an exact pin runs exactly its version, or not at all.
Rule 2: a ``+`` pin goes from one version to its released successor, again and again, as far as a
ring lets this subject; the choice is the same every time for the same subject.
Rule 3: only what is in the lock runs. Rule 4: what was retracted never runs.

``rollouts.yaml`` lives on the default branch of the script repository: it is mutable by nature.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from wtsflow import source
from wtsflow.errors import Diagnostic, ManifestError, PlanError
from wtsflow.model.script import Choice
from wtsflow.scripts.pin import Pin, Version


@dataclass(frozen=True, slots=True)
class Ring:
    """Who gets a successor from when; empty ``groups`` and no ``share``: everybody."""

    since: date
    groups: tuple[str, ...] = ()
    share: int | None = None

    def holds(self, today: date, draw: int, groups: Sequence[str]) -> bool:
        """Whether it lets one in who drew ``draw`` (0 to 99) and is in ``groups``."""
        if today < self.since or (self.groups and set(self.groups).isdisjoint(groups)):
            return False
        return self.share is None or draw < self.share

    def __str__(self) -> str:
        who = ", ".join(self.groups)
        share = "" if self.share is None else f"{self.share}%"
        return f"{' of '.join(filter(None, (share, who))) or 'everybody'} from {self.since}"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One entry of the file."""

    script: str
    why: str = ""
    retracted: tuple[Version, ...] = ()
    sources: tuple[Version, ...] = ()
    to: Version | None = None
    rings: tuple[Ring, ...] = ()
    warn: date | None = None
    refuse: date | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pin runs: the version, why where the pin is open, and a warning to show."""

    version: Version
    choice: Choice | None = None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Rollouts:
    """What ``rollouts.yaml`` says."""

    entries: tuple[Rollout, ...] = ()

    @classmethod
    def read(cls, text: bytes, name: str) -> Self:
        """Read ``rollouts.yaml``. Raises ManifestError with every finding."""
        document = source.load(text, name)
        findings = source.check(document, "rollouts-1") or tuple(_findings(document))
        if findings:
            raise ManifestError(findings)
        return cls(tuple(_entry(said) for said in document.data))

    def of(self, script: str) -> tuple[Rollout, ...]:
        """The entries about one script."""
        return tuple(entry for entry in self.entries if entry.script == script)

    def retracted(self, script: str, version: Version) -> Rollout | None:
        """The entry that takes this version back, or None."""
        return next((e for e in self.of(script) if version in e.retracted), None)

    def successors(self, pin: Pin) -> tuple[Version, ...]:
        """Every version that a ``+`` pin may come to run, retracted ones left out."""
        found: list[Version] = []
        todo = [pin.version]
        while todo:
            now = todo.pop()
            for entry in self.of(pin.path):
                if entry.to and now in entry.sources and entry.to not in found:
                    todo.append(entry.to)
                    found.append(entry.to)
        return tuple(sorted(v for v in found if not self.retracted(pin.path, v)))

    def judge(
        self,
        pin: Pin,
        *,
        today: date,
        subject: str,
        groups: Sequence[str] = (),
        locked: Callable[[Version], bool] = lambda _version: True,
        allow_deprecated: bool = False,
    ) -> Verdict:
        """What a pin runs today for a subject. Raises PlanError when it may not run at all."""
        version, ring, note = pin.version, "", ""
        if pin.open:
            version, ring, note = self._follow(pin, today, subject, groups, locked)
        if gone := self.retracted(pin.path, version):
            raise self._retracted(pin, version, gone)
        warning = self._deprecated(pin, version, today, allow_deprecated)
        if not pin.open:
            return Verdict(version, None, warning)
        reason = (
            f"supersedes {pin.version}: {ring}" if version != pin.version else "no successor yet"
        )
        warning = "; ".join(filter(None, (warning, note)))
        return Verdict(version, Choice(str(version), ring, reason), warning)

    def _follow(
        self,
        pin: Pin,
        today: date,
        subject: str,
        groups: Sequence[str],
        locked: Callable[[Version], bool],
    ) -> tuple[Version, str, str]:
        """The version, the ring that decided last, and what could not be taken."""
        version, ring, note = pin.version, "", ""
        while True:
            steps = [
                (entry.to, name)
                for entry in self.of(pin.path)
                if entry.to and version in entry.sources
                if not self.retracted(pin.path, entry.to)
                if (name := _ring(entry, today, subject, groups))
            ]
            unlocked = [to for to, _ in steps if not locked(to)]
            steps = [(to, name) for to, name in steps if locked(to)]
            if unlocked:
                note = (
                    f"{pin.script}@{max(unlocked)} was released to you but is not in "
                    "wtsflow.lock: run wtsflow lock"
                )
            if not steps:
                return version, ring, note
            version, ring = max(steps)

    def _deprecated(self, pin: Pin, version: Version, today: date, allowed: bool) -> str:
        for entry in self.of(pin.path):
            if version not in entry.sources or not entry.to:
                continue
            exact = f"{pin.script}@{version}"
            cure = f"wtsflow scripts update {pin.script} --to {entry.to}"
            if entry.refuse and today >= entry.refuse and not allowed:
                raise PlanError(
                    f"{exact} is no longer allowed since {entry.refuse}{_because(entry)}",
                    cure=f"{cure}, or once more with --allow-deprecated",
                )
            if entry.warn and today >= entry.warn:
                until = f", refused from {entry.refuse}" if entry.refuse else ""
                return f"{exact} is superseded by {entry.to}{until}{_because(entry)}: run {cure}"
        return ""

    def _retracted(self, pin: Pin, version: Version, entry: Rollout) -> PlanError:
        after = [e.to for e in self.of(pin.path) if e.to and version in e.sources]
        after = [to for to in after if not self.retracted(pin.path, to)]
        cure = (
            f"run: wtsflow scripts update {pin.script} --to {max(after)}"
            if after
            else "pin another version"
        )
        return PlanError(f"{pin.script}@{version} was retracted{_because(entry)}", cure=cure)


def draw(script: str, to: Version, subject: str) -> int:
    """The subject's place from 0 to 99 for this successor: the same on every machine."""
    digest = hashlib.sha256(f"{script}\n{to}\n{subject}".encode()).digest()
    return int.from_bytes(digest[:8]) % 100


def _ring(entry: Rollout, today: date, subject: str, groups: Sequence[str]) -> str:
    if entry.to is None:
        return ""
    if not entry.rings:
        return "everybody"
    place = draw(entry.script, entry.to, subject)
    return next((str(ring) for ring in entry.rings if ring.holds(today, place, groups)), "")


def _because(entry: Rollout) -> str:
    return f" ({entry.why.rstrip('.')})" if entry.why else ""


def _entry(said: Mapping[str, Any]) -> Rollout:
    return Rollout(
        said["script"],
        said.get("why", ""),
        tuple(map(Version.parse, said.get("retracted", ()))),
        tuple(map(Version.parse, said.get("from", ()))),
        Version.parse(said["to"]) if "to" in said else None,
        tuple(
            Ring(
                date.fromisoformat(ring["from"]),
                tuple(ring.get("for", ())),
                int(ring["share"].removesuffix("%")) if "share" in ring else None,
            )
            for ring in said.get("rings", ())
        ),
        date.fromisoformat(said["warn_from"]) if "warn_from" in said else None,
        date.fromisoformat(said["refuse_from"]) if "refuse_from" in said else None,
    )


def _findings(document: source.Document) -> Iterator[Diagnostic]:
    """What the schema cannot say."""
    for number, said in enumerate(document.data):
        if ("from" in said) != ("to" in said):
            has, lacks = ("from", "to") if "from" in said else ("to", "from")
            message = f"'{has}' needs '{lacks}'"
            yield document.diagnostic("wts631", message, (number, has), key=True)
        if "to" not in said and "retracted" not in said:
            cure = "write 'from' and 'to', or 'retracted'"
            yield document.diagnostic("wts631", "this entry changes nothing", (number,), cure=cure)
        yield from _order(document, number, said)
        for path in _dates(number, said):
            yield from _day(document, path)


def _order(document: source.Document, number: int, said: Mapping[str, Any]) -> Iterator[Diagnostic]:
    for place, version in enumerate(said.get("from", ())):
        if "to" in said and Version.parse(version) >= Version.parse(said["to"]):
            message = f"{version} is not older than its successor {said['to']}"
            yield document.diagnostic("wts631", message, (number, "from", place))


def _dates(number: int, said: Mapping[str, Any]) -> Iterator[tuple[str | int, ...]]:
    yield from ((number, key) for key in ("warn_from", "refuse_from") if key in said)
    yield from ((number, "rings", place, "from") for place, _ in enumerate(said.get("rings", ())))


def _day(document: source.Document, path: tuple[str | int, ...]) -> Iterator[Diagnostic]:
    value: Any = document.data
    for part in path:
        value = value[part]
    try:
        date.fromisoformat(value)
    except ValueError:
        yield document.diagnostic("wts631", f"{value} is not a day of the calendar", path)
