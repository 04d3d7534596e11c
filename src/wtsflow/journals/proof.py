"""Whether a journal is whole: its pages, its numbers, and the tables among each other."""

import sqlite3
from collections.abc import Iterator, Mapping

SHOWN = 20
"""How many findings of one kind are told."""

_QUESTIONS: Mapping[str, str] = {
    "run {}: its records are not numbered from 1 without a gap": """
        SELECT run FROM facts GROUP BY run HAVING min(seq)<>1 OR max(seq)<>count(*)
    """,
    "run {}: the number of its last record is not what the list of runs says": """
        SELECT runs.run FROM runs
        LEFT JOIN (SELECT run, max(seq) AS seq FROM facts GROUP BY run) AS known USING (run)
        WHERE last<>coalesce(known.seq, 0)
    """,
    "run {}: it has records, and is not in the list of runs": """
        SELECT DISTINCT run FROM facts WHERE run NOT IN (SELECT run FROM runs)
    """,
    "run {}: more of it is said to be in the audit log than there is": """
        SELECT run FROM runs WHERE audited>last
    """,
    "run {}: it is found by a target, and is not in the list of runs": """
        SELECT DISTINCT run FROM run_targets WHERE run NOT IN (SELECT run FROM runs)
    """,
}


def faults(db: sqlite3.Connection, *, quick: bool) -> Iterator[str]:
    """Every finding as a sentence; of a file whose pages are damaged, those only."""
    damaged = list(_damage(db, "quick_check" if quick else "integrity_check"))
    yield from damaged
    if damaged:
        return
    for sentence, question in _QUESTIONS.items():
        for (run,) in db.execute(f"{question} LIMIT {SHOWN}").fetchall():
            yield sentence.format(run)


def _damage(db: sqlite3.Connection, check: str) -> Iterator[str]:
    try:
        for (said,) in db.execute(f"PRAGMA {check}({SHOWN})").fetchall():
            if said != "ok":
                yield f"the file is damaged: {' '.join(str(said).split())}"
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"
