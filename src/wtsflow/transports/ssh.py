"""Targets by SSH. This module is light; paramiko comes with the first connection."""

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtsflow.errors import ConnectError
from wtsflow.model.plan import Target
from wtsflow.model.values import Json
from wtsflow.ports import Credentials, Session
from wtsflow.transports.ssh_settings import Hop, Route, Surroundings
from wtsflow.transports.supervised import SupervisedSession

if TYPE_CHECKING:
    from wtsflow.transports.ssh_link import Link


class Ssh:
    """Reaches targets by SSH; fulfils :class:`~wtsflow.ports.Transport`. Thread-safe.

    ``settings`` are the workspace's defaults (:data:`~wtsflow.transports.ssh_settings.DEFAULTS`
    lists them); a target's own win. ``environment`` gives ``HOME``, ``SSH_AUTH_SOCK`` and the
    user's name. ``now`` is wall time, for the validity of certificates; ``monotonic`` measures.
    """

    def __init__(
        self,
        settings: Mapping[str, Json] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        now: Callable[[], float] = time.time,  # noqa: TID251 - only the default of a clock
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        environment = dict(environment or {})
        home = environment.get("HOME") or environment.get("USERPROFILE")
        self._surroundings = Surroundings(
            dict(settings or {}), environment, Path(home) if home else Path.home()
        )
        self._now = now
        self._monotonic = monotonic

    def connect(self, target: Target, credentials: Credentials) -> Session:
        """Open a session; see :meth:`wtsflow.ports.Transport.connect`."""
        route = self._surroundings.route(target)
        return self._session(route, credentials, lambda: self._session(route, credentials, None))

    def _session(
        self,
        route: Route,
        credentials: Credentials,
        beside: Callable[[], SupervisedSession] | None,
    ) -> SupervisedSession:
        links: list[Link] = []
        try:
            for hop in route.hops:
                links.append(self._reach(hop, links[-1] if links else None, credentials))
        except BaseException:
            _close(links)
            raise
        last = route.hops[-1]
        return SupervisedSession(
            last.place,
            links[-1].open,
            shell=route.shell,
            limit=route.max_sessions,
            patience=max(10.0, last.connect_timeout),
            closing=lambda: _close(links),
            beside=beside,
            monotonic=self._monotonic,
        )

    def _reach(self, hop: Hop, before: "Link | None", credentials: Credentials) -> "Link":
        """Connect, believe, log in: one hop, all within its ``connect_timeout``."""
        from wtsflow.transports import host_key, lean  # noqa: F401 - lean comes before paramiko
        from wtsflow.transports.ssh_link import Link
        from wtsflow.transports.ssh_transport import verify

        until = self._monotonic() + hop.connect_timeout
        stream: Any
        if before is None:
            stream = _dial(hop)
        else:
            stream = before.tunnel(hop.host, hop.port, hop.connect_timeout)
        link = Link(
            hop.place,
            stream,
            interval=hop.keepalive_interval,
            count=hop.keepalive_count,
            monotonic=self._monotonic,
        )
        try:
            place = host_key.Place(hop.host, hop.port, hop.alias, hop.known_hosts)
            known = hop.known_hosts.find(hop.host, hop.port, alias=hop.alias)
            algorithm, blob = link.shake(host_key.wanted(known), until)
            host_key.check(place, known, algorithm, blob, now=self._now(), verify=verify)
            link.log_in(hop, credentials, until)
        except BaseException:
            link.close()
            raise
        return link


def _dial(hop: Hop) -> socket.socket:
    try:
        stream = socket.create_connection((hop.host, hop.port), timeout=hop.connect_timeout)
    except socket.gaierror:
        raise ConnectError(
            f"{hop.place}: there is no host of this name",
            cure="check the name in the inventory, and the DNS",
        ) from None
    except TimeoutError:
        raise ConnectError(
            f"{hop.place} did not answer within {hop.connect_timeout:g} s",
            cure="is it up, and does a firewall drop the way to it?",
        ) from None
    except OSError as error:
        raise ConnectError(
            f"{hop.place}: {(error.strerror or str(error)).lower()}",
            cure="is the machine up, and does an SSH server listen on that port?",
        ) from None
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def _close(links: "list[Link]") -> None:
    for link in reversed(links):
        with suppress(Exception):
            link.close()
