"""The one home of GitPython: a few calls with fixed arguments, in an environment of our own.

Rule 1: nothing from outside is an option: names are object ids by pattern, or come after ``--``.
Rule 2: no configuration of the machine or of a user counts, and that of the repository cannot
name a program: hooks, file system monitor, ssh, signature programs are set by us.
Rule 3: no protocol but https, ssh and file, and none at all while reading (a partial clone would
fetch what is missing).
Rule 4: replacement refs do not count: an object is what its id says.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from wtsflow.errors import ConfigError
from wtsflow.model.text import shown

NULL = os.devnull
FETCH_TIMEOUT = 300.0
"""Seconds that a fetch may take in all."""
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=15 -oServerAliveInterval=15 -oServerAliveCountMax=3"
_SETTINGS = {
    "core.hooksPath": NULL,
    "core.fsmonitor": "false",
    "core.sshCommand": _SSH,
    "core.askPass": "",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.ext.allow": "never",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.file.allow": "always",
    "fetch.fsckObjects": "true",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "gpg.program": NULL,
    "gpg.openpgp.program": NULL,
    "gpg.x509.program": NULL,
    "gpg.ssh.program": NULL,
}
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NAME = re.compile(
    r"(?:[0-9a-f]{40}|HEAD|refs/[\w./@+-]+)(?:\^\{commit\})?(?::[\w./@+-]+)?", re.ASCII
)
_REJECTED = re.compile(r"^ ! \[rejected\]\s+(\S+)\s+->\s+(\S+)", re.MULTILINE)
_STDERR = re.compile(r"\Astderr: '(.*)'\Z", re.DOTALL)
_REFS = "%(objectname) %(objecttype) %(*objectname) %(*objecttype) %(refname)"


class Missing(Exception):
    """The object is not in this repository."""


class GitFailed(Exception):
    """Git said no. ``text`` is what it said, without secrets."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Rejected(Exception):
    """A fetch would have moved these refs (names here, in full)."""

    def __init__(self, refs: tuple[str, ...]) -> None:
        super().__init__(", ".join(refs))
        self.refs = refs


class _Dubious(Exception):
    """The repository belongs to another user."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A tag: ``oid`` is what it points to, ``commit`` the commit behind it ('' : none)."""

    name: str
    oid: str
    commit: str
    annotated: bool


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One line of a tree: ``mode`` as git writes it (100644), the object's type and id."""

    mode: str
    kind: str
    oid: str


