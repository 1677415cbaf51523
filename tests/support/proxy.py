"""A TCP proxy that cuts, resets and holds up connections where a test says so."""

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
"""Given whether data goes to the server, and its place in its direction: pass, cut, halve (and cut), reset or hold."""


def no_fault(to_server: bool, place: int) -> str:  # noqa: ARG001 - as called
    """Let all through."""
    return "pass"


class _Link:
    """A connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self.thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with self._client, self._server, suppress(OSError):
            while self._forward():
                pass

    def _forward(self) -> bool:
        """Forward what has come; whether to go on."""
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
        """Have both sides see a reset when the sockets are closed, and not an end."""
        for side in (self._client, self._server):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def cut(self) -> None:
        """End the connection from outside."""
        with suppress(OSError):  # It has ended already.
            self._server.shutdown(socket.SHUT_RDWR)


class Proxy:
    """A proxy at a port of the loopback.

    Args:
        server: The host and the port of the server.

    Attributes:
        port: Its port.
        fault: What happens to the data that comes next; its places are counted from when it is set.
        held: Set when data is held up.
        freed: Set when data that is held up may go on.
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
        """Let all data through from now on."""
        self.set_fault(no_fault)

    def set_fault(self, fault: Fault) -> None:
        """Say what happens to the data that comes next."""
        self._places = {True: 0, False: 0}
        self._fault = fault

    def decide(self, to_server: bool) -> str:
        """What happens to some data."""
        place = self._places[to_server]
        self._places[to_server] = place + 1
        return self._fault(to_server, place)

    def take_down(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._is_down = True
        self.cut()

    def bring_up(self) -> None:
        """Take connections again."""
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
