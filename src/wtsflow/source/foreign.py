"""Files that decide what is done, and who could have written them."""

import os
import stat
from pathlib import Path

from wtsflow.errors import ConfigError


def refuse_foreign(file: Path) -> None:
    """Refuse settings and programs that any user of this machine could have written.

    Rule: neither the file nor its folder is writable for everybody; in a folder like ``/tmp``
    (sticky) the file must be ours or root's. Where there are no POSIX modes, nothing is refused.
    Raises ConfigError.
    """
    if os.name != "posix":
        return
    try:
        said, folder = file.stat(), file.absolute().parent.stat()
    except OSError:
        return
    if said.st_mode & stat.S_IWOTH:
        raise ConfigError(f"everybody can write {file}: it is not read", cure=f"chmod o-w {file}")
    if not folder.st_mode & stat.S_IWOTH:
        return
    if not folder.st_mode & stat.S_ISVTX or said.st_uid not in (0, os.getuid()):
        raise ConfigError(
            f"everybody can write the folder of {file}: it is not read",
            cure="keep it in a folder of your own",
        )
