"""Key pairs of the practice range: Ed25519, made anew each time."""

import io
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def new_key() -> tuple[paramiko.PKey, str]:
    """A key, and its private part as OpenSSH writes it."""
    text = (
        Ed25519PrivateKey.generate()
        .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        .decode()
    )
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text)), text


def client_key(path: Path) -> paramiko.PKey:
    """A new key whose private part is in ``path``, 0600, and whose public part is beside it."""
    key, text = new_key()
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")
    public = f"{key.get_name()} {key.get_base64()} wtsflow-lab\n"
    path.with_name(path.name + ".pub").write_text(public, encoding="ascii")
    return key
