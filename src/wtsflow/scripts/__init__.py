"""The script repository: pins, the lock, rollouts, and what scripts say of themselves."""

from wtsflow.scripts.interface import interface, language
from wtsflow.scripts.kept import Kept
from wtsflow.scripts.lock import Entry, Lock
from wtsflow.scripts.pin import Pin, Version
from wtsflow.scripts.repository import Repository

__all__ = ["Entry", "Kept", "Lock", "Pin", "Repository", "Version", "interface", "language"]
