"""Schedules: which slots are due, and that each fires once."""

from wtsflow.schedules.decide import Standing
from wtsflow.schedules.due import Due, due, upcoming
from wtsflow.schedules.entry import Entry, entries, written
from wtsflow.schedules.fire import Ending, Firing, Runs, Told
from wtsflow.schedules.ledger import Claim, Decision, Ledger, Past

__all__ = [
    "Claim",
    "Decision",
    "Due",
    "Ending",
    "Entry",
    "Firing",
    "Ledger",
    "Past",
    "Runs",
    "Standing",
    "Told",
    "due",
    "entries",
    "upcoming",
    "written",
]
