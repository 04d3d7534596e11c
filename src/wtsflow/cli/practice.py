"""A run on a practice range: the range, its state and the plan on it."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wtsflow.cli.common import frame, note
from wtsflow.cli.request import Request, answers, closing_on_error, limit, manifest_text, opened
from wtsflow.errors import UsageError
from wtsflow.model.text import listed

if TYPE_CHECKING:
    from wtsflow.app import App
    from wtsflow.lab import Hosts, Trouble
    from wtsflow.runs import Prepared


def warning(fleet: "Hosts") -> str:
    """What everybody must know before something is run there."""
    size = len(fleet.hosts)
    return (
        f"Practice range: {size} host{'s' if size > 1 else ''} on this machine "
        f"({listed(fleet.hosts, 6)}).\n"
        "They are folders here, not machines: scripts really run, on this machine, as you."
    )


def inherited() -> dict[str, str]:
    """What commands on the hosts inherit: only what Windows cannot do without."""
    names = ("SYSTEMROOT", "COMSPEC", "PATHEXT", "PATH")
    environ = frame().environ
    return {name: environ[name] for name in names if name in environ and "SYSTEMROOT" in environ}


@contextmanager
def state(keep: Path | None) -> Iterator[Path]:
    """A folder for the range; journal and audit log of this call go there too.

    ``keep`` stays, and must be new; without it a temporary one goes at the end.
    """
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UsageError(f"--keep {keep} is not empty", cure="name a folder that is not there yet")
    folder = (keep or Path(tempfile.mkdtemp(prefix="wtsflow-practice-"))).absolute()
    here = frame()
    before = here.environ
    here.environ = {**before, "WTSFLOW_STATE": str(folder / "state")}
    try:
        yield folder
    finally:
        here.environ = before
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
            note("The range is gone, with its journal and audit log; --keep DIR would keep them.")
        else:
            note(f"Kept. To look at it: WTSFLOW_STATE={folder / 'state'} wtsflow runs show latest")


@contextmanager
def practice(
    request: Request, hosts: int | None, troubles: Mapping[str, "Trouble"], folder: Path
) -> Iterator[tuple["App", "Prepared"]]:
    """The plan of what was asked for, on a range that is up as long as the block lasts.

    ``hosts`` is the size of each group; see :func:`wtsflow.lab.cast.cast`.
    """
    from wtsflow import planning
    from wtsflow.lab import Hosts
    from wtsflow.lab.cast import cast

    app, settings = opened(request.flags)
    with closing_on_error(app), ExitStack() as stack:
        workflow = app.load(*manifest_text(request.manifest, app.workspace))
        given = answers(request, workflow, frame())
        values = planning.bind(workflow, given)
        machines = cast(workflow, values, app.workspace.inventory(), hosts)
        inventories: list[Path] = []
        if machines or troubles:
            fleet = stack.enter_context(
                Hosts(
                    machines=machines,
                    troubles=troubles,
                    folder=folder / "range",
                    environ=inherited(),
                )
            )
            inventories = [fleet.inventory]
            note(warning(fleet))
        app.workspace = replace(app.workspace, ssh={})
        prepared = app.plan(
            workflow,
            given,
            inventories=inventories,
            ticket=request.ticket,
            limit=limit(request.limit),
            parallel=settings.parallel,
            timeout=settings.timeout,
            grace=settings.grace,
            reattach=settings.reattach,
            closing=settings.closing,
        )
        yield app, prepared
