"""``wtsflow lab``: SSH hosts that live in this process, to practise on."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtsflow.cli import options
from wtsflow.cli.common import Format, note, out
from wtsflow.cli.performing import Driving, RunFormat, perform
from wtsflow.cli.practice import inherited, practice, state, warning
from wtsflow.cli.request import Request
from wtsflow.errors import UsageError

if TYPE_CHECKING:
    from wtsflow.lab import Hosts, Trouble

app = typer.Typer(add_completion=False, no_args_is_help=True)

SLOW = 2.0
"""Seconds that a slow host thinks."""
CUT = 2000
"""Bytes of output after which a connection is cut, or freezes: the first step is through."""
DEMO = "fleet/rolling-patch"

_HOST = "HOST"
HostsOption = Annotated[
    int | None, typer.Option("--hosts", "-n", min=1, max=500, help="Hosts of each group")
]
Down = Annotated[
    list[str] | None, typer.Option("--down", metavar=_HOST, help="It refuses the connection")
]
Refuse = Annotated[
    list[str] | None, typer.Option("--refuse", metavar=_HOST, help="It refuses the login")
]
Slow = Annotated[
    list[str] | None, typer.Option("--slow", metavar=_HOST, help="It thinks before each command")
]
Hang = Annotated[
    list[str] | None, typer.Option("--hang", metavar=_HOST, help="It answers nothing at all")
]
Drop = Annotated[
    list[str] | None, typer.Option("--drop", metavar=_HOST, help="Its connection is cut midway")
]
Freeze = Annotated[
    list[str] | None, typer.Option("--freeze", metavar=_HOST, help="Its connection goes silent")
]
Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="DIR", help="Keep the hosts' folders, journal and audit log"),
]


def troubles(**named: Sequence[str] | None) -> dict[str, "Trouble"]:
    """What is wrong with which host. Raises UsageError for a host named twice."""
    from wtsflow.lab import Trouble

    kinds = {
        "down": Trouble(down=True),
        "refuse": Trouble(refuses=True),
        "slow": Trouble(slow=SLOW),
        "hang": Trouble(hangs=True),
        "drop": Trouble(drops_after=CUT),
        "freeze": Trouble(freezes_after=CUT),
    }
    found: dict[str, Trouble] = {}
    for kind, hosts in named.items():
        for host in hosts or ():
            if host in found:
                raise UsageError(f"'{host}' is named for two troubles", cure="choose one")
            found[host] = kinds[kind]
    return found


@app.command()
def up(
    hosts: HostsOption = 5,
    down: Down = None,
    refuse: Refuse = None,
    slow: Slow = None,
    hang: Hang = None,
    drop: Drop = None,
    freeze: Freeze = None,
    keep: Keep = None,
) -> None:
    """Bring practice hosts up, and keep them up until Ctrl-C.

    They are folders on this machine: what is run on them really runs here, as you. Nothing is
    installed and nobody else is let in.

    Examples:
      wtsflow lab up --hosts 5
      wtsflow lab up --down lab2 --slow lab3
    """
    from wtsflow.lab import Hosts

    wrong = troubles(down=down, refuse=refuse, slow=slow, hang=hang, drop=drop, freeze=freeze)
    with (
        _until_told() as told,
        Hosts(hosts or 5, troubles=wrong, folder=keep, environ=inherited()) as fleet,
    ):
        out(_card(fleet))
        while not told.wait(0.5):
            pass
    note("the practice range is down")


def _card(fleet: "Hosts") -> str:
    lines = [warning(fleet), "", f"  inventory   {fleet.inventory}"]
    lines += [
        f"  {name:<11} {address}:{port}{_said(fleet.hosts[name].machine.trouble)}"
        for name, (address, port) in fleet.addresses.items()
    ]
    first = next(iter(fleet.hosts))
    lines += [
        "",
        f"  wtsflow run MANIFEST --inventory {fleet.inventory}",
        f"  ssh -F {fleet.ssh_config} {first}",
        "",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _said(trouble: "Trouble") -> str:
    words = {
        "down": trouble.down,
        "refuses the login": trouble.refuses,
        "slow": trouble.slow,
        "hangs": trouble.hangs,
        "is cut midway": trouble.drops_after,
        "freezes midway": trouble.freezes_after,
    }
    return "".join(f"   ({word})" for word, on in words.items() if on)


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set when the process is asked to end; the handlers before are put back."""
    told = threading.Event()
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: told.set()) for number in known}
    try:
        yield told
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@app.command()
def run(
    manifest: options.Manifest,
    hosts: HostsOption = None,
    inputs: options.Inputs = None,
    files: options.InputFiles = None,
    ticket: options.Ticket = "",
    only: options.Limit = "",
    parallel: options.Parallel = None,
    timeout: options.Timeout = None,
    yes: options.Yes = False,
    format_: Annotated[
        RunFormat, typer.Option("--format", help="text, json (at the end) or jsonl (live)")
    ] = RunFormat.TEXT,
    down: Down = None,
    refuse: Refuse = None,
    slow: Slow = None,
    hang: Hang = None,
    drop: Drop = None,
    freeze: Freeze = None,
    keep: Keep = None,
) -> None:
    """Run a manifest on practice hosts that have the names of its targets.

    Groups and hosts come from the inventory, with their variables; a group that it does not list
    gets made-up hosts. No real host is contacted. But the hosts are folders on this machine, and
    scripts really run here, as you; steps on `local` run as they always do. Journal and audit log
    are temporary.

    Examples:
      wtsflow lab run fleet/rolling-patch --hosts 5
      wtsflow lab run manifests/logs/collect.yaml --down web2 --slow web3
      wtsflow lab run fleet/rolling-patch --keep /tmp/practice
    """
    request = Request(
        manifest=manifest,
        inputs=inputs or (),
        files=files or (),
        ticket=ticket,
        limit=only,
        flags={"parallel": parallel, "timeout": timeout},
        ask=not yes,
    )
    wrong = troubles(down=down, refuse=refuse, slow=slow, hang=hang, drop=drop, freeze=freeze)
    with state(keep) as folder, practice(request, hosts, wrong, folder) as (app_, prepared):
        perform(app_, prepared, Driving(format_))


@app.command()
def demo(hosts: HostsOption = 5) -> None:
    """See it work: a rolling patch of practice servers, then the proof of its audit log.

    One server is slow to answer after the patch, which is tried again. Takes a few seconds; nothing
    of it stays.

    Examples:
      wtsflow lab demo
    """
    with state(None) as folder:
        out(f"$ wtsflow lab run {DEMO} --hosts {hosts}")
        request = Request(manifest=DEMO, flags={"parallel": None, "timeout": None}, ask=False)
        with practice(request, hosts, {}, folder) as (app_, prepared):
            code = _code(lambda: perform(app_, prepared, Driving(RunFormat.TEXT)))
        out("\n$ wtsflow audit verify")
        proven = _code(_verify)
    raise typer.Exit(code or proven)


def _verify() -> None:
    from wtsflow.cli.audit import verify

    verify(alone=False, format_=Format.TEXT)


def _code(command: Callable[[], object]) -> int:
    """The exit code that a command leaves with."""
    try:
        command()
    except typer.Exit as left:
        return int(left.exit_code)
    return 0
