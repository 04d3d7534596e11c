"""The pinned scripts of a workspace: what a pin means, by the lock."""

import hmac
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from wtsflow.errors import ConfigError, PinMismatch, PlanError
from wtsflow.model.script import PinnedScript
from wtsflow.model.text import did_you_mean, listed
from wtsflow.ports import Clock
from wtsflow.scripts.address import address
from wtsflow.scripts.interface import interface, language
from wtsflow.scripts.lock import Entry, Lock
from wtsflow.scripts.origin import Origin
from wtsflow.scripts.pin import Pin
from wtsflow.scripts.seal import Sealed, missing, seal
from wtsflow.scripts.store import Store, digest


class Repository:
    """Fulfils :class:`wtsflow.ports.ScriptSource`.

    ``sources`` maps aliases to folders (relative to the lock's) or URLs; the alias of pins
    without one is ``default`` (or empty). ``lock`` is the lock file, ``cache`` the folder of
    mirrors and kept content, ``clock`` gives today for rollouts. Nothing is opened before it is
    needed.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        *,
        lock: Path,
        cache: Path,
        clock: Clock,
        signatures: bool = False,
        allowed_signers: Path | None = None,
        allow_deprecated: bool = False,
    ) -> None:
        self._sources = {("" if alias == "default" else alias): at for alias, at in sources.items()}
        self._lock_file = lock
        self._cache = cache
        self._clock = clock
        self._signatures = signatures
        self._allowed_signers = allowed_signers
        self._allow_deprecated = allow_deprecated
        self._origins: dict[str, Origin] = {}
        self._known: dict[str, PinnedScript] = {}
        self.store = Store(cache / "blobs")

    @cached_property
    def lock(self) -> Lock:
        """The lock file, read once. Raises ConfigError."""
        return Lock.read(self._lock_file)

    @property
    def aliases(self) -> tuple[str, ...]:
        """The repositories' aliases; the default one is empty."""
        return tuple(self._sources)

    def origin(self, alias: str = "") -> Origin:
        """The repository of an alias. Raises ConfigError when wtsflow.yaml names none."""
        if alias not in self._sources:
            names = [name for name in self._sources if name]
            cure = did_you_mean(alias, names) or f"it names {listed(names) or 'only the default'}"
            raise ConfigError(f"wtsflow.yaml names no script repository '{alias}'", cure=cure)
        if alias not in self._origins:
            at = address(self._sources[alias], self._lock_file.parent)
            self._origins[alias] = Origin(alias, at, self._cache)
        return self._origins[alias]

    # --- running: by the lock -----------------------------------------------------------

    def resolve(self, pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        """What a pin means, by the lock. Raises PinMismatch, PlanError, ConfigError."""
        wanted = Pin.parse(pin)
        entry = self.lock.entries.get(wanted.exact)
        if entry is None:
            raise self._unlocked(wanted)
        return self._script(wanted, wanted, entry)

    def read(self, script: PinnedScript) -> bytes:
        """The bytes of a resolved script, by blob id. Raises PinMismatch, PlanError."""
        return self._content(script.repository, script.pin, script.blob, script.sha256)

    def _unlocked(self, pin: Pin) -> PlanError:
        near = did_you_mean(pin.exact, self.lock.entries)
        return PlanError(
            f"{pin.exact} is not in {self._lock_file.name}",
            cure=f"run: wtsflow lock{f' ({near})' if near else ''}",
        )

    def _script(self, wanted: Pin, chosen: Pin, entry: Entry) -> PinnedScript:
        content = self._content(wanted.alias, entry.pin, entry.blob, entry.sha256)
        sidecar = self._sidecar(wanted.alias, chosen, entry)
        return PinnedScript(
            pin=str(wanted),
            path=wanted.path,
            version=str(chosen.version),
            commit=entry.commit,
            blob=entry.blob,
            sha256=entry.sha256,
            language=language(wanted.path, content),
            interface=interface(wanted.path, content, sidecar),
            repository=wanted.alias,
        )

    def _content(self, alias: str, pin: str, blob: str, sha256: str) -> bytes:
        kept = self.store.get(sha256)
        if kept is not None:
            return kept
        origin = self.origin(alias)
        content = origin.blob(blob)
        if content is None:
            raise missing(origin, pin)
        if not hmac.compare_digest(digest(content), sha256):
            raise PinMismatch(pin, f"sha256:{sha256}", f"sha256:{digest(content)}")
        self.store.put(content)
        return content

    def _sidecar(self, alias: str, pin: Pin, entry: Entry) -> str | None:
        if not entry.meta:
            return None
        kept = self.store.get(entry.meta)
        if kept is None:
            origin = self.origin(alias)
            path = f"{pin.path}.yaml"
            for kept in (origin.file(entry.commit, path), origin.newest(path)):
                if kept is not None and digest(kept) == entry.meta:
                    break
            else:
                raise missing(origin, f"{pin.exact} (its sidecar {path})")
            self.store.put(kept)
        return kept.decode("utf-8")

    # --- locking: by the tags -----------------------------------------------------------

    def seal(self, pin: str) -> Sealed:
        """Make a pin's lock line from its tag. Raises PinMismatch, PlanError, ConfigError."""
        wanted = Pin.parse(pin)
        sealed = seal(self.origin(wanted.alias), wanted)
        self.store.put(sealed.content)
        if sealed.sidecar is not None:
            self.store.put(sealed.sidecar)
        return sealed

    # --- the end ------------------------------------------------------------------------

    def close(self) -> None:
        """End the processes that read git."""
        for origin in self._origins.values():
            origin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
