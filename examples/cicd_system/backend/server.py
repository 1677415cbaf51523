"""The HTTP server: how it listens, and what a client may cost that says little, or nothing."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["ARRIVAL", "listening", "make_server", "most_connections"]

ARRIVAL = 10.0
"""For how many seconds a client may take to send the head of a request."""

_MAX_HEAD = 64 * 1024
# Files that the process needs for itself: databases, brokers, artifacts.
_OWN_FILES = 64


class _PunctualProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which is closed if the head of a request does not arrive in time."""

    _late: asyncio.TimerHandle | None = None
    arrival = ARRIVAL

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take data in; what is no whole head yet does not make the time longer."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._late is None:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._late = self.loop.call_later(self.arrival, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def make_server(app: ASGIApp, *, arrival: float = ARRIVAL) -> uvicorn.Server:
    """Make the server of a Backend.

    Args:
        app: The application.
        arrival: For how many seconds a client may take to send the head of a request.
    """
    config = uvicorn.Config(
        app,
        # In Python, with bounds that can be set; a head without an end is refused.
        http=type("_Protocol", (_PunctualProtocol,), {"arrival": arrival}),
        h11_max_incomplete_event_size=_MAX_HEAD,
        limit_concurrency=most_connections(),
        access_log=False,  # It would repeat paths.
        lifespan="off",
        # Its lines go where all others go, and those at INFO have nothing that ours have not.
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        # Longer than Workers are silent, as a rule: so that few of them have to connect anew.
        timeout_keep_alive=60,
        # What is still running then is cut off; it could wait for a client for ever.
        timeout_graceful_shutdown=20,
        ws="none",
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # The server has handlers of its own while it runs. These are for just before; and for afterwards, when it raises
    # the signal anew, and there is nothing more to do.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return server


def most_connections() -> int:
    """How many connections are served at once: each takes a file descriptor."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(min(files, 4096) - _OWN_FILES, 16)


def listening(host: str, port: int) -> socket.socket:
    """Listen.

    Args:
        host: The address.
        port: The port; 0 takes a free one.

    Raises:
        OSError: It is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.set_inheritable(False)
    # Connections have it from here: asyncio would set it for those of its own sockets alone, and without it the second
    # half of an answer waits for the client's delayed acknowledgement of the first, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
