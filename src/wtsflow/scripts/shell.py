"""Parameters of a shell script: its ``getopts`` letters and its ``case`` of long options.

A shell script has no declaration, so this says only what is certain: the letters of a written
``getopts`` string, the words of a ``case`` over ``$1``, and that a script which mentions none of
its arguments takes none. Everything else is unknown; whether an option is required always is.
"""

import re
from collections.abc import Iterator

from wtsflow.model.script import Interface, Parameter
from wtsflow.model.workflow import Type

_GETOPTS = re.compile(r"\bgetopts\s+(?:\"([^\"$`]*)\"|'([^']*)'|([A-Za-z0-9:?]+))\s+\w+")
_CASE = re.compile(r"\bcase\s+[\"']?\$(?:\{?1\}?|\{1%%=\*\}|\{?(?:arg|opt|key)\}?)[\"']?\s+in\b")
_BRANCH = re.compile(r"\(?\s*((?:-[^\s()|]*)(?:\s*\|\s*-[^\s()|]*)*)\s*\)")
_TAKES = re.compile(r"\$\{?2\b|\bshift\s+2|\$\{1#|\bOPTARG\b")
_MENTIONS = re.compile(r"\$(?:[1-9@*#]|\{[1-9@*#][^}]*\}|\{#\})|\bshift\b")
_SOURCES = re.compile(r"(?m)(?:^|[;&|])\s*(?:\.|source)\s+\S")
_FUNCTION = re.compile(r"[ \t]*(?:function\s+)?[A-Za-z_][\w-]{0,100}\s{0,9}\(\)\s{0,9}\{")
_HEREDOC = re.compile(r"<<-?[ \t]{0,9}(['\"\\]?)(\w{1,100})")
_PLAIN = re.compile(r"[^\\\"'#]+")
_OPTION_LINE = re.compile(
    r"(-\w)?(?:[, |]{1,9})?(--[\w-]+)?(?:[ =]?[<\[]?[A-Z_]{2,}[>\]]?)?\s{2,80}(\S.*)"
)
MAX_CHARACTERS = 1 << 18
MAX_LINE = 200
_NOISE = re.compile(r"(?i)shellcheck|copyright|spdx|licen[cs]e|vim:|-\*-")


def read(text: str) -> Interface:
    """The interface of a script; ``parameters`` is None where it cannot be known."""
    text = text.replace("\r\n", "\n")
    if len(text) > MAX_CHARACTERS:
        return Interface()
    code = _code(text)
    said = _option_help(text)
    title = _title(text)
    parameters = dict(_letters(code, said))
    if parameters:
        return Interface(title=title, parameters=parameters, source="getopts")
    words = _words(code, said)
    if words:
        return Interface(title=title, parameters=words, source="usage")
    if _MENTIONS.search(_outside(code)) or _SOURCES.search(code) or "getopt" in code:
        return Interface(title=title)
    return Interface(title=title, parameters={}, source="usage")


def _code(text: str) -> str:
    """The text without comments, single-quoted text and here-documents that expand nothing."""
    text = _without_quoted_documents(text)
    kept: list[str] = []
    at, double = 0, False
    while at < len(text):
        if plain := _PLAIN.match(text, at):
            kept.append(plain[0])
            at = plain.end()
            continue
        sign = text[at]
        if sign == "\\":
            kept.append("\n" if text[at + 1 : at + 2] == "\n" else " ")
            at += 2
            continue
        if sign == '"':
            double = not double
        elif sign == "#" and not double and (at == 0 or text[at - 1] in " \t\n;(&|"):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
            continue
        elif sign == "'" and not double:
            end = text.find("'", at + 1)
            quoted = text[at : len(text) if end < 0 else end + 1]
            kept.append(quoted.replace("$", " "))
            at += len(quoted)
            continue
        kept.append(sign)
        at += 1
    return "".join(kept)


def _without_quoted_documents(text: str) -> str:
    kept, end, quoted = [], "", False
    for line in text.split("\n"):
        if end:
            end = "" if line.strip("\t ") == end else end
            kept.append("" if quoted else line)
            continue
        kept.append(line)
        found = _HEREDOC.search(line) if "<<" in line and "<<<" not in line else None
        if found:
            end, quoted = found[2], bool(found[1])
    return "\n".join(kept)


def _outside(code: str) -> str:
    """The lines that stand in no function: there ``$1`` is the script's."""
    if "()" not in code:
        return code
    kept, inside = [], False
    for line in code.split("\n"):
        begins = _FUNCTION.match(line)
        if not inside and begins:
            inside = "}" not in line[begins.end() :]
        elif inside:
            inside = line.strip() != "}" and not line.startswith("}")
        else:
            kept.append(line)
    return "\n".join(kept)


def _letters(code: str, said: dict[str, str]) -> Iterator[tuple[str, Parameter]]:
    for found in _GETOPTS.finditer(code) if "getopts" in code else ():
        letters = next(group for group in found.groups() if group is not None).lstrip(":")
        for letter, colon in re.findall(r"([A-Za-z0-9])(:?)", letters):
            if letter != "h" or colon:
                yield letter, _option(letter, f"-{letter}", takes=bool(colon), said=said)


def _words(code: str, said: dict[str, str]) -> dict[str, Parameter] | None:
    """The long options by name; None where one takes its value only as ``--name=value``."""
    found: dict[str, Parameter] = {}
    joined: set[str] = set()
    end = 0
    for case in _CASE.finditer(code) if "case" in code else ():
        if case.start() < end:
            continue
        end = code.find("esac", case.end())
        end = len(code) if end < 0 else end
        for branch in re.split(r";;&?|;&", code[case.end() : end]):
            flags = _long_flags(branch)
            flag = next((one for one in flags if not one.endswith("=*")), "")
            joined |= {one.removesuffix("=*") for one in flags if not flag}
            if flag and flag not in ("--help", "--version"):
                name = flag[2:].replace("-", "_")
                takes = bool(_TAKES.search(branch))
                found[name] = _option(name, flag, takes=takes, said=said)
    return None if joined - {option.flag for option in found.values()} else found


def _long_flags(branch: str) -> list[str]:
    """The long options that a branch of a ``case`` is for, as they are written there."""
    found = _BRANCH.match(branch.strip())
    flags = [word.strip() for word in found[1].split("|")] if found else []
    return [flag for flag in flags if re.fullmatch(r"--[A-Za-z][\w-]*(?:=\*)?", flag)]


def _option(name: str, flag: str, *, takes: bool, said: dict[str, str]) -> Parameter:
    return Parameter(
        name,
        type=Type.ANY if takes else Type.BOOLEAN,
        required=None if takes else False,
        help=said.get(flag, ""),
        flag=flag,
        switch=not takes,
    )


def _option_help(text: str) -> dict[str, str]:
    """What the usage text says of each option, by flag."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if "-" not in line:
            continue
        words = line.strip("# \t").removeprefix("echo ").strip("\"' \t")
        option = _OPTION_LINE.fullmatch(words) if len(words) <= MAX_LINE else None
        if option:
            for flag in filter(None, (option[1], option[2])):
                found.setdefault(flag, option[3].strip())
    return found


def _title(text: str) -> str:
    """The first words of the comment that the script begins with."""
    for line in text.split("\n")[:12]:
        if line.startswith("#!") or not line.strip():
            continue
        if not line.startswith("#"):
            break
        said = line.lstrip("# \t").strip()
        if said and not _NOISE.search(said):
            return said
    return ""
