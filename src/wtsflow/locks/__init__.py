"""Who has which target: locks of runs on machines, for all processes of one state folder."""

from wtsflow.locks.holding import Patience, Report, Waiting, busy, holding, lasting, sentence
from wtsflow.locks.store import Holder, Locked, Locks, Obstacle, Takeover

__all__ = [
    "Holder",
    "Locked",
    "Locks",
    "Obstacle",
    "Patience",
    "Report",
    "Takeover",
    "Waiting",
    "busy",
    "holding",
    "lasting",
    "sentence",
]
