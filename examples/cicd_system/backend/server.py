"""The HTTP server, with limits for slow and silent clients."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["listening", "make_server", "most_connections"]

ARRIVAL = 10.0
"""The most seconds that the head of a request may take to arrive, and the rest of a body that nobody reads."""
UNREAD = 30.0
"""The most seconds in which a client reads nothing of an answer."""

_MAX_HEAD = 64 * 1024
_OWN_FILES = 64  # File descriptors for databases, brokers and artifacts.


class _PunctualProtocol(H11Protocol):
    """HTTP/1.1 on one connection, which is closed if its client is late or sends too much ahead of answers."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer(is_due=True)

    def data_received(self, data: bytes) -> None:
        """Receive data. Further bytes of a head or of an unread body do not restart the timer."""
        # A client may have read an answer before it is finished here. But many requests would pile up in memory.
        if self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0]) > _MAX_HEAD:
            self.transport.abort()
            return
        super().data_received(data)
        self._set_timer(is_due=self.conn.their_state is h11.IDLE or self.conn.our_state is h11.DONE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_timer(is_due=False)
        super().connection_lost(exc)

    def _set_timer(self, *, is_due: bool) -> None:
        """Let the timer run if a head or the rest of an unread body is due from the client."""
        if is_due and self._late is None:
            self._late = self.loop.call_later(ARRIVAL, self.transport.abort)
        elif not is_due and self._late is not None:
            self._late.cancel()
            self._late = None


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Make the server of a Backend. From now on, SIGINT and SIGTERM end it."""
    config = uvicorn.Config(
        app,
        http=_PunctualProtocol,
        h11_max_incomplete_event_size=_MAX_HEAD,
        limit_concurrency=most_connections(),
        access_log=False,  # It would log paths.
        lifespan="off",
        log_config=None,  # The logs of the program have it.
        log_level="warning",  # `AccessLog` logs the same as its lines at INFO.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=60,  # Longer than Workers are usually silent, so that they rarely reconnect.
        timeout_graceful_shutdown=20,  # After that, requests are aborted, because a client might never finish.
        ws="none",
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # The server installs its own handlers while it runs. These handle signals before that, and the signal that it
    # raises again at its end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return server


def most_connections() -> int:
    """The most connections at once. Each needs a file descriptor."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(min(files, 4096) - _OWN_FILES, 16)


def listening(host: str, port: int) -> socket.socket:
    """Listen at an address of this machine; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.set_inheritable(False)
    # Connections inherit these. asyncio sets the first only for sockets that it creates; without it the second half of
    # an answer waits 40 ms for the client's delayed acknowledgement of the first half.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD * 1000))
    return listener
