"""Secrets from the operating system's keyring, under the service ``wtsflow``."""

from collections.abc import Mapping

from wtsflow.errors import ConfigError
from wtsflow.model.values import Secret

SERVICE = "wtsflow"


class Keyring:
    """Fulfils :class:`~wtsflow.ports.Credentials`; set one with ``keyring set wtsflow NAME``."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        del environment  # every part of the shelf is made with it

    def secret(self, name: str) -> Secret | None:
        """The secret of this name, or None, also where the machine has no keyring at all.

        Raises ConfigError when there is a keyring that cannot be opened.
        """
        import keyring
        from keyring.errors import KeyringError, NoKeyringError

        try:
            value = keyring.get_password(SERVICE, name)
        except NoKeyringError:
            return None
        except KeyringError as error:
            raise ConfigError(
                f"the keyring did not give out '{name}': {type(error).__name__}",
                cure="unlock it, or hand the secret over in WTSFLOW_SECRET_<NAME>",
            ) from None
        return Secret(value) if value else None
