"""The library: proven, locked, and run by ``wtsflow run`` on the practice range and on real sshd."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.peers.sshd import free_port
from tests.test_library_scripts import aged, certificate
from wtsflow import lab
from wtsflow.cli.main import main
from wtsflow.scripts.lock import Lock

ROOT = Path(__file__).parent.parent
MANIFESTS = sorted((ROOT / "manifests").rglob("*.yaml"))

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the scripts are for POSIX systems")


@dataclass
class Fleet:
    """Hosts that are up. ``homes`` are their home folders; :meth:`run` is the command line."""

    inventory: Path
    homes: dict[str, Path]
    capsys: pytest.CaptureFixture[str]
    code: int = 0
    result: dict[str, Any] = field(default_factory=dict)

    def run(self, manifest: str, *more: str, **inputs: object) -> dict[str, Any]:
        words = [
            part
            for name, value in inputs.items()
            for part in (
                "--input",
                f"{name}={value if isinstance(value, str) else json.dumps(value)}",
            )
        ]
        self.capsys.readouterr()
        line = [
            "run",
            manifest,
            "--inventory",
            str(self.inventory),
            "--format",
            "json",
            *words,
            *more,
        ]
        self.code = main(line)
        said = self.capsys.readouterr()
        assert said.out, said.err
        self.result = json.loads(said.out)
        return self.result

    def targets(self) -> dict[str, str]:
        return {target["name"]: target["outcome"] for target in self.result["targets"]}

    def attempts(self, ending: str) -> dict[str, list[dict[str, Any]]]:
        """The attempts of the steps whose path ends so, by target."""
        found: dict[str, list[dict[str, Any]]] = {}
        for step in self.result["steps"]:
            if step["path"].endswith(ending):
                found.setdefault(step["target"], []).append(step)
        return found


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """This repository is the workspace; state and cache are the test's own."""
    monkeypatch.chdir(ROOT)
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WTSFLOW_{name}", str(tmp_path / "own" / name.lower()))


Make = Callable[..., Any]


@pytest.fixture(params=["lab", pytest.param("sshd", marks=pytest.mark.peer("sshd"))])
def fleet(request, tmp_path, capsys) -> Callable[..., Any]:
    """``with fleet(lab.Machine(…), …) as found``: on the range, or a real sshd for each host."""
    make = request.getfixturevalue("make_sshd") if request.param == "sshd" else None

    @contextmanager
    def up(*machines: lab.Machine) -> Iterator[Fleet]:
        if make is None:
            with lab.Hosts(machines=machines, folder=tmp_path / "range") as hosts:
                yield Fleet(
                    hosts.inventory, {name: h.home for name, h in hosts.hosts.items()}, capsys
                )
        else:
            inventory, homes = _real(make, tmp_path, machines)
            yield Fleet(inventory, homes, capsys)

    return up


def _real(
    make: Make, folder: Path, machines: tuple[lab.Machine, ...]
) -> tuple[Path, dict[str, Path]]:
    hosts: dict[str, object] = {}
    groups: dict[str, dict[str, list[str]]] = {}
    homes: dict[str, Path] = {}
    for machine in machines:
        home = homes[machine.name] = folder / "homes" / machine.name
        home.mkdir(parents=True)
        if machine.trouble.down:
            port, user, settings = free_port(), "nobody", {}
        else:
            server = make(f"sshd-{machine.name}", SetEnv=f"HOME={home}")
            port, user, settings = server.port, server.user, server.settings
        hosts[machine.name] = {
            "host": "127.0.0.1", "port": port, "user": user, "os": "linux", "ssh": settings, "vars": dict(machine.variables),
        }  # fmt: skip
        for group in machine.groups:
            groups.setdefault(group, {"hosts": []})["hosts"].append(machine.name)
    file = folder / "inventory.json"
    file.write_text(json.dumps({"wtsflow": 1, "hosts": hosts, "groups": groups}))
    return file.rename(folder / "inventory.yaml"), homes


def web(number: int, **variables: object) -> lab.Machine:
    return lab.Machine(f"web{number}", ("web",), variables)  # type: ignore[arg-type]


