"""Pins, the git-backed repository, and running by the lock."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scriptrepo import ScriptRepo, made, pin
from wtsflow.errors import ConfigError, PinMismatch, PlanError
from wtsflow.model.script import Language
from wtsflow.scripts import Lock, Pin, Repository, Version
from wtsflow.scripts.address import address

X = "ad/unlock.sh@1.0.0"
SCRIPT = "#!/bin/sh\necho unlocked\n"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[ScriptRepo]:
    with made(tmp_path) as found:
        yield found


# --- pins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "alias", "path", "version", "is_open"),
    [
        ("ad/x.ps1@1.4.2", "", "ad/x.ps1", "1.4.2", False),
        ("ad/x.ps1@1.4.2+", "", "ad/x.ps1", "1.4.2", True),
        ("identity:ad/x.ps1@0.10.0", "identity", "ad/x.ps1", "0.10.0", False),
        ("x@1.0.0", "", "x", "1.0.0", False),
    ],
)
def test_a_pin_names_one_version(
    text: str, alias: str, path: str, version: str, is_open: bool
) -> None:
    found = Pin.parse(text)
    assert (found.alias, found.path, str(found.version), found.open) == (
        alias,
        path,
        version,
        is_open,
    )
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "ad/x.ps1",
        "ad/x.ps1@^1.3",
        "ad/x.ps1@latest",
        "ad/x.ps1@main",
        "ad/x.ps1@1.2",
        "ad/x.ps1@01.2.3",
        "ad/x.ps1@1.2.3-rc1",
        "ad/x.ps1@1.2.\u0663",  # a digit, but not one of ours
        "ad/x.ps1@" + "0" * 40,
        "",
    ],
)
def test_what_is_not_one_exact_version_is_no_pin(text: str) -> None:
    with pytest.raises(PlanError, match="not a pinned script"):
        Pin.parse(text)


def test_T16_paths_that_lead_elsewhere_are_no_pins() -> None:
    for path in (
        "../x.sh",
        "a/../x.sh",
        "./x.sh",
        "/etc/passwd",
        "a//x.sh",
        "a/.git/config",
        "a\\..\\x.sh",
        "x.sh:stream",
        "a/b:c",
        "CON",
        "a/con.sh",
        "nul.ps1",
        "a/COM1.sh",
        "a./x.sh",
        "x.lock",
        "a/x.lock/y",
        "x y.sh",
        "x\n.sh",
        "a" * 300,
    ):
        with pytest.raises(PlanError):
            Pin.parse(f"{path}@1.0.0")


def test_T04_names_that_look_like_options_are_no_pins() -> None:
    for path in ("--upload-pack=touch", "-x", "a/--exec=x", "a/-x.sh", "@{upstream}", "x^{tree}"):
        with pytest.raises(PlanError):
            Pin.parse(f"{path}@1.0.0")


def test_T05_batch_files_are_no_scripts() -> None:
    for path in ("a/x.bat", "x.CMD"):
        with pytest.raises(PlanError, match="batch file"):
            Pin.parse(f"{path}@1.0.0")


def test_versions_are_ordered_by_number() -> None:
    assert Version.parse("1.10.0") > Version.parse("1.9.9")


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/scripts.git",
        "https://me@git.example:8443/scripts.git",
        "ssh://git@git.example:22/scripts.git",
        "git@git.example:team/scripts.git",
        "file:///srv/git/scripts.git",
    ],
)
def test_https_ssh_and_file_are_read(url: str, tmp_path: Path) -> None:
    assert address(url, tmp_path).url == url


def test_T04_other_protocols_and_options_in_addresses_are_refused(tmp_path: Path) -> None:
    for url in (
        "ext::sh -c touch% /tmp/x",
        "fd::17",
        "transport::ssh://x/y",
        "http://git.example/x.git",
        "git://git.example/x.git",
        "ftp://git.example/x",
        "ssh://-oProxyCommand=touch/x",
        "-oProxyCommand=x@git.example:x",
        "git@-oProxyCommand=x:y",
        "git@git.example:-x",
        "https://git.example/a b",
        "https://git.example/a\nb",
        "https://user:password@git.example/x.git",
    ):
        with pytest.raises(ConfigError):
            address(url, tmp_path)


def test_a_folder_is_relative_to_the_workspace(tmp_path: Path) -> None:
    assert address("scripts", tmp_path).folder == tmp_path / "scripts"
    assert address("--upload-pack=x", tmp_path).folder == tmp_path / "--upload-pack=x"


# --- running by the lock --------------------------------------------------------------------


def test_a_locked_pin_is_resolved_and_read(repo: ScriptRepo) -> None:
    commit = repo.release(X, SCRIPT, "title: Unlock\nparameters: { user: string }\n")
    repo.lock([X])
    with repo.open(cache="another") as scripts:
        found = scripts.resolve(X)
        assert scripts.read(found) == SCRIPT.encode()
    assert (found.pin, found.path, found.version) == (X, "ad/unlock.sh", "1.0.0")
    assert found.commit == commit
    assert found.language is Language.SHELL
    assert found.interface.title == "Unlock"
    assert found.interface.parameters is not None
    assert list(found.interface.parameters) == ["user"]


@pytest.mark.parametrize("kind", ["folder", "file url", "bare"])
def test_a_repository_is_read_in_place_or_by_a_mirror(
    repo: ScriptRepo, kind: str, tmp_path: Path
) -> None:
    repo.release(X, SCRIPT)
    at: str | Path = repo.folder
    if kind == "file url":
        at = repo.url
    elif kind == "bare":
        at = tmp_path / "bare.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(repo.folder), str(at)], check=True)
    repo.lock([X], repo.open(at))
    scripts = repo.open(at, cache="another")
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


def test_a_folder_inside_a_repository_is_where_paths_begin(repo: ScriptRepo) -> None:
    repo.write("library/ad/unlock.sh", SCRIPT)
    repo.commit()
    repo.git("tag", "-a", X, "-m", "x")
    repo.lock([X], repo.open(repo.folder / "library"))
    scripts = repo.open(repo.folder / "library", cache="another")
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


def test_without_a_lock_line_nothing_runs(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    with pytest.raises(PlanError, match=r"not in wtsflow\.lock") as error:
        repo.open().resolve(X)
    assert error.value.cure == "run: wtsflow lock"
    repo.lock([X])
    with pytest.raises(PlanError) as error:
        repo.open().resolve("ad/unlok.sh@1.0.0")
    assert X in error.value.cure


def test_a_clone_without_tags_runs_what_is_locked(repo: ScriptRepo, tmp_path: Path) -> None:
    repo.release(X, SCRIPT, "title: Unlock\n")
    repo.lock([X])
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-tags", str(repo.folder), str(clone)], check=True)
    scripts = repo.open(clone, cache="another")
    assert scripts.origin().tags == {}
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()
    assert scripts.resolve(X).interface.title == "Unlock"


def test_a_shallow_clone_without_the_blob_says_how_to_fetch_it(
    repo: ScriptRepo, tmp_path: Path
) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    repo.release("ad/unlock.sh@2.0.0", "#!/bin/sh\necho two\n")
    clone = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", "--no-tags", repo.url, str(clone)], check=True
    )
    with pytest.raises(PlanError, match="not in this clone") as error:
        repo.open(clone, cache="another").resolve(X)
    assert error.value.cure == f"git -C {clone} fetch --unshallow --tags"


def test_bytes_that_are_not_what_was_locked_are_refused(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    entry = repo.lock([X]).added[0]
    forged = repo.home / "wtsflow.lock"
    forged.write_text(forged.read_text().replace(entry.sha256, "0" * 64))
    with pytest.raises(PinMismatch) as error:
        repo.open(cache="another").resolve(X)
    assert error.value.found == f"sha256:{entry.sha256}"


def test_T19_a_forged_object_id_does_not_help_other_bytes(repo: ScriptRepo) -> None:
    """As after a SHA-1 collision: the id fits, the bytes are others."""
    repo.release(X, SCRIPT)
    entry = repo.lock([X]).added[0]
    repo.release("ad/evil.sh@1.0.0", "#!/bin/sh\necho evil\n")
    evil = repo.git("rev-parse", "HEAD:ad/evil.sh")
    lock = repo.home / "wtsflow.lock"
    lock.write_text(lock.read_text().replace(f"blob:{entry.blob}", f"blob:{evil}"))
    with pytest.raises(PinMismatch, match="locked as"):
        repo.open(cache="another").resolve(X)


def test_T17_what_was_locked_runs_although_the_working_tree_was_swapped(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    scripts = repo.open(cache="another")
    found = scripts.resolve(X)
    repo.write("ad/unlock.sh", "#!/bin/sh\necho swapped\n")
    repo.commit("Swap")
    assert scripts.read(found) == SCRIPT.encode()


def test_T17_kept_bytes_that_were_altered_are_not_used(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    entry = repo.lock([X]).added[0]
    kept = repo.home / "cache" / "blobs" / entry.sha256[:2] / entry.sha256
    kept.write_bytes(b"#!/bin/sh\necho swapped\n")
    scripts = repo.open()
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()
    assert kept.read_bytes() == SCRIPT.encode()


def test_T18_a_forced_push_and_gc_cannot_take_a_locked_script_away(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT, "title: Unlock\n")
    blob = repo.lock([X]).added[0].blob
    repo.git("tag", "-d", X)
    repo.git("checkout", "-q", "--orphan", "new")
    repo.git("rm", "-rqf", ".")
    repo.commit("Begin again")
    repo.git("branch", "-D", "main")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "-q", "--prune=now")
    with pytest.raises(subprocess.CalledProcessError):
        repo.git("cat-file", "-e", blob)
    scripts = repo.open()
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()
    assert scripts.resolve(X).interface.title == "Unlock"
    with pytest.raises(PlanError, match="not in this clone"):
        repo.open(cache="another").resolve(X)


def test_T18_a_moved_tag_cannot_change_a_run(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    repo.write("ad/unlock.sh", "#!/bin/sh\necho evil\n")
    repo.commit()
    repo.git("tag", "-f", "-a", X, "-m", "moved")
    scripts = repo.open(cache="another")
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


def test_a_clone_whose_history_was_squashed_runs_what_is_still_the_same(
    repo: ScriptRepo,
) -> None:
    repo.release(X, SCRIPT, "title: Unlock\n")
    commit = repo.lock([X]).added[0].commit
    lock = repo.home / "wtsflow.lock"
    lock.write_text(lock.read_text().replace(commit, "0" * 40))
    assert repo.open(cache="another").resolve(X).interface.title == "Unlock"
    repo.write("ad/unlock.sh.yaml", "title: Changed\n")
    repo.commit()
    with pytest.raises(PlanError, match="its sidecar"):
        repo.open(cache="a third").resolve(X)


def test_a_sidecar_that_is_not_what_was_locked_is_refused(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT, "title: Unlock\n")
    meta = repo.lock([X]).added[0].meta
    lock = repo.home / "wtsflow.lock"
    lock.write_text(lock.read_text().replace(meta, "0" * 64))
    with pytest.raises(PinMismatch, match="sidecar"):
        repo.open(cache="another").resolve(X)


def test_a_cache_that_cannot_be_written_stops_nothing(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    (repo.home / "file").write_text("not a folder")
    scripts = repo.open(cache="file")
    assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()
    assert (repo.home / "file").read_text() == "not a folder"


def test_an_unknown_alias_is_named(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT)
    repo.lock([X])
    lock = repo.home / "wtsflow.lock"
    lock.write_text(lock.read_text().replace(X, f"identity:{X}"))
    with pytest.raises(ConfigError, match="no script repository 'identity'"):
        repo.open().resolve(f"identity:{X}")


def test_two_repositories_are_told_apart_by_alias(repo: ScriptRepo, tmp_path: Path) -> None:
    repo.release(X, SCRIPT)
    (tmp_path / "more").mkdir()
    with made(tmp_path / "more") as other:
        other.release(X, "#!/bin/sh\necho other\n")
        sources = {"default": str(repo.folder), "identity": str(other.folder)}
        repo.home.mkdir()
        with Repository(
            sources, lock=repo.home / "wtsflow.lock", cache=repo.home / "cache", clock=repo.clock
        ) as scripts:
            repo.lock([X, f"identity:{X}"], scripts)
        with Repository(
            sources, lock=repo.home / "wtsflow.lock", cache=repo.home / "cache", clock=repo.clock
        ) as scripts:
            found = scripts.resolve(f"identity:{X}")
            assert (found.repository, found.path) == ("identity", "ad/unlock.sh")
            assert scripts.read(found) == b"#!/bin/sh\necho other\n"
            assert scripts.read(scripts.resolve(X)) == SCRIPT.encode()


def test_a_wrong_sidecar_is_one_error_with_its_place(repo: ScriptRepo) -> None:
    repo.release(X, SCRIPT, "title: Unlock\n")
    repo.lock([X])
    entry = Lock.read(repo.home / "wtsflow.lock").entries[X]
    repo.write("ad/unlock.sh.yaml", "titel: Unlock\n")
    repo.commit()
    scripts = repo.open()
    bad = scripts.store.put(b"titel: Unlock\n")
    lock = repo.home / "wtsflow.lock"
    lock.write_text(lock.read_text().replace(entry.meta, bad))
    with pytest.raises(ConfigError, match="did you mean 'title'") as error:
        scripts.resolve(X)
    assert str(error.value.location) == "ad/unlock.sh.yaml:1:1"


def test_many_threads_read_one_repository(repo: ScriptRepo) -> None:
    pins = [f"s/s{number}.sh@1.0.0" for number in range(8)]
    for number, one in enumerate(pins):
        repo.release(one, f"#!/bin/sh\necho {number}\n" * 500)
    repo.lock(pins)
    git = repo.open(cache="another").origin().git
    oids = {one: repo.git("rev-parse", f"HEAD:{pin(one).path}") for one in pins}
    wrong: list[str] = []

    def read(one: str) -> None:
        for _ in range(20):
            oid, _kind, data = git.read(oids[one])
            if oid != oids[one] or data[15:16] != one[3:4].encode():
                wrong.append(one)

    threads = [threading.Thread(target=read, args=(one,)) for one in pins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_gitpython_is_imported_in_one_file_and_only_when_it_is_needed(repo: ScriptRepo) -> None:
    import sys

    code = "import sys, wtsflow.scripts; sys.exit('git' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0
    sources = Path(__file__).parent.parent / "src"
    users = [p.name for p in sources.rglob("*.py") if "import git\n" in p.read_text("utf-8")]
    assert users == ["git.py"]
