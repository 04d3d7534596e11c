"""Who a host may be: OpenSSH's own ``ssh-keygen -F`` is the oracle where it is there."""

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.peers.sshd import KEYGEN, keygen, public, require
from wtsflow.errors import HostKeyError
from wtsflow.transports import host_key
from wtsflow.transports.known_hosts import KnownHosts, fingerprint, matches


def blob(name: str) -> bytes:
    kind = b"ssh-ed25519"
    return len(kind).to_bytes(4, "big") + kind + b"\0\0\0\x20" + name.encode().ljust(32, b"\0")


def line(hosts: str, name: str, marker: str = "") -> str:
    encoded = base64.b64encode(blob(name)).decode()
    return f"{marker} {hosts} ssh-ed25519 {encoded} comment\n".lstrip()


def known(tmp_path: Path, *lines: str) -> KnownHosts:
    path = tmp_path / "known_hosts"
    path.write_text("".join(lines))
    return KnownHosts([path])


def names(found: KnownHosts, host: str, port: int = 22) -> list[str]:
    return [entry.blob[-32:].rstrip(b"\0").decode() for entry in found.find(host, port=port).keys]


@pytest.mark.parametrize(
    ("hosts", "host", "port", "there"),
    [
        ("web", "web", 22, True),
        ("web", "WEB", 22, True),
        ("WEB", "web", 22, True),
        ("web", "web2", 22, False),
        ("a,web,b", "web", 22, True),
        ("w*", "web", 22, True),
        ("we?", "web", 22, True),
        ("we?", "we", 22, False),
        ("*,!web", "web", 22, False),
        ("*,!web", "db", 22, True),
        ("!web,*", "web", 22, False),
        ("!web", "db", 22, False),
        ("[web]:2222", "web", 2222, True),
        ("[web]:2222", "web", 22, False),
        ("[web]:2222", "web", 2223, False),
        ("web", "web", 2222, True),
        ("[w*]:2222", "web", 2222, True),
        ("10.0.0.*", "10.0.0.7", 22, True),
        ("10.0.0.*", "10x0y0z7", 22, False),
        ("fe80::1", "fe80::1", 22, True),
        ("w[ab]", "wa", 22, False),
    ],
)
def test_a_name_is_found_as_openssh_finds_it(
    tmp_path: Path, hosts: str, host: str, port: int, *, there: bool
) -> None:
    found = known(tmp_path, line(hosts, "key"))
    assert names(found, host, port) == (["key"] if there else [])


@pytest.mark.parametrize("host", ["web", "web.example", "10.1.2.3", "db", "x"])
def test_ssh_keygen_says_the_same(tmp_path: Path, host: str) -> None:
    require(KEYGEN, "ssh-keygen")
    keys = [public(keygen(tmp_path / f"key{n}")) for n in range(4)]
    path = tmp_path / "known_hosts"
    path.write_text(
        f"web,10.1.2.3 {keys[0]}\n*.example,!no.example {keys[1]}\n[db]:22 {keys[2]}\nd? {keys[3]}\n"
    )
    said = subprocess.run(
        ["ssh-keygen", "-F", host, "-f", path], capture_output=True, text=True, check=False
    ).stdout
    theirs = {text.split()[2] for text in said.splitlines() if not text.startswith("#")}
    ours = {base64.b64encode(e.blob).decode() for e in KnownHosts([path]).find(host).keys}
    assert ours == theirs


