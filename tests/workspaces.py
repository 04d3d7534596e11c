"""A real workspace on disk: a git repository with released scripts, manifests, inventory, lock."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from wtsflow.cli.main import main

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "sme",
    "GIT_AUTHOR_EMAIL": "sme@corp.example",
    "GIT_COMMITTER_NAME": "sme",
    "GIT_COMMITTER_EMAIL": "sme@corp.example",
}


@dataclass
class Workspace:
    """Made in ``root``; :meth:`cli` runs the command line in a process of its own."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        folder: Path,
        scripts: Mapping[str, str],
        manifests: Mapping[str, str],
        inventory: str = "hosts: {}\n",
    ) -> "Workspace":
        made = cls(folder / "workspace")
        made.write("wtsflow.yaml", "wtsflow: 1\nscripts: .\ninventory: inventory.yaml\n")
        made.write("inventory.yaml", inventory)
        for name, text in {
            **scripts,
            **{f"manifests/{n}": t for n, t in manifests.items()},
        }.items():
            made.write(name, text)
        made.git("init", "-q")
        made.git("add", "-A")
        made.git("commit", "-qm", "first")
        for name in scripts:
            if not name.endswith(".yaml"):
                made.git("tag", f"{name}@1.0.0")
        locked = made.cli("lock")
        assert locked.returncode == 0, locked.stderr
        return made

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def git(self, *args: str) -> str:
        return subprocess.run(
            ["git", *args],
            cwd=self.root,
            env={**os.environ, **GIT},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    @property
    def state(self) -> Path:
        return self.root.parent / "state"

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WTSFLOW_")}
        home = self.root.parent / "home"
        home.mkdir(exist_ok=True)
        places = {
            "WTSFLOW_STATE": str(self.state),
            "WTSFLOW_CACHE": str(self.root.parent / "cache"),
            "HOME": str(home),
            "NO_COLOR": "1",
        }
        return {**kept, **places, **self.environ}

    def start(self, *args: str, **more: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", "wtsflow", *args],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,  # type: ignore[call-overload]
        )
        return process

    def cli(self, *args: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def inside(self, *args: str) -> subprocess.CompletedProcess[str]:
        """The same in this process: much quicker, where nothing is to be killed."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (
            mock.patch.dict(os.environ, self.environment(), clear=True),
            contextlib.chdir(self.root),
            open(os.devnull, encoding="utf-8") as nothing,
            mock.patch.object(sys, "stdin", nothing),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(args)
        said = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return subprocess.CompletedProcess(args, int(code), *said)

    def run(self, manifest: str, *args: str) -> dict:
        """The result document of ``wtsflow run --format json``."""
        done = self.cli("run", f"manifests/{manifest}", "--format", "json", *args)
        assert done.stdout, done.stderr
        found: dict = json.loads(done.stdout)
        return found
