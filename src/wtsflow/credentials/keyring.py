"""Secrets from the operating system's keyring, under the service ``wtsflow``."""

import queue
import threading
from collections.abc import Callable, Mapping

from wtsflow.credentials.prompt import UNATTENDED
from wtsflow.errors import ConfigError
from wtsflow.model.values import Secret

SERVICE = "wtsflow"
PATIENCE = 10.0
"""Seconds for a keyring's answer where no person is: a locked one shows a dialog and waits."""


class Keyring:
    """Fulfils :class:`~wtsflow.ports.Credentials`; set one with ``keyring set wtsflow NAME``."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._alone = bool(environment and environment.get(UNATTENDED))

    def secret(self, name: str) -> Secret | None:
        """The secret of this name, or None, also where the machine has no keyring at all.

        Raises ConfigError when there is a keyring that cannot be opened.
        """
        value = within(PATIENCE, lambda: ask(name)) if self._alone else ask(name)
        return Secret(value) if value else None


def ask(name: str) -> str | None:
    """What the keyring has under a name. Raises ConfigError when it cannot be opened."""
    import keyring
    from keyring.errors import KeyringError, NoKeyringError

    try:
        return keyring.get_password(SERVICE, name)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise ConfigError(
            f"the keyring did not give out '{name}': {type(error).__name__}",
            cure="unlock it, or hand the secret over in WTSFLOW_SECRET_<NAME>",
        ) from None


def within(seconds: float, work: Callable[[], str | None]) -> str | None:
    """What ``work`` returns or raises, if it does in time. Raises ConfigError where it does not."""
    answers: queue.SimpleQueue[tuple[str | None, Exception | None]] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put((work(), None))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            answers.put((None, error))

    threading.Thread(target=answer, name="keyring", daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise ConfigError(
            f"the keyring did not answer within {seconds:g} s: it waits for a password, and"
            " nobody is here",
            cure="unlock it at login, or hand the secret over in WTSFLOW_SECRET_<NAME>",
        ) from None
    if error is not None:
        raise error
    return value
