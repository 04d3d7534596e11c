"""The ssh transport against real OpenSSH: whom it believes, how it logs in, what it notices."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL

from tests.contracts.transport import carriers, eventually, finish, outputs, run, script
from tests.peers.sshd import Sshd, keygen, public, require
from wtsflow.errors import ConfigError, ConnectError, HostKeyError, LoginError, SessionLost
from wtsflow.model.plan import Target
from wtsflow.model.record import Stop
from wtsflow.model.values import Secret
from wtsflow.ports import Session
from wtsflow.transports.ssh import Ssh

Make = Callable[..., Sshd]


class Named:
    """Credentials of a test."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets
        self.asked: list[str] = []

    def secret(self, name: str) -> Secret | None:
        self.asked.append(name)
        return Secret(self.secrets[name]) if name in self.secrets else None


@contextmanager
def connected(target: Target, transport: Ssh | None = None, **secrets: str) -> Iterator[Session]:
    session = (transport or Ssh()).connect(target, Named(**secrets))
    try:
        yield session
    finally:
        session.close()


def works(target: Target, transport: Ssh | None = None, **secrets: str) -> bool:
    with connected(target, transport, **secrets) as session:
        return run(session, "echo here").stdout == b"here\n"


# --- the host key ---------------------------------------------------------------------------


def test_T34_a_host_with_another_key_is_refused_before_anybody_logs_in(
    make_sshd: Make, tmp_path: Path
) -> None:
    server = make_sshd()
    other = keygen(tmp_path / "other")
    server.known_hosts.write_text(f"[127.0.1.1]:{server.port} {public(other)}\n")
    with pytest.raises(HostKeyError) as refused:
        Ssh().connect(server.target(), Named())
    shown = subprocess.run(
        ["ssh-keygen", "-lf", f"{server.host_key}.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert shown in str(refused.value)
    assert "known_hosts:1" in str(refused.value)
    assert "Accepted" not in server.log()


def test_T34_an_unknown_host_is_refused_with_its_fingerprint(make_sshd: Make) -> None:
    server = make_sshd()
    server.known_hosts.write_text("")
    with pytest.raises(HostKeyError, match="SHA256:") as refused:
        Ssh().connect(server.target(), Named())
    assert "ssh-keyscan" in refused.value.cure
    assert server.known_hosts.read_text() == "", "nothing is ever added"
    assert "Accepted" not in server.log()


def test_T34_a_revoked_key_is_refused_though_it_is_listed(make_sshd: Make) -> None:
    server = make_sshd()
    with server.known_hosts.open("a") as file:
        file.write(f"@revoked * {public(server.host_key)}\n")
    with pytest.raises(HostKeyError, match="revoked"):
        Ssh().connect(server.target(), Named())


def test_the_key_that_is_listed_is_asked_for(make_sshd: Make, tmp_path: Path) -> None:
    """Only the rsa key is known, and the server would rather show its ed25519 key."""
    rsa = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa], check=True)
    server = make_sshd(HostKey=f"{tmp_path / 'sshd0' / 'host_key'}\nHostKey {rsa}")
    server.known_hosts.write_text(f"[127.0.1.1]:{server.port} {public(rsa)}\n")
    assert works(server.target())


def test_hashed_names_are_found(make_sshd: Make) -> None:
    server = make_sshd()
    server.known_hosts.write_text(f"[127.0.1.1]:{server.port} {public(server.host_key)}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", server.known_hosts], check=True)
    assert "127.0.1.1" not in server.known_hosts.read_text()
    assert works(server.target())


def certified(make: Make, folder: Path, *options: str, host: bool = True) -> tuple[Sshd, Path]:
    """A server with a host certificate, and the authority that signed it."""
    authority = folder / "authority"
    if not authority.exists():
        keygen(authority)
    key = keygen(folder / "certified")
    kind = ["-h"] if host else []
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "web", *kind, *options, f"{key}.pub"],
        check=True,
    )
    server = make(HostKey=f"{key}\nHostCertificate {key}-cert.pub")
    server.known_hosts.write_text(f"@cert-authority 127.0.1.* {public(authority)}\n")
    return server, authority


