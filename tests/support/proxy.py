"""A TCP proxy that cuts, resets and delays connections on request."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

__all__ = ["Proxy", "proxy_to"]

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)

Fault = Callable[[bool, int], str]
"""Decides about a piece of data: pass, cut, halve (and cut), reset or hold.

Its arguments say whether the data goes to the server, and count the pieces in this direction.
"""


def no_fault(to_server: bool, place: int) -> str:  # noqa: ARG001 - as called
    """Pass all data on."""
    return "pass"


class _Link:
    """A connection of a client, with its connection to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self.thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with self._client, self._server, suppress(OSError):
            while self._forward():
                pass

    def _forward(self) -> bool:
        """Forward the data that has arrived. Return False at the end of the connection."""
        ready, _, _ = select.select([self._client, self._server], [], [])
        for source in ready:
            target = self._server if source is self._client else self._client
            data = source.recv(_CHUNK)
            what = self._proxy.decide(target is self._server) if data else "cut"
            if what == "hold":
                self._proxy.held.set()
                self._proxy.freed.wait()
            elif what != "pass":
                self._end(what, target, data)
                return False
            target.sendall(data)
        return True

    def _end(self, what: str, target: socket.socket, data: bytes) -> None:
        if what == "halve":
            target.sendall(data[: len(data) // 2])
        elif what == "reset":
            self.reset_in_the_end()

    def reset_in_the_end(self) -> None:
        """Let both sides see a reset, and not a normal end, when the sockets are closed."""
        for side in (self._client, self._server):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def cut(self) -> None:
        """End the connection from outside."""
        with suppress(OSError):  # It has ended already.
            self._server.shutdown(socket.SHUT_RDWR)


class Proxy:
    """A proxy on a port of the loopback.

    Args:
        server: The host and the port of the server.

    Attributes:
        port: The port of the proxy.
        held: Set when data is held.
        freed: Set it to pass held data on.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server_address = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.held, self.freed = Event(), Event()
        self._links: list[_Link] = []
        self._is_down = False
        self.pass_all()
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def pass_all(self) -> None:
        """Pass all data on from now on."""
        self.set_fault(no_fault)

    def set_fault(self, fault: Fault) -> None:
        """Apply a fault to the next data. The count of pieces starts again at 0."""
        self._places = {True: 0, False: 0}
        self._fault = fault

    def decide(self, to_server: bool) -> str:
        """Decide about the next piece of data."""
        place = self._places[to_server]
        self._places[to_server] = place + 1
        return self._fault(to_server, place)

    def take_down(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._is_down = True
        self.cut()

    def bring_up(self) -> None:
        """Accept connections again."""
        self._is_down = False

    def cut(self) -> None:
        """Cut all connections."""
        for link in self._links:
            link.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # The listener was closed.
            while True:
                client, _ = self._listener.accept()
                if self._is_down:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    client.close()
                    continue
                link = _Link(self, client, socket.create_connection(self._server_address))
                self._links.append(link)
                link.thread.start()

    def close(self) -> None:
        """End all connections, and the threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.freed.set()
        self.cut()
        for link in self._links:
            link.thread.join()


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """A proxy to a server, which ends with the context.

    Args:
        host: The host of the server.
        port: Its port.
    """
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()
