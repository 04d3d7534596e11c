"""What the functions of the language take and give, for the checker."""

from dataclasses import dataclass
from typing import Final

from wtsflow.manifest.kinds import ANY, BOOLEAN, NAMES, NUMBER, STRING, Kind

TEXT: Final = ("string",)
LISTS: Final = ("list",)


@dataclass(frozen=True, slots=True)
class Signature:
    """The kinds of names that each argument may have (empty: any), and what comes out."""

    takes: tuple[tuple[str, ...], ...]
    gives: Kind


SIGNATURES: Final = {
    "size": Signature((("string", "list", "map"),), NUMBER),
    "contains": Signature((("string", "list", "map"), ()), BOOLEAN),
    "startsWith": Signature((TEXT, TEXT), BOOLEAN),
    "endsWith": Signature((TEXT, TEXT), BOOLEAN),
    "lower": Signature((TEXT,), STRING),
    "upper": Signature((TEXT,), STRING),
    "trim": Signature((TEXT,), STRING),
    "join": Signature((LISTS, TEXT), STRING),
    "split": Signature((TEXT, TEXT), NAMES),
    "string": Signature(((),), STRING),
}
LAZY: Final = {"default": ANY, "has": BOOLEAN, "if": ANY}
"""Those that do not look at all of their arguments; the checker has a method for each."""
