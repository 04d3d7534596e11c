"""Every script of the library, run as it is: no engine, no network, a folder of its own."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wtsflow.model.script import Language
from wtsflow.scripts.interface import interface, language

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
ALL = sorted(path for path in SCRIPTS.rglob("*") if path.suffix in (".sh", ".py"))
posix = pytest.mark.skipif(os.name != "posix", reason="these scripts are for POSIX systems")


class Ended:
    """How one run of a script ended; ``outputs`` come from ``$WTS_OUTPUT``."""

    def __init__(self, process: subprocess.CompletedProcess[bytes], output: Path) -> None:
        self.code = process.returncode
        self.out = process.stdout.decode()
        self.err = process.stderr.decode()
        self.outputs = json.loads(output.read_text()) if output.stat().st_size else {}


def run(script: str, *arguments: object, home: Path, data: bytes = b"", **environ: str) -> Ended:
    path = SCRIPTS / script
    line = [sys.executable, str(path)] if path.suffix == ".py" else ["/bin/sh", str(path)]
    output = home / f".output-{time.monotonic_ns()}"
    output.touch()
    found = {"HOME": str(home), "PATH": os.environ["PATH"], "WTS_OUTPUT": str(output), **environ}
    try:
        process = subprocess.run(
            [*line, *map(str, arguments)],
            input=data,
            env=found,
            cwd=home,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ended(process, output)
    finally:
        output.unlink()


def declared(script: str, outputs: dict[str, object]) -> None:
    """The outputs are exactly those that the sidecar declares."""
    path = SCRIPTS / script
    said = interface(script, path.read_bytes(), Path(f"{path}.yaml").read_text())
    assert said.outputs is not None
    assert set(outputs) == set(said.outputs)


# --- all of them ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_a_script_has_a_sidecar_that_agrees_with_its_text(path):
    name = str(path.relative_to(SCRIPTS))
    content = path.read_bytes()
    said = interface(name, content, Path(f"{path}.yaml").read_text())
    assert said.title
    assert said.help
    assert said.parameters
    read = interface(name, content, None)
    if language(name, content) is Language.PYTHON and said.passing is None:
        assert read.parameters is not None
        assert set(said.parameters) == set(read.parameters) - {said.check.removeprefix("--")}
        for parameter in said.parameters.values():
            assert parameter.switch == read.parameters[parameter.name].switch
    else:
        for parameter in said.parameters:
            assert f"--{parameter.replace('_', '-')})" in content.decode() or said.passing


@posix
@pytest.mark.parametrize(
    "path",
    [path for path in ALL if path.suffix == ".sh"],
    ids=lambda path: str(path.relative_to(SCRIPTS)),
)
def test_a_shell_script_is_strict_and_plain(path, tmp_path):
    text = path.read_text()
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in text
    for shell in ("dash", "busybox", "bash"):
        if found := shutil.which(shell):
            line = [found, "sh", "-n"] if shell == "busybox" else [found, "-n"]
            subprocess.run([*line, str(path)], check=True)
    refused = run(str(path.relative_to(SCRIPTS)), "--bogus", "1", home=tmp_path)
    assert refused.code == 2
    assert "--bogus" in refused.err
    assert os.access(path, os.X_OK)


# --- disk/clean-up.py -----------------------------------------------------------------------


def aged(path: Path, days: float, size: int = 4096) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    when = time.time() - days * 86400
    os.utime(path, (when, when))
    return path


@posix
class TestCleanUp:
    def clean(self, home: Path, *arguments: object) -> Ended:
        return run("disk/clean-up.py", *arguments, home=home)

    def test_it_only_looks_unless_told_to_delete(self, tmp_path):
        old = aged(tmp_path / "logs" / "old.log", 40)
        aged(tmp_path / "logs" / "new.log", 1)
        ended = self.clean(tmp_path, "--folders", tmp_path / "logs", "--names", "*.log")
        assert (ended.code, ended.outputs["found"], ended.outputs["deleted"]) == (0, 1, 0)
        assert ended.outputs["biggest"] == [{"path": str(old), "bytes": 4096}]
        assert old.exists()
        declared("disk/clean-up.py", ended.outputs)

    def test_it_deletes_what_is_old_and_fits_and_may_be_run_twice(self, tmp_path):
        old = aged(tmp_path / "logs" / "deep" / "old.log", 40)
        kept = [
            aged(tmp_path / "logs" / "young.log", 10),
            aged(tmp_path / "logs" / "old.txt", 40),
            aged(tmp_path / "elsewhere" / "old.log", 40),
        ]
        line = ("--folders", tmp_path / "logs", "--names", "*.log", "--delete")
        ended = self.clean(tmp_path, *line)
        assert (ended.code, ended.outputs["deleted"], ended.outputs["freed_bytes"]) == (0, 1, 4096)
        assert not old.exists()
        assert old.parent.is_dir()
        assert all(path.exists() for path in kept)
        assert self.clean(tmp_path, *line).outputs["deleted"] == 0

    def test_it_deletes_no_more_than_the_most(self, tmp_path):
        for number in range(5):
            aged(tmp_path / "logs" / f"{number}.log", 40)
        ended = self.clean(tmp_path, "--folders", tmp_path / "logs", "--most", "2", "--delete")
        assert (ended.outputs["found"], ended.outputs["deleted"]) == (5, 2)
        assert len(list((tmp_path / "logs").iterdir())) == 3

    def test_it_follows_no_link_out_of_its_folder(self, tmp_path):
        outside = aged(tmp_path / "precious" / "old.log", 40)
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "folder").symlink_to(outside.parent)
        (tmp_path / "logs" / "file.log").symlink_to(outside)
        ended = self.clean(
            tmp_path, "--folders", tmp_path / "logs", "--older-than-days", "0", "--delete"
        )
        assert ended.outputs["found"] == 0
        assert outside.exists()

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
    def test_it_leaves_a_file_that_a_process_has_open(self, tmp_path):
        held = aged(tmp_path / "logs" / "held.log", 40)
        with held.open():
            ended = self.clean(tmp_path, "--folders", tmp_path / "logs", "--delete")
        assert ended.outputs["found"] == 0
        assert held.exists()

    @pytest.mark.parametrize(
        "folder",
        ["/", "/etc", "/usr/lib", "/var", "/proc/self", "relative", "/no/such", "/tmp/../etc"],
    )
    def test_it_refuses_what_a_system_lives_in(self, tmp_path, folder):
        ended = self.clean(tmp_path, "--folders", folder, "--older-than-days", "100000")
        assert ended.code == 1
        assert ended.err.startswith("clean-up: ")
        assert ended.outputs == {}

    def test_it_refuses_a_link_to_the_system(self, tmp_path):
        (tmp_path / "logs").symlink_to("/etc")
        assert "part of the system" in self.clean(tmp_path, "--folders", tmp_path / "logs").err

    def test_a_folder_inside_another_is_not_counted_twice(self, tmp_path):
        aged(tmp_path / "logs" / "deep" / "old.log", 40)
        ended = self.clean(tmp_path, "--folders", tmp_path / "logs", tmp_path / "logs" / "deep")
        assert ended.outputs["found"] == 1

    @pytest.mark.parametrize(
        "name", ["a b.log", "$(touch x).log", "-rf", "new\nline.log", "caf\udce9.log"]
    )
    def test_awkward_names_are_only_names(self, tmp_path, name):
        path = tmp_path / "logs" / name
        path.parent.mkdir()
        os.close(os.open(os.fsencode(path), os.O_CREAT))
        os.utime(os.fsencode(path), (0, 0))
        ended = self.clean(tmp_path, "--folders", tmp_path / "logs", "--delete")
        assert (ended.code, ended.outputs["deleted"]) == (0, 1)
        assert [entry.name for entry in tmp_path.iterdir()] == ["logs"]


# --- certificates ---------------------------------------------------------------------------


def certificate(path: Path, days: float, name: str = "web.example.net", key: bool = False) -> Path:
    """A self-signed certificate that ends in so many days."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1000))
        .not_valid_after(now + dt.timedelta(days=days, minutes=5))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName(f"www.{name}")]),
            critical=False,
        )
        .sign(private, hashes.SHA256())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes((secret if key else b"") + made.public_bytes(serialization.Encoding.PEM))
    return path


