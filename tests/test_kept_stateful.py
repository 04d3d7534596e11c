"""Journal and audit log together, whatever is done to them in whatever order.

The model is plain dicts: what was acknowledged must be there, the rest may be; keys once per run;
the log verifies at every moment, and is complete after every opening.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.keeping import Ticking
from wtsflow.audit import Log
from wtsflow.audit.verify import verify
from wtsflow.errors import RecordError
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.model.plan import Actor
from wtsflow.model.record import Event, Record
from wtsflow.upkeep.place import Place
from wtsflow.upkeep.prune import choose, proven, prune

ALICE = Actor("alice", "1000", "control01")
RUNS = ("A", "B", "C")
KEYS = (
    "opened",
    "started/s@t/1",
    "finished/s@t/1",
    "lost/s@t/1",
    "parked/1",
    "resumed/1",
    "closed",
)
SEGMENT = 1500
"""Bytes: a file of the log holds three records or so."""

runs, keys = st.sampled_from(RUNS), st.sampled_from(KEYS)
writers = st.sampled_from((0, 1))


def data_of(key: str) -> dict[str, Any]:
    match key:
        case "opened":
            return {"workflow": {"name": "w"}, "targets": ["t"], "scripts": [{"sha256": "ab" * 32}]}
        case "parked/1":
            return {"until_ms": 1, "paths": ["p"]}
        case "closed":
            return {"status": "success", "exit": {"code": 0, "name": "success"}}
    return {"text": "x" * 40}


class Kept(RuleBasedStateMachine):
    """Two writers of one state folder, each with its own journal and log."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wtsflow-stateful-"))
        self.clock = Ticking()
        self.writers: list[Place] = []
        self.facts: dict[str, list[str]] = {run: [] for run in RUNS}
        """Run → the keys that were acknowledged by the journal, in order."""
        self.logged: dict[str, int] = dict.fromkeys(RUNS, 0)
        """Run → how many records the log acknowledged."""
        self.unlogged: list[Record] = []
        """Records that their writer did not live to append."""
        self.pruned: dict[str, int] = {}
        for _ in range(2):
            self.writers.append(self.opened())

    def opened(self) -> Place:
        journal = SqliteJournal(self.folder / "journal.sqlite")
        log = Log(
            self.folder / "audit",
            clock=self.clock,
            truth=journal,
            actor=ALICE,
            version="0.1.0",
            limit=SEGMENT,
            deadline=60,
        )
        for run, seq, _ in journal.heads():
            self.logged[run] = max(self.logged.get(run, 0), seq)
        return Place(self.folder, journal, log, self.clock, ALICE)

    def stamp(self) -> str:
        return self.writers[0].stamp()

    def expected(self, run: str, asked: list[str]) -> list[str]:
        return [key for key in dict.fromkeys(asked) if key not in self.facts[run]]

    def gone(self, run: str) -> bool:
        return run in self.pruned

    # --- what is done ---------------------------------------------------------------------

    @rule(writer=writers, run=runs, asked=st.lists(keys, min_size=1, max_size=4))
    def record(self, writer: int, run: str, asked: list[str]) -> None:
        """The journal, then the log: as every run does it."""
        if self.gone(run):
            return
        there = self.writers[writer]
        new = self.expected(run, asked)
        events = [Event(key, data_of(key)) for key in asked]
        records = there.journal.record(run, events, time=self.stamp())
        assert [record.event.key for record in records] == new
        assert [record.seq for record in records] == list(
            range(len(self.facts[run]) + 1, len(self.facts[run]) + len(new) + 1)
        )
        self.facts[run] += new
        there.log.append(records)
        if records:
            self.logged[run] = len(self.facts[run])

    @rule(writer=writers, run=runs, key=keys)
    def die_before_logging(self, writer: int, run: str, key: str) -> None:
        """Killed between the journal and the log; the process comes back."""
        if self.gone(run):
            return
        there = self.writers[writer]
        there.journal.record(run, [Event(key, data_of(key))], time=self.stamp())
        self.facts[run] += self.expected(run, [key])
        self.reopen(writer)

    @rule(writer=writers)
    def reopen(self, writer: int) -> None:
        """What a crash left out of the log is appended by the next opening."""
        there = self.writers[writer]
        there.log.close()
        there.journal.close()
        self.writers[writer] = self.opened()

    @rule(writer=writers, size=st.integers(1, 400))
    def tear(self, writer: int, size: int) -> None:
        """A write that a crash cut off: the beginning of a line at the end of the last file."""
        last = max((self.folder / "audit").glob("audit-*.jsonl"))
        line = last.read_bytes().splitlines(keepends=True)[-1]
        with last.open("ab") as file:
            file.write(line[: min(size, len(line) - 1)])
        self.reopen(writer)

    @rule(writer=writers, run=runs, key=keys)
    def fail_to_log(self, writer: int, run: str, key: str) -> None:
        """The disk refuses the flush: the caller learns so, and a new process completes it."""
        if self.gone(run) or not self.expected(run, [key]):
            return
        there = self.writers[writer]
        records = there.journal.record(run, [Event(key, data_of(key))], time=self.stamp())
        self.facts[run].append(key)
        real = os.fdatasync
        try:
            os.fdatasync = self._refuse  # type: ignore[assignment]
            with pytest.raises(RecordError):
                there.log.append(records)
        finally:
            os.fdatasync = real
        with pytest.raises(RecordError):
            there.log.append(records)
        self.reopen(writer)

    @staticmethod
    def _refuse(_descriptor: object) -> None:
        raise OSError(5, "Input/output error")

    @rule(writer=writers, run=runs, key=keys)
    def fail_to_record(self, writer: int, run: str, key: str) -> None:
        """What cannot be written leaves nothing behind."""
        there = self.writers[writer]
        events = [Event(key, data_of(key)), Event("bad", {"x": float("nan")})]
        with pytest.raises(RecordError):
            there.journal.record(run, events, time=self.stamp())

    @rule(writer=writers)
    def prune_all(self, writer: int) -> None:
        there = self.writers[writer]
        verdict = proven(there)
        chosen = choose(there.journal, self.folder, before="9999", verdict=verdict)
        assert {one.run for one in chosen.runs} <= {
            run for run in RUNS if "closed" in self.facts[run] and not self.gone(run)
        }
        for one in chosen.runs:
            keys = self.facts[one.run]
            settled = "finished/s@t/1" in keys or "lost/s@t/1" not in keys
            assert settled
        assert prune(there, chosen.runs, verdict).runs == len(chosen.runs)
        for one in chosen.runs:
            self.pruned[one.run] = one.last
            self.facts[one.run] = []

    @precondition(lambda self: self.clock.wall < 1_767_323_045.0 + 20 * 86_400)
    @rule()
    def sleep(self) -> None:
        """Another day: the log begins a new file."""
        self.clock.wall += 86_400

    # --- what always holds ----------------------------------------------------------------

    @invariant()
    def all_that_was_acknowledged_is_there(self) -> None:
        for there in getattr(self, "writers", ()):
            for run in RUNS:
                found = [record.event.key for record in there.journal.load(run)]
                assert found == self.facts[run]

    @invariant()
    def the_log_verifies(self) -> None:
        if not getattr(self, "writers", None):
            return
        verdict = verify(self.folder / "audit", self.writers[0].journal)
        assert verdict.intact, verdict.problems
        for run in RUNS:
            assert verdict.runs.get(run, (0, ""))[0] >= self.logged[run]
        assert set(verdict.pruned) == set(self.pruned)

    @invariant()
    def runs_are_listed_as_their_records_say(self) -> None:
        if not getattr(self, "writers", None):
            return
        listed = {run.run: run for run in self.writers[1].journal.runs()}
        assert set(listed) == {run for run in RUNS if self.facts[run]}
        for run, summary in listed.items():
            keys = self.facts[run]
            assert summary.last == len(keys)
            assert summary.status == ("success" if "closed" in keys else "")
        targets = {run.run for run in self.writers[0].journal.runs(target="t")}
        assert targets == {run for run in RUNS if "opened" in self.facts[run]}

    def teardown(self) -> None:
        for there in getattr(self, "writers", ()):
            assert there.journal.faults() == []
            there.log.close()
            there.journal.close()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