LB = lab.Machine("lb1", ("balancers",))
DOWN = lab.Machine("web9", ("web",), trouble=lab.Trouble(down=True))


# --- proven and locked ----------------------------------------------------------------------


def test_the_library_is_valid_without_a_warning(capsys):
    assert main(["validate", "--strict", "manifests/"]) == 0
    assert len(MANIFESTS) >= 6


def test_the_lock_holds_every_script_as_it_lies_in_its_folder():
    entries = Lock.read(ROOT / "wtsflow.lock").entries
    assert entries
    for entry in entries.values():
        path = ROOT / "scripts" / entry.pin.partition("@")[0]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256, entry.pin
        sidecar = Path(f"{path}.yaml").read_bytes()
        assert hashlib.sha256(sidecar).hexdigest() == entry.meta, entry.pin
    locked = {entry.pin.partition("@")[0] for entry in entries.values()}
    there = {str(p.relative_to(ROOT / "scripts")) for p in (ROOT / "scripts").rglob("*.[sp][hy]")}
    assert locked == there


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a clone")
def test_a_clone_without_tags_runs_the_demo(tmp_path):
    clone = tmp_path / "clone"
    line = ["git", "clone", "-q", "--no-tags", f"file://{ROOT}", str(clone)]
    subprocess.run(line, check=True, capture_output=True)
    for name in ("wtsflow.lock", "inventory.yaml"):
        shutil.copy(ROOT / name, clone / name)
    shutil.copytree(ROOT / "manifests", clone / "manifests", dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "wtsflow", "lab", "demo", "--hosts", "3"],
        cwd=clone, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "503: still starting" in done.stdout
    assert "$ wtsflow audit verify\nintact: " in done.stdout
    assert list(tmp_path.glob("wtsflow-practice-*")) == []


# --- fleet/rolling-patch --------------------------------------------------------------------


def test_a_fleet_is_patched_with_one_server_tried_again_until_it_answers(fleet):
    with fleet(web(1), web(2), web(3, warm_up=2), LB) as hosts:
        result = hosts.run("fleet/rolling-patch")
        assert (hosts.code, result["status"]) == (0, "success")
        assert sorted(result["outputs"]["patched"]) == ["web1", "web2", "web3"]
        assert len(hosts.attempts("/health")["web3"]) > 1
        pool = (hosts.homes["lb1"] / "practice" / "pool").read_text()
        assert pool.count("enabled") == 3
        for name in ("web1", "web2", "web3"):
            current = hosts.homes[name] / "practice" / "packages" / "shop" / "current"
            assert current.read_text() == "2.4.1\n"


def test_a_server_that_cannot_be_patched_is_put_back_and_named(fleet):
    with fleet(web(1), web(2), web(3), web(4), LB) as hosts:
        broken = hosts.homes["web2"] / "practice" / "packages" / "shop"
        broken.parent.mkdir(parents=True)
        broken.write_text("in the way")
        hosts.run("fleet/rolling-patch")
        assert hosts.code == 9
        assert hosts.targets()["web2"] == "failed"
        assert hosts.targets()["web4"] == "success"
        assert hosts.attempts("/roll_back@web2") or hosts.attempts("/roll_back")
        pool = (hosts.homes["lb1"] / "practice" / "pool").read_text()
        assert (pool.count("enabled"), pool.count("drained")) == (4, 0)


# --- service/restart ------------------------------------------------------------------------

SERVICE = {
    "service": "app",
    "init": "practice/app/init",
    "config": "practice/app/app.conf",
    "new": "practice/app/app.conf.new",
    "steady": 1,
}


@pytest.fixture
def service(fleet) -> Callable[[str], Any]:
    """A fleet of two with a service to practise on, and a new configuration ready."""

    @contextmanager
    def up(next_: str) -> Iterator[Fleet]:
        with fleet(web(1), web(2)) as hosts:
            try:
                hosts.run("practice/service", group="web", next=next_)
                assert hosts.code == 0
                yield hosts
            finally:
                for home in hosts.homes.values():
                    subprocess.run([home / "practice" / "app" / "init", "stop"], check=False)

    return up


