"""P9: a clock that jumps changes dates, not decisions."""

import itertools
import json
from datetime import datetime
from pathlib import Path

import pytest

from tests import scripted
from tests.keeping import closed, kept, log_files, opened, write
from tests.scripted import Forever, Scripted, perform
from wtsflow.audit.verify import verify
from wtsflow.clock import SystemClock
from wtsflow.ports import Exited

DAY = 86_400.0
TEXT = """targets: { web: { group: web } }
timeout: 1m
steps:
  - { id: first, script: a/one.sh@1.0.0, target: web, retry: { times: 1, wait: 200ms } }
  - { id: pause, wait: 300ms, needs: [first] }
  - { id: endless, script: a/two.sh@1.0.0, target: web, timeout: 1s, needs: [pause] }
"""


class Jumping(SystemClock):
    """A wall clock that is years off, each time another way; the other clock is the machine's."""

    _jumps = itertools.cycle((0.0, 3650 * DAY, -3650 * DAY, 3600.0, -3600.0, 1.0))

    def now(self) -> float:
        return super().now() + next(self._jumps)


def test_limits_and_waits_are_not_moved_by_a_clock_that_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripted, "SystemClock", Jumping)
    attempts = itertools.count()

    def play(_target, invocation):
        if invocation.name.startswith("two"):
            return [Forever()]
        return [Exited(1 if next(attempts) == 0 else 0)]

    start = SystemClock().monotonic()
    ran = perform(tmp_path, TEXT, Scripted(play), machines={"web": 1})
    took = SystemClock().monotonic() - start
    assert took >= 0.2 + 0.3 + 1.0
    assert ran.data("finished/first@web1/2")["outcome"] == "success"
    endless = ran.data("finished/endless@web1/1")
    assert endless["outcome"] == "timeout"
    assert 900 <= int(str(endless["duration_ms"])) < 20_000
    times = [record.time for record in ran.records]
    assert times == sorted(times)
    assert 1000 < int(str(ran.data("closed")["duration_ms"])) < 60_000


class Set:
    """A clock whose wall is set by hand."""

    wall = 1_767_323_045.0
    mono = 100.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.mono


def test_a_jump_of_the_clock_can_be_seen_in_the_audit_log(tmp_path: Path) -> None:
    clock = Set()
    with kept(tmp_path, clock=clock) as (journal, log):
        write(journal, log, opened(), run="A", time="2026-01-02T03:04:05.000000Z")
        clock.wall, clock.mono = clock.wall + 3600 + 60, clock.mono + 60
        write(journal, log, closed(), run="A", time="2026-01-02T04:05:05.000000Z")
    bodies = [
        json.loads(line)["body"]
        for file in log_files(tmp_path)
        for line in file.read_text().splitlines()
    ]
    first, last = (one for one in bodies if one.get("run") == "A")
    dates = [datetime.fromisoformat(one["time"]).timestamp() for one in (first, last)]
    passed = (last["mono_us"] - first["mono_us"]) / 1e6
    assert first["boot_id"] == last["boot_id"]
    assert dates[1] - dates[0] - passed == pytest.approx(3600, abs=1)
    assert verify(tmp_path / "audit", None).intact
