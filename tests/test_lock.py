"""The lock file: its lines, how it is read and written, and how it is made again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.scriptrepo import ScriptRepo, made
from wtsflow.errors import ConfigError, ManifestError, PlanError
from wtsflow.scripts import Entry, Lock
from wtsflow.scripts.lock import HEADER, replace

A, B = "ad/a.sh@1.0.0", "ad/b.sh@2.1.0"
SCRIPT = "#!/bin/sh\necho hi\n"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[ScriptRepo]:
    with made(tmp_path) as found:
        yield found


def entry(pin: str = A, *, digit: str = "1", meta: str = "", by: str = "sme@corp.example") -> Entry:
    return Entry(pin, digit * 40, "2" * 40, "3" * 40, "4" * 64, meta, by)


def test_a_line_is_written_as_it_is_documented(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "wtsflow.lock").holding([entry(meta="5" * 64)])
    assert lock.text() == (
        f"{HEADER}\n{A} tag:{'1' * 40} commit:{'2' * 40} blob:{'3' * 40} "
        f"sha256:{'4' * 64} meta:sha256:{'5' * 64} by:sme@corp.example\n"
    )


hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
entries = st.builds(
    Entry,
    st.from_regex(
        r"([a-z]{1,5}:)?[b-k]{1,9}(/[b-k]{1,9}){0,2}\.ps1@[1-9]\.[0-9]\.[0-9]", fullmatch=True
    ),
    hexes.map(lambda one: one[:40]),
    hexes.map(lambda one: one[:40]),
    hexes.map(lambda one: one[:40]),
    hexes,
    st.one_of(st.just(""), hexes),
    st.from_regex(r"[!-~]{1,30}", fullmatch=True),
)


@given(st.lists(entries, max_size=8, unique_by=lambda one: one.pin))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, found: list[Entry]
) -> None:
    lock = Lock(tmp_path_factory.getbasetemp() / "wtsflow.lock").holding(found)
    lock.write()
    assert dict(Lock.read(lock.path).entries) == {one.pin: one for one in found}
    lines = lock.text().splitlines()[1:]
    assert lines == sorted(lines)


def test_a_lock_that_is_absent_is_empty(tmp_path: Path) -> None:
    assert Lock.read(tmp_path / "wtsflow.lock").entries == {}


def test_lines_of_two_branches_merge_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "wtsflow.lock"
    path.write_text(f"{HEADER}\n{entry(B)}\n{entry(A)}\n{entry(B)}\n")
    assert list(Lock.read(path).holding(Lock.read(path).entries.values()).entries) == [B, A]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<<<<<<< HEAD", "merge conflict"),
        ("=======", "merge conflict"),
        ("ad/a.sh@1.0.0", "not a line of a lock file"),
        (str(entry()) + " more", "not a line of a lock file"),
        (str(entry()).replace("tag:1", "tag:g"), "not a line of a lock file"),
        (str(entry("ad/a.sh@1.0.0+")), "without '\\+'"),
        (str(entry("../a.sh@1.0.0")), "cannot be a script"),
        (str(entry(digit="9")), "locked twice, differently"),
    ],
)
def test_a_broken_line_is_named_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "wtsflow.lock"
    path.write_text(f"{HEADER}\n{entry()}\n{line}\n")
    with pytest.raises(ConfigError, match=message) as error:
        Lock.read(path)
    assert str(error.value.location) == "wtsflow.lock:3:1"


def test_a_file_is_replaced_at_once_or_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(TypeError):
        replace(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


# --- making it again ------------------------------------------------------------------------


def test_locking_says_what_is_new_kept_and_gone(repo: ScriptRepo) -> None:
    repo.release(A, SCRIPT)
    repo.release(B, SCRIPT)
    first = repo.lock([A])
    assert ([one.pin for one in first.added], first.kept, first.removed) == ([A], (), ())
    second = repo.lock([B, A])
    assert [one.pin for one in second.added] == [B]
    assert [one.pin for one in second.kept] == [A]
    third = repo.lock([B])
    assert [one.pin for one in third.removed] == [A]
    assert third.changed
    assert not repo.lock([B]).changed


def test_lines_of_other_manifests_can_be_left_alone(repo: ScriptRepo) -> None:
    from wtsflow.scripts.locking import relock

    repo.release(A, SCRIPT)
    repo.release(B, SCRIPT)
    repo.lock([A])
    done = relock(repo.open(), [B], others=True)
    assert done.removed == ()
    assert set(done.lock.entries) == {A, B}


def test_a_clone_without_tags_keeps_its_lines(repo: ScriptRepo) -> None:
    repo.release(A, SCRIPT)
    repo.lock([A])
    repo.git("tag", "-d", A)
    assert not repo.lock([A]).changed


def test_every_pin_that_cannot_be_locked_is_named_and_nothing_is_written(repo: ScriptRepo) -> None:
    repo.release(A, SCRIPT)
    with pytest.raises(PlanError, match="2 pins cannot be locked") as error:
        repo.lock([A, B, "ad/c.sh@1.0.0"])
    assert B in error.value.message
    assert "ad/c.sh@1.0.0" in error.value.message
    assert not (repo.home / "wtsflow.lock").exists()


def test_a_wrong_sidecar_is_not_locked(repo: ScriptRepo) -> None:
    repo.release(A, SCRIPT, "title: A\nos: [linux, plan9]\noutcomes: { 3: failed }\n")
    with pytest.raises(ManifestError) as error:
        repo.lock([A])
    found = error.value.diagnostics
    assert [(str(one.location), one.rule) for one in found] == [("ad/a.sh.yaml:2:13", "wts104")]


def test_an_open_pin_locks_every_version_that_it_may_come_to_run(repo: ScriptRepo) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        repo.release(f"ad/a.sh@{version}", f"#!/bin/sh\necho {version}\n")
    repo.write(
        "rollouts.yaml",
        "- { script: ad/a.sh, from: [1.0.0], to: 1.1.0 }\n"
        "- { script: ad/a.sh, from: [1.1.0], to: 1.2.0, rings: [{ from: 2030-01-01 }] }\n"
        "- { script: ad/a.sh, from: [1.1.0], to: 1.3.0 }\n"
        "- { script: ad/a.sh, retracted: [1.3.0] }\n",
    )
    repo.commit()
    done = repo.lock(["ad/a.sh@1.0.0+"])
    assert [one.pin for one in done.added] == [f"ad/a.sh@1.{minor}.0" for minor in (0, 1, 2)]
    assert [one.pin for one in repo.lock(["ad/a.sh@1.0.0"]).removed] == [
        "ad/a.sh@1.1.0",
        "ad/a.sh@1.2.0",
    ]