def test_T34_a_host_certificate_of_the_authority_is_believed(
    make_sshd: Make, tmp_path: Path
) -> None:
    server, _ = certified(make_sshd, tmp_path, "-n", "127.0.1.1,127.0.1.2")
    assert works(server.target(address="127.0.1.2"))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_T34_authorities_of_every_kind_are_believed(
    make_sshd: Make, tmp_path: Path, kind: str
) -> None:
    keygen(tmp_path / "authority", "-t", kind)
    server, _ = certified(make_sshd, tmp_path, "-n", "127.0.1.1")
    assert works(server.target())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-n", "other.example"), "it is for other.example"),
        (("-n", "127.0.1.1", "-V", "20200101:20210101"), "has expired"),
        (("-n", "127.0.1.1", "-V", "+52w:+60w"), "not valid yet"),
    ],
)
def test_T34_a_host_certificate_that_does_not_hold_is_refused(
    make_sshd: Make, tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    server, _ = certified(make_sshd, tmp_path, *options)
    with pytest.raises(HostKeyError, match=why):
        Ssh().connect(server.target(), Named())
    assert "Accepted" not in server.log()


def test_T34_a_certificate_of_somebody_else_is_refused(make_sshd: Make, tmp_path: Path) -> None:
    server, authority = certified(make_sshd, tmp_path, "-n", "127.0.1.1")
    other = keygen(tmp_path / "other")
    server.known_hosts.write_text(f"@cert-authority * {public(other)}\n")
    with pytest.raises(HostKeyError, match="no authority for this host"):
        Ssh().connect(server.target(), Named())
    server.known_hosts.write_text(
        f"@cert-authority * {public(authority)}\n@revoked * {public(authority)}\n"
    )
    with pytest.raises(HostKeyError, match="revoked"):
        Ssh().connect(server.target(), Named())


# --- algorithms -----------------------------------------------------------------------------


def offered() -> dict[str, list[str]]:
    """What a client's KEXINIT offers, captured by a server that says no more."""
    names = (
        "kex",
        "key",
        "cipher",
        "cipher_back",
        "mac",
        "mac_back",
        "compression",
        "compression_back",
    )
    found: dict[str, list[str]] = {}
    with socket.create_server(("127.0.0.1", 0)) as server:

        def capture() -> None:
            stream, _ = server.accept()
            with stream, stream.makefile("rb") as file:
                stream.sendall(b"SSH-2.0-Probe\r\n")
                assert file.readline().startswith(b"SSH-2.0-")
                length, padding = struct.unpack(">IB", file.read(5))
                payload = file.read(length - 1)[:-padding]
                assert payload[0] == 20
                at = 17
                for name in names:
                    (size,) = struct.unpack(">I", payload[at : at + 4])
                    found[name] = payload[at + 4 : at + 4 + size].decode().split(",")
                    at += 4 + size

        thread = threading.Thread(target=capture)
        thread.start()
        target = Target(
            name="probe",
            host="127.0.0.1",
            port=server.getsockname()[1],
            user="u",
            settings={"config": False, "connect_timeout": "3s"},
        )
        with pytest.raises(ConnectError):
            Ssh().connect(target, Named())
        thread.join()
    return found


def test_T34_nothing_weak_is_offered() -> None:
    found = offered()
    for name, values in found.items():
        for weak in ("sha1", "md5", "cbc", "3des", "arcfour", "zlib", "dss", "chacha20", "group1-"):
            assert not [value for value in values if weak in value], name
    assert "ssh-rsa" not in found["key"]
    assert found["kex"][:2] == ["mlkem768x25519-sha256", "curve25519-sha256@libssh.org"]
    assert "kex-strict-c-v00@openssh.com" in found["kex"]
    assert found["key"][0] == "ssh-ed25519"
    assert found["cipher"][0] == found["cipher_back"][0] == "aes128-gcm@openssh.com"
    assert found["compression"] == found["compression_back"] == ["none"]


class _Gate(paramiko.ServerInterface):
    """A server that lets a password in and opens nothing."""

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("u", "correct horse")
        return AUTH_SUCCESSFUL if good else AUTH_FAILED


@contextmanager
def gate(folder: Path, *, strict: bool = True, ciphers: tuple[str, ...] = ()) -> Iterator[Target]:
    """A server in this process, for what OpenSSH would not do."""
    key = paramiko.ECDSAKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        transports: list[paramiko.Transport] = []

        def serve() -> None:
            try:
                while True:
                    stream, _ = listener.accept()
                    transport = paramiko.Transport(stream, strict_kex=strict)
                    if ciphers:
                        transport._preferred_ciphers = ciphers  # type: ignore[attr-defined]
                        transport._preferred_macs = ("hmac-sha2-256-etm@openssh.com",)  # type: ignore[attr-defined]
                    transport.add_server_key(key)
                    transports.append(transport)
                    transport.start_server(event=threading.Event(), server=_Gate())
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        known = folder / "gate_known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
        yield Target(
            name="gate",
            host="127.0.0.1",
            port=port,
            user="u",
            settings={"known_hosts": str(known), "config": False, "agent": False},
        )
        listener.shutdown(socket.SHUT_RDWR)
        for transport in transports:
            transport.close()


def test_T34_encrypt_then_mac_without_strict_key_exchange_is_refused(tmp_path: Path) -> None:
    with (
        gate(tmp_path, strict=False, ciphers=("aes128-ctr",)) as target,
        pytest.raises(ConnectError, match="no strict key exchange"),
    ):
        Ssh().connect(target, Named())


# --- logging in -----------------------------------------------------------------------------


def test_a_refused_login_says_what_was_tried(sshd: Sshd, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other")
    target = sshd.target(identity_file=[str(other), str(tmp_path / "none")])
    with pytest.raises(LoginError) as refused:
        Ssh().connect(target, Named())
    assert str(other) in str(refused.value)
    assert "there is no such file" in str(refused.value)
    assert f"127.0.1.1:{sshd.port}" in str(refused.value)
    assert refused.value.cure


def test_a_key_with_a_passphrase_is_opened_by_a_credential(make_sshd: Make) -> None:
    server = make_sshd()
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", server.client_key],
        check=True,
    )
    with pytest.raises(LoginError, match="passphrase_from"):
        Ssh().connect(server.target(), Named())
    with pytest.raises(LoginError, match="passphrase is wrong"):
        Ssh().connect(server.target(passphrase_from="key"), Named(key="open says me"))
    assert works(server.target(passphrase_from="key"), key="open sesame")


def test_a_user_certificate_beside_the_key_is_shown(make_sshd: Make, tmp_path: Path) -> None:
    authority = keygen(tmp_path / "authority")
    user = keygen(tmp_path / "user")
    server = make_sshd(TrustedUserCAKeys=f"{authority}.pub")
    target = server.target(identity_file=str(user))
    with pytest.raises(LoginError):
        Ssh().connect(target, Named())
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", server.user, f"{user}.pub"],
        check=True,
    )
    assert works(target)


