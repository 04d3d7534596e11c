"""The public face: what ``wtsflow`` exports, and nothing else, is what may be built on."""

import subprocess
import sys

import pytest

import wtsflow

SURFACE = frozenset(
    {
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
    }
)


def test_the_surface_is_what_is_listed_here() -> None:
    assert set(wtsflow.__all__) == SURFACE


@pytest.mark.parametrize("name", sorted(SURFACE))
def test_an_exported_name_is_there(name: str) -> None:
    assert hasattr(wtsflow, name)


def test_importing_wtsflow_imports_nothing_else() -> None:
    code = "import sys, wtsflow; print([n for n in sys.modules if n.startswith('wtsflow.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_list_is_sorted_and_has_nothing_twice() -> None:
    assert list(wtsflow.__all__) == sorted(set(wtsflow.__all__))
