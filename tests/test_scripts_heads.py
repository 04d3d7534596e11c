"""Where branches stand is read without git, answered as git answers, or left to git."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scriptrepo import ScriptRepo, made
from wtsflow.errors import PlanError
from wtsflow.scripts.git import Git
from wtsflow.scripts.heads import Kept, commit

X = "ad/unlock.sh@1.0.0"
NAMES = ("refs/remotes/origin/HEAD", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[ScriptRepo]:
    with made(tmp_path) as found:
        found.release(X, "#!/bin/sh\n:\n")
        yield found


def asked(repo: ScriptRepo, name: str = "HEAD") -> str:
    return repo.git("rev-parse", f"{name}^{{commit}}")


def test_a_branch_a_packed_one_and_a_detached_head_are_read_as_git_reads_them(repo: ScriptRepo):
    assert commit(repo.folder, *NAMES) == asked(repo)
    repo.git("pack-refs", "--all")
    assert not list((repo.folder / ".git" / "refs" / "heads").iterdir())
    assert commit(repo.folder, *NAMES) == asked(repo)
    repo.commit("Newer than what is packed")
    assert commit(repo.folder, *NAMES) == asked(repo)
    repo.git("checkout", "-q", "--detach", "HEAD~1")
    assert commit(repo.folder, *NAMES) == asked(repo)


def test_the_branch_of_the_remote_comes_first(repo: ScriptRepo):
    first = asked(repo)
    repo.git("update-ref", "refs/remotes/origin/main", first)
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    repo.commit("Not pushed")
    assert commit(repo.folder, *NAMES) == first != asked(repo)


def test_a_bare_repository_is_read_too(repo: ScriptRepo, tmp_path: Path):
    repo.git("clone", "-q", "--bare", str(repo.folder), str(tmp_path / "bare.git"))
    assert commit(tmp_path / "bare.git", *NAMES) == asked(repo)


def test_a_worktree_a_tag_and_refs_kept_otherwise_are_left_to_git(repo: ScriptRepo, tmp_path: Path):
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    assert commit(tmp_path / "linked", *NAMES) == ""
    head = repo.folder / ".git" / "HEAD"
    plain = head.read_text(encoding="ascii")
    for said in ("ref: ../../elsewhere\n", "ref: refs/heads/../../x\n", "ref: HEAD\n", "\0\n", ""):
        head.write_text(said, encoding="ascii")
        assert commit(repo.folder, "HEAD") == ""
    head.write_text(plain, encoding="ascii")
    (repo.folder / ".git" / "reftable").mkdir()
    assert commit(repo.folder, *NAMES) == ""
    assert commit(tmp_path, *NAMES) == ""


def test_what_was_read_at_a_commit_needs_no_git_again(
    repo: ScriptRepo, monkeypatch: pytest.MonkeyPatch
):
    repo.lock([X])
    repo.open().resolve(X)
    monkeypatch.setattr(Git, "_open", lambda self, *, reading: pytest.fail("git was started"))
    assert repo.open().resolve(X).version == "1.0.0"


def test_a_version_that_is_retracted_since_is_refused_at_once(repo: ScriptRepo):
    repo.lock([X])
    repo.open().resolve(X)
    repo.write("rollouts.yaml", "- { script: ad/unlock.sh, retracted: [1.0.0], why: It lied. }\n")
    repo.commit("Retract")
    with pytest.raises(PlanError, match="retracted"):
        repo.open().resolve(X)
    with pytest.raises(PlanError, match="retracted"):
        repo.open().resolve(X)


def test_what_is_kept_is_what_was_put_or_nothing(tmp_path: Path):
    kept = Kept(tmp_path / "newest")
    assert kept.get("a" * 40, "rollouts.yaml") is None
    kept.put("a" * 40, "rollouts.yaml", b"text\n")
    kept.put("b" * 40, "rollouts.yaml", None)
    kept.put("c" * 40, "rollouts.yaml", b"")
    assert kept.get("a" * 40, "rollouts.yaml") == (b"text\n",)
    assert kept.get("a" * 40, "other.yaml") is None
    assert kept.get("b" * 40, "rollouts.yaml") == (None,)
    assert kept.get("c" * 40, "rollouts.yaml") == (b"",)
    for file in (tmp_path / "newest").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert [kept.get(one * 40, "rollouts.yaml") for one in "abc"] == [None, None, None]
