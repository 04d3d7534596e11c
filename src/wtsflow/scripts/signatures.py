"""Signatures of tags: by SSH keys, against the workspace's own file of trusted signers.

Signed by GPG counts as not signed: an SSH trust store is one file that can be reviewed.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from wtsflow.errors import ConfigError, DeniedError
from wtsflow.model.text import shown
from wtsflow.scripts.git import GitFailed, Ref
from wtsflow.scripts.origin import Origin

_GOOD = re.compile(r'^Good "git" signature for (\S+) with ', re.MULTILINE)
_WHY = (
    ("no signature found", "it is not signed"),
    ("No principal matched", "its key is not one of the allowed signers"),
    ("cannot run", "it is not signed by an SSH key"),
    ("expired", "its key was not valid when it was signed"),
)


def trust_settings(allowed_signers: Path | None) -> Mapping[str, str]:
    """What git is told so that it checks signatures by this file and no other program."""
    program = shutil.which("ssh-keygen") if allowed_signers else None
    if program is None:
        return {}
    return {"gpg.ssh.allowedSignersFile": str(allowed_signers), "gpg.ssh.program": program}


def check_trust(allowed_signers: Path | None) -> None:
    """Refuse to begin where no signature could ever be good. Raises ConfigError."""
    if allowed_signers is None:
        raise ConfigError(
            "signatures are required, but nobody is trusted",
            cure="name a file in wtsflow.yaml: trust: { allowed_signers: allowed_signers }",
        )
    if not allowed_signers.is_file():
        raise ConfigError(
            f"there is no file of allowed signers {allowed_signers}",
            cure='a line of it: sme@corp.example namespaces="git" ssh-ed25519 AAAA...',
        )
    if shutil.which("ssh-keygen") is None:
        raise ConfigError("ssh-keygen is needed to check signatures", cure="install OpenSSH")


def signer(origin: Origin, pin: str, ref: Ref) -> str:
    """Who signed a tag. Raises DeniedError when nobody who is trusted did."""
    if not ref.annotated:
        raise _denied(pin, "its tag is a plain one, which cannot be signed")
    try:
        said = origin.git.verify(ref.oid)
    except GitFailed as failed:
        why = next((why for words, why in _WHY if words in failed.text), "")
        raise _denied(pin, why or shown(failed.text, 120)) from None
    good = _GOOD.search(said)
    if not good:
        raise _denied(pin, "git did not say whose signature it is")
    return good[1]


def _denied(pin: str, why: str) -> DeniedError:
    return DeniedError(
        f"{pin} is not signed by somebody who is trusted: {why}",
        cure="its owner releases a new version with: wtsflow scripts release PATH --sign",
    )
