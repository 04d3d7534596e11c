"""Releasing a version of a script: its annotated tag, after everything about it was proven."""

from dataclasses import dataclass
from pathlib import Path

from wtsflow.errors import ConfigError, PlanError, UsageError
from wtsflow.model.text import shown
from wtsflow.scripts.compare import Change, changes, proposed
from wtsflow.scripts.git import GitFailed, Missing
from wtsflow.scripts.interface import interface
from wtsflow.scripts.pin import Pin, Version
from wtsflow.scripts.repository import Repository

FIRST = Version(1, 0, 0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A version that can be released now. ``last`` is the newest one there is, if any."""

    pin: Pin
    commit: str
    last: Version | None
    proposed: Version
    changes: tuple[Change, ...]

    @property
    def too_small(self) -> bool:
        """Whether the version hides from its readers that it breaks something."""
        breaking = any(change.breaking for change in self.changes)
        return bool(self.last and breaking and self.pin.version.major <= self.last.major)


def propose(repository: Repository, path: str, *, version: str = "", part: str = "") -> Proposal:
    """What a release of the committed script would be; nothing is changed.

    ``path`` is a file, or the script's path with its alias; ``version`` is exact, ``part`` is
    ``major``, ``minor`` or ``patch``; without both the difference to the newest version decides.
    Raises UsageError, PlanError, ConfigError, and ManifestError for a wrong sidecar.
    """
    alias, path = _script(repository, path)
    origin = repository.origin(alias)
    folder = origin.where.folder
    if folder is None:
        raise UsageError(
            f"{origin} is read by its URL, so nothing can be released in it from here",
            cure="clone it, and release in the clone's folder with --workspace",
        )
    Pin.parse(f"{path}@0.0.0")
    commit = _committed(repository, alias, path)
    content = origin.file(commit, path) or b""
    sidecar = origin.file(commit, f"{path}.yaml")
    now = interface(path, content, None if sidecar is None else sidecar.decode("utf-8", "replace"))
    versions = origin.versions(path)
    last = versions[-1] if versions else None
    found: tuple[Change, ...] = ()
    if last:
        found = changes(repository.describe(Pin(alias, path, last)), now)
    best = proposed(last, found) if last else FIRST
    chosen = _version(version, part, last) or best
    if chosen in versions:
        raise UsageError(
            f"{path}@{chosen} was released already, and a released version never changes",
            cure=f"release {best}",
        )
    return Proposal(Pin(alias, path, chosen), commit, last, best, found)


def release(repository: Repository, proposal: Proposal, why: str, *, sign: bool) -> None:
    """Make the tag. Raises ConfigError when git does not."""
    pin = proposal.pin
    message = f"{pin.tag}\n\n{why}".strip()
    origin = repository.origin(pin.alias)
    try:
        origin.git.tag(pin.tag, proposal.commit, message, sign=sign)
    except GitFailed as failed:
        cure = (
            "git needs a key: git config gpg.format ssh; git config user.signingKey KEY.pub"
            if sign
            else "git config user.name and user.email must be set"
        )
        raise ConfigError(
            f"git did not make the tag {pin.tag}: {shown(failed.text.strip(), 160)}", cure=cure
        ) from None
    origin.forget()


def _script(repository: Repository, text: str) -> tuple[str, str]:
    """The alias and the path in its repository of ``alias:path``, or of a file's name."""
    alias, colon, path = text.rpartition(":")
    if colon and alias in repository.aliases:
        return alias, path
    folder = repository.origin().where.folder
    if folder is not None and not (folder / text).is_file() and Path(text).is_file():
        full = Path(text).resolve()
        if full.is_relative_to(folder):
            return "", full.relative_to(folder).as_posix()
    return "", Path(text).as_posix()


def _committed(repository: Repository, alias: str, path: str) -> str:
    """The commit that holds the script as it is on disk. Raises PlanError."""
    origin = repository.origin(alias)
    files = [f"{origin.prefix}{path}", f"{origin.prefix}{path}.yaml"]
    try:
        commit = origin.git.head()
    except Missing:
        raise PlanError("nothing is committed yet", cure=f"git add {path}; git commit") from None
    entry = origin.git.entry(commit, files[0])
    dirty = origin.git.dirty(*files)
    if entry is None and not dirty:
        raise UsageError(f"there is no script '{shown(path)}' in {origin}")
    if dirty:
        raise PlanError(
            f"{dirty[0]} is not committed as it is",
            cure=f"git add {dirty[0]}; git commit",
        )
    if entry is None or entry.mode not in ("100644", "100755"):
        raise PlanError(f"'{shown(path)}' is not a plain file")
    return commit


def _version(version: str, part: str, last: Version | None) -> Version | None:
    if version:
        try:
            return Version.parse(version)
        except ValueError as error:
            raise UsageError(str(error)) from None
    if not part or last is None:
        return None
    raised = {
        "major": Version(last.major + 1, 0, 0),
        "minor": Version(last.major, last.minor + 1, 0),
        "patch": Version(last.major, last.minor, last.patch + 1),
    }
    return raised[part]
