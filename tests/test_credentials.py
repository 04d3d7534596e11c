"""Where secrets come from, and where they do not go."""

import logging

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, NoKeyringError

from wtsflow.credentials import CREDENTIALS, Chain, chain
from wtsflow.credentials.environment import Environment, variable
from wtsflow.credentials.keyring import Keyring
from wtsflow.credentials.prompt import Prompt, is_terminal
from wtsflow.errors import ConfigError
from wtsflow.model.values import Secret


class Ring(KeyringBackend):
    """A keyring of a test."""

    priority = 1

    def __init__(self, held: dict[str, str] | None = None, error: Exception | None = None) -> None:
        super().__init__()
        self.held = held or {}
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        if self.error:
            raise self.error
        return self.held.get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is ever written")


@pytest.fixture(autouse=True)
def _no_keyring_of_this_machine() -> None:
    keyring.set_keyring(Ring())


def test_the_environment_is_a_mapping_that_is_handed_in() -> None:
    source = Environment({"WTSFLOW_SECRET_DB_ADMIN": "hunter22", "WTSFLOW_SECRET_EMPTY": ""})
    found = source.secret("db-admin")
    assert found == Secret("hunter22")
    assert "hunter22" not in f"{found} {found!r}"
    assert source.secret("empty") is None
    assert source.secret("other") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sudo", "WTSFLOW_SECRET_SUDO"),
        ("db-admin.2", "WTSFLOW_SECRET_DB_ADMIN_2"),
        ("ä/b", "WTSFLOW_SECRET___B"),
    ],
)
def test_a_name_becomes_a_variable(name: str, expected: str) -> None:
    assert variable(name) == expected


def test_the_keyring_is_asked_under_our_own_service() -> None:
    keyring.set_keyring(Ring({"wtsflow/sudo": "hunter22", "other/sudo": "no"}))
    assert Keyring().secret("sudo") == Secret("hunter22")
    assert Keyring().secret("none") is None


def test_a_machine_without_a_keyring_has_no_secrets() -> None:
    keyring.set_keyring(Ring(error=NoKeyringError()))
    assert Keyring().secret("sudo") is None


def test_a_locked_keyring_says_so() -> None:
    keyring.set_keyring(Ring(error=KeyringLocked("hunter22 inside")))
    with pytest.raises(ConfigError, match="did not give out 'sudo'") as refused:
        Keyring().secret("sudo")
    assert "hunter22" not in str(refused.value)
    assert refused.value.cure


def test_nobody_is_asked_without_a_terminal() -> None:
    def ask(_: str) -> str:
        raise AssertionError("asked")

    assert Prompt(ask=ask, present=lambda: False).secret("sudo") is None
    assert not is_terminal(), "pytest captures the streams"
    assert Prompt(ask=ask).secret("sudo") is None


def test_a_person_is_asked_once_for_each_name() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "hunter22"

    source = Prompt(ask=ask, present=lambda: True)
    assert source.secret("sudo") == source.secret("sudo") == Secret("hunter22")
    source.secret("db")
    assert asked == ["Secret 'sudo': ", "Secret 'db': "]


def test_a_person_who_types_nothing_gives_nothing() -> None:
    def end(_: str) -> str:
        raise EOFError

    assert Prompt(ask=end, present=lambda: True).secret("sudo") is None
    assert Prompt(ask=lambda _: "", present=lambda: True).secret("sudo") is None


def test_the_first_source_that_has_it_wins() -> None:
    keyring.set_keyring(Ring({"wtsflow/sudo": "ring", "wtsflow/db": "ring"}))
    found = chain({"WTSFLOW_SECRET_SUDO": "environment"})
    assert found.secret("sudo") == Secret("environment")
    assert found.secret("db") == Secret("ring")
    assert found.secret("none") is None
    assert Chain(()).secret("sudo") is None


def test_a_person_is_the_last_to_be_asked() -> None:
    assert list(CREDENTIALS)[-1] == "prompt"


@pytest.mark.parametrize("name", CREDENTIALS)
def test_every_source_is_made_with_the_environment_alone(name: str) -> None:
    assert CREDENTIALS[name]({}).secret("none-of-this-name") is None


def test_T38_no_source_logs_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    keyring.set_keyring(Ring({"wtsflow/sudo": "hunter22"}))
    with caplog.at_level(logging.DEBUG):
        chain({}).secret("sudo")
    assert "hunter22" not in caplog.text
