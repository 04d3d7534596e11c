"""``wtsflow new``: a workspace that runs at once."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from wtsflow.cli.common import frame, note, out
from wtsflow.errors import ConfigError, UsageError

SCRIPT = "hello/greet.sh"
MANIFEST = "manifests/hello.yaml"
_LOCK = "wtsflow.lock"


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; default: here")] = Path(),
    force: Annotated[
        bool, typer.Option("--force", help="Also where there are files; none is overwritten")
    ] = False,
) -> None:
    """Make a workspace that runs at once: a released script, an inventory and a manifest.

    The folder becomes a git repository. Nothing that is there is overwritten.

    Examples:
      wtsflow new runbooks
      cd runbooks && wtsflow run manifests/hello.yaml
    """
    folder = folder.absolute()
    refuse_used(folder, force=force)
    ours, theirs = lay_out(folder)
    named = commit(folder, ours)
    for name in theirs:
        note(f"{name} is there already; it was left as it is")
    if named:
        note(f"git did not know your name; see: git -C {folder} config user.name")
    out(_next_steps(folder))


def refuse_used(folder: Path, *, force: bool) -> None:
    """Raises UsageError for a folder that cannot be one, or holds files (unless ``force``)."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", cure="name a folder")
    if not force and folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty",
            cure="name a new folder, or add --force (it overwrites nothing)",
        )


def lay_out(folder: Path) -> tuple[list[str], list[str]]:
    """Write the files that are not there yet.

    Returns the relative paths of those that are as they should be, and of those that are not and
    stay so. Raises ConfigError.
    """
    ours: list[str] = []
    theirs: list[str] = []
    try:
        for name, content in sorted(_templates(files("wtsflow") / "scaffold")):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("xb") as file:
                    file.write(content)
            except FileExistsError:
                same = path.is_file() and path.read_bytes() == content
                (ours if same else theirs).append(name)
                continue
            ours.append(name)
            if path.suffix == ".sh":
                path.chmod(0o755)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from None
    return ours, theirs


def _templates(place: Traversable, above: str = "") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in place.iterdir():
        name = f"{above}{entry.name}"
        if entry.is_dir():
            found += _templates(entry, f"{name}/")
        else:
            found.append((name, entry.read_bytes()))
    return found


def commit(folder: Path, ours: list[str]) -> bool:
    """Commit our files, release the script and lock it, as far as that is not done.

    In a workspace with a ``wtsflow.yaml`` or a script of its own nothing is released or locked.
    Returns whether git did not know who commits. Raises ConfigError.
    """
    from wtsflow.clock import SystemClock
    from wtsflow.scripts import release
    from wtsflow.scripts.begin import begin
    from wtsflow.scripts.locking import relock
    from wtsflow.who import present_actor
    from wtsflow.workspace import Workspace

    actor = present_actor()
    named = begin(folder, ours, "Begin a workspace", actor)
    if {"wtsflow.yaml", f"scripts/{SCRIPT}"} <= set(ours) and not (folder / _LOCK).exists():
        made = Workspace.read(folder / "wtsflow.yaml")
        with made.repository(frame().cache, SystemClock()) as repository:
            if not repository.origin().versions(SCRIPT):
                proposal = release.propose(repository, SCRIPT, version="1.0.0")
                release.release(repository, proposal, "The first version", sign=False)
            relock(repository, [f"{SCRIPT}@1.0.0"]).lock.write()
        begin(folder, [_LOCK], "Lock the scripts", actor)
    return named


def _next_steps(folder: Path) -> str:
    commands = {
        f"wtsflow run {MANIFEST}": "run it",
        f"wtsflow plan {MANIFEST}": "see what would run",
        f"wtsflow lab run {MANIFEST} -n 5": "practise on five servers that are not real",
    }
    width = max(map(len, commands))
    lines = [f"A workspace is in {folder}", ""]
    lines += [] if folder == Path.cwd() else [f"  cd {folder}"]
    lines += [f"  {command.ljust(width)}   {words}" for command, words in commands.items()]
    return "\n".join([*lines, "", "README.md says how it goes on."])