def test_keys_of_the_agent_are_used(make_sshd: Make, tmp_path: Path) -> None:
    server = make_sshd()
    path = tmp_path / "agent"
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert eventually(path.exists)
        environment = {
            "SSH_AUTH_SOCK": str(path),
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
        }
        subprocess.run(["ssh-add", "-q", server.client_key], env=environment, check=True)
        target = replace(
            server.target(),
            settings={"known_hosts": str(server.known_hosts), "config": False},
        )
        assert works(target, Ssh(environment=environment))
        with pytest.raises(LoginError):
            Ssh(environment={"HOME": str(tmp_path)}).connect(target, Named())
    finally:
        agent.kill()
        agent.wait()


def test_a_password_comes_from_the_credentials_only(tmp_path: Path) -> None:
    with gate(tmp_path) as plain:
        target = replace(plain, settings={**plain.settings, "password_from": "gate"})
        Ssh().connect(target, Named(gate="correct horse")).close()
        with pytest.raises(LoginError, match=r"password .wrong.") as refused:
            Ssh().connect(target, Named(gate="wrong battery"))
        assert "battery" not in f"{refused.value} {refused.value.cure}"
        with pytest.raises(LoginError, match="no credential 'gate'"):
            Ssh().connect(target, Named())


# --- the way there --------------------------------------------------------------------------


