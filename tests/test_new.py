"""``wtsflow new``: what it makes runs at once, and what is there stays."""

import os
import subprocess
from pathlib import Path

import pytest

from wtsflow.cli.main import main

FILES = {
    "README.md", "inventory.yaml", "manifests/hello.yaml", "scripts/hello/greet.sh",
    "scripts/hello/greet.sh.yaml", "wtsflow.lock", "wtsflow.yaml",
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """State, cache and git configuration that are nobody else's; git knows no name."""
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WTSFLOW_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [key for key in os.environ if key.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        monkeypatch.delenv(name)


def git(folder: Path, *line: str) -> str:
    return subprocess.run(
        ["git", *line], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.skipif(os.name != "posix", reason="its script is for POSIX systems")
def test_a_new_workspace_is_proven_locked_and_runs(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "deep" / "books"
    assert main(["new", str(folder)]) == 0
    assert set(content(folder)) == FILES
    said = capsys.readouterr().out
    monkeypatch.chdir(folder)
    assert main(["validate", "--strict", "manifests/"]) == 0
    assert main(["lock", "--check"]) == 0
    assert "wtsflow run manifests/hello.yaml" in said
    capsys.readouterr()
    assert main(["run", "manifests/hello.yaml", "--input", "name=Ann"]) == 0
    assert "Hello, Ann, from " in capsys.readouterr().out
    assert main(["audit", "verify"]) == 0


def test_everything_is_committed_and_the_script_is_released(tmp_path, capsys):
    folder = tmp_path / "books"
    assert main(["new", str(folder)]) == 0
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "tag") == "hello/greet.sh@1.0.0\n"
    assert git(folder, "cat-file", "-t", "hello/greet.sh@1.0.0") == "tag\n"
    assert git(folder, "branch", "--show-current") == "main\n"
    assert "git did not know your name" in capsys.readouterr().err


def test_the_name_that_git_knows_is_used(tmp_path, capsys):
    (tmp_path / "gitconfig").write_text("[user]\nname = Ann\nemail = ann@example.net\n")
    assert main(["new", str(tmp_path / "books")]) == 0
    assert git(tmp_path / "books", "log", "--format=%ae").split() == ["ann@example.net"] * 2
    assert "git did not know" not in capsys.readouterr().err


def test_a_folder_with_files_is_refused_and_untouched(tmp_path, capsys):
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert main(["new", str(folder)]) == 2
    assert content(folder) == {"mine.txt": b"mine"}
    assert "is not empty" in capsys.readouterr().err


def test_force_overwrites_nothing_and_commits_only_its_own(tmp_path, capsys):
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    (folder / "secret.txt").write_text("mine too")
    assert main(["new", str(folder), "--force"]) == 0
    assert content(folder)["README.md"] == b"mine"
    assert "README.md is there already" in capsys.readouterr().err
    assert git(folder, "status", "--porcelain").split() == ["??", "README.md", "??", "secret.txt"]
    assert set(content(folder)) == FILES | {"secret.txt"}


def test_force_in_somebodys_workspace_releases_and_locks_nothing(tmp_path):
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "wtsflow.yaml").write_text("wtsflow: 1\nscripts: elsewhere\n")
    assert main(["new", str(folder), "--force"]) == 0
    assert git(folder, "tag") == ""
    assert not (folder / "wtsflow.lock").exists()


def test_what_was_interrupted_is_completed(tmp_path):
    folder = tmp_path / "books"
    assert main(["new", str(folder)]) == 0
    (folder / "wtsflow.lock").unlink()
    git(folder, "rm", "-q", "--cached", "wtsflow.lock")
    git(folder, "commit", "-qm", "Lose the lock")
    assert main(["new", str(folder), "--force"]) == 0
    assert set(content(folder)) == FILES
    assert git(folder, "status", "--porcelain") == ""


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "books").write_text("")
    assert main(["new", str(tmp_path / "books"), "--force"]) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_message(tmp_path, capsys):
    (tmp_path / "books").mkdir(mode=0o500)
    assert main(["new", str(tmp_path / "books")]) == 3
    assert "cannot be written" in capsys.readouterr().err
