"""The supervisor's own: how it is sent, what it costs, how its records are told from output."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.contracts.transport import run, script
from tests.peers.sshd import require
from wtsflow.credentials import Chain
from wtsflow.model.plan import LOCAL
from wtsflow.transports import signals, supervisor
from wtsflow.transports.local import Local
from wtsflow.transports.supervisor import Records, Said
from wtsflow.transports.wire import Wire

TOKEN = "0123456789abcdef"
MARK = b"\x1e" + TOKEN.encode() + b" "


def test_it_travels_as_one_line_that_any_shell_can_quote() -> None:
    text = supervisor.text()
    assert "\n" not in text
    assert "'" not in text, "it stands in single quotes"
    assert not re.search(r"!(?=[A-Za-z0-9_!])", text), "csh would look it up in its history"
    assert not re.search(r"\\(?![0-9])", text), "fish reads \\' and \\\\ inside single quotes"
    assert not re.search(r"(?:^|[\s;])#", text), "a comment would end the program"


@pytest.mark.skipif(os.name != "posix", reason="runs POSIX shells")
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_can_read_it(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    argv = [program, *(["sh"] if shell == "busybox" else []), "-n", "-c", supervisor.text()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="runs POSIX shells")
def test_its_programs_for_each_step_are_few(tmp_path: Path) -> None:
    """Each process costs about a millisecond on the target: these numbers are the price."""
    strace = shutil.which("strace")
    require(strace, "strace")
    trace = tmp_path / "trace"

    class Traced(Local):
        def _open(self, command: tuple[str, ...]) -> Wire:
            return super()._open(
                (str(strace), "-f", "-qq", "-e", "trace=execve", "-o", str(trace), *command)
            )

    def started() -> list[str]:
        begun = r'^\d+ +execve\("[^"]*/([^"/]+)"(?!.*ENOENT)'
        return re.findall(begun, trace.read_text(), re.MULTILINE)

    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    session = Traced(environment=environment).connect(LOCAL, Chain(()))
    run(session, ":", deadline=3600.0)
    first = started()
    run(session, ":", deadline=3600.0)
    later = started()[len(first) :]
    session.close()
    assert sorted(later) == ["setsid", "sh", "sha256sum", "tee", "tee"]
    assert sorted(first) == sorted([*later, "sh", "mkdir", "mkfifo", "sleep", "cat", "cat"])


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


PARTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\x1e", MARK[:5], MARK[:-1], b"\x1e\x1e", b"\n", MARK.replace(b"f", b"e")]),
    st.sampled_from(["go", "exit 3 0 -", "end"]).map(lambda words: MARK + words.encode() + b"\n"),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=12), st.lists(st.integers(0, 400), max_size=30))
def test_records_are_told_from_output_wherever_the_stream_is_cut(
    parts: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(parts)
    whole = re.split(re.escape(MARK) + rb"([^\n]*)\n", data)
    expected_output = b"".join(whole[::2])
    expected_records = [tuple(words.decode("ascii", "replace").split()) for words in whole[1::2]]
    records, output, found = Records(TOKEN), b"", []
    for piece in pieces(data, cuts):
        for item in records.feed(piece):
            if isinstance(item, Said):
                found.append(item.words)
            else:
                assert item
                output += item
    assert found == expected_records
    assert output + records.close() == expected_output


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\x1e", b"")))
def test_output_without_the_sign_is_never_held_back(data: bytes) -> None:
    assert b"".join(i for i in Records(TOKEN).feed(data) if isinstance(i, bytes)) == data


def test_an_attempts_name_is_no_other_ones_beginning() -> None:
    names = {supervisor.identity(f"run/step@web/{n}") for n in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {24}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("disk.sh", "disk.sh"),
        ("a/b/disk.sh", "disk.sh"),
        ("look here.py", "look_here.py"),
        ("-rf", "rf"),
        ("..", "script"),
        ("a\nb", "a_b"),
        ("", "script"),
    ],
)
def test_a_scripts_file_has_a_harmless_name(name: str, expected: str) -> None:
    assert supervisor.run(script("x", name=name)).split(b" ")[2].decode() == expected


def test_a_short_plain_script_is_read_by_builtins_and_others_by_a_process() -> None:
    sizes = [
        supervisor.run(script(content)).split(b" ")[3]
        for content in (b"echo\n", b"\xc3\xa4\n", b"a\0b", b"x" * supervisor.SHORT + b"y")
    ]
    assert sizes == [b"lines", b"3", b"3", b"4097"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [(None, ""), (0, ""), (1, ""), (127, ""), (128, ""), (137, "KILL"), (139, "SEGV"), (255, "")],
)
def test_a_shells_code_names_the_signal(code: int | None, expected: str) -> None:
    assert signals.name(code) == expected