def test_a_closed_port_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    target = Target(name="t", host="127.0.0.1", port=port, user="u", settings={"config": False})
    with pytest.raises(ConnectError, match=f"127.0.0.1:{port}: connection refused") as refused:
        Ssh().connect(target, Named())
    assert refused.value.cure


def test_a_name_that_is_none_says_so() -> None:
    target = Target(name="no.such.host.invalid", user="u", settings={"config": False})
    with pytest.raises(ConnectError, match="no host of this name"):
        Ssh().connect(target, Named())


@pytest.mark.parametrize("drip", [b"", b"SSH-2.0-Slow"])
def test_T44_a_server_that_is_silent_or_drips_is_given_up(drip: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            stream, _ = server.accept()
            with stream:
                for byte in drip * 9:
                    try:
                        stream.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.1)
                stream.recv(1) if drip else time.sleep(3)

        thread = threading.Thread(target=trickle)
        thread.start()
        target = Target(
            name="t",
            host="127.0.0.1",
            port=server.getsockname()[1],
            user="u",
            settings={"config": False, "connect_timeout": "1s"},
        )
        started = time.monotonic()
        with pytest.raises(ConnectError):
            Ssh().connect(target, Named())
        assert time.monotonic() - started < 2.5
        thread.join()


def test_T44_a_login_that_never_ends_is_given_up(make_sshd: Make) -> None:
    server = make_sshd()
    stop = threading.Event()

    def freeze() -> None:
        while not stop.wait(0.005):
            for pid in server.children():
                os.kill(pid, signal.SIGSTOP)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        for _ in range(20):  # on a busy machine a login may be over before it is frozen
            started = time.monotonic()
            try:
                Ssh().connect(server.target(connect_timeout="1s"), Named()).close()
            except ConnectError:
                break
        else:
            raise AssertionError("every login came to its end")
        assert time.monotonic() - started < 4
    finally:
        stop.set()
        thread.join()


def test_a_killed_connection_is_an_unknown_effect(make_sshd: Make) -> None:
    server = make_sshd()
    with connected(server.target()) as session:
        given = script("echo on; sleep 30; echo off", deadline=4, grace=0.2)
        execution = session.start(given)
        assert next(outputs(execution)).data == b"on\n"
        for pid in server.children():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(SessionLost, match=r"while probe\.sh ran") as lost:
            finish(execution)
        assert lost.value.cure
        assert carriers(given.marker), "it runs on, which is why the effect is unknown"
        with pytest.raises(SessionLost):
            session.start(script("echo"))
        assert eventually(lambda: not carriers(given.marker), 15)


def test_T44_a_frozen_server_is_noticed(make_sshd: Make) -> None:
    server = make_sshd()
    target = server.target(keepalive_interval="500ms", keepalive_count=3)
    with connected(target) as session:
        execution = session.start(script("echo on; sleep 30", deadline=5, grace=0.2))
        assert next(outputs(execution)).data == b"on\n"
        for pid in server.children():
            os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(SessionLost, match="no answer for 2"):
            finish(execution)
        assert time.monotonic() - started < 6


def test_a_quiet_script_on_a_living_server_is_not_lost(sshd: Sshd) -> None:
    target = sshd.target(keepalive_interval="200ms", keepalive_count=2)
    with connected(target) as session:
        assert run(session, "sleep 2; echo awake").stdout == b"awake\n"


def test_a_supervisor_that_was_killed_is_an_unknown_effect(sshd: Sshd) -> None:
    with connected(sshd.target()) as session:
        given = script("kill -9 $(ps -o ppid= -p $$); sleep 20", deadline=2, grace=0.2)
        with pytest.raises(SessionLost, match="SIGKILL"):
            finish(session.start(given))
        assert eventually(lambda: not carriers(given.marker), 15), "its watch still ends the task"
        assert run(session, "echo next").stdout == b"next\n"


