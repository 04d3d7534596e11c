"""One thread takes the connections of all practice hosts and gives each to its host."""

import selectors
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

from wtsflow.lab.ssh import Link, Site

_LOOK = 0.2
"""Seconds between looks at whether the range has closed."""


class Listener:
    """``doors`` are sockets and the host behind each; those of a host that is down are not open."""

    def __init__(self, doors: Iterable[tuple[socket.socket, Site]]) -> None:
        self._doors = list(doors)
        self._closing = threading.Event()
        self._links: list[Link] = []
        self._silent: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        for sock, site in self._doors:
            if not site.trouble.down:
                sock.listen(100)
                sock.setblocking(False)
                self._selector.register(sock, selectors.EVENT_READ, site)
        self._thread = threading.Thread(target=self._listen, name="wtsflow-lab", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections and end those that there are."""
        self._closing.set()
        self._thread.join()
        self._selector.close()
        for sock in (*(sock for sock, _ in self._doors), *self._silent):
            sock.close()
        for link in self._links:
            link.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(_LOOK):
                if isinstance(key.fileobj, socket.socket):
                    self._take(key.fileobj, key.data)

    def _take(self, door: socket.socket, site: Site) -> None:
        try:
            sock, _ = door.accept()
        except OSError:  # it went away again
            return
        sock.setblocking(True)
        if site.trouble.hangs:
            self._silent.append(sock)
            return
        self._links = [link for link in self._links if link.is_alive()]
        with suppress(OSError):
            link = Link(sock, site)
            self._links.append(link)
            link.serve()
