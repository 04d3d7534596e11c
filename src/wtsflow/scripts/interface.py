"""What a script says of itself: by its sidecar, else by its own text. Nothing is executed."""

from pathlib import PurePosixPath

from wtsflow.model.script import Interface, Language

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
    """The interface of a script. Raises ConfigError when its sidecar is wrong."""
    return Interface()
