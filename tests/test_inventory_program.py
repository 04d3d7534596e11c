"""An inventory that is a program: what it prints is read, and it cannot hold anybody up."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from wtsflow import inventory
from wtsflow.errors import ConfigError, ManifestError
from wtsflow.inventory import program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs of these tests are scripts")


def written(folder: Path, text: str, *, mode: int = 0o755, name: str = "inv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def python(folder: Path, body: str) -> Path:
    return written(folder, f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")


LISTING = {
    "web": {"hosts": ["a", "b"], "vars": {"role": "web"}, "children": ["inner"]},
    "inner": ["c"],
    "all": {"vars": {"domain": "example.com"}},
    "_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1", "n": 1}}},
}


def test_what_it_lists_is_read(tmp_path: Path) -> None:
    path = python(
        tmp_path, f"assert sys.argv[1:] == ['--list']\nprint('''{json.dumps(LISTING)}''')"
    )
    ours = inventory.load([path])
    assert set(ours.members) == {"a", "b", "c"}
    assert ours.host("a").host == "10.0.0.1"
    assert ours.host("a").variables == {"domain": "example.com", "role": "web", "n": 1}
    assert ours.host("c").groups == ("web", "inner")


def test_a_program_without_meta_is_asked_for_each_host(tmp_path: Path) -> None:
    body = (
        "if sys.argv[1] == '--list': print(json.dumps({'web': ['a', 'b']}))\n"
        "else: print(json.dumps({'asked': sys.argv[2]}))"
    )
    ours = inventory.load([python(tmp_path, body)])
    assert {host: ours.host(host).variables for host in ours.members} == {
        "a": {"asked": "a"},
        "b": {"asked": "b"},
    }


def test_T03_a_host_that_it_lists_is_never_an_option(tmp_path: Path) -> None:
    body = (
        "assert '-oProxyCommand=x' not in sys.argv\n"
        "print(json.dumps({'web': ['-oProxyCommand=x']} if sys.argv[1] == '--list' else {}))"
    )
    with pytest.raises(ManifestError) as caught:
        inventory.load([python(tmp_path, body)])
    assert {finding.rule for finding in caught.value.diagnostics} == {"wts601"}


def test_it_runs_in_its_own_folder_with_nothing_on_standard_input(tmp_path: Path) -> None:
    body = (
        "assert sys.stdin.read() == ''\n"
        "print(json.dumps({'web': {'vars': {'at': os.getcwd()}, 'hosts': ['a']}, '_meta': {}}))"
    )
    ours = inventory.load([python(tmp_path, body)])
    assert ours.host("a").variables == {"at": str(tmp_path)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('not json')", "did not print JSON: not json"),
        ("pass", "did not print JSON"),
        ("print('[' * 100000)", "did not print JSON"),
        ('print(\'{"_meta": {"hostvars": {"a": {"x": NaN}}}}\')', "did not print JSON"),
        ("sys.exit('no token')", "ended with 1: no token"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
        ("sys.stderr.write('\\x1b[2J' + 'e' * 10**6); sys.exit(3)", "ended with 3"),
    ],
)
def test_a_program_that_fails_gives_one_message(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        inventory.load([python(tmp_path, body)])
    assert said in caught.value.message
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 500


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="one JSON object"):
        inventory.load([python(tmp_path, "print('[1]')")])


def test_T44_a_program_that_never_ends_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "SECONDS", 0.5)
    marker = tmp_path / "survived"
    body = (
        "import subprocess\n"
        f"subprocess.Popen(['sh', '-c', 'sleep 3; touch {marker}'])\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(ConfigError, match=r"longer than 0\.5 s"):
        inventory.load([python(tmp_path, body)])
    assert time.monotonic() - start < 10
    time.sleep(3)
    assert not marker.exists()


def test_T44_a_child_that_keeps_the_pipe_open_does_not_hold_us_up(tmp_path: Path) -> None:
    body = (
        'import subprocess\nprint(\'{"_meta": {}, "g": {"hosts": ["a"]}}\', flush=True)\n'
        "subprocess.Popen(['sleep', '60'])"
    )
    start = time.monotonic()
    assert set(inventory.load([python(tmp_path, body)]).members) == {"a"}
    assert time.monotonic() - start < 20


def test_T43_a_program_that_prints_without_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MAX_BYTES", 1 << 20)
    with pytest.raises(ConfigError, match="more than 1 MiB"):
        inventory.load([python(tmp_path, "while True: print('x' * 65536)")])


def test_a_program_that_may_not_be_run_says_how(tmp_path: Path) -> None:
    path = written(tmp_path, "#!/bin/sh\necho {}\n", mode=0o644)
    with pytest.raises(ConfigError) as caught:
        inventory.load([path])
    assert caught.value.cure == f"chmod +x {path}"


def test_a_program_whose_interpreter_is_not_there_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, "#!/no/such/interpreter\n")
    with pytest.raises(ConfigError, match="cannot be run"):
        inventory.load([path])


def test_a_text_that_happens_to_be_executable_is_only_read(tmp_path: Path) -> None:
    path = written(tmp_path, "hosts: { a: }\n", name="inventory.yaml")
    assert set(inventory.load([path]).members) == {"a"}


def test_a_program_that_anybody_can_change_is_not_run(tmp_path: Path) -> None:
    path = written(tmp_path, "#!/bin/sh\necho '{\"_meta\": {}}'\n", mode=0o777)
    with pytest.raises(ConfigError, match="everybody can write"):
        inventory.load([path])
