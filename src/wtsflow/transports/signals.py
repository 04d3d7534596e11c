"""Signals by number, as a POSIX shell reports them (128 + n). Linux numbers: the targets'."""

_NAMES = {
    1: "HUP",
    2: "INT",
    3: "QUIT",
    4: "ILL",
    5: "TRAP",
    6: "ABRT",
    7: "BUS",
    8: "FPE",
    9: "KILL",
    10: "USR1",
    11: "SEGV",
    12: "USR2",
    13: "PIPE",
    14: "ALRM",
    15: "TERM",
    16: "STKFLT",
    24: "XCPU",
    25: "XFSZ",
    31: "SYS",
}


def name(code: int | None) -> str:
    """The signal that a shell's exit code stands for; empty for a code that is none."""
    return _NAMES.get(code - 128, "") if code is not None else ""
