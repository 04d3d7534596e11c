"""``wtsflow lock`` and ``wtsflow scripts``, on a real workspace."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scriptrepo import IDENTITY, ScriptRepo, made
from wtsflow.cli.main import main
from wtsflow.scripts import Lock

MANIFEST = """\
wtsflow: 1
name: {name}
version: 1.0.0
title: Clean up
owner: ops
access: {{ execute: [l1] }}
steps:
{steps}
"""
V1 = (
    "title: Clean\nparameters: { days: { type: number, default: 7 } }\noutputs: { freed: number }\n"
)
V11 = V1.replace("default: 7 }", "default: 7 }, deep: { switch: true }")
V2 = "title: Clean\nparameters: { age: number }\noutputs: { freed: number }\n"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptRepo]:
    with made(tmp_path) as found:
        home = found.home
        (home / "manifests").mkdir(parents=True)
        (home / "wtsflow.yaml").write_text(f"wtsflow: 1\nscripts: {found.folder}\n")
        for key, value in {**IDENTITY, "WTSFLOW_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(key, value)
        monkeypatch.chdir(home)
        yield found


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def manifest(repo: ScriptRepo, name: str, *pins: str) -> Path:
    steps = "\n".join(f"  - script: {one}" for one in pins)
    file = repo.home / "manifests" / f"{name}.yaml"
    file.write_text(MANIFEST.format(name=name, steps=steps))
    return file


def three(repo: ScriptRepo) -> None:
    """A script in three versions: the second is compatible, the third is not."""
    for version, sidecar in (("1.0.0", V1), ("1.1.0", V11), ("2.0.0", V2)):
        repo.release(f"disk/clean.sh@{version}", f"#!/bin/sh\necho {version}\n", sidecar)


def document(text: str) -> Any:
    return json.loads(text)


# --- lock -----------------------------------------------------------------------------------


def test_lock_writes_what_the_manifests_pin(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    manifest(repo, "b", "disk/clean.sh@1.1.0", "disk/clean.sh@1.0.0")
    code, out, err = cli("lock")
    assert (code, len(out.splitlines())) == (0, 2)
    assert err == "wtsflow.lock written: 2 scripts, 2 added, 0 removed, 0 kept\n"
    assert list(Lock.read(repo.home / "wtsflow.lock").entries) == [
        "disk/clean.sh@1.0.0",
        "disk/clean.sh@1.1.0",
    ]
    code, out, err = cli("lock", "--check")
    assert (code, out) == (0, "")
    assert "up to date" in err


def test_check_and_dry_run_change_nothing(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    assert cli("lock", "--dry-run")[0] == 0
    code, out, err = cli("lock", "--check")
    assert code == 6
    assert out.startswith("+ disk/clean.sh@1.0.0")
    assert "cure: wtsflow lock" in err
    assert not (repo.home / "wtsflow.lock").exists()
    code, out, _ = cli("lock", "--check", "--format", "json")
    said = document(out)
    assert (code, said["schema"], said["up_to_date"], said["written"]) == (
        6,
        "wtsflow.lock/1",
        False,
        False,
    )
    assert [one["pin"] for one in said["added"]] == ["disk/clean.sh@1.0.0"]


def test_lock_of_one_manifest_leaves_other_lines(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    cli("lock")
    file = manifest(repo, "a", "disk/clean.sh@1.1.0")
    assert cli("lock", str(file))[0] == 0
    assert len(Lock.read(repo.home / "wtsflow.lock").entries) == 2
    assert cli("lock")[0] == 0
    assert list(Lock.read(repo.home / "wtsflow.lock").entries) == ["disk/clean.sh@1.1.0"]


def test_an_invalid_manifest_stops_the_lock(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    cli("lock")
    before = (repo.home / "wtsflow.lock").read_bytes()
    manifest(repo, "b", "disk/clean.sh")
    code, _, err = cli("lock")
    assert code == 3
    assert "manifests/b.yaml:8:13" in err
    assert (repo.home / "wtsflow.lock").read_bytes() == before


def test_a_moved_tag_ends_with_exit_6_and_both_ids(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    cli("lock")
    tag = "disk/clean.sh@1.0.0"
    here = repo.git("rev-parse", f"refs/tags/{tag}")
    repo.git("tag", "-f", "-a", tag, "-m", "moved")
    there = repo.git("rev-parse", f"refs/tags/{tag}")
    for arguments in (("lock",), ("lock", "--check")):
        code, _, err = cli(*arguments)
        assert code == 6
        assert here in err
        assert there in err
        assert "SECURITY" in err


# --- list, show, outdated -------------------------------------------------------------------


def test_list_names_scripts_versions_and_users(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0", "disk/clean.sh@1.0.0")
    code, out, _ = cli("scripts", "list")
    assert code == 0
    assert out.splitlines()[1].split() == ["disk/clean.sh", "2.0.0", "3", "2", "(1.0.0)"]
    said = document(cli("scripts", "list", "--format", "json")[1])
    assert said["scripts"] == [
        {
            "script": "disk/clean.sh",
            "newest": "2.0.0",
            "versions": ["1.0.0", "1.1.0", "2.0.0"],
            "used": ["1.0.0"],
            "steps": 2,
        }
    ]


def test_show_says_what_a_script_takes_and_who_uses_it(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    code, out, _ = cli("scripts", "show", "disk/clean.sh@1.0.0")
    assert code == 0
    assert "parameters (from its sidecar):" in out
    assert re.search(r"days +number +default: 7", out)
    assert "manifests/a.yaml:8  a, step step1: disk/clean.sh@1.0.0" in out
    said = document(cli("scripts", "show", "disk/clean.sh", "--format", "json")[1])
    assert (said["version"], said["source"], said["locked"]) == ("2.0.0", "sidecar", False)
    assert [one["name"] for one in said["parameters"]] == ["age"]


def test_show_says_what_is_not_known(repo: ScriptRepo, cli: Cli) -> None:
    repo.release("x.sh@1.0.0", "#!/bin/sh\necho $1\n")
    _, out, _ = cli("scripts", "show", "x.sh")
    assert "parameters: not known" in out
    assert "outputs: not declared" in out


def test_a_script_cannot_write_to_the_terminal(repo: ScriptRepo, cli: Cli) -> None:
    repo.release("x.sh@1.0.0", "#!/bin/sh\n# \x1b]0;owned\x07 title\n")
    _, out, _ = cli("scripts", "show", "x.sh")
    assert "\x1b" not in out
    assert "\\x1b]0;owned" in out


def test_an_unknown_script_is_a_usage_error_with_the_nearest_name(
    repo: ScriptRepo, cli: Cli
) -> None:
    three(repo)
    for command in ("show", "impact", "update"):
        code, _, err = cli("scripts", command, "disk/claen.sh")
        assert code == 2
        assert "did you mean 'disk/clean.sh'?" in err


def test_outdated_tells_compatible_from_breaking(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    manifest(repo, "b", "disk/clean.sh@2.0.0")
    said = document(cli("scripts", "outdated", "--format", "json")[1])
    assert said["pins"] == [
        {
            "pin": "disk/clean.sh@1.0.0",
            "script": "disk/clean.sh",
            "version": "1.0.0",
            "steps": 1,
            "compatible": "1.1.0",
            "newest": "2.0.0",
            "breaks": ["parameter 'days' is gone", "new required parameter 'age'"],
        }
    ]
    assert "parameter 'days' is gone" in cli("scripts", "outdated")[1]


def test_a_retracted_version_is_not_proposed(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    repo.write("rollouts.yaml", "- { script: disk/clean.sh, retracted: [2.0.0, 1.1.0] }\n")
    repo.commit()
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    assert document(cli("scripts", "outdated", "--format", "json")[1])["pins"] == []
    assert "RETRACTED" in cli("scripts", "show", "disk/clean.sh@2.0.0")[1]


# --- update ---------------------------------------------------------------------------------


def test_update_moves_to_the_newest_compatible_version(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    file = manifest(repo, "a", "disk/clean.sh@1.0.0")
    cli("lock")
    before = file.read_bytes()
    code, out, _ = cli("scripts", "update", "--dry-run")
    assert code == 0
    assert "disk/clean.sh@1.0.0 -> 1.1.0" in out
    assert "kept disk/clean.sh@1.0.0: 2.0.0 breaks callers" in out
    assert file.read_bytes() == before
    assert cli("scripts", "update")[0] == 0
    assert file.read_bytes() == before.replace(b"@1.0.0", b"@1.1.0")
    assert list(Lock.read(repo.home / "wtsflow.lock").entries) == ["disk/clean.sh@1.1.0"]
    assert cli("lock", "--check")[0] == 0


def test_update_touches_nothing_but_the_pins(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    repo.release("other.sh@1.0.0", "#!/bin/sh\n")
    text = (
        "\ufeffwtsflow: 1   # disk/clean.sh@1.0.0 in a comment\r\n"
        "name: awkward\r\nversion: 1.0.0\r\ntitle: 'Größe \U0001f600 disk/clean.sh@1.0.0'\r\n"
        "owner: ops\r\naccess: { execute: [l1] }\r\n\r\nsteps:   \r\n"
        "  - { title: '\U0001f600\U0001f600', script: \"disk/clean.sh@1.0.0\" } # why\r\n"
        "  - script:   'disk/clean.sh@1.0.0+'   # +\r\n"
        "    with:   { days:   3 }\r\n"
        "  - script: { linux: disk/clean.sh@1.0.0, windows: other.sh@1.0.0 }\r\n"
        "  - script: other.sh@1.0.0"
    )
    file = repo.home / "manifests" / "awkward.yaml"
    file.write_bytes(text.encode())
    code, out, err = cli("scripts", "update", "disk/clean.sh")
    assert (code, len(re.findall(r"-> 1\.1\.0", out))) == (0, 3), err
    expected = (
        text.replace('"disk/clean.sh@1.0.0"', '"disk/clean.sh@1.1.0"')
        .replace("'disk/clean.sh@1.0.0+'", "'disk/clean.sh@1.1.0+'")
        .replace("linux: disk/clean.sh@1.0.0", "linux: disk/clean.sh@1.1.0")
    )
    assert file.read_bytes() == expected.encode()


def test_update_to_a_named_version_goes_there_and_says_what_breaks(
    repo: ScriptRepo, cli: Cli
) -> None:
    three(repo)
    file = manifest(repo, "a", "disk/clean.sh@1.1.0")
    cli("lock")
    code, out, _ = cli("scripts", "update", "disk/clean.sh", "--to", "2.0.0", "--format", "json")
    said = document(out)
    assert (code, said["written"]) == (0, True)
    assert said["updated"][0]["breaks"] == [
        "parameter 'days' is gone",
        "parameter 'deep' is gone",
        "new required parameter 'age'",
    ]
    assert "disk/clean.sh@2.0.0" in file.read_text()
    cli("scripts", "update", "disk/clean.sh", "--to", "1.0.0")
    assert "disk/clean.sh@1.0.0" in file.read_text()
    code, _, err = cli("scripts", "update", "disk/clean.sh", "--to", "3.0.0")
    assert code == 2
    assert "it has 1.0.0, 1.1.0, 2.0.0" in err


def test_an_update_that_cannot_be_locked_changes_nothing(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    file = manifest(repo, "a", "disk/clean.sh@1.0.0", "gone.sh@1.0.0")
    before = file.read_bytes()
    assert cli("scripts", "update", "disk/clean.sh")[0] == 3
    assert file.read_bytes() == before
    assert not (repo.home / "wtsflow.lock").exists()


# --- impact ---------------------------------------------------------------------------------


def test_impact_is_what_grep_finds(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0", "disk/clean.sh@1.1.0")
    manifest(repo, "b", "disk/clean.sh@1.0.0+", "disk/clean.sh@1.0.0")
    manifest(repo, "c", "disk/clean.sh@2.0.0")
    for said in ("disk/clean.sh@1.0.0", "disk/clean.sh"):
        found = document(cli("scripts", "impact", said, "--format", "json")[1])
        grep = subprocess.run(
            ["grep", "-rn", "--", f"script: {said}", "manifests"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        truth = sorted(":".join(line.split(":")[:2]) for line in grep)
        assert sorted(f"{one['file']}:{one['line']}" for one in found["used"]) == truth


def test_impact_says_whether_an_upgrade_is_compatible(repo: ScriptRepo, cli: Cli) -> None:
    three(repo)
    manifest(repo, "a", "disk/clean.sh@1.0.0")
    _, out, _ = cli("scripts", "impact", "disk/clean.sh@1.0.0")
    assert "disk/clean.sh@1.0.0 -> 2.0.0: breaks callers\n  parameter 'days' is gone" in out
    _, out, _ = cli("scripts", "impact", "disk/clean.sh@1.0.0", "--to", "1.1.0")
    assert "disk/clean.sh@1.0.0 -> 1.1.0: compatible" in out
    _, out, _ = cli("scripts", "impact", "disk/clean.sh@2.0.0")
    assert out == "disk/clean.sh@2.0.0 is used by no manifest of this workspace\n"


# --- release --------------------------------------------------------------------------------


def test_release_makes_an_annotated_tag_of_the_committed_script(repo: ScriptRepo, cli: Cli) -> None:
    repo.write("x.sh", "#!/bin/sh\necho hi\n")
    commit = repo.commit()
    code, out, err = cli("scripts", "release", "x.sh", "-m", "The first one")
    assert (code, out) == (0, f"released x.sh@1.0.0 at commit {commit[:12]}\n")
    assert "git push origin 'refs/tags/x.sh@1.0.0'" in err
    text = repo.git("cat-file", "-p", "refs/tags/x.sh@1.0.0")
    assert text.startswith(f"object {commit}\ntype commit\ntag x.sh@1.0.0\ntagger An Author")
    assert text.endswith("x.sh@1.0.0\n\nThe first one")
    manifest(repo, "a", "x.sh@1.0.0")
    assert cli("lock")[0] == 0


def test_release_proposes_the_version_from_the_difference(repo: ScriptRepo, cli: Cli) -> None:
    repo.release("x.sh@1.0.0", "#!/bin/sh\n", V1)
    for sidecar, expected in ((V1, "1.0.1"), (V11, "1.1.0"), (V2, "2.0.0")):
        repo.write("x.sh.yaml", sidecar)
        repo.commit()
        said = document(cli("scripts", "release", "x.sh", "--dry-run", "--format", "json")[1])
        assert (said["pin"], said["made"]) == (f"x.sh@{expected}", False)
    _, _, err = cli("scripts", "release", "x.sh", "--minor", "--dry-run")
    assert "this breaks callers of 1.0.0; 2.0.0 would say so" in err
    assert repo.git("tag") == "x.sh@1.0.0"


def test_release_takes_a_version_or_a_part(repo: ScriptRepo, cli: Cli) -> None:
    repo.release("x.sh@1.2.3", "#!/bin/sh\n")
    for argument, expected in (
        (("--major",), "2.0.0"),
        (("--minor",), "1.3.0"),
        (("--patch",), "1.2.4"),
        (("--version", "7.0.0"), "7.0.0"),
    ):
        out = cli("scripts", "release", "x.sh", "--dry-run", "--format", "json", *argument)[1]
        assert document(out)["pin"] == f"x.sh@{expected}"
    assert cli("scripts", "release", "x.sh", "--major", "--minor")[0] == 2
    assert cli("scripts", "release", "x.sh", "--version", "1.2")[0] == 2
    code, _, err = cli("scripts", "release", "x.sh", "--version", "1.2.3")
    assert code == 2
    assert "a released version never changes" in err


def test_release_refuses_what_is_not_committed(repo: ScriptRepo, cli: Cli) -> None:
    repo.write("x.sh", "#!/bin/sh\n")
    code, _, err = cli("scripts", "release", "x.sh")
    assert code == 3
    assert "nothing is committed yet" in err
    repo.commit()
    for change in ("x.sh", "x.sh.yaml"):
        repo.write(change, "title: changed\n")
        code, _, err = cli("scripts", "release", "x.sh")
        assert code == 3
        assert f"{change} is not committed as it is" in err
        repo.git("stash", "-qu")
    repo.write("new.sh", "#!/bin/sh\n")
    assert cli("scripts", "release", "new.sh")[0] == 3
    assert cli("scripts", "release", "nothing.sh")[0] == 2
    assert cli("scripts", "release", "--", "-x.sh")[0] == 3
    assert repo.git("tag") == ""


def test_release_refuses_a_wrong_sidecar(repo: ScriptRepo, cli: Cli) -> None:
    repo.write("x.sh", "#!/bin/sh\n")
    repo.write("x.sh.yaml", "os: [plan9]\n")
    repo.commit()
    code, _, err = cli("scripts", "release", "x.sh")
    assert code == 3
    assert "x.sh.yaml:1:6" in err
    assert repo.git("tag") == ""


def test_release_runs_no_hook(repo: ScriptRepo, cli: Cli) -> None:
    canary = repo.home / "canary"
    hook = repo.folder / ".git" / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    repo.write("x.sh", "#!/bin/sh\n")
    repo.commit()
    hook.chmod(0o755)
    repo.git("config", "core.fsmonitor", f"touch {canary}")
    assert cli("scripts", "release", "x.sh")[0] == 0
    assert not canary.exists()


def test_a_signed_release_is_locked_where_signatures_are_required(
    repo: ScriptRepo, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    except FileNotFoundError:
        pytest.skip("ssh-keygen is not installed")
    public = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    (repo.home / "signers").write_text(f'sme@corp.example namespaces="git" {public}\n')
    (repo.home / "wtsflow.yaml").write_text(
        f"wtsflow: 1\nscripts: {repo.folder}\n"
        "trust: { signatures: required, allowed_signers: signers }\n"
    )
    repo.write("x.sh", "#!/bin/sh\n")
    repo.commit()
    manifest(repo, "a", "x.sh@1.0.0")
    code, _, err = cli("scripts", "release", "x.sh", "--sign")
    assert (code, "user.signingKey" in err) == (3, True)
    repo.git("config", "gpg.format", "ssh")
    repo.git("config", "user.signingKey", str(key))
    assert cli("scripts", "release", "x.sh", "--sign")[0] == 0
    assert cli("lock")[0] == 0
    assert "by:sme@corp.example" in (repo.home / "wtsflow.lock").read_text()
    assert cli("scripts", "release", "x.sh")[0] == 0
    manifest(repo, "a", "x.sh@1.0.1")
    code, _, err = cli("lock")
    assert code == 5
    assert "it is not signed" in err


def test_nothing_is_released_through_a_url(repo: ScriptRepo, cli: Cli) -> None:
    repo.release("x.sh@1.0.0", "#!/bin/sh\n")
    (repo.home / "wtsflow.yaml").write_text(f"wtsflow: 1\nscripts: {repo.url}\n")
    assert cli("scripts", "list")[0] == 0
    code, _, err = cli("scripts", "release", "x.sh")
    assert code == 2
    assert "clone it" in err


def test_a_mirror_that_cannot_be_fetched_is_still_listed(repo: ScriptRepo, cli: Cli) -> None:
    repo.release("x.sh@1.0.0", "#!/bin/sh\n")
    (repo.home / "wtsflow.yaml").write_text(f"wtsflow: 1\nscripts: {repo.url}\n")
    assert cli("scripts", "list")[0] == 0
    os.rename(repo.folder, repo.folder.with_name("gone"))
    code, out, err = cli("scripts", "list")
    assert (code, "x.sh" in out) == (0, True)
    assert "what follows may be old" in err
