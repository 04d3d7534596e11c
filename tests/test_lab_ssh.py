"""The practice range against two clients: paramiko, and a stock OpenSSH where there is one."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from wtsflow import inventory, lab
from wtsflow.errors import UsageError
from wtsflow.lab.process import marked


@pytest.fixture(scope="module")
def fleet() -> Iterator[lab.Hosts]:
    with lab.Hosts(3) as hosts:
        yield hosts


@contextmanager
def connected(
    hosts: lab.Hosts, name: str = "lab1", user: str = "lab"
) -> Iterator[paramiko.Transport]:
    sock = socket.create_connection(hosts.addresses[name], 5)
    transport = paramiko.Transport(sock)
    try:
        transport.start_client(timeout=10)
        key = transport.get_remote_server_key()
        assert f"{key.get_name()} {key.get_base64()}" == hosts.hosts[name].public_key
        transport.auth_publickey(user, paramiko.Ed25519Key(filename=str(hosts.key)))
        yield transport
    finally:
        transport.close()


def started(transport: paramiko.Transport, command: str) -> paramiko.Channel:
    channel = transport.open_session(timeout=10)
    channel.settimeout(20)
    channel.exec_command(command)
    return channel


def output(channel: paramiko.Channel) -> bytes:
    found = bytearray()
    while data := channel.recv(65536):
        found += data
    return bytes(found)


def eventually(question, seconds: float = 10) -> bool:
    limit = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < limit:
        time.sleep(0.05)
    return bool(answer)


def test_a_command_has_both_streams_its_exit_code_and_the_home_of_its_host(fleet):
    with connected(fleet, "lab2") as transport:
        channel = started(transport, 'pwd; echo "$HOME $USER"; echo oops >&2; exit 7')
        home = fleet.hosts["lab2"].home
        assert output(channel) == f"{home}\n{home} lab\n".encode()
        assert channel.recv_stderr(100) == b"oops\n"
        assert channel.recv_exit_status() == 7


def test_standard_input_reaches_the_command_and_its_end_too(fleet):
    data = os.urandom(300_000)
    with connected(fleet) as transport:
        channel = started(transport, "cat")
        channel.sendall(data)
        channel.shutdown_write()
        assert output(channel) == data


def test_output_is_live(fleet):
    with connected(fleet) as transport:
        channel = started(transport, 'echo first; read line; echo "$line"')
        assert channel.recv(100) == b"first\n"
        channel.sendall(b"second\n")
        assert channel.recv(100) == b"second\n"


def test_a_reader_that_waits_holds_the_command_back(fleet):
    with connected(fleet) as transport:
        mark = fleet.hosts["lab1"].home / "written"
        channel = started(transport, f"head -c 8000000 /dev/zero; touch {mark}")
        time.sleep(0.3)
        assert not mark.exists()
        assert len(output(channel)) == 8_000_000
        assert eventually(mark.exists)


def test_sessions_of_one_connection_overlap_and_the_eleventh_is_refused(fleet):
    with connected(fleet) as transport:
        channels = [started(transport, "read line; echo got $line") for _ in range(10)]
        with pytest.raises(paramiko.ChannelException) as refused:
            transport.open_session(timeout=10)
        assert refused.value.code == 2
        for number, channel in enumerate(channels):
            channel.sendall(f"{number}\n".encode())
        assert [output(channel) for channel in channels] == [
            f"got {number}\n".encode() for number in range(10)
        ]
        for channel in channels:
            channel.close()
        assert output(started(transport, "echo again")) == b"again\n"


def test_the_end_by_a_signal_is_told_by_its_name(fleet):
    with connected(fleet) as transport:
        channel = transport.open_session(timeout=10)
        seen = []
        plain = channel._handle_request
        table = paramiko.Transport._channel_handler_table
        code = paramiko.common.MSG_CHANNEL_REQUEST

        def spy(which, message):
            place = message.packet.tell()
            seen.append((message.get_text(), message.get_boolean(), message.get_text()))
            message.packet.seek(place)
            plain(message)

        transport._channel_handler_table = {**table, code: spy}
        channel.exec_command("kill -SEGV $$")
        output(channel)
        assert channel.recv_exit_status() == -1
        assert seen == [("exit-signal", False, "SEGV")]


def request_signal(transport: paramiko.Transport, channel: paramiko.Channel, name: str) -> None:
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("signal")
    message.add_boolean(False)
    message.add_string(name)
    transport._send_user_message(message)  # type: ignore[attr-defined]


def test_a_signal_request_reaches_the_process_group(fleet):
    with connected(fleet) as transport:
        channel = started(
            transport, "trap 'echo caught; exit 4' USR1; echo ready; while :; do sleep 0.1; done"
        )
        assert channel.recv(100) == b"ready\n"
        request_signal(transport, channel, "BOGUS")
        request_signal(transport, channel, "USR1")
        assert b"caught\n" in output(channel)
        assert channel.recv_exit_status() == 4


def test_a_child_that_keeps_the_pipe_delays_the_end_but_not_the_exit_code(fleet):
    with connected(fleet) as transport:
        hold = fleet.hosts["lab1"].home / "hold"
        hold.touch()
        channel = started(
            transport, f"(while [ -e {hold} ]; do sleep 0.1; done; echo late) & echo now; exit 5"
        )
        assert channel.recv_exit_status() == 5
        assert not channel.eof_received
        hold.unlink()
        assert output(channel) == b"now\nlate\n"


def test_a_process_lives_on_when_its_client_goes_away(fleet):
    home = fleet.hosts["lab3"].home
    with connected(fleet, "lab3") as transport:
        channel = started(transport, "echo $$; while [ ! -e go ]; do sleep 0.1; done; touch done")
        pid = int(channel.recv(100))
    time.sleep(0.3)
    os.kill(pid, 0)
    (home / "go").touch()
    assert eventually((home / "done").exists)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_what_runs_on_the_hosts_ends_with_them_even_in_another_session(tmp_path):
    with lab.Hosts(1) as hosts:
        with connected(hosts) as transport:
            started(transport, "trap '' TERM; setsid sleep 600 & echo on").recv(10)
        assert eventually(lambda: marked(hosts.marker))
    assert eventually(lambda: not marked(hosts.marker))
    assert not hosts.folder.exists()


def test_the_environment_is_the_hosts_own_with_locale_from_the_client(fleet, monkeypatch):
    monkeypatch.setenv("TOP_SECRET", "hunter2")
    with connected(fleet) as transport:
        channel = transport.open_session(timeout=10)
        channel.set_environment_variable("LC_ALL", "C.UTF-8")
        channel.set_environment_variable("LD_PRELOAD", "/evil.so")
        channel.exec_command("env")
        said = output(channel).decode()
    assert "LC_ALL=C.UTF-8" in said
    assert "LD_PRELOAD" not in said
    assert "hunter2" not in said


def test_another_key_and_another_user_are_refused(fleet):
    from wtsflow.lab.keys import new_key

    with socket.create_connection(fleet.addresses["lab1"], 5) as sock:
        transport = paramiko.Transport(sock)
        transport.start_client(timeout=10)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_publickey("lab", new_key()[0])
        transport.close()
    with pytest.raises(paramiko.AuthenticationException), connected(fleet, user="root"):
        pass


def test_a_terminal_a_subsystem_and_a_tunnel_are_not_there(fleet):
    with connected(fleet) as transport:
        with pytest.raises(paramiko.SSHException):
            transport.open_session(timeout=10).get_pty()
        with pytest.raises(paramiko.SSHException):
            transport.open_session(timeout=10).invoke_subsystem("sftp")
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", 1), ("127.0.0.1", 2), timeout=10)
        assert output(started(transport, "echo still here")) == b"still here\n"


# --- troubles -------------------------------------------------------------------------------


def test_a_host_that_is_down_refuses_the_connection():
    with lab.Hosts(2, troubles={"lab2": lab.Trouble(down=True)}) as hosts:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(hosts.addresses["lab2"], 5)
        with connected(hosts) as transport:
            assert transport.is_authenticated()


def test_a_host_that_refuses_the_login_does_so_for_the_right_key():
    with (
        lab.Hosts(1, troubles={"lab1": lab.Trouble(refuses=True)}) as hosts,
        pytest.raises(paramiko.AuthenticationException),
        connected(hosts),
    ):
        pass


def test_a_host_that_hangs_takes_the_connection_and_says_nothing():
    with (
        lab.Hosts(1, troubles={"lab1": lab.Trouble(hangs=True)}) as hosts,
        socket.create_connection(hosts.addresses["lab1"], 5) as sock,
    ):
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_a_slow_host_thinks_before_each_command_and_answers_meanwhile():
    with (
        lab.Hosts(1, troubles={"lab1": lab.Trouble(slow=0.5)}) as hosts,
        connected(hosts) as transport,
    ):
        began = time.monotonic()
        channel = started(transport, "echo done")
        transport.global_request("keepalive@openssh.com", wait=True)
        assert time.monotonic() - began < 0.45
        assert output(channel) == b"done\n"
        assert time.monotonic() - began >= 0.5


def test_a_connection_is_cut_after_so_many_bytes_and_the_process_lives_on():
    with (
        lab.Hosts(1, troubles={"lab1": lab.Trouble(drops_after=1000)}) as hosts,
        connected(hosts) as transport,
    ):
        channel = started(transport, "trap '' PIPE; head -c 5000 /dev/zero; sleep 0.3; touch lived")
        assert len(output(channel)) == 1000
        assert eventually(lambda: not transport.is_active())
        assert eventually((hosts.hosts["lab1"].home / "lived").exists)


def test_a_connection_freezes_after_so_many_bytes_without_a_word():
    with (
        lab.Hosts(1, troubles={"lab1": lab.Trouble(freezes_after=10)}) as hosts,
        connected(hosts) as transport,
    ):
        channel = started(transport, "echo 0123456789; echo more")
        channel.settimeout(1)
        assert channel.recv(100) == b"0123456789"
        with pytest.raises(TimeoutError):
            channel.recv(100)
        assert transport.is_active()


def test_trouble_with_a_host_that_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError) as refused:
        lab.Hosts(3, troubles={"lab7": lab.Trouble(down=True)})
    assert refused.value.cure.startswith("did you mean 'lab")


@pytest.mark.parametrize("count", [0, -1, 501])
def test_a_range_has_a_sensible_size(count):
    with pytest.raises(UsageError, match="1 to 500"):
        lab.Hosts(count)


# --- the files ------------------------------------------------------------------------------


def test_the_inventory_reads_as_ours(tmp_path):
    machines = (
        lab.Machine("web1", ("web", "prod"), {"role": "front"}),
        lab.Machine("db 1".replace(" ", "-"), ("db",)),
    )
    with lab.Hosts(machines=machines) as hosts:
        listing = inventory.load((hosts.inventory,))
        web = listing.host("web1")
        assert (web.host, web.port) == hosts.addresses["web1"]
        assert (web.transport, web.user) == ("ssh", "lab")
        assert web.variables == {"role": "front"}
        assert [target.name for target in listing.group("prod")] == ["web1"]
        assert web.settings["known_hosts"] == str(hosts.known_hosts)
        assert hosts.key.stat().st_mode & 0o077 == 0


def test_a_folder_that_was_named_is_kept(tmp_path):
    with lab.Hosts(1, folder=tmp_path / "range"):
        pass
    assert (tmp_path / "range" / "inventory.yaml").exists()


@pytest.mark.skipif(not Path("/proc").exists(), reason="only Linux has all of 127.0.0.0/8")
def test_hosts_can_have_an_address_each():
    with lab.Hosts(3, spread=True) as hosts:
        assert len({address for address, _ in hosts.addresses.values()}) == 3
        with connected(hosts, "lab3") as transport:
            assert output(started(transport, "echo hello")) == b"hello\n"


# --- a stock client -------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("ssh"), reason="no OpenSSH client")
class TestOpenSSH:
    def ssh(
        self, hosts: lab.Hosts, name: str, command: str, data: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        line = ["ssh", "-F", str(hosts.ssh_config), name, command]
        return subprocess.run(line, input=data, capture_output=True, timeout=30, check=False)

    def test_it_runs_a_command(self, fleet):
        ended = self.ssh(fleet, "lab1", "cat; echo oops >&2; exit 3", b"hello")
        assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"hello", b"oops\n")

    def test_it_takes_much_output(self, fleet):
        ended = self.ssh(fleet, "lab1", "head -c 8000000 /dev/zero; head -c 4000000 /dev/zero >&2")
        assert (ended.returncode, len(ended.stdout), len(ended.stderr)) == (0, 8_000_000, 4_000_000)

    def test_it_gets_a_shell(self, fleet):
        line = ["ssh", "-T", "-F", str(fleet.ssh_config), "lab1"]
        ended = subprocess.run(
            line, input=b"echo $USER\nexit 9\n", capture_output=True, timeout=30, check=False
        )
        assert (ended.returncode, ended.stdout) == (9, b"lab\n")

    def test_a_host_with_another_key_is_refused(self, fleet, tmp_path):
        config = fleet.ssh_config.read_text().replace(
            str(fleet.known_hosts), str(tmp_path / "none")
        )
        (tmp_path / "config").write_text(config)
        line = ["ssh", "-F", str(tmp_path / "config"), "lab1", "true"]
        ended = subprocess.run(line, capture_output=True, timeout=30, check=False)
        assert ended.returncode == 255
        assert b"Host key verification failed" in ended.stderr
