"""Where passwords and passphrases come from. A new source: its file, and its line here."""

from collections.abc import Callable, Mapping, Sequence

from wtsflow.credentials.environment import Environment
from wtsflow.credentials.keyring import Keyring
from wtsflow.credentials.prompt import Prompt
from wtsflow.model.values import Secret
from wtsflow.ports import Credentials

CREDENTIALS: dict[str, Callable[[Mapping[str, str]], Credentials]] = {
    "environment": Environment,
    "keyring": Keyring,
    "prompt": Prompt,
}
"""Each is called with the environment that was handed in; they are asked in this order."""


class Chain:
    """Asks one source after the other; fulfils :class:`~wtsflow.ports.Credentials`."""

    def __init__(self, sources: Sequence[Credentials]) -> None:
        self._sources = tuple(sources)

    def secret(self, name: str) -> Secret | None:
        """The first secret of this name, or None where no source has it."""
        for source in self._sources:
            found = source.secret(name)
            if found is not None:
                return found
        return None


def chain(environment: Mapping[str, str]) -> Chain:
    """Every source of :data:`CREDENTIALS`, in its order."""
    return Chain([make(environment) for make in CREDENTIALS.values()])