@posix
class TestCertificates:
    @pytest.fixture(params=["openssl", "python"])
    def path(self, request, tmp_path):
        if request.param == "openssl":
            if not shutil.which("openssl"):
                pytest.skip("no openssl")
            return os.environ["PATH"]
        return str(tmp_path)

    def test_it_says_how_long_each_is_valid_by_either_decoder(self, tmp_path, path):
        certificate(tmp_path / "tls" / "soon.pem", 10, "soon.example.net")
        certificate(tmp_path / "tls" / "late.crt", 400, "late.example.net")
        ended = run("certificates/scan.py", "--paths", tmp_path / "tls", home=tmp_path, PATH=path)
        assert ended.err == ""
        assert ended.code == 3
        assert ended.outputs["worst"] == "expiring"
        soon, late = ended.outputs["certificates"]
        assert (soon["days"], soon["state"], soon["subject"]) == (
            10,
            "expiring",
            "CN=soon.example.net",
        )
        assert soon["names"] == ["soon.example.net", "www.soon.example.net"]
        assert (late["days"], late["state"]) == (400, "valid")
        declared("certificates/scan.py", ended.outputs)

    @pytest.mark.parametrize(
        ("days", "state", "code"),
        [(-2, "expired", 4), (3, "critical", 3), (20, "expiring", 3), (90, "valid", 0)],
    )
    def test_the_worst_decides_the_outcome(self, tmp_path, days, state, code):
        certificate(tmp_path / "one.pem", days)
        certificate(tmp_path / "two.pem", 500)
        ended = run(
            "certificates/scan.py",
            "--paths",
            tmp_path / "one.pem",
            tmp_path / "two.pem",
            home=tmp_path,
        )
        assert (ended.code, ended.outputs["worst"]) == (code, state)

    def test_a_key_beside_a_certificate_is_never_shown(self, tmp_path):
        both = certificate(tmp_path / "both.pem", 90, key=True)
        lines = both.read_text().split("-----END PRIVATE KEY-----")[0].splitlines()[1:]
        ended = run("certificates/scan.py", "--paths", both, home=tmp_path)
        assert len(ended.outputs["certificates"]) == 1
        shown = ended.out + ended.err + json.dumps(ended.outputs)
        assert all(line not in shown for line in lines)

    def test_a_chain_is_read_to_its_end_and_a_copy_is_counted_once(self, tmp_path):
        first, second = certificate(tmp_path / "a.pem", 50), certificate(tmp_path / "b.pem", 60)
        (tmp_path / "chain.pem").write_bytes(
            first.read_bytes() + b"\ncomment\n" + second.read_bytes()
        )
        ended = run(
            "certificates/scan.py",
            "--paths",
            tmp_path / "chain.pem",
            tmp_path / "a.pem",
            home=tmp_path,
        )
        assert [one["days"] for one in ended.outputs["certificates"]] == [50, 60]

    def test_what_is_no_certificate_is_a_problem_and_the_rest_is_read(self, tmp_path):
        certificate(tmp_path / "good.pem", 90)
        (tmp_path / "bad.pem").write_text(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )
        ended = run(
            "certificates/scan.py",
            "--paths",
            tmp_path / "good.pem",
            tmp_path / "bad.pem",
            tmp_path / "none.pem",
            home=tmp_path,
        )
        assert len(ended.outputs["certificates"]) == 1
        assert len(ended.outputs["problems"]) == 2

    def test_a_folder_without_certificates_is_no_error_and_a_missing_one_is(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert run("certificates/scan.py", "--paths", tmp_path / "empty", home=tmp_path).code == 0
        assert run("certificates/scan.py", "--paths", tmp_path / "gone", home=tmp_path).code == 1

    def test_links_to_files_are_followed_as_certbot_has_them(self, tmp_path):
        real = certificate(tmp_path / "archive" / "cert1.pem", 70)
        (tmp_path / "live").mkdir()
        (tmp_path / "live" / "cert.pem").symlink_to(real)
        ended = run("certificates/scan.py", "--paths", tmp_path / "live", home=tmp_path)
        assert [one["days"] for one in ended.outputs["certificates"]] == [70]

    def test_a_fleet_becomes_one_table_with_the_unread_named(self, tmp_path):
        one = {"path": "/a.pem", "subject": "CN=a", "days": 12, "state": "expiring"}
        two = {"path": "/b.pem", "subject": "CN=b", "days": -1, "state": "expired"}
        hosts = {
            "web1": {
                "outcome": "expiring",
                "outputs": {"certificates": [one], "worst": "expiring"},
            },
            "web2": {
                "outcome": "expired",
                "outputs": {"certificates": [two, {**one, "days": 99, "state": "valid"}]},
            },
            "web3": {"outcome": "unreachable", "outputs": {}},
        }
        data = json.dumps({"hosts": hosts, "days": 30}).encode()
        ended = run("certificates/summary.py", home=tmp_path, data=data)
        assert [(row["host"], row["days"]) for row in ended.outputs["due"]] == [
            ("web2", -1),
            ("web1", 12),
        ]
        assert ended.outputs["unread"] == [{"host": "web3", "outcome": "unreachable"}]
        assert (ended.outputs["expired"], ended.outputs["expiring"], ended.outputs["valid"]) == (
            1,
            1,
            1,
        )
        assert "web3: not read (unreachable)" in ended.out
        declared("certificates/summary.py", ended.outputs)

    def test_a_fleet_that_was_not_read_at_all_is_an_empty_table(self, tmp_path):
        ended = run("certificates/summary.py", home=tmp_path, data=b'{"hosts": null, "days": 30}')
        assert (ended.code, ended.outputs["due"]) == (0, [])


# --- logs/collect.py ------------------------------------------------------------------------


@posix
class TestCollect:
    def collect(self, home: Path, *arguments: object) -> Ended:
        return run("logs/collect.py", "--into", home / "out", *arguments, home=home)

    def members(self, ended: Ended) -> dict[str, bytes]:
        with tarfile.open(ended.outputs["archive"]) as archive:
            files = {member.name: archive.extractfile(member) for member in archive}
            return {name: file.read() for name, file in files.items() if file}

    def test_it_packs_what_was_written_lately_and_shows_its_end(self, tmp_path):
        new = aged(tmp_path / "log" / "app.log", 0.1)
        new.write_text("first\nsecond\nthird\n")
        aged(tmp_path / "log" / "old.log", 9)
        ended = self.collect(tmp_path, "--paths", tmp_path / "log", "--lines", "2")
        assert self.members(ended) == {str(new).lstrip("/"): b"first\nsecond\nthird\n"}
        assert f"==> {new} <==\nsecond\nthird\n" in ended.out
        archive = Path(ended.outputs["archive"])
        assert archive.stat().st_mode & 0o777 == 0o600
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == ended.outputs["sha256"]
        assert [path.name for path in (tmp_path / "out").iterdir()] == [archive.name]
        declared("logs/collect.py", ended.outputs)

    def test_its_size_is_bounded_the_newest_first_each_from_its_end(self, tmp_path):
        newest, middle, oldest = (aged(tmp_path / "log" / f"{n}.log", n / 24) for n in (1, 2, 3))
        text = b"".join(b"line %06d\n" % number for number in range(60_000))
        for path, hours in ((newest, 1), (middle, 2), (oldest, 3)):
            path.write_bytes(text)
            os.utime(path, (time.time() - hours * 3600,) * 2)
        ended = self.collect(tmp_path, "--paths", tmp_path / "log", "--most-mib", "1")
        found = self.members(ended)
        assert found[str(newest).lstrip("/")] == text
        cut = found[str(middle).lstrip("/")]
        assert text.endswith(cut)
        assert cut.startswith(b"line ")
        assert sum(map(len, found.values())) <= 1024 * 1024
        assert ended.outputs["left_out"] == [str(oldest)]
        assert [log["whole"] for log in ended.outputs["logs"]] == [True, False]

    def test_a_pipe_and_a_folder_inside_are_passed_over(self, tmp_path):
        aged(tmp_path / "log" / "inner" / "deep.log", 0)
        os.mkfifo(tmp_path / "log" / "pipe")
        ended = self.collect(tmp_path, "--paths", tmp_path / "log")
        assert (ended.code, ended.outputs["logs"]) == (0, [])

    def test_binary_and_escapes_are_packed_as_they_are(self, tmp_path):
        data = bytes(range(256)) + b"\x1b[31mred\n"
        path = aged(tmp_path / "log" / "odd name $(id).log", 0)
        path.write_bytes(data)
        ended = self.collect(tmp_path, "--paths", path)
        assert list(self.members(ended).values()) == [data]

    def test_only_its_own_older_archives_are_removed(self, tmp_path):
        out = tmp_path / "out"
        mine = [aged(out / f"logs-2026010100000{n}.tar.gz", 1) for n in range(4)]
        others = [aged(out / name, 1) for name in ("logs-final.tar.gz", "db-20260101000000.tar.gz")]
        ended = self.collect(tmp_path, "--paths", aged(tmp_path / "a.log", 0), "--keep", "2")
        assert [path.exists() for path in mine] == [False, False, False, True]
        assert all(path.exists() for path in others)
        assert gzip.decompress(Path(ended.outputs["archive"]).read_bytes())

    @pytest.mark.parametrize(
        "line", [("--label", "../evil"), ("--label", ""), ("--keep", "0"), ("--most-mib", "0")]
    )
    def test_odd_values_are_refused(self, tmp_path, line):
        assert self.collect(tmp_path, "--paths", tmp_path, *line).code == 2

    def test_a_log_that_is_not_there_fails_when_there_is_nothing_else(self, tmp_path):
        ended = self.collect(tmp_path, "--paths", tmp_path / "none.log")
        assert ended.code == 1
        assert "none.log" in ended.err


# --- balancer, patch ------------------------------------------------------------------------


@posix
class TestBalancer:
    def member(self, home: Path, server: str, state: str, *more: object) -> Ended:
        return run(
            "balancer/member.sh",
            "--pool",
            "lb/pool",
            "--server",
            server,
            "--state",
            state,
            *more,
            home=home,
        )

    @pytest.fixture
    def home(self, tmp_path):
        for name in ("web1", "web2", "web3"):
            assert self.member(tmp_path, name, "known").outputs == {
                "state": "enabled",
                "changed": True,
                "enabled": int(name[-1]),
            }
        return tmp_path

    def test_a_server_goes_out_and_comes_back(self, home):
        out = self.member(home, "web2", "drained")
        assert out.outputs == {"state": "drained", "changed": True, "enabled": 2}
        assert (home / "lb" / "pool").read_text() == "web1 enabled\nweb2 drained\nweb3 enabled\n"
        assert self.member(home, "web2", "drained").outputs["changed"] is False
        assert self.member(home, "web2", "known").outputs["state"] == "drained"
        assert self.member(home, "web2", "enabled").outputs == {
            "state": "enabled",
            "changed": True,
            "enabled": 3,
        }
        declared("balancer/member.sh", out.outputs)

    def test_the_last_ones_stay(self, home):
        assert self.member(home, "web1", "drained", "--least", "2").code == 0
        refused = self.member(home, "web2", "drained", "--least", "2")
        assert refused.code == 1
        assert "web2 stays: without it 1 would be enabled, fewer than 2" in refused.err
        assert "web2 enabled" in (home / "lb" / "pool").read_text()

    def test_many_changes_at_once_lose_none(self, home):
        names = [f"app{number}" for number in range(12)]
        with ThreadPoolExecutor(12) as pool:
            ended = list(pool.map(lambda name: self.member(home, name, "known"), names))
        assert {one.code for one in ended} == {0}
        assert len((home / "lb" / "pool").read_text().splitlines()) == 15
        assert not (home / "lb" / "pool.lock").exists()

    def test_a_lock_whose_holder_died_is_taken_over(self, home):
        gone = subprocess.Popen(["true"])
        gone.wait()
        (home / "lb" / "pool.lock").mkdir()
        (home / "lb" / "pool.lock" / "pid").write_text(f"{gone.pid}\n")
        assert self.member(home, "web1", "drained").code == 0

    def test_an_unknown_server_and_a_missing_pool_are_refused(self, home, tmp_path):
        assert "does not list web9" in self.member(home, "web9", "drained").err
        ended = run(
            "balancer/member.sh",
            "--pool",
            "/no/such/pool",
            "--server",
            "a",
            "--state",
            "drained",
            home=tmp_path,
        )
        assert "there is no folder /no/such" in ended.err

    @pytest.mark.parametrize("server", ["", "web 1", "web1;id", "../x", "web1\nweb2"])
    def test_odd_names_are_refused(self, tmp_path, server):
        assert self.member(tmp_path, server, "known").code == (
            2 if "/" in server or server != "../x" else 0
        )


@posix
class TestPatch:
    def patch(self, script: str, home: Path, version: str, *more: object) -> Ended:
        ended = run(
            f"patch/{script}.sh",
            "--root",
            "packages",
            "--package",
            "shop",
            f"--version={version}",
            *more,
            home=home,
        )
        assert ended.code == 0, ended.err
        declared(f"patch/{script}.sh", ended.outputs)
        return ended

    def test_a_version_is_installed_once(self, tmp_path):
        first = self.patch("install", tmp_path, "1.0")
        assert first.outputs == {"before": "", "version": "1.0", "changed": True}
        assert self.patch("install", tmp_path, "1.0").outputs["changed"] is False
        assert self.patch("install", tmp_path, "1.1").outputs["before"] == "1.0"
        assert sorted(path.name for path in (tmp_path / "packages" / "shop").iterdir()) == [
            "current",
            "previous",
            "started",
            "warm-up",
        ]

    def test_health_waits_for_the_warm_up_and_wants_the_version(self, tmp_path):
        self.patch("install", tmp_path, "1.0", "--warm-up", "30")
        assert self.patch("health", tmp_path, "1.0").outputs == {"healthy": False, "version": "1.0"}
        (tmp_path / "packages" / "shop" / "started").write_text(f"{int(time.time()) - 60}\n")
        assert self.patch("health", tmp_path, "1.0").outputs["healthy"] is True
        assert self.patch("health", tmp_path, "1.1").outputs["healthy"] is False

    def test_roll_back_goes_back_once(self, tmp_path):
        self.patch("install", tmp_path, "1.0")
        self.patch("install", tmp_path, "1.1", "--warm-up", "600")
        assert self.patch("roll-back", tmp_path, "1.1").outputs == {
            "version": "1.0",
            "changed": True,
        }
        assert self.patch("health", tmp_path, "1.0").outputs["healthy"] is True
        assert self.patch("roll-back", tmp_path, "1.1").outputs == {
            "version": "1.0",
            "changed": False,
        }

    def test_roll_back_of_the_first_version_removes_it(self, tmp_path):
        self.patch("install", tmp_path, "1.0")
        assert self.patch("roll-back", tmp_path, "1.0").outputs == {"version": "", "changed": True}
        assert self.patch("roll-back", tmp_path, "1.0").outputs["changed"] is False

    @pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "a b"])
    def test_a_package_is_a_name_and_not_a_path(self, tmp_path, name):
        ended = run(
            "patch/install.sh",
            "--root",
            "packages",
            f"--package={name}",
            "--version",
            "1",
            home=tmp_path,
        )
        assert ended.code == 2
        assert not (tmp_path / "packages").exists()


