"""Every rule that a finding can name, with its page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEADING = re.compile(r"^## (wts[0-9]{3}) (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its stable id, what it is called, and its page (Markdown)."""

    id: str
    title: str
    page: str


def _read(text: str) -> dict[str, Rule]:
    parts = _HEADING.split(text)[1:]
    return {
        id_: Rule(id_, title, page.strip())
        for id_, title, page in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


RULES: Final[Mapping[str, Rule]] = _read(
    Path(__file__).with_name("rules.md").read_text(encoding="utf-8")
)
