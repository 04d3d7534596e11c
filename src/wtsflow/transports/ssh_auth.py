"""Logging in: the agent's keys, key files with their certificates, a password; in that order."""

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import paramiko

from wtsflow.errors import LoginError
from wtsflow.ports import Credentials
from wtsflow.transports.host_key import certified_key
from wtsflow.transports.ssh_settings import Hop


@dataclass(frozen=True, slots=True)
class _Attempt:
    what: str
    key: Any


def log_in(transport: paramiko.Transport, hop: Hop, credentials: Credentials) -> None:
    """Try what there is until the server is content.

    Raises LoginError that tells what was tried, ConnectError when the connection goes, and lets
    paramiko's other exceptions pass: the caller has the door for them.
    """
    tried: list[str] = []
    with ExitStack() as stack:
        for attempt in _keys(hop, credentials, tried, stack):
            tried.append(attempt.what)
            try:
                if not transport.auth_publickey(hop.user, attempt.key):
                    return
                tried[-1] += " (accepted, but more is asked for)"
            except paramiko.BadAuthenticationType as error:
                tried[-1] += f" (not allowed: only {', '.join(error.allowed_types)})"
                break
            except paramiko.AuthenticationException:
                if not transport.is_active():
                    break
    if hop.password_from and transport.is_active():
        _password(transport, hop, credentials, tried)
        if transport.is_authenticated():
            return
    raise LoginError(
        f"{hop.place} refused the login as {hop.user}: {'; '.join(tried) or 'nothing to try'}",
        cure=f"does ssh -p {hop.port} {hop.user}@{hop.host} let you in? set identity_file, "
        "start an agent, or name a credential in password_from",
    )


def _keys(
    hop: Hop, credentials: Credentials, tried: list[str], stack: ExitStack
) -> Iterator[_Attempt]:
    files = list(_files(hop, credentials, tried))
    if hop.explicit:
        yield from files
    wanted = {attempt.key.asbytes() for attempt in files}.union(_public(hop))
    for key in _agent(hop.agent, stack) if hop.agent else ():
        if not (hop.identities_only and hop.explicit) or key.asbytes() in wanted:
            yield _Attempt(f"agent key {key.fingerprint}", key)
    if not hop.explicit:
        yield from files


def _files(hop: Hop, credentials: Credentials, tried: list[str]) -> Iterator[_Attempt]:
    certificates = [*hop.certificates, *(Path(f"{path}-cert.pub") for path in hop.identities)]
    for path in hop.identities:
        if not path.is_file():
            if hop.explicit:
                tried.append(f"{path} (there is no such file)")
            continue
        try:
            key = _load(path, hop, credentials)
        except (paramiko.SSHException, OSError, ValueError) as error:
            tried.append(f"{path} ({_why(error)})")
            continue
        for certificate in certificates:
            certified = _certified(key, certificate)
            if certified is not None:
                yield _Attempt(f"{path} with {certificate.name}", certified)
        yield _Attempt(str(path), key)


def _load(path: Path, hop: Hop, credentials: Credentials) -> paramiko.PKey:
    changed = path.stat().st_mtime_ns
    try:
        return _read(path, changed, None)
    except paramiko.PasswordRequiredException:
        secret = credentials.secret(hop.passphrase_from) if hop.passphrase_from else None
        if secret is None:
            raise
        return _read(path, changed, secret.reveal())


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int, passphrase: str | None) -> paramiko.PKey:
    return _class(path).from_private_key_file(str(path), passphrase)


def _class(path: Path) -> type[paramiko.PKey]:
    """Which key is in a file, by its clear-text part: trying each would ask bcrypt thrice."""
    text = path.read_text("ascii", "replace")
    found = re.search(r"-----BEGIN (RSA|EC|OPENSSH) PRIVATE KEY-----([^-]*)", text)
    if not found:
        raise ValueError("no private key that SSH uses")
    if found[1] == "OPENSSH":
        outer = paramiko.Message(base64.b64decode(found[2])[len(b"openssh-key-v1\0") :])
        for _ in range(3):  # cipher, key derivation and its options
            outer.get_binary()
        outer.get_int()
        name = paramiko.Message(outer.get_binary()).get_text()
    else:
        name = {"RSA": "ssh-rsa", "EC": "ecdsa-sha2-nistp256"}[found[1]]
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        if name in kind.identifiers():
            return kind
    raise ValueError(f"keys of type {name} are not used")


def _why(error: Exception) -> str:
    if isinstance(error, paramiko.PasswordRequiredException):
        return "it has a passphrase: name its credential in passphrase_from"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it cannot be read as a private key, or the passphrase is wrong"


def _certified(key: paramiko.PKey, certificate: Path) -> paramiko.PKey | None:
    """The key with its certificate, when the file is there and belongs to it."""
    try:
        blob = paramiko.pkey.PublicBlob.from_file(str(certificate))
        if certified_key(blob.key_blob) != key.asbytes():
            return None
    except (OSError, ValueError):
        return None
    twin = copy(key)
    twin.public_blob = blob
    return twin


def _public(hop: Hop) -> Iterator[bytes]:
    """Public halves that lie beside the named files: whose agent keys may be used."""
    for path in hop.identities:
        public = path if path.suffix == ".pub" else Path(f"{path}.pub")
        try:
            yield base64.b64decode(public.read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            continue


def _agent(path: str, stack: ExitStack) -> list[Any]:
    """The keys of the agent behind a socket; none where nobody answers."""
    from paramiko.agent import AgentSSH

    if not hasattr(socket, "AF_UNIX"):
        return list(stack.enter_context(closing(paramiko.Agent())).get_keys())
    agent = AgentSSH()
    connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    connection.settimeout(5)
    try:
        connection.connect(path)
        agent._connect(connection)  # type: ignore[attr-defined] # noqa: SLF001 - Agent() reads os.environ
    except (OSError, paramiko.SSHException):
        return []
    return list(agent.get_keys())


def _password(
    transport: paramiko.Transport, hop: Hop, credentials: Credentials, tried: list[str]
) -> None:
    secret = credentials.secret(hop.password_from)
    if secret is None:
        tried.append(f"no credential {hop.password_from!r}")
        return
    tried.append("password")
    try:
        transport.auth_password(hop.user, secret.reveal())
    except paramiko.BadAuthenticationType as error:
        tried[-1] += f" (not allowed: only {', '.join(error.allowed_types)})"
    except paramiko.AuthenticationException:
        tried[-1] += " (wrong)"