class Git:
    """Reads one repository, in place. Usable from several threads."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock = Lock()
        self._git = self._open(reading=True)

    def _open(self, *, reading: bool) -> Any:
        module = _gitpython()
        found = module.Git(str(self.folder))
        found.update_environment(**self._environment(reading=reading))
        return found

    def _environment(self, *, reading: bool) -> dict[str, str]:
        return {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": NULL,
            "GIT_CONFIG_PARAMETERS": "",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
            "GIT_ALLOW_PROTOCOL": "none" if reading else "file:https:ssh",
            "GIT_PROTOCOL_FROM_USER": "0",
            **_inherited(self.folder),
            **_as_variables(self._settings),
        }

    # --- the calls ----------------------------------------------------------------------

    def read(self, name: str) -> tuple[str, str, bytes]:
        """An object by id, ``id:path`` or full ref: its id, type and bytes.

        Raises Missing, and ConfigError where the repository cannot be read at all.
        """
        if not _NAME.fullmatch(name):
            raise _sha256(self.folder) if re.match(r"[0-9a-f]{64}", name) else Missing(name)
        with self._lock:
            try:
                oid, kind, _size, data = self._get(name)
            except (ValueError, OSError) as error:
                self._git.clear_cache()
                raise ConfigError(f"git cannot read {self.folder}: {shown(error)}") from None
        return oid.decode(), kind.decode(), data

    def _get(self, name: str, *, again: bool = True) -> tuple[bytes, bytes, int, bytes]:
        try:
            found: tuple[bytes, bytes, int, bytes] = self._git.get_object_data(name)
        except (ValueError, OSError) as error:  # OSError: git ended before it was asked
            if "could not be resolved" in str(error):
                raise Missing(name) from None
            self._git.clear_cache()
            if "Failed to parse header" in str(error):
                raise _sha256(self.folder) from None
            if not again:
                raise
            self._run("for-each-ref", "--count=1")  # raises where git can say why
            return self._get(name, again=False)
        return found

    def tags(self, prefix: str = "refs/tags/") -> dict[str, Ref]:
        """The tags by their name without ``refs/tags/``."""
        text = self._run("for-each-ref", f"--format={_REFS}", "--", prefix)
        found = {}
        for line in text.splitlines():
            oid, kind, rest = line.split(" ", 2)
            peeled, peeled_kind, name = rest.split(" ", 2)
            commit = oid if kind == "commit" else peeled if peeled_kind == "commit" else ""
            name = name.removeprefix("refs/tags/")
            found[name] = Ref(name, oid, commit, kind == "tag")
        return found

    def entry(self, commit: str, path: str) -> TreeEntry | None:
        """What a commit's tree has at ``path``, or None. A link or submodule is not followed."""
        text = self._run("ls-tree", "-z", "--full-tree", _id(commit), "--", path)
        for line in text.split("\0"):
            facts, _, name = line.partition("\t")
            if name == path:
                mode, kind, oid = facts.split()
                return TreeEntry(mode, kind, oid)
        return None

    def verify(self, tag: str) -> str:
        """Check a tag object's signature; what the signature program said. Raises GitFailed."""
        return self._run("verify-tag", "--", _id(tag), stderr=True)

    def fetch(self, url: str, *specs: str) -> None:
        """Fetch by fixed refspecs without ``+``. Raises Rejected, GitFailed."""
        arguments = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--", url)
        try:
            self._run("fetch", *arguments, *specs, reading=False, timeout=FETCH_TIMEOUT)
        except GitFailed as failed:
            refs = tuple(there for _, there in _REJECTED.findall(failed.text))
            if refs:
                raise Rejected(refs) from None
            raise

    # --- the author's own calls: in his repository, by his configuration -----------------

    def dirty(self, *paths: str) -> tuple[str, ...]:
        """Which of these paths differ from the last commit, or are not committed."""
        text = self._run("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all",
                         "--ignore-submodules=all", "--", *paths, own=True)  # fmt: skip
        return tuple(line[3:] for line in text.split("\0") if line)

    def head(self) -> str:
        """The commit that is checked out. Raises Missing."""
        return self.read("HEAD^{commit}")[0]

    def tag(self, name: str, commit: str, message: str, *, sign: bool) -> None:
        """Make an annotated tag. Raises GitFailed: it is there already, or cannot be signed."""
        kind = "--sign" if sign else "--annotate"
        self._run("tag", kind, "--no-column", "-m", message, "--", name, _id(commit), own=True)

    def create(self) -> None:
        """Make the folder a repository, on the branch ``main``, without git's templates."""
        self._run("init", "--quiet", "--template=", "--", str(self.folder), own=True)
        self._run("symbolic-ref", "HEAD", "refs/heads/main", own=True)

    def identify(self, name: str, email: str) -> bool:
        """Say who commits here, if the user has not said it anywhere; whether it was needed."""
        try:
            self._run("config", "--get", "user.email", own=True)
        except GitFailed:
            self._run("config", "user.name", name, own=True)
            self._run("config", "user.email", email, own=True)
            return True
        return False

    def commit(self, message: str, *paths: str) -> None:
        """Commit these paths and no others. Raises GitFailed."""
        self._run("add", "--", *paths, own=True)
        quiet = ("--quiet", "--no-verify", "--no-gpg-sign")
        self._run("commit", *quiet, "-m", message, "--", *paths, own=True)

    # --- how they are made --------------------------------------------------------------

    def _run(
        self,
        *arguments: str,
        reading: bool = True,
        own: bool = False,
        stderr: bool = False,
        timeout: float = 60.0,
    ) -> str:
        git = self._author() if own else self._git if reading else self._open(reading=False)
        limit = None if sys.platform == "win32" else timeout
        try:
            with _translating(self.folder):
                _status, out, err = git.execute(
                    [git.GIT_PYTHON_GIT_EXECUTABLE, *arguments],
                    with_extended_output=True,
                    kill_after_timeout=limit,
                    strip_newline_in_stdout=False,
                    stdout_as_string=False,
                )
        except _Dubious:
            if "safe.directory" in self._settings or not self._trusted():
                raise _dubious(self.folder) from None
            self._settings["safe.directory"] = str(self.folder)
            self._git = self._open(reading=True)
            return self._run(*arguments, reading=reading, own=own, stderr=stderr, timeout=timeout)
        text: str = err if stderr else out.decode("utf-8", "replace")
        return text

    def _author(self) -> Any:
        """With the user's configuration (name, signing key), without hooks and monitors."""
        found = _gitpython().Git(str(self.folder))
        settings = {"core.hooksPath": NULL, "core.fsmonitor": "false"}
        found.update_environment(
            GIT_TERMINAL_PROMPT="0", GIT_LITERAL_PATHSPECS="1", **_inherited(self.folder),
            **_as_variables(settings),
        )  # fmt: skip
        return found

    def _trusted(self) -> bool:
        """Whether the user told git to trust this folder although it is somebody else's."""
        module = _gitpython()
        asking = module.Git()
        try:
            said = asking.execute(
                [asking.GIT_PYTHON_GIT_EXECUTABLE, "config", "--global", "--get-all",
                 "safe.directory"]
            )  # fmt: skip
        except module.exc.GitCommandError:
            return False
        return not {str(self.folder), "*"}.isdisjoint(said.splitlines())

    def close(self) -> None:
        """End the process that reads objects; the next call starts another."""
        with self._lock:
            self._git.clear_cache()


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as git reads them from its environment: they win over every file."""
    said = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        said[f"GIT_CONFIG_KEY_{number}"] = key
        said[f"GIT_CONFIG_VALUE_{number}"] = value
    return said


def _id(oid: str) -> str:
    if not _ID.fullmatch(oid):
        raise ConfigError(f"'{shown(oid)}' is not an object id")
    return oid


def _gitpython() -> Any:
    try:
        import git
    except ImportError as error:
        raise ConfigError(
            f"git is needed and cannot be started: {shown(str(error).splitlines()[0], 120)}",
            cure="install git (https://git-scm.com) and put it on PATH",
        ) from None
    return git


def _inherited(folder: Path) -> dict[str, str]:
    """What to set against variables that a git hook leaves behind: they name other repositories.

    GitPython copies the process's environment; nothing can be taken out of it, only overridden.
    """
    present = {"GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"}
    if present.isdisjoint(os.environ):  # noqa: TID251 - GitPython reads it, so we must look too
        return {}
    own = folder / ".git" if (folder / ".git").exists() else folder
    if own.is_file():
        own = folder / own.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    common = own
    if (own / "commondir").is_file():
        common = own / (own / "commondir").read_text(encoding="utf-8").strip()
    return {
        "GIT_DIR": str(own),
        "GIT_WORK_TREE": str(folder),
        "GIT_COMMON_DIR": str(common),
        "GIT_OBJECT_DIRECTORY": str(common / "objects"),
    }


@contextmanager
def _translating(folder: Path) -> Iterator[None]:
    module = _gitpython()
    try:
        yield
    except module.exc.GitCommandNotFound:
        raise ConfigError("git is not there", cure="install git and put it on PATH") from None
    except module.exc.GitCommandError as error:
        text = _STDERR.sub(r"\1", str(error.stderr or error).strip())
        if "dubious ownership" in text:
            raise _Dubious from None
        raise GitFailed(text) from None
    except OSError as error:
        raise ConfigError(f"git cannot be used on {folder}: {error}") from None


def _sha256(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder} uses SHA-256 object ids, which GitPython does not read",
        cure="keep scripts in a repository with git's default object format",
    )


def _dubious(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder} belongs to another user, so git does not trust it",
        cure=f"if you do: git config --global --add safe.directory {folder}",
    )
