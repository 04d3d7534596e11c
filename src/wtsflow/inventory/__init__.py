"""Where targets are listed."""

from wtsflow.inventory.graph import Facts
from wtsflow.inventory.listing import Listing
from wtsflow.inventory.load import load

__all__ = ["Facts", "Listing", "load"]
