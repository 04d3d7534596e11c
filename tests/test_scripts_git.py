"""Hostile repositories: each row is a thing that was tried, and what is done about it."""

import functools
import http.server
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.sshd import Sshd
from tests.scriptrepo import IDENTITY, ScriptRepo, made, pin
from wtsflow.errors import ConfigError, DeniedError, PinMismatch, PlanError
from wtsflow.scripts.git import Git, Missing
from wtsflow.scripts.origin import FRESH, STALE

X = "ad/unlock.sh@1.0.0"
SCRIPT = "#!/bin/sh\necho unlocked\n"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[ScriptRepo]:
    with made(tmp_path) as found:
        yield found


# --- what a tag names -----------------------------------------------------------------------


def test_T18_a_tag_object_under_another_tags_name_is_refused(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    oid = repo.git("rev-parse", f"refs/tags/{X}")
    repo.git("update-ref", "refs/tags/ad/unlock.sh@9.9.9", oid)
    with pytest.raises(PinMismatch, match=r"tag object of 'ad/unlock\.sh@1\.0\.0'"):
        repo.lock(["ad/unlock.sh@9.9.9"])


def test_a_branch_named_like_the_tag_changes_nothing(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.write("ad/unlock.sh", "#!/bin/sh\necho branch\n")
    repo.commit()
    repo.git("branch", X)
    repo.git("update-ref", f"refs/heads/refs/tags/{X}", "HEAD")
    repo.lock([X])
    scripts = repo.open()
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


@pytest.mark.parametrize("kind", ["tree", "blob"])
def test_a_tag_that_names_no_commit_is_refused(repo: ScriptRepo, kind: str) -> None:
    repo.release("ad/other.sh@1.0.0", SCRIPT)
    named = "HEAD^{tree}" if kind == "tree" else "HEAD:ad/other.sh"
    repo.git("tag", "-a", X, "-m", "x", named)
    with pytest.raises(PlanError, match="does not name a commit"):
        repo.lock([X])


def test_a_plain_tag_is_taken_where_no_signature_is_asked_for(repo: ScriptRepo) -> None:
    repo.write("ad/unlock.sh", SCRIPT)
    commit = repo.commit()
    repo.git("tag", X)
    entry = repo.lock([X]).added[0]
    assert (entry.tag, entry.commit, entry.by) == (commit, commit, "sme@corp.example")


def test_an_unknown_version_names_those_that_exist(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    with pytest.raises(PlanError, match="no version 2") as error:
        repo.lock(["ad/unlock.sh@2.0.0"])
    assert error.value.cure == "it has 1.0.0"
    with pytest.raises(PlanError) as error:
        repo.lock(["ad/unlok.sh@1.0.0"])
    assert error.value.cure == "did you mean 'ad/unlock.sh'?"


# --- what stands in the tree ----------------------------------------------------------------


def test_T16_a_symbolic_link_is_not_followed(repo: ScriptRepo) -> None:
    (repo.folder / "ad").mkdir()
    (repo.folder / "ad" / "unlock.sh").symlink_to("/etc/passwd")
    repo.commit()
    repo.git("tag", "-a", X, "-m", "x")
    with pytest.raises(PlanError, match="is a symbolic link, not a file"):
        repo.lock([X])


def test_T16_a_sidecar_that_is_a_symbolic_link_is_refused(repo: ScriptRepo) -> None:
    repo.write("ad/unlock.sh", SCRIPT)
    (repo.folder / "ad" / "unlock.sh.yaml").symlink_to("/etc/passwd")
    repo.commit()
    repo.git("tag", "-a", X, "-m", "x")
    with pytest.raises(PlanError, match="is a symbolic link"):
        repo.lock([X])


def test_T16_a_link_in_the_middle_of_the_path_is_not_followed(repo: ScriptRepo) -> None:
    repo.write("real/unlock.sh", SCRIPT)
    (repo.folder / "ad").symlink_to("real")
    repo.commit()
    repo.git("tag", "-a", X, "-m", "x")
    with pytest.raises(PlanError, match="no file"):
        repo.lock([X])


def test_T04_a_submodule_is_refused_and_never_fetched(repo: ScriptRepo) -> None:
    canary = repo.home / "canary"
    repo.home.mkdir()
    repo.write(".gitmodules", f'[submodule "x"]\npath = ad/unlock.sh\nurl = ext::touch {canary}\n')
    commit = repo.commit()
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},ad/unlock.sh")
    repo.git("commit", "-q", "-m", "submodule")
    repo.git("tag", "-a", X, "-m", "x")
    for at in (repo.folder, repo.url):
        with pytest.raises(PlanError, match="is a submodule"):
            repo.lock([X], repo.open(at))
    assert not canary.exists()


def test_a_folder_is_not_a_script(repo: ScriptRepo) -> None:
    repo.write("ad/unlock.sh/inner", "x")
    repo.commit()
    repo.git("tag", "-a", X, "-m", "x")
    with pytest.raises(PlanError, match="is a folder"):
        repo.lock([X])


def test_an_lfs_pointer_is_refused(repo: ScriptRepo) -> None:
    repo.release(X, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(PlanError, match="Git LFS"):
        repo.lock([X])


def test_bytes_are_the_committed_ones_whatever_attributes_say(repo: ScriptRepo) -> None:
    repo.write(".gitattributes", "*.sh text eol=crlf filter=evil ident\n")
    repo.git("config", "filter.evil.smudge", "sed s/unlocked/evil/")
    repo.git("config", "filter.evil.clean", "cat")
    repo.release(X, "#!/bin/sh\necho unlocked $Id$\n")
    repo.lock([X])
    scripts = repo.open()
    assert scripts.read(scripts.resolve(X)) == b"#!/bin/sh\necho unlocked $Id$\n"


def test_T21_invisible_characters_are_pointed_out(repo: ScriptRepo) -> None:
    repo.release(X, "#!/bin/sh\n# \u202e evil \u2066\necho hi\n")
    warnings = repo.lock([X]).warnings
    assert len(warnings) == 1
    assert "line 2" in warnings[0]
    assert "U+202E" in warnings[0]


def test_a_replaced_object_does_not_count(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.write("evil", "#!/bin/sh\necho evil\n")
    repo.commit()
    repo.git("replace", repo.git("rev-parse", "HEAD~1:ad/unlock.sh"),
             repo.git("rev-parse", "HEAD:evil"))  # fmt: skip
    repo.lock([X])
    scripts = repo.open()
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


# --- what a repository's configuration could start ------------------------------------------


def test_T04_nothing_that_a_repository_configures_is_started(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.home.mkdir()
    canary = repo.home / "canary"
    run = f"touch {canary}"
    program = repo.folder / ".git" / "evil"
    program.write_text(f"#!/bin/sh\n{run}\n")
    program.chmod(0o755)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        shutil.copy(program, repo.folder / ".git" / "hooks" / name)
    for key, value in {
        "core.fsmonitor": str(program),
        "core.sshCommand": str(program),
        "core.askPass": str(program),
        "core.pager": str(program),
        "core.alternateRefsCommand": str(program),
        "gpg.program": str(program),
        "gpg.ssh.program": str(program),
        "uploadpack.packObjectsHook": str(program),
        "credential.helper": f"!{run}",
        "remote.origin.url": f"ext::sh -c '{run}'",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(program),
        "protocol.ext.allow": "always",
        "alias.cat-file": f"!{run}",
        "alias.ls-tree": f"!{run}",
    }.items():
        repo.git("config", key, value)
    for at in (repo.folder, repo.url):
        scripts = repo.open(at, cache=f"cache{len(str(at))}")
        repo.lock([X], scripts)
        with pytest.raises(Missing):
            scripts.origin().git.read("0" * 40)  # a promisor remote would be asked
        scripts.read(repo.open(at).resolve(X))
        with pytest.raises(DeniedError):
            repo.lock([X], repo.open(at, signatures=True, allowed_signers=program))
    assert not canary.exists()


def test_T04_names_given_to_git_are_ids_or_full_refs(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    git = Git(repo.folder)
    for name in ("--help", "-x", "main", "HEAD\nHEAD", "HEAD:a b", "@{-1}", "", ":/x", "HEAD^@"):
        with pytest.raises(Missing):
            git.read(name)
    for oid in ("--output=x", "HEAD", "main", "0" * 39):
        with pytest.raises(ConfigError, match="not an object id"):
            git.entry(oid, "ad/unlock.sh")
    assert git.entry(repo.git("rev-parse", "HEAD"), "--help") is None
    git.close()


def test_variables_of_a_surrounding_git_do_not_lead_elsewhere(
    repo: ScriptRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.release(X, SCRIPT)
    (tmp_path / "more").mkdir()
    with made(tmp_path / "more") as other:
        other.release(X, "#!/bin/sh\necho other\n")
        monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
        monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.folder / ".git" / "objects"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
        monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.fsmonitor'='touch x'")
        sealed = repo.open().seal(pin(X))
    assert sealed.content == SCRIPT.encode()


# --- the mirror -----------------------------------------------------------------------------


def test_T18_a_tag_that_moved_on_the_server_is_an_alarm(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X], repo.open(repo.url))
    here = repo.git("rev-parse", f"refs/tags/{X}")
    repo.write("ad/unlock.sh", "#!/bin/sh\necho evil\n")
    repo.commit()
    repo.git("tag", "-f", "-a", X, "-m", "moved")
    there = repo.git("rev-parse", f"refs/tags/{X}")
    with pytest.raises(PinMismatch) as error:
        repo.lock([X], repo.open(repo.url))
    assert (error.value.pin, error.value.expected, error.value.found) == (X, here, there)
    assert error.value.cure.startswith("SECURITY")
    scripts = repo.open(repo.url)
    assert scripts.origin().tags[X].oid == here


def test_T18_a_tag_that_moved_in_a_folder_is_named_with_both_ids(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    here = repo.git("rev-parse", f"refs/tags/{X}")
    repo.git("tag", "-f", "-a", X, "-m", "moved")
    there = repo.git("rev-parse", f"refs/tags/{X}")
    with pytest.raises(PinMismatch) as error:
        repo.lock([X])
    assert (error.value.expected, error.value.found) == (f"tag {here}", f"tag {there}")


def test_T18_a_rewritten_default_branch_is_an_alarm(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.write("rollouts.yaml", "- { script: ad/unlock.sh, retracted: [1.0.0] }\n")
    repo.commit()
    scripts = repo.open(repo.url)
    scripts.fetch()
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.commit("Another past")
    with pytest.raises(ConfigError, match="rewritten"):
        scripts.fetch()
    assert scripts.rollouts().retracted("ad/unlock.sh", pin(X).version)


def test_a_mirror_learns_new_tags_and_keeps_those_that_vanish(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    scripts = repo.open(repo.url)
    scripts.fetch()
    repo.git("tag", "-d", X)
    repo.release("ad/unlock.sh@1.1.0", SCRIPT)
    scripts.fetch()
    assert [str(one) for one in scripts.origin().versions("ad/unlock.sh")] == ["1.0.0", "1.1.0"]


def test_T20_a_stale_mirror_is_fetched_and_a_very_old_one_does_not_count(
    repo: ScriptRepo,
) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X], repo.open(repo.url))
    repo.write("rollouts.yaml", "- { script: ad/unlock.sh, retracted: [1.0.0], why: Leaks. }\n")
    repo.commit()
    assert repo.open(repo.url).resolve(X).version == "1.0.0"
    repo.clock.time += FRESH + 1
    with pytest.raises(PlanError, match="retracted"):
        repo.open(repo.url).resolve(X)
    repo.write("rollouts.yaml", "[]\n")
    repo.commit()
    repo.clock.time += FRESH + 1
    assert repo.open(repo.url).resolve(X).warning == ""
    shutil.move(repo.folder, repo.folder.with_name("gone"))
    repo.clock.time += FRESH + 1
    assert "cannot be fetched" in repo.open(repo.url).resolve(X).warning
    repo.clock.time += STALE
    with pytest.raises(PlanError, match="nobody knows which versions were retracted"):
        repo.open(repo.url).resolve(X)


def test_a_repository_that_is_not_there_is_named(repo: ScriptRepo, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be fetched"):
        repo.lock([X], repo.open((tmp_path / "nowhere").as_uri()))
    with pytest.raises(ConfigError, match="no folder"):
        repo.lock([X], repo.open(tmp_path / "nowhere"))
    (tmp_path / "plain").mkdir()
    with pytest.raises(ConfigError, match="not a git repository"):
        repo.lock([X], repo.open(tmp_path / "plain"))


def test_a_repository_of_another_user_is_read_only_when_one_says_so(
    repo: ScriptRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="belongs to another user") as error:
        repo.open(cache="another").resolve(X)
    cure = f"git config --global --add safe.directory {repo.folder}"
    assert error.value.cure == f"if you do: {cure}"
    subprocess.run(cure.split(), check=True, cwd=tmp_path)
    scripts = repo.open(cache="another")
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


def test_a_repository_of_sha256_ids_is_refused_in_words(repo: ScriptRepo, tmp_path: Path) -> None:
    other = ScriptRepo(tmp_path / "sha256", repo.home)
    other.folder.mkdir()
    other.git("init", "-q", "-b", "main", "--object-format=sha256")
    with other:
        other.release(X, SCRIPT)
        for at in (other.folder, other.url):
            with pytest.raises(ConfigError, match="SHA-256"):
                other.lock([X], other.open(at))


@pytest.mark.peer("sshd")
def test_a_repository_is_fetched_by_ssh(
    repo: ScriptRepo, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.release(X, SCRIPT)
    url = f"ssh://{sshd.user}@127.0.1.1:{sshd.port}{repo.folder}"
    ssh = f"ssh -F none -oBatchMode=yes -i {sshd.client_key} -oIdentitiesOnly=yes"
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh} -oUserKnownHostsFile={os.devnull}")
    with pytest.raises(ConfigError, match="Host key verification failed"):
        repo.lock([X], repo.open(url))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh} -oUserKnownHostsFile={sshd.known_hosts}")
    repo.lock([X], repo.open(url))
    scripts = repo.open(url)
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


@pytest.fixture
def https(repo: ScriptRepo, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The repository served by HTTPS on loopback: its URL and the certificate to trust."""
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    serve = functools.partial(Quiet, directory=str(repo.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_port}/.git", certificate
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_a_repository_is_fetched_by_https_from_a_server_that_proves_itself(
    repo: ScriptRepo, https: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, certificate = https
    repo.release(X, SCRIPT)
    repo.git("update-server-info")
    with pytest.raises(ConfigError, match="cannot be fetched"):
        repo.lock([X], repo.open(url))
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
    repo.lock([X], repo.open(url))
    scripts = repo.open(url)
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


# --- signatures -----------------------------------------------------------------------------


class Signer:
    """An SSH key, and how to tag with it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True
        )
        self.public = self.key.with_suffix(".pub").read_text().split(" ")[:2]

    def tag(self, repo: ScriptRepo, name: str) -> None:
        repo.git("-c", "gpg.format=ssh", "-c", f"user.signingKey={self.key}",
                 "tag", "-s", name, "-m", name)  # fmt: skip


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    return Signer(tmp_path, "key")


@pytest.fixture
def trusted(tmp_path: Path, signer: Signer) -> Path:
    file = tmp_path / "allowed_signers"
    file.write_text(f'sme@corp.example namespaces="git" {" ".join(signer.public)}\n')
    return file


def test_a_tag_signed_by_a_trusted_key_is_locked_under_its_signers_name(
    repo: ScriptRepo, signer: Signer, trusted: Path
) -> None:
    repo.write("ad/unlock.sh", SCRIPT)
    repo.commit()
    signer.tag(repo, X)
    done = repo.lock([X], repo.open(signatures=True, allowed_signers=trusted))
    assert done.added[0].by == "sme@corp.example"


def test_a_tag_without_a_trusted_signature_is_denied(
    repo: ScriptRepo, trusted: Path, tmp_path: Path
) -> None:
    repo.release("ad/a.sh@1.0.0", SCRIPT)
    repo.git("tag", "ad/b.sh@1.0.0")
    stranger = Signer(tmp_path, "stranger")
    stranger.tag(repo, "ad/c.sh@1.0.0")
    for name, why in (("a", "not signed"), ("b", "plain one"), ("c", "allowed signers")):
        repo.write(f"ad/{name}.sh", SCRIPT)
        with pytest.raises(DeniedError, match=why):
            repo.lock([f"ad/{name}.sh@1.0.0"], repo.open(signatures=True, allowed_signers=trusted))


def test_a_signature_for_another_purpose_does_not_count(
    repo: ScriptRepo, signer: Signer, tmp_path: Path
) -> None:
    repo.write("ad/unlock.sh", SCRIPT)
    repo.commit()
    signer.tag(repo, X)
    file = tmp_path / "signers"
    file.write_text(f'sme@corp.example namespaces="file" {" ".join(signer.public)}\n')
    with pytest.raises(DeniedError):
        repo.lock([X], repo.open(signatures=True, allowed_signers=file))


def test_T18_a_good_signature_under_another_tags_name_is_refused(
    repo: ScriptRepo, signer: Signer, trusted: Path
) -> None:
    """``git verify-tag`` calls this one good."""
    repo.write("ad/unlock.sh", SCRIPT)
    repo.commit()
    signer.tag(repo, X)
    other = "ad/unlock.sh@9.9.9"
    repo.git("update-ref", f"refs/tags/{other}", repo.git("rev-parse", f"refs/tags/{X}"))
    repo.git("-c", f"gpg.ssh.allowedSignersFile={trusted}", "verify-tag", other)
    with pytest.raises(PinMismatch):
        repo.lock([other], repo.open(signatures=True, allowed_signers=trusted))


def test_signatures_are_checked_of_lines_that_are_already_there(
    repo: ScriptRepo, trusted: Path
) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    with pytest.raises(DeniedError):
        repo.lock([X], repo.open(signatures=True, allowed_signers=trusted))


def test_required_signatures_without_anybody_trusted_are_a_mistake(
    repo: ScriptRepo, tmp_path: Path
) -> None:
    repo.release(X, SCRIPT)
    for file in (None, tmp_path / "nothing"):
        with pytest.raises(ConfigError):
            repo.lock([X], repo.open(signatures=True, allowed_signers=file))


def test_git_is_asked_for_by_name_where_it_is_missing(tmp_path: Path) -> None:
    import sys

    code = (
        "import sys; from pathlib import Path; from wtsflow.scripts.git import Git\n"
        "try: Git(Path('.'))\n"
        "except Exception as error: sys.exit(f'{type(error).__name__}: {error.cure}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **IDENTITY, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == (
        "ConfigError: install git (https://git-scm.com) and put it on PATH"
    )