# --- service --------------------------------------------------------------------------------


@posix
class TestService:
    ALIKE = ("--service", "app", "--init", "app/init")

    @pytest.fixture
    def home(self, tmp_path):
        made = run("practice/service.sh", "--folder", "app", "--next", "greeting=hi", home=tmp_path)
        assert made.code == 0, made.err
        yield tmp_path
        subprocess.run([tmp_path / "app" / "init", "stop"], check=False)

    def configure(self, home: Path) -> Ended:
        return run(
            "service/configure.sh",
            "--config",
            "app/app.conf",
            "--new",
            "app/app.conf.new",
            home=home,
        )

    def test_a_restart_brings_another_process(self, home):
        ended = run("service/restart.sh", *self.ALIKE, home=home)
        assert ended.code == 0, ended.err
        assert 0 < ended.outputs["pid_before"] != ended.outputs["pid"] > 0
        declared("service/restart.sh", ended.outputs)
        health = run("service/health.sh", *self.ALIKE, "--steady", "0", home=home)
        assert health.outputs == {"healthy": True}

    def test_a_service_that_is_down_is_started(self, home):
        subprocess.run([home / "app" / "init", "stop"], check=True)
        assert run("service/health.sh", *self.ALIKE, "--steady", "0", home=home).outputs == {
            "healthy": False
        }
        ended = run("service/restart.sh", *self.ALIKE, home=home)
        assert ended.outputs["pid_before"] == 0
        assert ended.outputs["pid"] > 0

    def test_a_service_that_goes_down_soon_is_not_healthy(self, home):
        (home / "app" / "app.conf").write_text("broken\n")
        run("service/restart.sh", *self.ALIKE, home=home)
        assert run("service/health.sh", *self.ALIKE, "--steady", "1", home=home).outputs == {
            "healthy": False
        }

    def test_a_configuration_is_put_in_place_once_and_the_one_before_is_kept(self, home):
        (home / "app" / "app.conf").chmod(0o640)
        assert self.configure(home).outputs == {"changed": True}
        assert (home / "app" / "app.conf").read_text() == "greeting=hi\n"
        assert (home / "app" / "app.conf").stat().st_mode & 0o777 == 0o640
        assert (home / "app" / "app.conf.previous").read_text() == "greeting=hello\n"
        assert self.configure(home).outputs == {"changed": False}
        assert (home / "app" / "app.conf.previous").read_text() == "greeting=hello\n"

    def test_an_empty_configuration_is_refused(self, home):
        (home / "app" / "app.conf.new").write_text("")
        ended = self.configure(home)
        assert ended.code == 1
        assert "empty" in ended.err
        assert (home / "app" / "app.conf").read_text() == "greeting=hello\n"

    def test_roll_back_restores_and_starts(self, home):
        (home / "app" / "app.conf.new").write_text("broken\n")
        self.configure(home)
        run("service/restart.sh", *self.ALIKE, home=home)
        ended = run("service/roll-back.sh", *self.ALIKE, "--config", "app/app.conf", home=home)
        assert ended.outputs == {"restored": True}
        assert (home / "app" / "app.conf").read_text() == "greeting=hello\n"
        assert (home / "app" / "app.conf.failed").read_text() == "broken\n"
        assert run("service/health.sh", *self.ALIKE, "--steady", "1", home=home).outputs == {
            "healthy": True
        }
        again = run("service/roll-back.sh", *self.ALIKE, "--config", "app/app.conf", home=home)
        assert again.outputs == {"restored": False}

    def test_without_systemd_it_says_what_is_missing(self, tmp_path):
        if Path("/run/systemd/system").exists():
            pytest.skip("this machine has systemd")
        ended = run("service/restart.sh", "--service", "app", home=tmp_path)
        assert ended.code == 1
        assert "--init" in ended.err

    @pytest.mark.parametrize("name", ["", "-x", "a b", "a;b", "../a"])
    def test_a_service_is_a_name(self, tmp_path, name):
        assert run("service/restart.sh", f"--service={name}", home=tmp_path).code == 2


