"""Questions about very many runs: the right ones, in order, along an index."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.keeping import TIME, closed, opened
from tests.many import fill, name, stamp
from wtsflow.cli.main import main
from wtsflow.journals import query
from wtsflow.journals.query import Wanted
from wtsflow.journals.sqlite import SqliteJournal
from wtsflow.journals.summary import Summary
from wtsflow.model.record import Event
from wtsflow.model.values import Json

RUNS, PARKED = 2000, 150


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "state"
    fill(folder / "journal.sqlite", RUNS, parked=PARKED)
    return folder


@pytest.fixture
def journal(state: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(state / "journal.sqlite") as found:
        yield found


def on(journal: SqliteJournal, target: str) -> set[str]:
    return {
        run.run
        for run in journal.runs()
        if target in journal.load(run.run)[0].event.data["targets"]  # type: ignore[operator]
    }


QUESTIONS: dict[str, tuple[dict[str, object], Callable[[Summary], bool]]] = {
    "all": ({}, lambda r: True),
    "a status": ({"status": "failed"}, lambda r: r.status == "failed"),
    "open": ({"status": ""}, lambda r: not r.status),
    "two statuses": ({"status": ["failed", "open"]}, lambda r: r.status in ("failed", "")),
    "parked": ({"status": "parked"}, lambda r: r.standing == "parked"),
    "active": ({"status": "active"}, lambda r: not r.status and not r.standing),
    "a ticket": ({"ticket": "INC0000017"}, lambda r: r.ticket == "INC0000017"),
    "an actor": ({"actor": "person3"}, lambda r: r.actor == "person3"),
    "a workflow": ({"workflow": "flow/7"}, lambda r: r.workflow == "flow/7"),
    "an environment": ({"environment": "qa"}, lambda r: r.environment == "qa"),
    "a time": (
        {"since": stamp(500), "until": stamp(700)},
        lambda r: stamp(500) <= r.started < stamp(700),
    ),
    "an actor's failures since": (
        {"actor": "person5", "status": "failed", "since": stamp(900)},
        lambda r: (r.actor, r.status) == ("person5", "failed") and r.started >= stamp(900),
    ),
    "a workflow in prod": (
        {"workflow": "flow/8", "environment": "prod"},
        lambda r: (r.workflow, r.environment) == ("flow/8", "prod"),
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_finds_what_fits_newest_first(journal: SqliteJournal, question: str) -> None:
    asked, fits = QUESTIONS[question]
    whole = [run for run in journal.runs() if fits(run)]
    assert [run.started for run in whole] == sorted((run.started for run in whole), reverse=True)
    assert journal.runs(**asked) == whole  # type: ignore[arg-type]
    assert journal.runs(**asked, limit=7) == whole[:7]  # type: ignore[arg-type]
    assert whole or question == "active"


def test_runs_are_found_by_their_target(journal: SqliteJournal) -> None:
    found = journal.runs(target="web042")
    assert {run.run for run in found} == on(journal, "web042")
    assert [run.started for run in found] == sorted((run.started for run in found), reverse=True)
    some = journal.runs(target="web042", status="success", since=stamp(300))
    assert some == [run for run in found if run.status == "success" and run.started >= stamp(300)]
    assert some
    assert journal.runs(target="web04") == []


def plan(journal: SqliteJournal, sql: str, values: Sequence[str | int]) -> list[str]:
    return [row[3] for row in journal._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


PLANS = {
    "all": (Wanted(limit=20), "runs_by_start"),
    "a status": (Wanted(("failed",)), "runs_by_status (status=?)"),
    "open": (Wanted(("open",)), "runs_by_status (status=?)"),
    "two statuses": (Wanted(("failed", "open")), "runs_by_start"),
    "parked": (Wanted(("parked",)), "runs_by_standing (standing=?)"),
    "left": (Wanted(("left",)), "runs_by_standing (standing=?)"),
    "a ticket": (Wanted(ticket="INC1"), "runs_by_ticket (ticket=?)"),
    "a ticket since": (
        Wanted(ticket="INC1", since=TIME),
        "runs_by_ticket (ticket=? AND started>?)",
    ),
    "an actor": (Wanted(actor="alice"), "runs_by_actor (actor=?)"),
    "a workflow": (Wanted(workflow="disk"), "runs_by_workflow (workflow=?)"),
    "an environment": (Wanted(environment="qa"), "runs_by_environment (environment=?)"),
    "a time": (Wanted(since=TIME, until=TIME), "runs_by_start (started>? AND started<?)"),
}


@pytest.mark.parametrize("question", PLANS)
def test_a_question_is_answered_along_an_index_without_sorting(
    journal: SqliteJournal, question: str
) -> None:
    wanted, index = PLANS[question]
    said = plan(journal, *wanted.sql())
    assert len(said) == 1
    assert index in said[0]


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(("failed",), actor="a", workflow="w", ticket="t", environment="e", since=TIME),
        Wanted(("failed", "left"), actor="a", until=TIME),
        Wanted(target="web01"),
        Wanted(("failed",), target="web01", since=TIME, actor="a"),
    ],
)
def test_no_mixture_of_questions_sorts_or_reads_all(journal: SqliteJournal, wanted: Wanted) -> None:
    said = plan(journal, *wanted.sql())
    assert not any("TEMP B-TREE" in line for line in said), said
    assert all("INDEX" in line or "PRIMARY KEY" in line for line in said), said


def test_what_waits_and_what_is_due_is_found_along_an_index(journal: SqliteJournal) -> None:
    for sql, values in ((query.WAITING, (5,)), (query.DUE, (5, 5))):
        (said,) = plan(journal, sql, values)
        assert "runs_by_due" in said
    (said,) = plan(journal, query.BEGINNING, ("01", "02", 5))
    assert "(run>? AND run<?)" in said


def test_parked_runs_are_listed_soonest_first(journal: SqliteJournal) -> None:
    waiting = journal.waiting()
    assert len(waiting) == PARKED
    times = [run.due or 0 for run in waiting]
    assert times == sorted(times)
    assert {run.waits for run in waiting} == {"window"}
    middle = times[PARKED // 2]
    assert [run.due for run in journal.due(middle / 1000)] == [t for t in times if t <= middle]
    assert journal.due(middle / 1000, limit=3) == waiting[:3]
    assert journal.due(times[0] / 1000 - 1) == []


def test_a_run_is_found_by_the_beginning_of_its_id(journal: SqliteJournal) -> None:
    assert [run.run for run in journal.find(name(77))] == [name(77)]
    assert name(77) in {run.run for run in journal.find(name(77)[:9], limit=50)}
    assert len(journal.find("01", limit=5)) == 5
    assert journal.find("zz") == []
    assert journal.find("%") == []


def test_a_run_that_waits_goes_on_and_is_listed_so(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:

        def seen() -> tuple[str, int | None, str, str]:
            (run,) = journal.runs()
            return run.standing, run.due, run.waits, run.status

        journal.record("A", [opened()], time=TIME)
        assert seen() == ("", None, "", "")
        waits: dict[str, Json] = {"until_ms": 5000, "paths": ["window", "b", "c", "d", "e"]}
        journal.record("A", [Event("parked/1", waits)], time=TIME)
        assert seen() == ("parked", 5000, "window, b, c and 2 more", "")
        assert [run.run for run in journal.due(5)] == ["A"]
        journal.record("A", [Event("resumed/1")], time=TIME)
        assert seen() == ("", None, "", "")
        assert journal.due(5) == []
        journal.record("A", [Event("left/1", {"reason": "SIGHUP"})], time=TIME)
        assert seen() == ("left", None, "", "")
        asks: dict[str, Json] = {"until_ms": None, "paths": ["ask"]}
        journal.record("A", [Event("parked/2", asks)], time=TIME)
        assert seen() == ("parked", None, "ask", "")
        assert [run.run for run in journal.waiting()] == ["A"]
        assert journal.due(5000) == []
        journal.record("A", [closed()], time=TIME)
        assert seen() == ("", None, "", "success")
        truth: dict[str, Json] = {"status": "unknown", "exit": {"code": 11, "name": "unknown"}}
        journal.record("A", [Event("settled/1", truth)], time=TIME)
        assert (seen()[-1], journal.runs()[0].exit) == ("unknown", 11)


def test_why_and_where_a_run_was_begun_is_listed(tmp_path: Path) -> None:
    more: dict[str, Json] = {
        "environment": "prod",
        "check": True,
        "origin": {"kind": "undo", "run": "01A"},
    }
    with SqliteJournal(tmp_path / "state" / "journal.sqlite") as journal:
        journal.record("A", [Event("opened", {**opened().data, **more})], time=TIME)
        journal.record("B", [opened()], time=TIME)
        (run,) = journal.runs(environment="prod")
        assert (run.run, run.mode, run.origin, run.origin_of) == ("A", "check", "undo", "01A")
        assert [run.run for run in journal.runs(origin="undo", origin_of="01A")] == ["A"]


def test_another_process_that_wrote_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.sqlite"
    with SqliteJournal(path) as journal, SqliteJournal(path) as other:
        assert not journal.changed()
        journal.record("A", [Event("mine")], time=TIME)
        assert not journal.changed()
        other.record("A", [Event("cancel/1")], time=TIME)
        assert journal.changed()
        assert not journal.changed()
        assert other.changed()


# --- at the command line ----------------------------------------------------------------------


def listed(capsys: pytest.CaptureFixture[str], state: Path, *args: str) -> str:
    assert main(["runs", "list", *args]) == 0
    return capsys.readouterr().out


@pytest.fixture
def ask(
    capsys: pytest.CaptureFixture[str], state: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    monkeypatch.setenv("WTSFLOW_STATE", str(state))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return lambda *args: listed(capsys, state, *args)


def test_runs_are_listed_by_every_filter_together(ask: Callable[..., str]) -> None:
    said = ask("--status", "failed,partial", "--actor", "person7", "--env", "qa", "--last", "0")
    rows = said.splitlines()[1:]
    assert len(rows) > 3
    assert all("person7" in row and " qa " in row for row in rows)
    assert {row.split()[3] for row in rows} <= {"failed", "partial"}
    said = ask("--target", "web042", "--ticket", "INC0000010", "--workflow", "flow/1")
    assert len(said.splitlines()) <= 4
    since = ["--since", "2024-01-02", "--until", "2024-01-03", "--last", "0", "--format", "json"]
    days = {run["started"][:10] for run in json.loads(ask(*since))["runs"]}
    assert days == {"2024-01-02"}


def test_what_waits_is_listed_with_what_it_waits_for_and_until_when(
    ask: Callable[..., str],
) -> None:
    rows = ask("--waiting", "--last", "0").splitlines()
    assert rows[0].split()[:4] == ["run", "until", "waits", "at"]
    assert len(rows) == PARKED + 1
    assert "2034-12-14 03:35" in rows[1]
    assert " window " in rows[1]
    (run,) = json.loads(ask("--waiting", "--last", "1", "--format", "json"))["runs"]
    assert run["standing"] == "parked"
    assert run["due"].startswith("2034-12-14T03:35:")
    assert run["waits"] == "window"
    assert "parked until 2034-12-1" in ask("--status", "parked")
    assert len(ask("--waiting", "--env", "qa", "--last", "0").splitlines()) == PARKED // 3 + 1


def test_the_same_runs_come_in_every_format(ask: Callable[..., str]) -> None:
    asked = ("--workflow", "flow/3", "--last", "5")
    whole = json.loads(ask(*asked, "--format", "json"))["runs"]
    lines = [json.loads(line) for line in ask(*asked, "--format", "jsonl").splitlines()]
    assert lines == whole
    head, *rows = ask(*asked, "--format", "csv").splitlines()
    assert head.startswith("run,started,ended,status,standing,exit")
    assert [row.split(",")[0] for row in rows] == [run["run"] for run in whole]


SLOW_RUNS, SLOW_PARKED = 100_000, 10_000


@pytest.mark.slow
def test_a_hundred_thousand_runs_are_listed_as_fast_as_a_few(tmp_path: Path) -> None:
    fill(tmp_path / "many" / "journal.sqlite", SLOW_RUNS, parked=SLOW_PARKED)
    fill(tmp_path / "few" / "journal.sqlite", 50, parked=5)

    def took(which: str, *args: str) -> float:
        program = "import sys; from wtsflow.cli.main import main; sys.exit(main(sys.argv[1:]))"
        words = [sys.executable, "-c", program, "runs", "list", *args]
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            subprocess.run(
                words,
                check=True,
                capture_output=True,
                env={"WTSFLOW_STATE": str(tmp_path / which), "PATH": "/usr/bin:/bin"},
            )
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    asked = {
        "all": (),
        "failed": ("--status", "failed"),
        "a target": ("--target", "web042"),
        "a ticket": ("--ticket", "INC0000040"),
        "failed or partial": ("--status", "failed,partial"),
        "no such status": ("--status", "nosuch,neither"),
        "a mixture": ("--actor", "person3", "--status", "failed", "--since", "2024-06-01"),
        "waiting": ("--waiting",),
    }
    for name_, args in asked.items():
        many, few = took("many", *args), took("few", *args)
        print(f"{name_}: {many * 1000:.0f} ms of 100,000 runs, {few * 1000:.0f} ms of 50")
        assert many < 2 * few + 0.2
    whole = took("many", "--waiting", "--last", "0")
    print(f"all of 10,000 parked: {whole * 1000:.0f} ms")
    assert whole < 4 * took("few", "--waiting", "--last", "0") + 1
