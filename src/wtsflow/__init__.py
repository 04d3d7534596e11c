"""Run pinned scripts on other people's machines: proven before, live during, audited after.

The public face: what is named in ``__all__`` stays; everything else may move. ::

    from pathlib import Path
    from wtsflow import App, Workspace

    app = App(Workspace.find(Path()), state=Path("state"), cache=Path("cache"))
    workflow = app.load(Path("manifests/hello.yaml").read_bytes(), "hello.yaml")
    finished = app.run(app.plan(workflow, {"name": "Ann"}))
    assert finished.exit is Exit.SUCCESS

Names are imported when they are first asked for: ``import wtsflow`` costs nothing.
"""

TYPE_CHECKING = False  # typing's own costs `--version` a third of its time
if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.engine.interrupt import Interrupt
    from wtsflow.errors import (
        ConnectError,
        DeniedError,
        Diagnostic,
        Exit,
        InvalidError,
        Location,
        ManifestError,
        MismatchError,
        PlanError,
        RecordError,
        SessionLost,
        UsageError,
        WtsflowError,
    )
    from wtsflow.model.plan import Actor, Plan, Target
    from wtsflow.model.record import Event, Line, Outcome, Record, Stop
    from wtsflow.model.values import Secret
    from wtsflow.model.workflow import Workflow
    from wtsflow.runs import Finished, Prepared
    from wtsflow.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "wtsflow.app": ("App",),
    "wtsflow.engine.interrupt": ("Interrupt",),
    "wtsflow.errors": (
        "ConnectError",
        "DeniedError",
        "Diagnostic",
        "Exit",
        "InvalidError",
        "Location",
        "ManifestError",
        "MismatchError",
        "PlanError",
        "RecordError",
        "SessionLost",
        "UsageError",
        "WtsflowError",
    ),
    "wtsflow.model.plan": ("Actor", "Plan", "Target"),
    "wtsflow.model.record": ("Event", "Line", "Outcome", "Record", "Stop"),
    "wtsflow.model.values": ("Secret",),
    "wtsflow.model.workflow": ("Workflow",),
    "wtsflow.workspace": ("Workspace",),
    "wtsflow.runs": ("Finished", "Prepared"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Actor",
    "App",
    "ConnectError",
    "DeniedError",
    "Diagnostic",
    "Event",
    "Exit",
    "Finished",
    "Interrupt",
    "InvalidError",
    "Line",
    "Location",
    "ManifestError",
    "MismatchError",
    "Outcome",
    "Plan",
    "PlanError",
    "Prepared",
    "Record",
    "RecordError",
    "Secret",
    "SessionLost",
    "Stop",
    "Target",
    "UsageError",
    "Workflow",
    "Workspace",
    "WtsflowError",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'wtsflow' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