def test_jump_hosts_lead_to_a_target(make_sshd: Make, tmp_path: Path) -> None:
    first, second, last = make_sshd("a"), make_sshd("b"), make_sshd("c")
    known = tmp_path / "known"
    known.write_text("".join(each.known_hosts.read_text() for each in (first, second, last)))
    for each in (first, second):
        shutil.copy(last.folder / "authorized_keys", each.folder / "authorized_keys")
    jumps = [f"{first.user}@127.0.1.1:{first.port}", f"127.0.1.2:{second.port}"]
    target = last.target(known_hosts=str(known), jump=jumps)
    assert works(target, Ssh(environment={"LOGNAME": second.user, "HOME": str(tmp_path)}))
    assert all("Accepted" in each.log() for each in (first, second, last))
    forbidden = make_sshd("d", AllowTcpForwarding="no")
    shutil.copy(last.folder / "authorized_keys", forbidden.folder / "authorized_keys")
    with known.open("a") as file:
        file.write(forbidden.known_hosts.read_text())
    target = last.target(known_hosts=str(known), jump=f"{first.user}@127.0.1.1:{forbidden.port}")
    with pytest.raises(ConnectError, match="does not lead to"):
        Ssh().connect(target, Named())


def test_a_jump_host_must_be_known_too(make_sshd: Make) -> None:
    jump, last = make_sshd("jump"), make_sshd("last")
    target = last.target(jump=f"{jump.user}@127.0.1.1:{jump.port}")
    with pytest.raises(HostKeyError):
        Ssh().connect(target, Named())
    assert "Accepted" not in jump.log()


def test_ssh_config_says_where_a_host_is(make_sshd: Make, tmp_path: Path) -> None:
    server, jump = make_sshd("server"), make_sshd("jump")
    shutil.copy(server.folder / "authorized_keys", jump.folder / "authorized_keys")
    known = tmp_path / "known"
    known.write_text(server.known_hosts.read_text() + jump.known_hosts.read_text())
    home = tmp_path / "home"
    (home / ".ssh" / "conf.d").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("# mine\nInclude conf.d/*\n\nHost *\n  SendEnv LANG\n")
    (home / ".ssh" / "conf.d" / "fleet").write_text(
        f"Host web*\n  HostName 127.0.1.3\n  Port {server.port}\n  User {server.user}\n"
        f'  IdentityFile "{server.client_key}"\n  IdentitiesOnly yes\n  ProxyJump gate\n'
        f"Host gate\n  HostName=127.0.1.9\n  Port = {jump.port}\n  User {server.user}\n"
        f"  IdentityFile {server.client_key}\n"
        f"Host *\n  UserKnownHostsFile {known}\n  ConnectTimeout 5\n"
    )
    assert works(Target(name="web7"), Ssh(environment={"HOME": str(home)}))
    assert "Accepted" in jump.log()


