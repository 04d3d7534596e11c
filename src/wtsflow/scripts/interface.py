"""What a script says of itself: by its sidecar, else by its own text. Nothing is executed."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from wtsflow.model.script import Interface, Language
from wtsflow.scripts import powershell, python, shell, sidecar as sidecars

_LANGUAGES = {
    ".ps1": Language.POWERSHELL,
    ".py": Language.PYTHON,
    ".sh": Language.SHELL,
    ".bash": Language.SHELL,
    ".ksh": Language.SHELL,
    ".zsh": Language.SHELL,
}
_INTERPRETERS = {
    "pwsh": Language.POWERSHELL,
    "powershell": Language.POWERSHELL,
    "python": Language.PYTHON,
    "sh": Language.SHELL,
    "bash": Language.SHELL,
    "dash": Language.SHELL,
    "ksh": Language.SHELL,
    "zsh": Language.SHELL,
}
_READERS: Mapping[Language, Callable[[str], Interface]] = {
    Language.POWERSHELL: powershell.read,
    Language.PYTHON: python.read,
    Language.SHELL: shell.read,
    Language.OTHER: lambda _text: Interface(),
}
_MARKS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def language(path: str, content: bytes) -> Language:
    """What a script is written in: by its extension, else by its first line."""
    by_name = _LANGUAGES.get(PurePosixPath(path).suffix.lower())
    if by_name:
        return by_name
    first = content[:200].split(b"\n", 1)[0].decode("ascii", "replace")
    if not first.startswith("#!"):
        return Language.OTHER
    words = first[2:].split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    program = PurePosixPath(words[0]).name.rstrip("0123456789.") if words else ""
    return _INTERPRETERS.get(program, Language.OTHER)


def interface(path: str, content: bytes, sidecar: str | None) -> Interface:
    """The interface of a script, by the text of its sidecar (None: it has none) and its own.

    Raises ManifestError with every finding about the sidecar.
    """
    declared = sidecars.read(sidecar, f"{path}.yaml") if sidecar is not None else None
    found = _READERS[language(path, content)](text(content))
    return found if declared is None else sidecars.completed(declared, found)


def text(content: bytes) -> str:
    """A script's bytes as text: UTF-8, or UTF-16 by its mark as PowerShell's editors write it."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[2:].decode(encoding, "replace")
    return content.decode("utf-8-sig", "replace")
