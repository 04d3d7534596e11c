"""Run pinned scripts on other people's machines: proven before, live during, audited after."""

__all__ = ["__version__"]

__version__ = "0.1.0"
