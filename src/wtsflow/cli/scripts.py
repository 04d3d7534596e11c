"""``wtsflow scripts``: list, show, compare, update and release pinned scripts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from wtsflow.cli import complete, scripts_text as text
from wtsflow.cli.common import Format, document, frame, note, workspace
from wtsflow.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from wtsflow.cli.pins import Use
    from wtsflow.scripts import Pin, Repository
    from wtsflow.scripts.catalogue import Upgrade
    from wtsflow.workspace import Workspace

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List, show, release and update scripts."
)

FORMAT = typer.Option("--format", help="How to print.")


@dataclass(frozen=True, slots=True)
class Shelf:
    """What these commands look at: the workspace, its repository, its manifests' pins."""

    workspace: "Workspace"
    repository: "Repository"
    uses: "list[Use]"

    def of(self, script: str) -> "list[Use]":
        """The places that pin a script, in any version."""
        return [use for use in self.uses if use.pin.script == script]


@contextmanager
def _opened(*, fetch: bool = True) -> Iterator[Shelf]:
    from wtsflow.cli.pins import uses_now
    from wtsflow.clock import SystemClock

    here = workspace()
    with here.repository(frame().cache, SystemClock()) as repository:
        if fetch:
            try:
                repository.fetch()
            except ConfigError as error:
                note(f"warning: {error.message}: what follows may be old")
        yield Shelf(here, repository, uses_now(here))


def _newest(shelf: Shelf, script: str) -> "Pin":
    """A script's newest version. Raises UsageError when there is no such script."""
    from wtsflow.model.text import did_you_mean
    from wtsflow.scripts import Pin
    from wtsflow.scripts.catalogue import versions

    alias, _, path = script.rpartition(":")
    found = versions(shelf.repository, script)
    if not found:
        known = text.known(shelf.repository)
        raise UsageError(
            f"there is no released script '{script}'",
            cure=did_you_mean(script, known) or "see: wtsflow scripts list",
        )
    return Pin(alias, path, found[-1])


def _pin(shelf: Shelf, said: str) -> "Pin":
    """``SCRIPT@x.y.z``, or the newest version of ``SCRIPT``."""
    from wtsflow.scripts import Pin

    return Pin.parse(said) if "@" in said else _newest(shelf, said)