def test_hashed_names_are_found_by_their_hash(tmp_path: Path) -> None:
    require(KEYGEN, "ssh-keygen")
    key = public(keygen(tmp_path / "key"))
    path = tmp_path / "known_hosts"
    path.write_text(f"web {key}\n[web]:2222 {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True)
    found = KnownHosts([path])
    assert [len(found.find("web", port).keys) for port in (22, 2222)] == [1, 1]
    assert not found.find("db").keys


def test_lines_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    found = known(
        tmp_path,
        "# web ssh-ed25519 AAAA\n\nweb\nweb ssh-ed25519\nweb ssh-ed25519 !!!\n",
        "|1|xx ssh-ed25519 AAAA\n|1|%%|%% ssh-ed25519 AAAA\n@unknown web ssh-ed25519 AAAA\n\xff\n",
        line("web", "key"),
    )
    assert names(found, "web") == ["key"]


def test_several_files_are_read_and_a_missing_one_is_none(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(line("web", name))
    found = KnownHosts([tmp_path / "a", tmp_path / "gone", tmp_path / "b"])
    assert names(found, "web") == ["a", "b"]


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = known(tmp_path, line("web", "one"))
    reads: list[Path] = []
    read_text = Path.read_text

    def counted(self: Path, *given: str) -> str:
        reads.append(self)
        return read_text(self, *given)

    monkeypatch.setattr(Path, "read_text", counted)
    for _ in range(3):
        assert names(KnownHosts(found.paths), "web") == ["one"]
    assert len(reads) == 1
    found.paths[0].write_text(line("web", "other-key"))
    assert names(found, "web") == ["other-key"]


def test_a_thousand_lines_are_looked_up_in_no_time(tmp_path: Path) -> None:
    found = known(tmp_path, *(line(f"host{n}", f"key{n}") for n in range(2000)))
    assert names(found, "host1999") == ["key1999"]
    assert all(not names(found, f"none{n}") for n in range(500))


@settings(max_examples=200, deadline=None)
@given(st.text("ab*?!.[]", max_size=8), st.text("ab.[]!", max_size=8))
def test_a_pattern_matches_as_its_definition_says(pattern: str, name: str) -> None:
    def glob(rest: str, text: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return any(glob(rest[1:], text[n:]) for n in range(len(text) + 1))
        return bool(text) and rest[0] in ("?", text[0]) and glob(rest[1:], text[1:])

    expected = not pattern.startswith("!") and glob(pattern, name)
    assert matches(name, [pattern]) is expected


# --- checking -------------------------------------------------------------------------------


def check(found: KnownHosts, shown: bytes, algorithm: str = "ssh-ed25519") -> None:
    host_key.check(
        host_key.Place("web", 22, "", found),
        found.find("web"),
        algorithm,
        shown,
        now=0,
        verify=lambda *_: False,
    )


def test_T34_only_a_listed_key_is_believed(tmp_path: Path) -> None:
    found = known(tmp_path, line("web", "one"), line("web", "two"), line("db", "three"))
    check(found, blob("one"))
    check(found, blob("two"))
    with pytest.raises(HostKeyError, match="another host key"):
        check(found, blob("three"))
    with pytest.raises(HostKeyError, match="is not known"):
        check(known(tmp_path), blob("one"))


def test_T34_a_revoked_key_is_never_believed(tmp_path: Path) -> None:
    found = known(tmp_path, line("web", "one"), line("*", "one", "@revoked"))
    with pytest.raises(HostKeyError, match="revoked"):
        check(found, blob("one"))


def test_T34_an_authoritys_own_key_is_no_host_key(tmp_path: Path) -> None:
    found = known(tmp_path, line("web", "ca", "@cert-authority"))
    with pytest.raises(HostKeyError):
        check(found, blob("ca"))


@pytest.mark.parametrize("cut", [0, 1, 20, 60])
def test_T34_a_certificate_in_pieces_is_refused(tmp_path: Path, cut: int) -> None:
    found = known(tmp_path, line("web", "ca", "@cert-authority"))
    kind = "ssh-ed25519-cert-v01@openssh.com"
    text = len(kind).to_bytes(4, "big") + kind.encode() + b"\0\0\0\x04abcd" + bytes(40)
    with pytest.raises(HostKeyError, match="cannot be read"):
        check(found, text[:cut], kind)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_T34_a_certificate_whose_signature_is_wrong_is_refused(tmp_path: Path) -> None:
    authority, key = keygen(tmp_path / "ca"), keygen(tmp_path / "key")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "i", "-h", "-n", "web", f"{key}.pub"],
        check=True,
    )
    kind, encoded = Path(f"{key}-cert.pub").read_text().split()[:2]
    shown = base64.b64decode(encoded)
    path = tmp_path / "known_hosts"
    path.write_text(f"@cert-authority web {public(authority)}\n")
    found = KnownHosts([path])
    from wtsflow.transports.ssh_transport import verify

    def ask(certificate: bytes) -> None:
        host_key.check(
            host_key.Place("web", 22, "", found),
            found.find("web"),
            kind,
            certificate,
            now=1,
            verify=verify,
        )

    ask(shown)
    for at in (60, 90, len(shown) - 5):
        forged = bytearray(shown)
        forged[at] ^= 1
        with pytest.raises(HostKeyError):
            ask(bytes(forged))


def test_the_listed_types_are_asked_for_first(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("web ssh-rsa AAAA\n")
    assert host_key.wanted(KnownHosts([path]).find("web")) == ("rsa-sha2-512", "rsa-sha2-256")
    assert host_key.wanted(KnownHosts([path]).find("db")) == host_key.ALGORITHMS
    path.write_text("@cert-authority web ssh-rsa AAAA\nweb ssh-ed25519 AAAA\n")
    asked = host_key.wanted(KnownHosts([path]).find("web"))
    assert asked[0] == "ssh-ed25519-cert-v01@openssh.com"
    assert asked[-1] == "ssh-ed25519"


def test_a_fingerprint_is_what_ssh_keygen_shows(tmp_path: Path) -> None:
    require(KEYGEN, "ssh-keygen")
    key = keygen(tmp_path / "key")
    said = subprocess.run(
        ["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True, check=True
    ).stdout
    assert fingerprint(base64.b64decode(public(key).split()[1])) == said.split()[1]
