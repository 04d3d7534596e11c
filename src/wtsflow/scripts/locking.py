"""Making the whole lock file again: what is kept, added and removed."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from wtsflow.errors import InvalidError, ManifestError, PinMismatch, PlanError
from wtsflow.scripts.lock import Entry, Lock
from wtsflow.scripts.pin import Pin
from wtsflow.scripts.repository import Repository
from wtsflow.scripts.signatures import check_trust, signer

VERIFIERS = 4
"""Signature checks at once."""


@dataclass(frozen=True, slots=True)
class Locking:
    """A lock file as it should be, and how it differs from what is there."""

    lock: Lock
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    kept: tuple[Entry, ...]
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the file must be written."""
        return bool(self.added or self.removed)


def relock(repository: Repository, pins: Iterable[str], *, others: bool = False) -> Locking:
    """What the lock must hold for these pins, with tags and signatures checked.

    ``others``: lines of other pins stay as they are; else they are removed.

    Raises PinMismatch when a locked tag is another one now, DeniedError for a signature, and
    PlanError or ConfigError naming every pin that cannot be locked.
    """
    if repository.signatures:
        check_trust(repository.allowed_signers)
    wanted = sorted({Pin.parse(pin) for pin in pins}, key=str)
    repository.fetch(pin.alias for pin in wanted)
    exact = {one.exact: one for pin in wanted for one in repository.candidates(pin)}
    old = repository.lock.entries
    kept = [old[name] for name in exact if name in old]
    _check_kept(repository, kept)
    added, warnings = _sealed(repository, [pin for name, pin in exact.items() if name not in old])
    rest = tuple(entry for name, entry in old.items() if name not in exact)
    lock = repository.lock.holding([*kept, *added, *(rest if others else ())])
    return Locking(lock, tuple(added), () if others else rest, tuple(kept), tuple(warnings))


def _check_kept(repository: Repository, kept: list[Entry]) -> None:
    """A locked pin's tag is still the one that was locked; without its tag the lock stands."""
    present = []
    for entry in kept:
        pin = Pin.parse(entry.pin)
        ref = repository.origin(pin.alias).tags.get(pin.tag)
        if ref is None:
            continue
        if ref.oid != entry.tag:
            raise PinMismatch(
                entry.pin,
                f"tag {entry.tag}",
                f"tag {ref.oid}",
                cure="SECURITY: a released version was replaced. Runs still use the locked one. "
                "Ask the owner to restore the tag and to release a new version instead",
            )
        present.append((repository.origin(pin.alias), entry.pin, ref))
    if repository.signatures:
        with ThreadPoolExecutor(VERIFIERS) as pool:
            list(pool.map(lambda one: signer(*one), present))


def _sealed(repository: Repository, pins: list[Pin]) -> tuple[list[Entry], list[str]]:
    entries, warnings, failed = list[Entry](), list[str](), list[InvalidError]()
    for pin in pins:
        try:
            sealed = repository.seal(pin)
        except InvalidError as error:
            failed.append(error)
            continue
        entries.append(sealed.entry)
        warnings += sealed.warnings
    if len(failed) == 1:
        raise failed[0]
    diagnostics = [one for e in failed if isinstance(e, ManifestError) for one in e.diagnostics]
    if failed and len(diagnostics) >= len(failed):
        raise ManifestError(tuple(diagnostics))
    if failed:
        lines = [f"  {error.message}\n    {error.cure}" for error in failed]
        raise PlanError("\n".join([f"{len(failed)} pins cannot be locked:", *lines]))
    return entries, warnings