@app.command("list")
def list_(
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """List every released script: its newest version, and how many steps use which.

    \b
    Examples:
      wtsflow scripts list
      wtsflow scripts list --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    with _opened() as shelf:
        rows = text.listing(shelf.repository, shelf.uses)
    if format_ is Format.JSON:
        document({"schema": "wtsflow.scripts.list/1", "scripts": rows})
    else:
        text.show_listing(rows)


@app.command()
def show(
    script: Annotated[
        str,
        typer.Argument(
            metavar="SCRIPT[@VERSION]", help="Which one.", autocompletion=complete.scripts
        ),
    ],
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """Show what a script takes and leaves, where that knowledge comes from, and who uses it.

    \b
    Examples:
      wtsflow scripts show ad/unlock-account.ps1
      wtsflow scripts show ad/unlock-account.ps1@1.4.2 --format json
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    with _opened() as shelf:
        pin = _pin(shelf, script)
        said = text.described(shelf.repository, pin, shelf.of(pin.script))
    if format_ is Format.JSON:
        document(said)
    else:
        text.show_described(said)


@app.command()
def outdated(
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """List pins that have a newer version, and whether moving to it breaks a step.

    \b
    Examples:
      wtsflow scripts outdated
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.scripts.catalogue import best

    with _opened() as shelf:
        rows = []
        for pin in sorted({use.pin for use in shelf.uses}, key=str):
            newest = best(shelf.repository, pin, lambda _: True)
            if newest:
                fitting = best(shelf.repository, pin)
                count = sum(use.pin == pin for use in shelf.uses)
                rows.append(text.outdated_row(newest, fitting, count))
    if format_ is Format.JSON:
        document({"schema": "wtsflow.scripts.outdated/1", "pins": rows})
    else:
        text.show_outdated(rows)


@app.command()
def update(
    script: Annotated[
        str | None, typer.Argument(metavar="SCRIPT", help="Only this one; default: all.")
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="To this version.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """Move pins to newer versions: only the pins change in the manifests, then the lock.

    Without --to it is the newest version that is compatible; one that breaks a step is named and
    needs --to. A pin that ends in '+' keeps it.

    \b
    Examples:
      wtsflow scripts update --dry-run
      wtsflow scripts update ad/unlock-account.ps1
      wtsflow scripts update ad/unlock-account.ps1 --to 2.0.0
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    if to and not script:
        raise UsageError("--to needs the script that it is a version of")
    with _opened() as shelf:
        if script:
            _newest(shelf, script)
        chosen = shelf.of(script) if script else shelf.uses
        if script and not chosen:
            raise UsageError(f"no manifest of this workspace pins {script}")
        moves = [(use, _move(shelf, use.pin, to)) for use in chosen]
        found = [(use, move) for use, move in moves if move]
        if found and not dry_run:
            _rewrite(shelf, [(use, move) for use, move in found])
        kept = [] if to else text.held_back(shelf.repository, chosen, found)
    if format_ is Format.JSON:
        document(text.updated(found, kept, written=not dry_run and bool(found)))
    else:
        text.show_updated(found, kept, dry_run=dry_run)


def _move(shelf: Shelf, pin: "Pin", to: str) -> "Upgrade | None":
    """Where a pin goes; None when it stays. Raises UsageError for a version that is not there."""
    from wtsflow.scripts import Version
    from wtsflow.scripts.catalogue import best, upgrade, versions

    if not to:
        return best(shelf.repository, pin)
    try:
        wanted = Version.parse(to)
    except ValueError as error:
        raise UsageError(str(error)) from None
    there = versions(shelf.repository, pin.script)
    if wanted not in there:
        known = ", ".join(map(str, there[-5:]))
        raise UsageError(f"{pin.script} has no version {wanted}", cure=f"it has {known}")
    return None if wanted == pin.version else upgrade(shelf.repository, pin, wanted)


def _rewrite(shelf: Shelf, moves: "list[tuple[Use, Upgrade]]") -> None:
    """Lock the new pins first; only then change the manifests, each at once, and the lock."""
    from wtsflow.cli.pins import rewritten
    from wtsflow.scripts.lock import replace
    from wtsflow.scripts.locking import relock

    versions = {id(use): move.to for use, move in moves}
    pins = set()
    for use in shelf.uses:
        plus = "+" if use.pin.open else ""
        pins.add(f"{use.pin.script}@{versions.get(id(use), use.pin.version)}{plus}")
    done = relock(shelf.repository, pins)
    for file, data in rewritten([(use, move.to) for use, move in moves]).items():
        replace(file, data)
    done.lock.write()


@app.command()
def release(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The script's file or path.")],
    version: Annotated[str, typer.Option("--version", metavar="X.Y.Z", help="Exactly.")] = "",
    major: Annotated[bool, typer.Option("--major", help="It breaks callers.")] = False,
    minor: Annotated[bool, typer.Option("--minor", help="It can do more.")] = False,
    patch: Annotated[bool, typer.Option("--patch", help="It was repaired.")] = False,
    why: Annotated[str, typer.Option("--message", "-m", metavar="WHY", help="Why.")] = "",
    sign: Annotated[bool, typer.Option("--sign", "-s", help="Sign the tag.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """Release the committed script as a version: makes its tag, which never moves again.

    The version is proposed from what changed in its parameters, outputs and outcomes since the
    newest one, unless you say it. Nothing is pushed.

    \b
    Examples:
      wtsflow scripts release scripts/disk/clean-up.sh -m "Spares open files"
      wtsflow scripts release disk/clean-up.sh --minor --sign
      wtsflow scripts release disk/clean-up.sh --dry-run
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.scripts import release as releasing

    parts = [name for name, on in (("major", major), ("minor", minor), ("patch", patch)) if on]
    if len(parts) + bool(version) > 1:
        raise UsageError("say one of --version, --major, --minor, --patch")
    with _opened(fetch=False) as shelf:
        proposal = releasing.propose(
            shelf.repository, path, version=version, part=parts[0] if parts else ""
        )
        if not dry_run:
            releasing.release(shelf.repository, proposal, why, sign=sign)
    if proposal.too_small:
        note(f"warning: this breaks callers of {proposal.last}; {proposal.proposed} would say so")
    if format_ is Format.JSON:
        document(text.released(proposal, made=not dry_run))
    else:
        text.show_released(proposal, made=not dry_run)


@app.command()
def impact(
    script: Annotated[
        str,
        typer.Argument(
            metavar="SCRIPT[@VERSION]", help="Which one.", autocompletion=complete.scripts
        ),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="Compared with; default: the newest.")
    ] = "",
    format_: Annotated[Format, FORMAT] = Format.TEXT,
) -> None:
    """Show which steps of which manifests use a version, and whether they survive an upgrade.

    \b
    Examples:
      wtsflow scripts impact ad/unlock-account.ps1@1.4.2
      wtsflow scripts impact ad/unlock-account.ps1 --to 2.0.0
    """  # noqa: D301 - \b is typer's mark for lines that stay as they are
    from wtsflow.scripts import Pin
    from wtsflow.scripts.catalogue import best, versions

    with _opened() as shelf:
        name = Pin.parse(script).script if "@" in script else script
        exact = Pin.parse(script).version if "@" in script else None
        if not versions(shelf.repository, name):
            _newest(shelf, name)
        used = [use for use in shelf.of(name) if exact in (None, use.pin.version)]
        ways = {
            pin: _move(shelf, pin, to) if to else best(shelf.repository, pin, lambda _: True)
            for pin in {use.pin for use in used}
        }
    if format_ is Format.JSON:
        document(text.affected(script, used, ways))
    else:
        text.show_affected(script, used, ways)