TestKept = Kept.TestCase
TestKept.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
def test_nothing_is_found_for_long() -> None:
    thorough = settings(
        max_examples=300,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    assert found(thorough) is None


HUNTING = settings(
    max_examples=150,
    stateful_step_count=15,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def found(how: settings) -> Exception | None:
    """What the machine finds wrong."""
    try:
        run_state_machine_as_test(Kept, settings=how)
    except Exception as error:
        return error
    return None


PLANTED = {
    "a key that counts twice": (
        "wtsflow.journals.batch.Row.of",
        lambda real: (
            lambda event, time: real(
                Event(f"{event.key}~", event.data) if event.key == "resumed/1" else event, time
            )
        ),
    ),
    "a log that is not completed": (
        "wtsflow.audit.log.Log._catch_up_run",
        lambda real: lambda self, run: 0,
    ),
    "a removal that is not recorded": (
        "wtsflow.upkeep.prune._record",
        lambda real: lambda *_: None,
    ),
    "a newer file that is not read": (
        "wtsflow.audit.chain.Chain._follow",
        lambda real: lambda self: self._open_newest(),
    ),
}


@pytest.mark.parametrize(
    "bug",
    [
        *list(PLANTED)[:-1],
        pytest.param(list(PLANTED)[-1], marks=pytest.mark.slow),
    ],
)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    name, make = PLANTED[bug]
    module, owner, attribute = _place(name)
    holder: Any = importlib.import_module(module)
    for part in owner:
        holder = getattr(holder, part)
    monkeypatch.setattr(holder, attribute, make(getattr(holder, attribute)))
    assert found(HUNTING)


def _place(name: str) -> tuple[str, list[str], str]:
    parts = name.split(".")
    at = next((i for i, part in enumerate(parts) if part[0].isupper()), len(parts) - 1)
    return ".".join(parts[:at]), parts[at:-1], parts[-1]
