"""Where targets are listed."""

from wtsflow.inventory.listing import Listing
from wtsflow.inventory.load import load

__all__ = ["Listing", "load"]
