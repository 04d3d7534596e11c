"""Scripts that the tests of manifests pin."""

from wtsflow.errors import PinMismatch, PlanError
from wtsflow.model.script import Interface, Language, Parameter, PinnedScript
from wtsflow.model.workflow import Type

CLEAN = Interface(
    os=("linux", "macos"),
    parameters={
        each.name: each
        for each in (
            Parameter("days", Type.NUMBER, required=True, min=1, max=90),
            Parameter("mode", Type.STRING, required=False, choices=("soft", "hard")),
            Parameter("path", Type.STRING, required=False, pattern="/.*"),
            Parameter("tags", Type.LIST, required=False),
            Parameter("force", Type.BOOLEAN, required=False),
            Parameter("token", Type.SECRET, required=False),
        )
    },
    outputs={
        "freed": Type.NUMBER,
        "files": Type.LIST,
        "ok": Type.BOOLEAN,
        "note": Type.STRING,
        "key": Type.SECRET,
    },
    outcomes={3: "nothing_to_do"},
    source="sidecar",
)
WINDOWS = Interface(
    os=("windows",),
    parameters={"days": Parameter("days", Type.NUMBER, required=False)},
    outputs={"freed": Type.NUMBER},
    source="sidecar",
)


def script(pin: str, interface: Interface, warning: str = "") -> PinnedScript:
    path, _, version = pin.partition("@")
    return PinnedScript(
        pin=pin,
        path=path,
        version=version.rstrip("+"),
        commit="c" * 40,
        blob="b" * 40,
        sha256="5" * 64,
        language=Language.SHELL,
        interface=interface,
        warning=warning,
    )


SCRIPTS = {
    each.pin: each
    for each in (
        script("disk/clean.sh@1.0.0", CLEAN),
        script("disk/clean.sh@1.0.0+", CLEAN),
        script("disk/raw.sh@1.0.0", Interface()),
        script("win/clean.ps1@1.0.0", WINDOWS),
        script("old/none.sh@1.0.0", Interface(parameters={}, outputs={})),
        script(
            "old/clean.sh@1.0.0",
            Interface(),
            "1.0.0 is deprecated: 1.1.0 replaces it by 2026-07-01",
        ),
        *(script(f"{letter}.sh@1.0.0", Interface()) for letter in "abcfh"),
    )
}


def look_up(pin: str) -> PinnedScript:
    """As a repository would: by pin, or an error with its cure."""
    if pin == "moved/clean.sh@1.0.0":
        raise PinMismatch(pin, "1" * 12, "2" * 12, cure="ask who moved the tag")
    if pin not in SCRIPTS:
        raise PlanError(f"{pin} is not in the lock", cure="wtsflow lock")
    return SCRIPTS[pin]
