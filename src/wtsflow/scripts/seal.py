"""A line of the lock, made from a tag: what a hostile repository could do is refused here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wtsflow.errors import PinMismatch, PlanError
from wtsflow.model.text import did_you_mean, shown
from wtsflow.scripts.git import Missing, Ref
from wtsflow.scripts.interface import text
from wtsflow.scripts.lock import Entry
from wtsflow.scripts.origin import Origin
from wtsflow.scripts.pin import Pin
from wtsflow.scripts.signatures import signer
from wtsflow.scripts.store import digest

MAX_SCRIPT = 4 << 20
"""Bytes of a script; more is a payload, not a script."""
_PLAIN = ("100644", "100755")
_KINDS = {"120000": "a symbolic link", "160000": "a submodule", "040000": "a folder"}
_LFS = b"version https://git-lfs"
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_TAGGER = re.compile(r"^tagger [^\n<]*<([^\s<>]+)> ", re.MULTILINE)
_COMMITTER = re.compile(r"^committer [^\n<]*<([^\s<>]+)> ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A lock line and the bytes that it stands for; ``warnings`` are for the reader of the lock."""

    entry: Entry
    content: bytes
    sidecar: bytes | None
    warnings: tuple[str, ...] = ()


def seal(origin: Origin, pin: Pin, *, signed: bool) -> Sealed:
    """Look a pin's tag up and read what it names; ``signed``: its signature must be good.

    Raises PlanError when there is no such version or it is not a plain file, PinMismatch when the
    tag object is another version's, DeniedError when nobody who is trusted signed it.
    """
    ref = origin.tags.get(pin.tag)
    if ref is None:
        raise _unknown(origin, pin)
    by = _author(origin, pin, ref)
    if signed:
        by = signer(origin, pin.exact, ref)
    content, blob = _plain_file(origin, pin, ref.commit, pin.path)
    sidecar, _ = _sidecar(origin, pin, ref.commit)
    entry = Entry(
        pin.exact,
        ref.oid,
        ref.commit,
        blob,
        digest(content),
        digest(sidecar) if sidecar is not None else "",
        by,
    )
    return Sealed(entry, content, sidecar, tuple(_hidden(pin, content, sidecar)))


def _unknown(origin: Origin, pin: Pin) -> PlanError:
    versions = origin.versions(pin.path)
    if versions:
        return PlanError(
            f"{pin.exact}: {pin.script} has no version {pin.version}",
            cure=f"it has {', '.join(str(version) for version in versions[-5:])}",
        )
    near = did_you_mean(pin.path, origin.scripts)
    return PlanError(
        f"{pin.exact}: the script repository has no tag '{pin.tag}'",
        cure=near or f"release it: wtsflow scripts release {pin.path} --version {pin.version}",
    )


def _author(origin: Origin, pin: Pin, ref: Ref) -> str:
    """Who made the tag; refuses one whose own name is another."""
    if not ref.commit:
        raise PlanError(f"the tag {pin.tag} does not name a commit", cure="release it again")
    text = origin.git.read(ref.oid)[2].decode("utf-8", "replace")
    header = text.split("\n\n", 1)[0]
    if ref.annotated:
        own = re.search(r"^tag (.*)$", header, re.MULTILINE)
        name = own[1] if own else ""
        if name != pin.tag:
            raise PinMismatch(
                pin.exact,
                f"tag {pin.tag}",
                f"a tag object of '{shown(name)}' under that name",
                cure="SECURITY: somebody put another version's tag (and signature) in its place",
            )
    found = (_TAGGER if ref.annotated else _COMMITTER).search(header)
    return found[1] if found and found[1].isprintable() else "unknown"


def _plain_file(origin: Origin, pin: Pin, commit: str, path: str) -> tuple[bytes, str]:
    entry = origin.git.entry(commit, origin.prefix + path)
    if entry is None:
        raise PlanError(
            f"{pin.exact}: the tagged commit has no file '{path}'", cure="release it again"
        )
    if entry.mode not in _PLAIN:
        kind = _KINDS.get(entry.mode, f"an entry of mode {entry.mode}")
        raise PlanError(
            f"{pin.exact}: '{path}' is {kind}, not a file", cure="commit the script itself"
        )
    try:
        _oid, _kind, content = origin.git.read(entry.oid)
    except Missing:
        raise missing(origin, pin.exact) from None
    if content.startswith(_LFS):
        raise PlanError(
            f"{pin.exact}: '{path}' is a pointer to Git LFS, not the script",
            cure="keep scripts in git itself",
        )
    if len(content) > MAX_SCRIPT:
        raise PlanError(f"{pin.exact}: '{path}' is larger than {MAX_SCRIPT >> 20} MiB")
    return content, entry.oid


def _sidecar(origin: Origin, pin: Pin, commit: str) -> tuple[bytes | None, str]:
    path = f"{pin.path}.yaml"
    if origin.git.entry(commit, origin.prefix + path) is None:
        return None, ""
    return _plain_file(origin, pin, commit, path)


def _hidden(pin: Pin, *contents: bytes | None) -> Iterator[str]:
    """Characters that make a text look like another one (CVE-2021-42574)."""
    for name, content in zip((pin.path, f"{pin.path}.yaml"), contents, strict=True):
        for number, line in enumerate(text(content or b"").split("\n"), 1):
            if found := _UNSEEN.search(line):
                yield (
                    f"{pin.exact}: {name} line {number} holds the invisible character "
                    f"U+{ord(found[0]):04X}: read it again, with those shown"
                )


def missing(origin: Origin, pin: str) -> PlanError:
    """What to say when a locked object is not in the repository."""
    if origin.where.url:
        return PlanError(
            f"{pin}: its locked content is no longer in {origin}",
            cure="restore the tag there, or pin another version and run: wtsflow lock",
        )
    shallow = (origin.git.folder / ".git" / "shallow").exists()
    return PlanError(
        f"{pin}: its locked content is not in this clone" + (" (it is shallow)" if shallow else ""),
        cure=f"git -C {origin.git.folder} fetch {'--unshallow ' if shallow else ''}--tags",
    )
