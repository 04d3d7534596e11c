"""``wtsflow lock``: tie every pinned script to its commit, blob and digest."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wtsflow.cli.common import Format, document, frame, note, out, stop, workspace
from wtsflow.cli.complete import manifests as complete_manifests
from wtsflow.errors import Exit, MismatchError

if TYPE_CHECKING:
    from wtsflow.scripts.lock import Entry
    from wtsflow.scripts.locking import Locking


def command(
    manifests: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MANIFEST...",
            help="Only these manifests' pins; other lines stay.",
            autocompletion=complete_manifests,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 6 unless it is up to date.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, change nothing.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Write wtsflow.lock: what each pinned script is, to the byte.

    Every pin of the workspace's manifests is looked up by its tag, once; from then on runs go by
    the lock alone. A tag that was moved since is refused, and so is one without a trusted
    signature where wtsflow.yaml requires signatures. Keep the file in git.

    Exit codes: 0 up to date or written, 3 a pin cannot be locked, 5 a signature is not trusted,
    6 a tag was moved, or --check found a difference.

    \b
    Examples:
      wtsflow lock
      wtsflow lock manifests/disk.yaml
      wtsflow lock --check
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.cli.pins import uses
    from wtsflow.clock import SystemClock
    from wtsflow.scripts.locking import relock

    here = workspace()
    pins = {use.written for use in uses(here, manifests or ())}
    with here.repository(frame().cache, SystemClock()) as repository:
        done = relock(repository, pins, others=bool(manifests))
    write = not check and not dry_run
    missing = not done.lock.path.exists()
    if write and (done.changed or missing):
        done.lock.write()
    for warning in done.warnings:
        note(f"warning: {warning}")
    if format_ is Format.JSON:
        document(_said(done, written=write and (done.changed or missing)))
    else:
        _show(done, written=write)
    if check and done.changed:
        if format_ is Format.JSON:
            stop(Exit.MISMATCH)
        raise MismatchError(
            f"{done.lock.path.name} is not up to date: {len(done.added)} to add, "
            f"{len(done.removed)} to remove",
            cure="wtsflow lock",
        )


def _show(done: "Locking", *, written: bool) -> None:
    style = frame().style(frame().stdout)
    for sign, color, entries in (("+", "green", done.added), ("-", "red", done.removed)):
        for entry in entries:
            out(f"{style(sign, color)} {entry.pin}  {style(_short(entry), 'dim')}", raw=True)
    total = len(done.kept) + len(done.added)
    state = "up to date" if not done.changed else "written" if written else "would change"
    note(
        f"{done.lock.path.name} {state}: {total} script{'' if total == 1 else 's'}, "
        f"{len(done.added)} added, {len(done.removed)} removed, {len(done.kept)} kept"
    )


def _short(entry: "Entry") -> str:
    from wtsflow.model.terminal import visible

    return visible(f"commit {entry.commit[:12]}  sha256 {entry.sha256[:12]}  by {entry.by}")


def _said(done: "Locking", *, written: bool) -> dict[str, Any]:
    return {
        "schema": "wtsflow.lock/1",
        "file": str(done.lock.path),
        "up_to_date": not done.changed,
        "written": written,
        "added": [_entry(entry) for entry in done.added],
        "removed": [_entry(entry) for entry in done.removed],
        "kept": [_entry(entry) for entry in done.kept],
        "warnings": list(done.warnings),
    }


def _entry(entry: "Entry") -> dict[str, str]:
    return {
        "pin": entry.pin,
        "commit": entry.commit,
        "blob": entry.blob,
        "sha256": entry.sha256,
        "meta": entry.meta,
        "by": entry.by,
    }
