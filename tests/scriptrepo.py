"""A real git repository of scripts, made in a temporary folder."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from wtsflow.scripts import Pin, Repository
from wtsflow.scripts.locking import Locking, relock

DAY = 86400.0
TODAY = 1_774_137_600.0  # 2026-03-22
IDENTITY = {
    "GIT_AUTHOR_NAME": "An Author",
    "GIT_AUTHOR_EMAIL": "sme@corp.example",
    "GIT_COMMITTER_NAME": "An Author",
    "GIT_COMMITTER_EMAIL": "sme@corp.example",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


class At:
    """A clock that stands."""

    def __init__(self, now: float = TODAY) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@dataclass
class ScriptRepo:
    """``folder`` is the repository; ``home`` holds the lock and the cache of whoever reads it."""

    folder: Path
    home: Path
    clock: At = field(default_factory=At)
    opened: list[Repository] = field(default_factory=list)

    def git(self, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **IDENTITY, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, path: str, text: str | bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def commit(self, message: str = "Change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def release(self, pin: str, text: str | bytes, sidecar: str | None = None) -> str:
        """Commit a script and tag it; returns the commit."""
        path = pin.partition("@")[0]
        self.write(path, text)
        if sidecar is not None:
            self.write(f"{path}.yaml", sidecar)
        commit = self.commit(f"Release {pin}")
        self.git("tag", "-a", pin, "-m", pin)
        return commit

    def open(
        self,
        at: str | Path | None = None,
        *,
        cache: str = "cache",
        signatures: bool = False,
        allowed_signers: Path | None = None,
        allow_deprecated: bool = False,
    ) -> Repository:
        """A repository as a workspace opens it; ``at``: another address of it."""
        self.home.mkdir(exist_ok=True)
        found = Repository(
            {"default": str(at or self.folder)},
            lock=self.home / "wtsflow.lock",
            cache=self.home / cache,
            clock=self.clock,
            signatures=signatures,
            allowed_signers=allowed_signers,
            allow_deprecated=allow_deprecated,
        )
        self.opened.append(found)
        return found

    def lock(self, pins: Iterable[str], repository: Repository | None = None) -> Locking:
        """Lock these pins and no others."""
        done = relock(repository or self.open(), pins)
        done.lock.write()
        return done

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self.opened:
            one.close()


def made(folder: Path) -> ScriptRepo:
    """An empty repository below ``folder``."""
    repo = ScriptRepo(folder / "scripts", folder / "home")
    repo.folder.mkdir()
    repo.git("init", "-q", "-b", "main")
    return repo


def pin(text: str) -> Pin:
    return Pin.parse(text)
