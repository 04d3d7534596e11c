"""Superseding: which version runs for whom, when, and what never runs."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.scriptrepo import DAY, ScriptRepo, made
from wtsflow.errors import ConfigError, ManifestError, PlanError
from wtsflow.scripts import Pin, Version
from wtsflow.scripts.rollouts import Ring, Rollouts, draw

FILE = """\
- script: ad/unlock.ps1
  from: [1.4.1, 1.4.2]
  to: 1.5.0
  why: Also clears the smart card lock.
  rings:
    - { for: [identity-sme], from: 2026-03-01 }
    - { share: 10%, from: 2026-03-08 }
    - { share: 100%, from: 2026-03-22 }
  warn_from: 2026-04-01
  refuse_from: 2026-07-01
- { script: ad/get.ps1, retracted: [1.2.0], why: Leaks the password hint. }
"""
OPEN = Pin.parse("ad/unlock.ps1@1.4.2+")
EXACT = Pin.parse("ad/unlock.ps1@1.4.2")


@pytest.fixture
def rollouts() -> Rollouts:
    return Rollouts.read(FILE.encode(), "rollouts.yaml")


def runs(
    rollouts: Rollouts,
    day: str,
    subject: str = "pc-1",
    groups: tuple[str, ...] = (),
    pin: Pin = OPEN,
) -> str:
    verdict = rollouts.judge(pin, today=date.fromisoformat(day), subject=subject, groups=groups)
    return str(verdict.version)


def subjects(share: int, *, inside: bool) -> list[str]:
    names = (f"pc-{number}" for number in range(10_000))
    to = Version(1, 5, 0)
    return [name for name in names if (draw("ad/unlock.ps1", to, name) < share) is inside][:50]


def test_an_exact_pin_runs_exactly_its_version(rollouts: Rollouts) -> None:
    for day in ("2026-01-01", "2026-03-22", "2026-06-30"):
        assert runs(rollouts, day, groups=("identity-sme",), pin=EXACT) == "1.4.2"


def test_nobody_gets_a_successor_before_the_first_ring(rollouts: Rollouts) -> None:
    assert runs(rollouts, "2026-02-28", groups=("identity-sme",)) == "1.4.2"


def test_a_group_gets_it_first(rollouts: Rollouts) -> None:
    assert runs(rollouts, "2026-03-01", groups=("l1", "identity-sme")) == "1.5.0"
    assert runs(rollouts, "2026-03-01", groups=("l1",)) == "1.4.2"


def test_then_a_share_which_is_always_the_same_one(rollouts: Rollouts) -> None:
    for name in subjects(10, inside=True):
        assert runs(rollouts, "2026-03-08", name) == "1.5.0"
    for name in subjects(10, inside=False):
        assert runs(rollouts, "2026-03-08", name) == "1.4.2"
        assert runs(rollouts, "2026-03-22", name) == "1.5.0"


def test_a_share_is_about_as_large_as_it_says() -> None:
    to = Version(1, 5, 0)
    inside = sum(draw("ad/unlock.ps1", to, f"host{n}") < 10 for n in range(10_000))
    assert 900 <= inside <= 1100


def test_the_draw_is_the_documented_one() -> None:
    import hashlib

    digest = hashlib.sha256(b"a.sh\n1.5.0\npc-1").digest()
    assert draw("a.sh", Version(1, 5, 0), "pc-1") == int.from_bytes(digest[:8]) % 100


def test_the_choice_says_version_ring_and_reason(rollouts: Rollouts) -> None:
    subject = subjects(10, inside=True)[0]
    day = date(2026, 3, 8)
    choice = rollouts.judge(OPEN, today=day, subject=subject).choice
    assert choice is not None
    assert (choice.version, choice.ring) == ("1.5.0", "10% from 2026-03-08")
    assert choice.reason == "supersedes 1.4.2: 10% from 2026-03-08"
    before = rollouts.judge(OPEN, today=date(2026, 1, 1), subject=subject).choice
    assert before is not None
    assert (before.version, before.ring, before.reason) == ("1.4.2", "", "no successor yet")
    assert rollouts.judge(EXACT, today=day, subject=subject).choice is None


def test_successors_follow_each_other() -> None:
    text = (
        "- { script: a.sh, from: [1.0.0], to: 1.1.0 }\n"
        "- { script: a.sh, from: [1.1.0], to: 2.0.0, rings: [{ from: 2026-05-01 }] }\n"
        "- { script: b.sh, from: [1.1.0], to: 9.0.0 }\n"
    )
    found = Rollouts.read(text.encode(), "rollouts.yaml")
    pin = Pin.parse("a.sh@1.0.0+")
    assert runs(found, "2026-04-30", pin=pin) == "1.1.0"
    assert runs(found, "2026-05-01", pin=pin) == "2.0.0"
    assert found.successors(pin) == (Version(1, 1, 0), Version(2, 0, 0))


def test_only_what_is_locked_runs(rollouts: Rollouts) -> None:
    verdict = rollouts.judge(
        OPEN, today=date(2026, 3, 22), subject="x", locked=lambda version: version != (1, 5, 0)
    )
    assert str(verdict.version) == "1.4.2"
    assert "1.5.0 was released to you but is not in wtsflow.lock" in verdict.warning


def test_an_old_version_warns_and_is_then_refused(rollouts: Rollouts) -> None:
    def judge(day: date, *, allowed: bool = False) -> str:
        return rollouts.judge(EXACT, today=day, subject="x", allow_deprecated=allowed).warning

    assert judge(date(2026, 3, 31)) == ""
    assert judge(date(2026, 4, 1)).startswith(
        "ad/unlock.ps1@1.4.2 is superseded by 1.5.0, refused from 2026-07-01"
    )
    with pytest.raises(PlanError, match="no longer allowed since 2026-07-01") as error:
        judge(date(2026, 7, 1))
    assert "wtsflow scripts update ad/unlock.ps1 --to 1.5.0" in error.value.cure
    assert "superseded" in judge(date(2026, 7, 1), allowed=True)


def test_T20_a_retracted_version_never_runs(rollouts: Rollouts) -> None:
    for text in ("ad/get.ps1@1.2.0", "ad/get.ps1@1.2.0+"):
        with pytest.raises(PlanError, match="was retracted \\(Leaks the password hint\\)"):
            rollouts.judge(
                Pin.parse(text), today=date(2020, 1, 1), subject="x", allow_deprecated=True
            )


def test_T20_a_retracted_successor_is_passed_over() -> None:
    text = (
        "- { script: a.sh, from: [1.0.0], to: 1.1.0 }\n"
        "- { script: a.sh, from: [1.0.0], to: 1.2.0 }\n"
        "- { script: a.sh, retracted: [1.2.0] }\n"
    )
    found = Rollouts.read(text.encode(), "rollouts.yaml")
    assert runs(found, "2026-01-01", pin=Pin.parse("a.sh@1.0.0+")) == "1.1.0"


def test_an_open_pin_leaves_a_retracted_version_for_its_successor() -> None:
    text = "- { script: a.sh, from: [1.0.0], to: 1.1.0 }\n- { script: a.sh, retracted: [1.0.0] }\n"
    found = Rollouts.read(text.encode(), "rollouts.yaml")
    assert runs(found, "2026-01-01", pin=Pin.parse("a.sh@1.0.0+")) == "1.1.0"
    with pytest.raises(PlanError) as error:
        runs(found, "2026-01-01", pin=Pin.parse("a.sh@1.0.0"))
    assert error.value.cure == "run: wtsflow scripts update a.sh --to 1.1.0"


@pytest.mark.parametrize(
    ("ring", "text"),
    [
        (Ring(date(2026, 3, 1), ("a", "b")), "a, b from 2026-03-01"),
        (Ring(date(2026, 3, 1), ("a",), 10), "10% of a from 2026-03-01"),
        (Ring(date(2026, 3, 1)), "everybody from 2026-03-01"),
    ],
)
def test_a_ring_is_written_as_people_say_it(ring: Ring, text: str) -> None:
    assert str(ring) == text


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("- { script: a.sh, from: [1.0.0] }\n", "1:19", "'from' needs 'to'"),
        ("- { script: a.sh, to: 1.0.0 }\n", "1:19", "'to' needs 'from'"),
        ("- { script: a.sh }\n", "1:3", "changes nothing"),
        ("- { script: a.sh, from: [2.0.0], to: 1.0.0 }\n", "1:26", "not older"),
        ("- { script: a.sh, from: [1.0.0], to: 1.0.0 }\n", "1:26", "not older"),
        (
            "- { script: a.sh, from: [1.0.0], to: 1.1.0, warn_from: 2026-02-30 }\n",
            "1:56",
            "not a day",
        ),
        (
            "- { script: a.sh, from: [1.0.0], to: 1.1.0, rings: [{ from: 2026-02-30 }] }\n",
            "1:61",
            "not a day",
        ),
        ("- { script: a.sh, retract: [1.0.0] }\n", "1:19", "did you mean 'retracted'"),
        ("- { script: a.sh, retracted: [1.0] }\n", "1:31", "'retracted'|version|text"),
        ("- { script: ../a.sh, retracted: [1.0.0] }\n", "1:13", "script's path"),
        (
            "- { script: a.sh, from: [1.0.0], to: 1.1.0, rings: [{ from: 2026-01-01, share: 101% }] }\n",
            "1:80",
            "share like 10%",
        ),
    ],
)
def test_a_wrong_rollout_is_named_with_its_place(text: str, place: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as error:
        Rollouts.read(text.encode(), "rollouts.yaml")
    assert str(error.value.diagnostics[0].location) == f"rollouts.yaml:{place}"


# --- through the repository -----------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[ScriptRepo]:
    with made(tmp_path) as found:
        for version in ("1.4.2", "1.5.0"):
            found.release(f"ad/unlock.ps1@{version}", f"# {version}\n'{version}'\n")
        found.write("rollouts.yaml", FILE)
        found.commit()
        yield found


@pytest.mark.parametrize("by_url", [False, True])
def test_a_successor_runs_with_its_own_bytes(repo: ScriptRepo, by_url: bool) -> None:
    at = repo.url if by_url else None
    repo.lock([str(OPEN)], repo.open(at))
    found = repo.open(at).resolve(str(OPEN), subject="pc-1")
    assert (found.pin, found.version) == (str(OPEN), "1.5.0")
    assert found.choice is not None
    assert found.choice.ring == "100% from 2026-03-22"
    assert repo.open(at).read(found).endswith(b"'1.5.0'\n")
    repo.clock.time -= 40 * DAY
    assert repo.open(at).resolve(str(OPEN), subject="pc-1").version == "1.4.2"


def test_one_repository_chooses_for_each_subject(repo: ScriptRepo) -> None:
    repo.lock([str(OPEN)])
    repo.clock.time -= 10 * DAY  # only the 10 % ring is open
    scripts = repo.open()
    versions = {
        name: scripts.resolve(str(OPEN), subject=name).version
        for name in subjects(10, inside=True)[:5] + subjects(10, inside=False)[:5]
    }
    assert list(versions.values()) == ["1.5.0"] * 5 + ["1.4.2"] * 5


def test_T20_a_locked_version_that_was_retracted_does_not_run(repo: ScriptRepo) -> None:
    repo.release("ad/get.ps1@1.2.0", "'x'\n")
    repo.lock(["ad/get.ps1@1.2.0"])
    with pytest.raises(PlanError, match="retracted"):
        repo.open(allow_deprecated=True).resolve("ad/get.ps1@1.2.0")


def test_deprecated_versions_can_be_allowed(repo: ScriptRepo) -> None:
    repo.lock([str(EXACT)])
    repo.clock.time += 120 * DAY
    with pytest.raises(PlanError, match="no longer allowed"):
        repo.open().resolve(str(EXACT))
    assert "superseded" in repo.open(allow_deprecated=True).resolve(str(EXACT)).warning


def test_a_broken_rollouts_file_stops_everything(repo: ScriptRepo) -> None:
    """Nobody can know then what was retracted."""
    repo.lock([str(EXACT)])
    repo.write("rollouts.yaml", "- retracted\n")
    repo.commit()
    with pytest.raises(ConfigError, match="must be") as error:
        repo.open().resolve(str(EXACT))
    assert error.value.location is not None


def test_the_published_branch_counts_not_the_one_that_is_checked_out(
    repo: ScriptRepo, tmp_path: Path
) -> None:
    import subprocess

    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(repo.folder), str(clone)], check=True)
    repo.lock([str(EXACT)])
    (clone / "rollouts.yaml").write_text(
        "- { script: ad/unlock.ps1, retracted: [1.4.2] }\n", encoding="utf-8"
    )
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qam", "mine"],
        cwd=clone,
        check=True,
    )
    assert repo.open(clone).resolve(str(EXACT)).version == "1.4.2"