# --- account/lock-out.py --------------------------------------------------------------------

PROGRAMS = {
    "getent": 'echo "ann:x:$(id -u):1000::$HOME:/bin/sh"',
    "passwd": "echo 'ann P 2026-01-01 0 99999 7 -1'",
    "chage": "echo 'Account expires : never'",
    "faillock": "echo 'ann:'; echo 'When Type Source Valid'",
    "lastb": "true",
}
FAILED = "2026-07-01 10:00:0{} TTY  ssh  V"


@posix
class TestLockOut:
    def look(self, home: Path, user: str = "ann", **programs: str) -> Ended:
        folder = home / "bin"
        folder.mkdir()
        for name, text in {**PROGRAMS, **programs}.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        log = home / "auth.log"
        log.touch()
        return run(
            "account/lock-out.py",
            "--user",
            user,
            "--log",
            log,
            home=home,
            PATH=f"{folder}:/usr/bin:/bin",
        )

    def state(self, ended: Ended, check: str) -> str:
        (state,) = [one["state"] for one in ended.outputs["findings"] if one["check"] == check]
        return str(state)

    def test_an_account_without_trouble_is_clear(self, tmp_path):
        tmp_path.chmod(0o700)
        ended = self.look(tmp_path)
        assert (ended.code, ended.outputs["verdict"]) == (0, "clear")
        assert {one["state"] for one in ended.outputs["findings"]} == {"ok"}
        declared("account/lock-out.py", ended.outputs)

    def test_failed_logins_lock_and_their_source_is_named(self, tmp_path):
        lines = "; ".join(f"echo '{FAILED.format(n)}'" for n in range(3))
        (tmp_path / "auth.log").write_text(
            "sshd[1]: Failed password for ann from 10.0.0.9 port 1 ssh2\n" * 3
        )
        ended = self.look(tmp_path, faillock=lines)
        assert (ended.code, ended.outputs["verdict"]) == (3, "locked")
        assert self.state(ended, "lock-out") == "problem"
        assert ended.outputs["failures"] == [{"from": "10.0.0.9", "count": 3}]
        assert any("faillock --user ann --reset" in cure for cure in ended.outputs["next"])

    @pytest.mark.parametrize(
        ("programs", "check", "state", "verdict"),
        [
            ({"passwd": "echo 'ann L 2026-01-01'"}, "password", "problem", "locked"),
            ({"passwd": "echo 'ann LK 2026-01-01'"}, "password", "problem", "locked"),
            ({"passwd": "echo 'Permission denied.' >&2; exit 1"}, "password", "unknown", "unknown"),
            ({"chage": "echo 'Account expires : Jan 02, 2020'"}, "expiry", "problem", "hindered"),
            ({"chage": "echo 'Password expires : Jan 02, 2099'"}, "expiry", "ok", "clear"),
            (
                {"chage": "echo 'Password expires : password must be changed'"},
                "expiry",
                "problem",
                "hindered",
            ),
            (
                {"chage": "echo 'chage: Permission denied.' >&2; exit 1"},
                "expiry",
                "unknown",
                "unknown",
            ),
            ({"faillock": "echo 'no rights' >&2; exit 1"}, "lock-out", "unknown", "unknown"),
            (
                {"getent": 'echo "ann:x:$(id -u):1:: $HOME:/usr/sbin/nologin" | tr -d " "'},
                "shell",
                "problem",
                "hindered",
            ),
            (
                {"getent": 'echo "ann:x:$(id -u):1::/no/home:/bin/sh"'},
                "home",
                "problem",
                "hindered",
            ),
            ({"getent": 'echo "ann:x:54321:1::$HOME:/bin/sh"'}, "home", "problem", "hindered"),
        ],
    )
    def test_each_cause_is_found_and_what_may_not_be_seen_is_unknown(
        self, tmp_path, programs, check, state, verdict
    ):
        tmp_path.chmod(0o700)
        ended = self.look(tmp_path, **programs)
        assert self.state(ended, check) == state
        assert ended.outputs["verdict"] == verdict

    def test_no_such_account_is_an_outcome_of_its_own(self, tmp_path):
        ended = self.look(tmp_path, getent="exit 2")
        assert (ended.code, ended.outputs["verdict"]) == (4, "no_account")

    def test_a_log_that_may_not_be_read_is_unknown_not_clean(self, tmp_path):
        ended = run(
            "account/lock-out.py",
            "--user",
            "root",
            "--log",
            tmp_path / "none",
            home=tmp_path,
            PATH=str(tmp_path),
        )
        assert self.state(ended, "failures") in ("unknown", "ok")
        if shutil.which("lastb", path="/usr/sbin:/sbin") is None or os.getuid():
            assert self.state(ended, "failures") == "unknown"

    @pytest.mark.parametrize("user", ["", "-x", "a b", "$(id)", "a;b", "a\nb", "x" * 300])
    def test_what_is_no_name_is_refused(self, tmp_path, user):
        assert run("account/lock-out.py", f"--user={user}", home=tmp_path).code == 2
