"""The lines that make cron, or systemd, call wtsflow every minute."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wtsflow.cli.common import frame

if TYPE_CHECKING:
    from wtsflow.app import App

CALLS = (("schedules", "run", "--due"), ("resume", "--due"))
"""What is called every minute: what is due begins, and what waited for its time goes on."""
PLAIN_PATH = ("/usr/bin", "/bin")
"""What cron looks for programs in."""


def settings(app: "App") -> dict[str, str]:
    """What the call needs of the present environment, all of it absolute."""
    here = frame()
    found = {
        "WTSFLOW_STATE": str(app.state.absolute()),
        "WTSFLOW_CACHE": str(app.cache.absolute()),
        "WTSFLOW_CONFIG": str(here.config.absolute()),
    }
    if path := _path():
        found["PATH"] = path
    return found


def _path() -> str:
    """Where git and ssh are, unless they are where cron looks anyway."""
    homes = [shutil.which(name) for name in ("git", "ssh")]
    folders = dict.fromkeys(home.rpartition("/")[0] for home in homes if home)
    return "" if folders.keys() <= set(PLAIN_PATH) else ":".join((*folders, *PLAIN_PATH))


def call(app: "App", words: Sequence[str]) -> list[str]:
    """The program and its arguments."""
    root = str(app.workspace.root.absolute())
    return [sys.executable, "-m", "wtsflow", "--workspace", root, "--quiet", *words]


def cron_lines(app: "App") -> list[str]:
    """Lines for ``crontab -e``. In a crontab a ``%`` ends the command, so it is escaped."""
    needs = [f"{name}={shlex.quote(value)}" for name, value in settings(app).items()]
    lines = ["# wtsflow: what is due fires, what waited goes on; mail comes only of failures"]
    for words in CALLS:
        command = " ".join([*needs, shlex.join(call(app, words))])
        lines.append(f"* * * * * {command.replace('%', chr(92) + '%')}")
    return lines


def systemd_units(app: "App") -> list[str]:
    """A service and a timer, for ``~/.config/systemd/user``.

    A service that is still active is not started again, and a run may take hours: so it starts
    the calls as units of their own, and has ended at once.
    """
    needs = [f"--setenv={name}={value}" for name, value in settings(app).items()]
    starter = [shutil.which("systemd-run") or "/usr/bin/systemd-run", "--user", "--collect"]
    starts = [[*starter, "--quiet", *needs, "--", *call(app, words)] for words in CALLS]
    return [
        "# ~/.config/systemd/user/wtsflow.service",
        "[Unit]",
        "Description=wtsflow: fire what is due, go on with what waited",
        "",
        "[Service]",
        "Type=oneshot",
        *("ExecStart=" + " ".join(_quoted(word) for word in words) for words in starts),
        "",
        "# ~/.config/systemd/user/wtsflow.timer",
        "[Unit]",
        "Description=wtsflow every minute",
        "",
        "[Timer]",
        "OnCalendar=minutely",
        "AccuracySec=1s",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
        "# then: systemctl --user daemon-reload && systemctl --user enable --now wtsflow.timer",
        "#       loginctl enable-linger    (so that it goes on while you are logged out)",
    ]


def _quoted(word: str) -> str:
    return f'"{_escaped(word)}"'


def _escaped(word: str) -> str:
    """For a quoted word of a unit file: ``%`` and ``$`` mean something there."""
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