def test_a_proxy_command_is_not_run(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    canary = tmp_path / "canary"
    (tmp_path / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand touch {canary}\n")
    with pytest.raises(ConfigError, match="ProxyCommand"):
        Ssh(environment={"HOME": str(tmp_path)}).connect(Target(name="web", user="u"), Named())
    assert not canary.exists()


HOSTILE = [
    "-oProxyCommand=touch canary",
    "-o",
    "--",
    "-",
    "a b",
    " a",
    "a\n",
    "a\tb",
    "a;b",
    "a|b",
    "a&b",
    "$(touch canary)",
    "`touch canary`",
    "${HOME}",
    "a'b",
    'a"b',
    "a\\b",
    "%h",
    "a%h",
    "*",
    "?",
    "!a",
    "#a",
    "a/b",
    "../a",
    "/etc/passwd",
    "a<b",
    "a>b",
    "a,b",
    "[a]",
    "(a)",
    "{a}",
    "~a",
    "^a",
    "a=b",
    "\x00",
    "a\x1b[31m",
    "\u202ea",
    "ä",
    "a" * 260,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_T03_a_name_that_could_be_an_option_is_refused_before_connecting(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dial(*_: object, **__: object) -> None:
        raise AssertionError("something was connected")

    monkeypatch.setattr(socket, "create_connection", dial)
    settings = {"config": False, "agent": False}
    for target in (
        Target(name="t", host=name, user="u", settings=settings),
        Target(name="t", host="h", user=name, settings=settings),
        Target(name="t", host="h", user="u", settings={**settings, "jump": [f"u@{name}"]}),
    ):
        with pytest.raises(ConfigError):
            Ssh().connect(target, Named())


@pytest.mark.parametrize("name", ["-u root", "a;b", "$(id)", "a b", "-", "a\nb", "a/b"])
def test_T03_an_account_that_could_be_an_option_is_refused(sshd: Sshd, name: str) -> None:
    with connected(sshd.target()) as session:
        from wtsflow.errors import PlanError

        with pytest.raises(PlanError, match="not the name of an account"):
            session.start(script("id", run_as=name))


# --- channels -------------------------------------------------------------------------------


def test_a_server_with_few_sessions_is_waited_for(make_sshd: Make) -> None:
    server = make_sshd(MaxSessions="2")
    with connected(server.target()) as session:
        found: list[bytes] = []

        def work(number: int) -> None:
            found.append(run(session, f"sleep 0.2; echo {number}").stdout)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [b"%d\n" % number for number in range(6)]


def test_stop_works_where_there_is_only_one_session(make_sshd: Make) -> None:
    server = make_sshd(MaxSessions="1")
    with connected(server.target()) as session:
        given = script(
            "trap '' TERM; setsid sleep 60 & echo on; while :; do sleep 1; done", grace=0.4
        )
        execution = session.start(given)
        assert next(outputs(execution)).data == b"on\n"
        execution.stop()
        assert finish(execution).exited.stop is Stop.CONFIRMED
        assert carriers(given.marker) == []


def test_what_a_login_prints_is_not_the_scripts(make_sshd: Make) -> None:
    noisy = 'echo noise; echo noise >&2; eval "$SSH_ORIGINAL_COMMAND"'
    with connected(make_sshd(ForceCommand=noisy).target()) as session:
        done = run(session, "echo out; echo err >&2")
        assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_an_account_that_runs_nothing_says_so(make_sshd: Make) -> None:
    server = make_sshd(ForceCommand="echo 'This account is not available.' >&2; exit 1")
    with (
        connected(server.target()) as session,
        pytest.raises(ConnectError, match="This account is not available"),
    ):
        session.start(script("echo"))


@pytest.mark.parametrize("name", ["tcsh", "fish", "bash", "dash", "zsh"])
def test_any_login_shell_will_do(make_sshd: Make, name: str) -> None:
    shell = shutil.which(name)
    if shell is None:
        pytest.skip(f"{name} is not installed")
    server = make_sshd(ForceCommand=f'{shell} -c "$SSH_ORIGINAL_COMMAND"')
    with connected(server.target()) as session:
        done = run(session, "printf '%s|' \"$@\"; exit 4", arguments=("a b", "$HOME", "it's", "!!"))
        assert (done.stdout, done.exited.code) == (b"a b|$HOME|it's|!!|", 4)


def test_many_hosts_at_once(sshd: Sshd) -> None:
    transport, found = Ssh(), dict[str, bytes]()

    def work(address: str) -> None:
        with connected(sshd.target(address=address), transport) as session:
            found[address] = run(session, 'echo "$SSH_CONNECTION" | cut -d" " -f3').stdout

    addresses = [f"127.0.1.{n}" for n in range(1, 21)]
    threads = [threading.Thread(target=work, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {address: f"{address}\n".encode() for address in addresses}


def test_settings_that_nobody_knows_are_refused(sshd: Sshd) -> None:
    with pytest.raises(ConfigError, match="no setting 'StrictHostKeyChecking'"):
        Ssh().connect(sshd.target(StrictHostKeyChecking="no"), Named())


# --- other accounts -------------------------------------------------------------------------

SUDO = shutil.which("sudo")


def test_run_as_needs_no_password_where_sudo_asks_for_none(sshd: Sshd) -> None:
    require(SUDO, "sudo")
    if os.getuid() != 0:
        pytest.skip("only root becomes somebody else without being asked")
    with connected(sshd.target()) as session:
        secret = Secret("not-asked-for-and-never-run")
        done = run(session, "id -un; cat", run_as="nobody", password=secret, stdin=b"input")
        assert done.stdout == b"nobody\ninput"
        assert done.stderr == b""
        assert run(session, "id -un").stdout == b"root\n"


def test_stop_reaches_what_another_account_runs(sshd: Sshd) -> None:
    require(SUDO, "sudo")
    if os.getuid() != 0:
        pytest.skip("only root becomes somebody else without being asked")
    with connected(sshd.target()) as session:
        given = script(
            "trap '' TERM; setsid sleep 60 & echo on; while :; do sleep 0.1; done",
            run_as="nobody",
            grace=0.4,
        )
        execution = session.start(given)
        assert next(outputs(execution)).data == b"on\n"
        execution.stop()
        assert finish(execution).exited.stop is Stop.CONFIRMED
        assert carriers(given.marker) == []


@dataclass
class Somebody:
    """A user of this machine with a password, who may become root by it."""

    target: Target
    password: str


@pytest.fixture
def somebody(make_sshd: Make) -> Iterator[Somebody]:
    """Gone afterwards, with the rule that lets it use sudo."""
    require(SUDO, "sudo")
    if os.getuid() != 0 or os.environ.get("WTSFLOW_REQUIRE_PEERS") != "1":
        pytest.skip("adds a user to the machine: only as root and with WTSFLOW_REQUIRE_PEERS=1")
    name, password = f"wts{os.getpid()}", "sudo-pass word'$1"
    rule, home = Path(f"/etc/sudoers.d/{name}"), Path(f"/home/{name}")
    subprocess.run(["useradd", "-m", "-d", home, "-s", "/bin/bash", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}", text=True, check=True)
        rule.write_text(f"{name} ALL=(ALL) ALL\n")
        rule.chmod(0o440)
        server = make_sshd(AuthorizedKeysFile=str(home / "keys"))
        (home / "keys").write_text(public(server.client_key) + "\n")
        yield Somebody(replace(server.target(), user=name), password)
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(["userdel", "-rf", name], check=False, stderr=subprocess.DEVNULL)


def test_run_as_gives_sudo_its_password_by_standard_input(somebody: Somebody) -> None:
    with connected(somebody.target) as session:
        given = script(
            "id -un; cat; sleep 1",
            run_as="root",
            password=Secret(somebody.password),
            stdin=b"in",
        )
        execution = session.start(given)
        first = next(outputs(execution)).data
        seen = b""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                seen += path.read_bytes()
        assert first + finish(execution).stdout == b"root\nin"
        assert somebody.password.encode() not in seen
        assert b"wtsflow" in seen, "the look at the processes sees nothing"
        assert run(session, "id -un").stdout.decode().strip() == somebody.target.user


def test_run_as_with_a_wrong_password_is_a_refused_login(somebody: Somebody) -> None:
    with connected(somebody.target) as session:
        wrong = Secret("wrong-password")
        with pytest.raises(LoginError, match="sudo to root was refused") as refused:
            session.start(script("touch /tmp/wtsflow-canary", run_as="root", password=wrong))
        assert "wrong-password" not in str(refused.value)
        with pytest.raises(LoginError, match="password is required"):
            session.start(script("touch /tmp/wtsflow-canary", run_as="root"))
        assert not Path("/tmp/wtsflow-canary").exists()
        assert run(session, "echo next").stdout == b"next\n"


def test_run_as_without_sudo_says_so(make_sshd: Make, tmp_path: Path) -> None:
    server = make_sshd(ForceCommand=f'PATH={tmp_path}; eval "$SSH_ORIGINAL_COMMAND"')
    with connected(server.target()) as session, pytest.raises(LoginError, match="sudo"):
        session.start(script("id", run_as="nobody"))
