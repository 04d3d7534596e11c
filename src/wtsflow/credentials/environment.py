"""Secrets from the environment: ``WTSFLOW_SECRET_<NAME>``."""

import re
from collections.abc import Mapping

from wtsflow.model.values import Secret

PREFIX = "WTSFLOW_SECRET_"


class Environment:
    """Fulfils :class:`~wtsflow.ports.Credentials` from a mapping that is handed in.

    The name is written in upper case, each other sign than a letter or digit as ``_``:
    ``db-admin`` is ``WTSFLOW_SECRET_DB_ADMIN``. An empty variable is none.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def secret(self, name: str) -> Secret | None:
        """The secret of this name, or None."""
        value = self._environment.get(variable(name), "")
        return Secret(value) if value else None


def variable(name: str) -> str:
    """The environment variable that a secret of this name stands in."""
    return PREFIX + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
