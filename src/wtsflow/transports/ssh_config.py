"""``~/.ssh/config``, as far as it says where a host is and who logs in. Nothing in it is run.

Keywords that are not read are ignored; ``Match`` understands ``all``, ``host``, ``originalhost``
and ``user``, and a block with any other condition (``exec``!) does not apply. See ssh_config(5).
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wtsflow.errors import ConfigError
from wtsflow.transports.known_hosts import matches

MAX_DEPTH = 16
_MANY = {"identityfile", "certificatefile"}


@dataclass(frozen=True, slots=True)
class _Condition:
    kind: str
    words: tuple[str, ...]

    def holds(self, name: str, host: str, user: str) -> bool:
        if self.kind == "host":
            return matches(name.lower(), self.words)
        return all(_criterion(*pair, name, host, user) for pair in _pairs(self.words))


@dataclass(frozen=True, slots=True)
class _Directive:
    conditions: tuple[_Condition, ...]
    keyword: str
    value: str


class SshConfig:
    """One file with all that it includes, read when it is made. Raises ConfigError."""

    def __init__(self, path: Path, home: Path) -> None:
        self._home = home
        self._directives = tuple(_directives(path, home, (), 0))

    def lookup(self, name: str, user: str = "", local: str = "") -> dict[str, list[str]]:
        """The values for a host by lower-case keyword; of most keywords the first one counts.

        ``user`` is who logs in where that is known; otherwise the file says, or it is ``local``.
        """
        found: dict[str, list[str]] = {}
        for directive in self._directives:
            host = found.get("hostname", [name])[0]
            remote = user or found.get("user", [local])[0]
            if all(c.holds(name, host, remote) for c in directive.conditions):
                values = found.setdefault(directive.keyword, [])
                if not values or directive.keyword in _MANY:
                    values.append(directive.value)
        return found


def _directives(
    path: Path, home: Path, outer: tuple[_Condition, ...], depth: int
) -> Iterator[_Directive]:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{path}: Include goes deeper than {MAX_DEPTH} files")
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    conditions = outer
    for number, line in enumerate(text.splitlines(), 1):
        keyword, value = _split(line)
        if not keyword:
            continue
        if keyword in {"host", "match"}:
            conditions = (*outer, _Condition(keyword, _words(value, f"{path}:{number}")))
        elif keyword == "include":
            for word in _words(value, f"{path}:{number}"):
                for included in _included(word, home):
                    yield from _directives(included, home, conditions, depth + 1)
        else:
            yield _Directive(conditions, keyword, value)


def _split(line: str) -> tuple[str, str]:
    found = re.match(r"\s*([A-Za-z]\w*)\s*[\s=]\s*(.*?)\s*$", line)
    if not found:
        return "", ""
    value = found[2]
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return found[1].lower(), value


def _words(value: str, place: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(value, comments=True))
    except ValueError:
        raise ConfigError(f"{place}: a quotation mark is missing") from None


def _included(word: str, home: Path) -> list[Path]:
    path = Path(str(home) + word[1:]) if word.startswith("~/") else Path(word)
    if not path.is_absolute():
        path = home / ".ssh" / path
    anchor = Path(path.anchor)
    return sorted(anchor.glob(str(path.relative_to(anchor))))


def _pairs(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    rest = list(words)
    while rest:
        kind = rest.pop(0).lower()
        yield kind, rest.pop(0) if rest and kind not in {"all", "final", "canonical"} else ""


def _criterion(kind: str, value: str, name: str, host: str, user: str) -> bool:
    match kind:
        case "all":
            return True
        case "host":
            return matches(host.lower(), value.split(","))
        case "originalhost":
            return matches(name.lower(), value.split(","))
        case "user":
            return matches(user, value.split(","))
    return False
