"""One script repository: read in place where it is a folder, by a bare mirror where it is a URL."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from wtsflow.errors import BusyError, ConfigError, PinMismatch, PlanError
from wtsflow.files import file_lock
from wtsflow.model.text import shown
from wtsflow.scripts import heads
from wtsflow.scripts.address import Address
from wtsflow.scripts.git import Git, GitFailed, Missing, Ref, Rejected
from wtsflow.scripts.pin import Version

DEFAULT = "refs/wtsflow/default"
"""The mirror's copy of the remote's default branch."""
FRESH = 3600.0
"""Seconds for which a mirror's list of retracted versions is as good as new."""
STALE = 7 * 86400.0
"""Seconds after which it is worth nothing."""
PATIENCE = 600.0
"""Seconds to wait for another process that fetches the same mirror."""
_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tlogallrefupdates = true\n"
_SAYS_NOTHING = (
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
_DENIED = re.compile(
    r"(?i)permission denied|authentication failed|could not read username|publickey"
)


class Origin:
    """Where the scripts of one alias come from. Nothing is ever checked out.

    ``alarm`` is what went wrong with a fetch that was not asked for: shown, but nothing stops.
    """

    def __init__(
        self, where: Address, cache: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.where = where
        self.cache = cache
        self.settings = settings
        self.alarm = ""
        self._tried = False

    def __str__(self) -> str:
        return str(self.where)

    @property
    def mirror(self) -> Path:
        """The folder of the bare mirror of a URL."""
        name = hashlib.sha256(self.where.url.encode()).hexdigest()[:32]
        return self.cache / "mirrors" / f"{name}.git"

    @cached_property
    def git(self) -> Git:
        """The repository, opened. Raises ConfigError when there is none."""
        if self.where.folder is None and not self._stamp.exists():
            self.fetch()
        return Git(self.folder, self.settings)

    @cached_property
    def folder(self) -> Path:
        """Where the repository is. Raises ConfigError when a folder is in none."""
        return self.mirror if self.where.folder is None else _top(self.where.folder)

    @cached_property
    def prefix(self) -> str:
        """The folder inside the repository that pins' paths start from: ``scripts/`` or empty."""
        folder = self.where.folder
        if folder is None or folder == self.folder:
            return ""
        return folder.relative_to(self.folder).as_posix() + "/"

    # --- reading ------------------------------------------------------------------------

    @cached_property
    def tags(self) -> dict[str, Ref]:
        """Every tag by its name."""
        return self.git.tags()

    def versions(self, script: str) -> tuple[Version, ...]:
        """The released versions of a script, oldest first."""
        return self.scripts.get(script, ())

    @cached_property
    def scripts(self) -> dict[str, tuple[Version, ...]]:
        """Every script that has a release: its path and its versions, oldest first."""
        found: dict[str, list[Version]] = {}
        for name in self.tags:
            path, at, version = name.rpartition("@")
            if at and path:
                try:
                    found.setdefault(path, []).append(Version.parse(version))
                except ValueError:
                    continue
        return {path: tuple(sorted(versions)) for path, versions in sorted(found.items())}

    def blob(self, oid: str) -> bytes | None:
        """The bytes of a blob by its id, or None when it is not here."""
        try:
            _oid, kind, data = self.git.read(oid)
        except Missing:
            return None
        return data if kind == "blob" else None

    def file(self, commit: str, path: str) -> bytes | None:
        """A file of a commit, by the path that pins use; None when it is not there."""
        return self.blob(f"{commit}:{self.prefix}{path}")

    def newest(self, path: str) -> bytes | None:
        """A file of the default branch, or None."""
        names = (DEFAULT,) if self.where.url else ("refs/remotes/origin/HEAD", "HEAD")
        kept, at = heads.Kept(self.cache / "newest"), heads.commit(self.folder, *names)
        known = kept.get(at, self.prefix + path) if at else None
        if known is None:
            found, content = self._newest(path, names)
            if at and found == at:
                kept.put(at, self.prefix + path, content)
            return content
        return known[0]

    def _newest(self, path: str, names: Sequence[str]) -> tuple[str, bytes | None]:
        git = self.git
        for name in names:
            try:
                commit = git.read(f"{name}^{{commit}}")[0]
            except Missing:
                continue
            return commit, self.file(commit, path)
        return "", None

    # --- the mirror ---------------------------------------------------------------------

    @property
    def _stamp(self) -> Path:
        """Holds the time of the last fetch that went well, in seconds."""
        return self.mirror / "wtsflow-fetched"

    def freshen(self, now: float) -> None:
        """Fetch a mirror that is older than an hour, once; without an answer go on for a week.

        Raises PlanError when nobody can know any more which versions were retracted.
        """
        if not self.where.url or self._tried:
            return
        self._tried = True
        try:
            fetched = float(self._stamp.read_text(encoding="ascii"))
        except (OSError, ValueError):
            fetched = 0.0
        if 0 <= now - fetched < FRESH:
            return
        try:
            self.fetch(now)
        except PinMismatch as moved:
            self.alarm = f"{moved.message}. {moved.cure}"
        except ConfigError as error:
            if now - fetched > STALE:
                raise PlanError(
                    f"{self} could not be fetched since "
                    f"{int((now - fetched) // 86400) if fetched else 'ever'} days, so nobody knows "
                    "which versions were retracted",
                    cure=f"{error.message}; then: wtsflow lock",
                ) from None
            self.alarm = error.message

    def fetch(self, now: float = 0.0) -> None:
        """Bring a URL's mirror up to date; nothing to do for a folder. ``now`` is written down.

        Raises PinMismatch when a tag was moved, ConfigError when the repository cannot be read.
        """
        if not self.where.url:
            return
        _make_bare(self.mirror)
        try:
            with file_lock(self.mirror.with_suffix(".lock"), PATIENCE):
                self._fetch()
                self._stamp.write_text(f"{now:.0f}", encoding="ascii")
        except TimeoutError:
            raise BusyError(
                f"somebody else is fetching {self} and does not end", cure="try again later"
            ) from None
        self.forget()

    def forget(self) -> None:
        """Read the tags again when they are next asked for."""
        self.__dict__.pop("tags", None)
        self.__dict__.pop("scripts", None)

    def _fetch(self) -> None:
        git = Git(self.mirror)
        try:
            git.fetch(self.where.url, "refs/tags/*:refs/tags/*", f"HEAD:{DEFAULT}")
        except Rejected as rejected:
            raise self._moved(git, rejected.refs[0]) from None
        except GitFailed as failed:
            raise self._unreachable(failed.text) from None
        finally:
            git.close()

    def _moved(self, git: Git, ref: str) -> PinMismatch | ConfigError:
        """What to say when the remote changed something that never changes."""
        if ref == DEFAULT:
            return ConfigError(
                f"the history of {self}'s default branch was rewritten",
                cure="ask its owner; if it was meant, remove the mirror: " + str(self.mirror),
            )
        name = ref.removeprefix("refs/tags/")
        aside = f"refs/wtsflow/moved/{hashlib.sha256(name.encode()).hexdigest()}"
        here = git.tags(f"refs/tags/{name}")[name].oid
        git.fetch(self.where.url, f"+refs/tags/{name}:{aside}")
        there = git.read(aside)[0]
        return PinMismatch(
            name,
            here,
            there,
            cure="SECURITY: a released version was replaced on the server, which is an attack or "
            "a grave mistake. Nothing was taken over. Ask the owner of the repository to restore "
            "the tag and to release a new version instead",
        )

    def _unreachable(self, text: str) -> ConfigError:
        lines = [line for line in text.splitlines() if line.strip() and line not in _SAYS_NOTHING]
        told = [line for line in lines if "fatal:" in line or "error:" in line] or lines[-1:]
        said = shown((told or ["no answer"])[0].strip(), 160)
        if "algorithm" in text or "object format" in text:
            said = "it uses SHA-256 object ids, which GitPython does not read"
        cure = (
            "git asks nobody here: check the ssh agent, or ~/.netrc for https"
            if _DENIED.search(text)
            else "check the address and the network"
        )
        return ConfigError(f"the script repository {self} cannot be fetched: {said}", cure=cure)

    def close(self) -> None:
        """End what reads it."""
        if "git" in self.__dict__:
            self.git.close()


def _top(folder: Path) -> Path:
    """The repository that a folder is in. Raises ConfigError."""
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists():
            return candidate
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate
    raise ConfigError(
        f"{folder} is not a git repository" if folder.exists() else f"there is no folder {folder}",
        cure="scripts live in git: git init there, or name the right folder in wtsflow.yaml",
    )


def _make_bare(folder: Path) -> None:
    """An empty bare repository, made without git's templates."""
    try:
        for name in ("objects/info", "objects/pack", "refs/tags", "refs/heads"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / "HEAD").exists():
            (folder / "config").write_text(_CONFIG, encoding="utf-8")
            (folder / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the cache {folder} cannot be written: {error}") from None
