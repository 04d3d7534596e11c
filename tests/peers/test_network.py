"""A network that breaks in every way: what is noticed when, and what comes of it."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.transport import eventually, finish, forget, outputs, run, script
from tests.peers.netns import Net, make_net
from tests.peers.sshd import Sshd
from tests.workspaces import Workspace
from wtsflow.credentials import Chain
from wtsflow.errors import ConnectError, SessionLost
from wtsflow.ports import Execution, Exited, Output, Session
from wtsflow.transports.ssh import Ssh

__all__ = ["make_net"]

QUICK: dict[str, Any] = {
    "keepalive_interval": "1s",
    "keepalive_count": 3,
    "connect_timeout": "2s",
}
NOTICED = 4.0
"""Seconds in which these settings notice silence: interval * (count + 1)."""
LOADED = 3.0
"""Seconds that a loaded machine may add."""

TICKS = "i=0; while [ $i -lt 80 ]; do echo tick $i; i=$((i+1)); sleep 0.1; done; exit 5"
ALL_TICKS = b"".join(b"tick %d\n" % n for n in range(80))


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    forget()


class Link:
    """A server behind a link, and connections to it that are closed afterwards."""

    def __init__(self, net: Net, server: Sshd, stack: ExitStack) -> None:
        self.net, self.server, self.stack = net, server, stack
        self.address = net.addresses[0]

    def connect(self, **settings: Any) -> Session:
        target = self.server.target(address=self.address, **{**QUICK, **settings})
        session = Ssh().connect(target, Chain(()))
        self.stack.callback(session.close)
        return session


@pytest.fixture
def link(make_net: Callable[..., Net], tmp_path: Path) -> Iterator[Link]:
    net = make_net()
    server = net.sshd(tmp_path / "sshd")
    with ExitStack() as stack:
        stack.callback(server.stop)
        yield Link(net, server, stack)
        net.heal()


def until_lost(execution: Execution) -> tuple[bytes, float, str]:
    """What came on standard output, the seconds until the loss was noticed, and its words."""
    seen, began = b"", time.monotonic()
    try:
        for signal_ in execution:
            if isinstance(signal_, Output) and signal_.stream == "stdout":
                seen += signal_.data
    except SessionLost as lost:
        return seen, time.monotonic() - began, lost.message
    raise AssertionError("it was not lost")


def ticking(session: Session, text: str = TICKS) -> tuple[Any, Execution, bytes]:
    given = script(text)
    execution = session.start(given)
    return given, execution, next(outputs(execution)).data


def test_silence_is_noticed_and_the_script_picked_up_when_it_is_over(link: Link) -> None:
    given, execution, first = ticking(link.connect())
    link.net.silence()
    more, seconds, words = until_lost(execution)
    assert NOTICED - 1 < seconds < NOTICED + LOADED
    assert "there was no answer for" in words
    with pytest.raises(ConnectError, match="did not answer within 2 s"):
        link.connect()
    link.net.heal()
    began = time.monotonic()
    again = link.connect().attach(given, age=5, stdout=len(first + more))
    rest = next(outputs(again)).data
    assert time.monotonic() - began < 1 + LOADED
    done = finish(again)
    assert first + more + rest + done.stdout == ALL_TICKS
    assert done.exited == Exited(5)
    again.recorded()


def test_a_reset_is_noticed_at_once(link: Link) -> None:
    given, execution, first = ticking(link.connect())
    link.net.reset()
    more, seconds, _ = until_lost(execution)
    assert seconds < 2 + LOADED
    link.net.heal()
    done = finish(link.connect().attach(given, age=5, stdout=len(first + more)))
    assert first + more + done.stdout == ALL_TICKS


def test_a_connection_that_only_we_believe_in_is_noticed(link: Link) -> None:
    """The server forgot it while nothing came through: what we ask there is answered by a reset."""
    given, execution, first = ticking(link.connect())
    link.net.silence()
    for pid in link.server.children():
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    link.net.heal()
    more, seconds, _ = until_lost(execution)
    assert seconds < NOTICED + LOADED
    done = finish(link.connect().attach(given, age=5, stdout=len(first + more)))
    assert first + more + done.stdout == ALL_TICKS


def test_a_black_hole_is_given_up_within_the_time_for_connecting(link: Link) -> None:
    link.net.silence()
    began = time.monotonic()
    with pytest.raises(ConnectError, match="did not answer within 2 s"):
        link.connect()
    assert time.monotonic() - began < 2 + LOADED


def test_silence_in_the_middle_of_a_login_is_given_up(link: Link) -> None:
    """TCP is there, and then nothing more: half of a connection."""
    link.server.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(ConnectError):
            link.connect()
        assert time.monotonic() - began < 2 + LOADED
    finally:
        link.server.process.send_signal(signal.SIGCONT)


def test_hiccups_that_are_shorter_than_the_limit_lose_nothing(link: Link) -> None:
    session = link.connect()
    given, execution, seen = ticking(session)
    del given
    for _ in range(2):
        link.net.silence()
        time.sleep(0.7)
        link.net.heal()
        seen += next(outputs(execution)).data
    done = finish(execution)
    assert seen + done.stdout == ALL_TICKS
    assert done.exited == Exited(5)


def test_a_server_that_is_restarted_keeps_who_is_connected(link: Link) -> None:
    given, execution, first = ticking(link.connect(), "echo on; sleep 1; echo off; exit 3")
    del given
    link.server.restart()
    done = finish(execution)
    assert (first + done.stdout, done.exited) == (b"on\noff\n", Exited(3))
    assert run(link.connect(), "echo new").stdout == b"new\n"


@pytest.mark.slow
def test_fifty_megabytes_are_printed_while_the_link_is_silent(link: Link, tmp_path: Path) -> None:
    """The script ends long before the link is back: it is never held up for more than a moment."""
    size, over = 50_000_000, tmp_path / "over"
    text = f"echo on; sleep 0.5; yes 0123456 | head -c {size}; touch {over}"
    given, execution, first = ticking(link.connect(), text)
    link.net.silence()
    more, seconds, _ = until_lost(execution)
    assert seconds < NOTICED + LOADED
    assert eventually(over.exists, 25)
    link.net.heal()
    done = finish(link.connect().attach(given, age=20, stdout=len(first + more)))
    expected = b"on\n" + b"0123456\n" * (size // 8)
    whole = first + more + done.stdout
    assert hashlib.sha256(whole).digest() == hashlib.sha256(expected).digest()
    assert done.exited == Exited(0)


@pytest.mark.slow
def test_by_default_silence_is_noticed_within_a_minute(link: Link) -> None:
    target = link.server.target(address=link.address)
    session = Ssh().connect(target, Chain(()))
    link.stack.callback(session.close)
    given, execution, first = ticking(session, TICKS.replace("80", "1000"))
    del given, first
    link.net.silence()
    _, seconds, _ = until_lost(execution)
    assert 45 < seconds < 60 + LOADED


# --- through the command line ---------------------------------------------------------------

MANIFEST = """wtsflow: 1
name: fleet/vpn
version: 1.0.0
title: T
owner: ops
targets: {{ web: {{ group: web }} }}
steps:
  - {{ id: work, script: a/work.sh@1.0.0, target: web, timeout: 2m, with: {{ note: {note} }} }}
  - {{ id: after, script: a/after.sh@1.0.0, target: web }}
