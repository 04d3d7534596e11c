"""Beginning a script repository: the first commit and the first release."""

from collections.abc import Sequence
from pathlib import Path

from wtsflow.errors import ConfigError
from wtsflow.model.plan import Actor
from wtsflow.model.text import shown
from wtsflow.scripts.git import Git, GitFailed


def begin(folder: Path, files: Sequence[str], message: str, who: Actor) -> bool:
    """Commit those of ``files`` (relative paths) that are not, in ``folder``.

    It becomes a repository of its own if it is none.

    Returns whether git did not know who commits, so that ``who`` was written into the
    repository's own configuration. Raises ConfigError when git does not.
    """
    git = Git(folder)
    try:
        if not (folder / ".git").exists():
            git.create()
        named = git.identify(who.name, f"{who.name}@{who.host or 'localhost'}")
        if changed := git.dirty(*files) if files else ():
            git.commit(message, *changed)
    except GitFailed as failed:
        raise ConfigError(
            f"git did not take the files in {folder}: {shown(failed.text.strip(), 160)}",
            cure="mend it, then: wtsflow new --force",
        ) from None
    finally:
        git.close()
    return named
