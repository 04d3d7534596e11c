"""Whether a host is who it says: by the keys, authorities and revocations of known_hosts.

Certificates: OpenSSH's PROTOCOL.certkeys.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wtsflow.errors import HostKeyError
from wtsflow.transports.known_hosts import Known, KnownHosts, fingerprint, matches

CERTIFICATE = "-cert-v01@openssh.com"
ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2}
_HOST_CERTIFICATE = 2

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, signed bytes, signature) -> whether the signature is the key's and not by SHA-1."""


def wanted(known: Known) -> tuple[str, ...]:
    """The algorithms to offer: those whose key is listed, certificates where there is a CA.

    All of them for a host of which nothing is known: then the error can show its key.
    """
    listed = {entry.type for entry in known.keys}
    plain = [name for name in ALGORITHMS if _key_type(name) in listed]
    if known.authorities:
        return (*(name + CERTIFICATE for name in ALGORITHMS), *plain)
    return tuple(plain) or ALGORITHMS


def _key_type(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-") else algorithm


@dataclass(frozen=True, slots=True)
class Place:
    """Which host is asked about, and where it was looked for."""

    host: str
    port: int
    alias: str
    files: KnownHosts

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def check(
    place: Place, known: Known, algorithm: str, blob: bytes, *, now: float, verify: Verify
) -> None:
    """Refuse a host that is not who it should be. ``now`` is seconds since the epoch.

    Raises HostKeyError; its message holds the fingerprint that was shown.
    """
    revoked = {entry.blob: entry for entry in known.revoked}
    if algorithm.endswith(CERTIFICATE):
        certificate = _parse(blob, place)
        for key in (certificate.key, certificate.authority):
            if key in revoked:
                raise _revoked(place, key, revoked[key].place)
        _check_certificate(place, known, certificate, now, verify)
        return
    if blob in revoked:
        raise _revoked(place, blob, revoked[blob].place)
    if any(entry.blob == blob for entry in known.keys):
        return
    if known.keys:
        listed = known.keys[0]
        raise HostKeyError(
            f"{place} showed another host key than the one that is known: {fingerprint(blob)} "
            f"instead of {fingerprint(listed.blob)} ({listed.place})",
            cure="find out why before anything else; only when the change is right, replace "
            "that line",
        )
    name = place.alias or (place.host if place.port == 22 else f"[{place.host}]:{place.port}")
    raise HostKeyError(
        f"{place} is not known: its host key {fingerprint(blob)} is in none of {place.files}",
        cure=f"compare the fingerprint with the host's own, then add it: ssh-keyscan "
        f"-p {place.port} {place.host} (as {name})",
    )


def _revoked(place: Place, key: bytes, where: str) -> HostKeyError:
    return HostKeyError(
        f"{place} showed a key that is revoked: {fingerprint(key)} ({where})",
        cure="the host needs a new key; until then nobody should log in there",
    )


@dataclass(frozen=True, slots=True)
class _Certificate:
    key: bytes
    kind: int
    name: str
    principals: tuple[str, ...]
    after: int
    before: int
    critical: bytes
    authority: bytes
    signed: bytes
    signature: bytes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        return self.take(self.number(4))

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if len(found) != size:
            raise ValueError("it is cut off")
        self.at += size
        return found


def _parse(blob: bytes, place: Place) -> _Certificate:
    try:
        return _read(blob)
    except (ValueError, UnicodeDecodeError) as error:
        raise HostKeyError(f"{place} showed a certificate that cannot be read: {error}") from None


def _read(blob: bytes) -> _Certificate:
    reader = _Reader(blob)
    kind = reader.text().decode("ascii").removesuffix(CERTIFICATE)
    reader.text()  # nonce
    fields = [reader.text() for _ in range(_FIELDS.get(kind, 2))]
    reader.number(8)  # serial
    role, name = reader.number(4), reader.text().decode("utf-8")
    inner, principals = _Reader(reader.text()), list[str]()
    while inner.at < len(inner.data):
        principals.append(inner.text().decode("utf-8"))
    after, before, critical = reader.number(8), reader.number(8), reader.text()
    reader.text()  # extensions
    reader.text()  # reserved
    authority, end = reader.text(), reader.at
    key = b"".join(_string(part) for part in (kind.encode(), *fields))
    return _Certificate(
        key=key,
        kind=role,
        name=name,
        principals=tuple(principals),
        after=after,
        before=before,
        critical=critical,
        authority=authority,
        signed=blob[:end],
        signature=reader.text(),
    )


def certified_key(blob: bytes) -> bytes:
    """The public key inside a certificate. Raises ValueError."""
    return _read(blob).key


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _check_certificate(
    place: Place, known: Known, certificate: _Certificate, now: float, verify: Verify
) -> None:
    problems: Sequence[tuple[bool, str]] = (
        (
            certificate.authority not in {entry.blob for entry in known.authorities},
            f"it is signed by {fingerprint(certificate.authority)}, no authority for this host",
        ),
        (certificate.kind != _HOST_CERTIFICATE, "it is for a user, not for a host"),
        (now < certificate.after, "it is not valid yet"),
        (now >= certificate.before, "it has expired"),
        (
            bool(certificate.principals)
            and not any(
                matches((place.alias or place.host).lower(), [name.lower()])
                for name in certificate.principals
            ),
            f"it is for {', '.join(certificate.principals)}",
        ),
        (bool(certificate.critical), "it has critical options, which are not understood"),
    )
    why = next((text for wrong, text in problems if wrong), "")
    if not why and not verify(certificate.authority, certificate.signed, certificate.signature):
        why = "its signature is wrong, or made with SHA-1"
    if why:
        raise HostKeyError(
            f"the host certificate of {place} ({certificate.name}) does not hold: {why}",
            cure=f"look at it with: ssh-keyscan -c -p {place.port} {place.host}",
        )