"""
SCRIPT = """#!/bin/sh
echo "$WTS_TARGET" >>"$2"
i=0
while [ $i -lt {count} ]; do echo "$WTS_TARGET line $i"; i=$((i+1)); sleep 0.2; done
printf "the end"
"""
NAMES = [f"web{n:02}" for n in range(1, 11)]
LOST = ["web02", "web05", "web09"]


class Fleet:
    """Ten machines behind one link, and the workspace that lists them."""

    def __init__(self, net: Net, server: Sshd, folder: Path, seconds: float, reattach: str) -> None:
        self.net, self.note, self.count = net, folder / "note", round(seconds * 5)
        self.addresses = dict(zip(NAMES, net.addresses, strict=True))
        hosts = {
            name: {"host": address, "port": server.port, "os": "linux"}
            for name, address in self.addresses.items()
        }
        inventory = {
            "defaults": {"user": server.user, "ssh": {**server.settings, **QUICK}},
            "hosts": hosts,
            "groups": {"web": {"hosts": NAMES}},
        }
        scripts = {
            "a/work.sh": SCRIPT.format(count=self.count),
            "a/after.sh": "#!/bin/sh\necho after\n",
        }
        manifests = {"vpn.yaml": MANIFEST.format(note=self.note)}
        self.made = Workspace.make(folder, scripts, manifests, json.dumps(inventory))
        settings = f"settings: {{ reattach: {reattach} }}\n"
        config = self.made.root / "wtsflow.yaml"
        config.write_text(config.read_text() + settings)
        self.run = ""

    def start(self) -> Any:
        """Begin the run; returns when every script is at work."""
        process = self.made.start("run", "manifests/vpn.yaml", "--format", "jsonl")
        assert process.stdout
        for line in process.stdout:
            seen = json.loads(line)
            assert "run" in seen, seen
            self.run = seen["run"]
            if self.begun() == NAMES:
                break
        return process

    def begun(self) -> list[str]:
        return sorted(self.note.read_text().split()) if self.note.exists() else []

    def silence(self) -> None:
        self.net.silence(*(self.addresses[name] for name in LOST))

    def show(self) -> Any:
        return json.loads(self.made.cli("runs", "show", self.run, "--format", "json").stdout)

    def whole(self, name: str) -> dict[str, object]:
        """The size and digest of everything that the script prints there."""
        text = "".join(f"{name} line {n}\n" for n in range(self.count)) + "the end"
        return {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}

    def check(self, shown: Any) -> None:
        """Every script ran once, and every byte of it came."""
        assert self.begun() == NAMES
        work = {step["target"]: step for step in shown["steps"] if step["path"] == "work"}
        for name in NAMES:
            assert work[name]["outcome"] == "success"
            kept = work[name]["output"]
            assert {key: kept[key] for key in ("bytes", "sha256")} == self.whole(name)
        assert {step["target"] for step in shown["steps"] if step["path"] == "after"} == {*NAMES}
        assert self.made.cli("audit", "verify").returncode == 0


@pytest.fixture
def make_fleet(make_net: Callable[..., Net], tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    net = make_net(count=len(NAMES))
    server = net.sshd(tmp_path / "sshd")
    yield lambda seconds, reattach: Fleet(net, server, tmp_path, seconds, reattach)
    net.heal()
    server.stop()


@pytest.mark.parametrize("outage", [10, pytest.param(30, marks=pytest.mark.slow)])
def test_a_vpn_that_comes_back_costs_nothing_but_time(
    make_fleet: Callable[..., Fleet], outage: float
) -> None:
    """The link to 3 of 10 machines is dropped in mid-script, and heals."""
    fleet = make_fleet(outage + 6, "5m")
    process = fleet.start()
    fleet.silence()
    time.sleep(outage)
    fleet.net.heal()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    seen = [json.loads(line) for line in out.splitlines()]
    for event in ("detached", "attached"):
        data = [one["data"] for one in seen if one.get("event") == event]
        assert sorted({each["target"] for each in data}) == LOST
    fleet.check(fleet.show())


def test_a_vpn_that_stays_away_is_unknown_until_somebody_asks_again(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(8, "3s")
    process = fleet.start()
    fleet.silence()
    _, err = process.communicate(timeout=120)
    assert process.returncode in (9, 11), err
    shown = fleet.show()
    ends = {target["name"]: target["outcome"] for target in shown["targets"]}
    assert ends == {name: "unknown" if name in LOST else "success" for name in NAMES}
    for step in shown["steps"]:
        if step["outcome"] == "unknown":
            assert "no answer for" in step["message"]
            assert "could not be reached again" in step["message"]
            assert f"wtsflow resume {fleet.run}" in step["message"]
    fleet.net.heal()
    resumed = fleet.made.cli("resume", fleet.run)
    assert resumed.returncode in (0, 9), resumed.stdout + resumed.stderr
    work = {step["target"]: step for step in fleet.show()["steps"] if step["path"] == "work"}
    assert {name: step["outcome"] for name, step in work.items()} == dict.fromkeys(NAMES, "success")
    for name in LOST:
        kept = work[name]["output"]
        assert {key: kept[key] for key in ("bytes", "sha256")} == fleet.whole(name)
    assert fleet.begun() == NAMES
    assert fleet.made.cli("audit", "verify").returncode == 0
