"""The pinned scripts of a workspace: what a pin means, by the lock."""

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from wtsflow.errors import ConfigError, ManifestError, PinMismatch, PlanError
from wtsflow.model.script import Interface, PinnedScript
from wtsflow.model.text import did_you_mean, listed
from wtsflow.ports import Clock
from wtsflow.scripts.address import address
from wtsflow.scripts.interface import interface, language
from wtsflow.scripts.lock import Entry, Lock
from wtsflow.scripts.origin import Origin
from wtsflow.scripts.pin import Pin
from wtsflow.scripts.rollouts import Rollouts, Verdict
from wtsflow.scripts.seal import Sealed, missing, seal
from wtsflow.scripts.signatures import trust_settings
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
        self.signatures = signatures
        self.allowed_signers = allowed_signers
        self._allow_deprecated = allow_deprecated
        self._origins: dict[str, Origin] = {}
        self._rollouts: dict[str, Rollouts] = {}
        self._known: dict[tuple[str, Verdict], PinnedScript] = {}
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
            self._origins[alias] = Origin(at, self._cache, trust_settings(self.allowed_signers))
        return self._origins[alias]

    @property
    def today(self) -> date:
        """The day, UTC, by the clock."""
        return datetime.fromtimestamp(self._clock.now(), UTC).date()

    # --- running: by the lock -----------------------------------------------------------

    def resolve(self, pin: str, *, subject: str = "", groups: Sequence[str] = ()) -> PinnedScript:
        """What a pin means, by the lock. Raises PinMismatch, PlanError, ConfigError."""
        wanted = Pin.parse(pin)
        if wanted.exact not in self.lock.entries:
            raise self._unlocked(wanted)
        origin = self.origin(wanted.alias)
        origin.freshen(self._clock.now())
        verdict = self.rollouts(wanted.alias).judge(
            wanted,
            today=self.today,
            subject=subject,
            groups=groups,
            locked=lambda version: wanted.at(version).exact in self.lock.entries,
            allow_deprecated=self._allow_deprecated,
        )
        key = (pin, verdict)
        if key not in self._known:
            self._known[key] = self._script(wanted, verdict, origin.alarm)
        return self._known[key]

    def read(self, script: PinnedScript) -> bytes:
        """The bytes of a resolved script, by blob id. Raises PinMismatch, PlanError."""
        exact = Pin.parse(script.pin).script + f"@{script.version}"
        return self._content(script.repository, exact, script.blob, script.sha256)

    def rollouts(self, alias: str = "") -> Rollouts:
        """What the owners of a repository released to whom. Raises ConfigError."""
        if alias not in self._rollouts:
            origin = self.origin(alias)
            text = origin.newest("rollouts.yaml")
            with _as_config():
                read = Rollouts.read(text, f"{origin}:rollouts.yaml") if text else Rollouts()
            self._rollouts[alias] = read
        return self._rollouts[alias]

    def _unlocked(self, pin: Pin) -> PlanError:
        near = did_you_mean(pin.exact, self.lock.entries)
        return PlanError(
            f"{pin.exact} is not in {self._lock_file.name}",
            cure=f"run: wtsflow lock{f' ({near})' if near else ''}",
        )

    def _script(self, wanted: Pin, verdict: Verdict, alarm: str) -> PinnedScript:
        chosen = wanted.at(verdict.version)
        entry = self.lock.entries[chosen.exact]
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
            interface=_interface(chosen, content, sidecar),
            repository=wanted.alias,
            choice=verdict.choice,
            warning="; ".join(filter(None, (verdict.warning, alarm))),
        )

    def _content(self, alias: str, pin: str, blob: str, sha256: str) -> bytes:
        """The locked bytes: kept here, or read by id and compared."""
        kept = self.store.get(sha256)
        if kept is not None:
            return kept
        origin = self.origin(alias)
        content = origin.blob(blob)
        if content is None and origin.where.url:
            origin.fetch(self._clock.now())
            content = origin.blob(blob)
        if content is None:
            raise missing(origin, pin)
        if not hmac.compare_digest(digest(content), sha256):
            raise PinMismatch(
                pin,
                f"sha256:{sha256}",
                f"sha256:{digest(content)}",
                cure="SECURITY: git's object is not what was locked; ask the repository's owner",
            )
        self.store.put(content)
        return content

    def _sidecar(self, alias: str, pin: Pin, entry: Entry) -> bytes | None:
        """The locked sidecar: kept here, in the tagged commit, or the same one on the branch."""
        if not entry.meta:
            return None
        kept = self.store.get(entry.meta)
        if kept is not None:
            return kept
        origin, path = self.origin(alias), f"{pin.path}.yaml"
        found = [origin.file(entry.commit, path), origin.newest(path)]
        for content in found:
            if content is not None and digest(content) == entry.meta:
                self.store.put(content)
                return content
        if found[0] is not None:
            raise PinMismatch(
                f"{pin.exact} (sidecar)", f"sha256:{entry.meta}", f"sha256:{digest(found[0])}"
            )
        raise missing(origin, f"{pin.exact} (its sidecar {path})")

    # --- locking: by the tags -----------------------------------------------------------

    def candidates(self, pin: Pin) -> tuple[Pin, ...]:
        """The exact versions that a pin may come to run: what must be locked for it."""
        versions = [pin.version]
        if pin.open:
            versions += self.rollouts(pin.alias).successors(pin)
        return tuple(pin.at(version) for version in dict.fromkeys(versions))

    def seal(self, pin: Pin) -> Sealed:
        """Make an exact pin's lock line from its tag, and keep its bytes.

        Raises PinMismatch, PlanError, ConfigError, and ManifestError for a wrong sidecar.
        """
        sealed = seal(self.origin(pin.alias), pin, signed=self.signatures)
        interface(pin.path, sealed.content, _text(sealed.sidecar))
        self.store.put(sealed.content)
        if sealed.sidecar is not None:
            self.store.put(sealed.sidecar)
        return sealed

    def describe(self, pin: Pin) -> Interface:
        """What a released version says of itself, locked or not. Raises as :meth:`seal` does."""
        entry = self.lock.entries.get(pin.exact)
        if entry is not None:
            content = self._content(pin.alias, entry.pin, entry.blob, entry.sha256)
            return _interface(pin, content, self._sidecar(pin.alias, pin, entry))
        sealed = seal(self.origin(pin.alias), pin, signed=False)
        return _interface(pin, sealed.content, sealed.sidecar)

    def fetch(self, aliases: Iterable[str] | None = None) -> None:
        """Bring the mirrors of these repositories (default: all) up to date.

        Raises PinMismatch when a released tag was moved, ConfigError when one is out of reach.
        """
        for alias in self.aliases if aliases is None else dict.fromkeys(aliases):
            self.origin(alias).fetch(self._clock.now())
            self._rollouts.pop(alias, None)

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


def _text(sidecar: bytes | None) -> str | None:
    return None if sidecar is None else sidecar.decode("utf-8", "replace")


def _interface(pin: Pin, content: bytes, sidecar: bytes | None) -> Interface:
    with _as_config():
        return interface(pin.path, content, _text(sidecar))


@contextmanager
def _as_config() -> Iterator[None]:
    """A file of the script repository is wrong: beside a manifest that is one error, not many."""
    try:
        yield
    except ManifestError as error:
        raise ConfigError(error.message, cure=error.cure, location=error.location) from None
