"""An HTTP server on the loopback that records its requests and sends the answers of a script."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

__all__ = ["DROP", "Receiver", "receiver"]

DROP = 0
"""In place of a status: close the connection without an answer."""


@attrs.frozen
class Request:
    """A request that the server received.

    Attributes:
        path: The path.
        headers: The headers.
        body: The decompressed body.
    """

    path: str
    headers: dict[str, str]
    body: bytes


@attrs.define
class Receiver:
    """The state of the server.

    Attributes:
        url: The URL of the server.
        answers: The status and the headers of each of the next answers. Later answers have status 200.
        requests: The requests so far.
    """

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = attrs.field(factory=list)
    requests: list[Request] = attrs.field(factory=list)


@contextmanager
def receiver(*answers: int | tuple[int, dict[str, str]]) -> Iterator[Receiver]:
    """Run a server during a ``with`` block.

    Args:
        answers: The first answers: each a status, or a status with headers.
    """
    state = Receiver(answers=[(answer, {}) if isinstance(answer, int) else answer for answer in answers])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            state.requests.append(Request(self.path, dict(self.headers.items()), body))
            status, headers = state.answers.pop(0) if state.answers else (200, {})
            if status == DROP:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