def test_a_service_is_restarted_with_its_new_configuration(service):
    with service("greeting=hi") as hosts:
        hosts.run("service/restart", **SERVICE)
        assert (hosts.code, hosts.targets()) == (0, {"web1": "success", "web2": "success"})
        for home in hosts.homes.values():
            assert (home / "practice/app/app.conf").read_text() == "greeting=hi\n"


def test_a_service_that_does_not_stay_up_gets_its_configuration_before_back(service):
    with service("broken") as hosts:
        hosts.run("service/restart", **SERVICE)
        assert hosts.code in (1, 9)
        assert hosts.targets()["web1"] == "failed"
        folder = hosts.homes["web1"] / "practice" / "app"
        assert (folder / "app.conf").read_text() == "greeting=hello\n"
        assert (folder / "app.conf.failed").read_text() == "broken\n"
        subprocess.run([folder / "init", "status"], check=True)
        untouched = hosts.homes["web2"] / "practice" / "app" / "app.conf"
        assert untouched.read_text() == "greeting=hello\n"


# --- disk, certificates, logs, account ------------------------------------------------------


def test_a_disk_is_looked_at_first_and_cleaned_when_told(fleet, tmp_path):
    old = aged(tmp_path / "data" / "app.log.1", 40, 3_000_000)
    new = aged(tmp_path / "data" / "app.log", 1, 3_000_000)
    with fleet(web(1)) as hosts:
        hosts.run("disk/clean-up", folders=[str(old.parent)])
        assert hosts.code == 0
        (look,) = hosts.attempts("look")["web1"]
        assert (look["outputs"]["found"], look["outputs"]["deleted"]) == (1, 0)
        assert old.exists()
        looked = hosts.run("disk/clean-up", "--check", folders=[str(old.parent)], delete=True)
        assert old.exists()
        assert looked["changes"] == {
            "change": 1,
            "same": 1,
            "unknown": 0,
            "targets": [{"name": "web1", "change": 1, "same": 1, "unknown": 0}],
        }
        hosts.run("disk/clean-up", folders=[str(old.parent)], delete=True)
        assert hosts.code == 0
        assert (old.exists(), new.exists()) == (False, True)


def test_a_system_folder_is_refused_before_anything_is_deleted(fleet):
    with fleet(web(1)) as hosts:
        hosts.run("disk/clean-up", folders=["/etc"], delete=True, days=10000)
        assert hosts.code == 1
        assert hosts.attempts("step2") == {}


def test_certificates_of_a_fleet_become_one_table_with_the_unread_named(fleet, tmp_path):
    certificate(tmp_path / "tls" / "soon.pem", 12)
    certificate(tmp_path / "tls" / "late.pem", 500)
    with fleet(web(1), web(2), DOWN) as hosts:
        result = hosts.run("certificates/expiry-report", paths=[str(tmp_path / "tls")])
        assert (hosts.code, hosts.targets()["web9"]) == (9, "unreachable")
        due = [(row["host"], row["days"]) for row in result["outputs"]["due"]]
        assert due == [("web1", 12), ("web2", 12)]
        assert result["outputs"]["unread"] == [{"host": "web9", "outcome": "unreachable"}]


def test_logs_are_packed_on_each_host(fleet, tmp_path):
    log = aged(tmp_path / "log" / "app.log", 0)
    log.write_text("the last words\n")
    with fleet(web(1), web(2)) as hosts:
        result = hosts.run("logs/collect", paths=[str(log.parent)])
        assert (hosts.code, result["outputs"]) == (0, {"collected": ["web1", "web2"]})
        for name, home in hosts.homes.items():
            (archive,) = (home / "wtsflow-logs").iterdir()
            (step,) = hosts.attempts("collect")[name]
            assert step["outputs"]["archive"] == str(archive)
            assert "the last words" in step["output"]["tail"]


@pytest.mark.skipif(sys.platform != "linux", reason="for Linux")
def test_an_account_that_is_not_there_is_said_so(fleet):
    with fleet(web(1)) as hosts:
        hosts.run("account/lock-out", user="no_such_user_here")
        (look,) = hosts.attempts("look")["web1"]
        assert (hosts.code, look["outcome"]) == (0, "no_account")
        assert look["outputs"]["verdict"] == "no_account"
