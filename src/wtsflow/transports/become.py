"""Changing to another account on the target: sudo, whose password goes by standard input only."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from wtsflow.errors import ConnectError, LoginError, PlanError, SessionLost
from wtsflow.model.values import Secret
from wtsflow.transports import supervisor
from wtsflow.transports.wire import Ended, Wire

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,252}\$?")
_NAME = "wtsflow"


@dataclass(frozen=True, slots=True)
class Account:
    """Who to run as; empty: who logged in."""

    name: str = ""
    password: Secret | None = None


def argument_vector(account: Account, shell: str, nonce: str) -> tuple[str, ...]:
    """What starts a supervisor: its text in the arguments, or on standard input for sudo's log.

    Raises PlanError for an account that is none.
    """
    if not account.name:
        return (shell, "-c", supervisor.text(), _NAME)
    if not _ACCOUNT.fullmatch(account.name):
        raise PlanError(
            f"run_as: {account.name!r} is not the name of an account",
            cure="letters, digits, '.', '_', '-', '@', '+'; it does not begin with a sign",
        )
    asking = ("-S", "-p", _prompt(nonce)) if account.password else ("-n",)
    begin = f'printf "{_ready(nonce)}" >&2; IFS= read -r s && eval "$s"'
    user = ("-H", "-u", account.name)
    return ("sudo", *asking, *user, "--", shell, "-c", begin, _NAME)


def log_in(
    wire: Wire,
    account: Account,
    place: str,
    nonce: str,
    seconds: float,
    monotonic: Callable[[], float],
) -> None:
    """Answer sudo, if there is one, and hand it the supervisor.

    Nothing is sent before it is known who reads it: an account that needs no password would
    otherwise get it as a command. Raises LoginError, ConnectError, SessionLost.
    """
    if not account.name:
        return
    prompt, ready = _prompt(nonce).encode(), _ready(nonce).encode()
    said, asked = b"", 0
    until = monotonic() + seconds
    try:
        while ready not in said:
            if said.count(prompt) > asked:
                asked += 1
                if asked > 1:
                    raise _refused(account, place, "the password is wrong")
                assert account.password  # noqa: S101 - only then is a prompt asked for
                wire.send(account.password.reveal().encode() + b"\n")
            left = until - monotonic()
            if left <= 0:
                raise ConnectError(
                    f"{place}: sudo to {account.name} did not answer within {seconds:g} s"
                )
            said += b"".join(data for stream, data in wire.receive(left) if stream == "stderr")
        wire.send(supervisor.text().encode() + b"\n")
    except Ended as end:
        if end.lost:
            raise SessionLost(f"{place}: {end.reason} while sudo was asked") from None
        why = said.replace(prompt, b"").decode("utf-8", "replace").strip() or end.reason
        raise _refused(account, place, why) from None


def _refused(account: Account, place: str, why: str) -> LoginError:
    return LoginError(
        f"{place}: sudo to {account.name} was refused: {' '.join(why.split())[-300:]}",
        cure="check the sudoers there and the password that was given for run_as",
    )


def _prompt(nonce: str) -> str:
    return f"[{_NAME} {nonce}]"


def _ready(nonce: str) -> str:
    return f"<{_NAME} {nonce}>"
