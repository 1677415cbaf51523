"""A server of HTTP/1.1 that answers in turn with the bytes that it was given."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.support.examples.http_messages import Message, read_message

_LAST_OF_JSON = b"}"


def answer(body: bytes = b"", status: int = 200, **headers: str) -> bytes:
    """The bytes of an answer; an underscore in the name of a header stands for a hyphen."""
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}"]
    if not body.endswith(_LAST_OF_JSON):
        lines.append("connection: close")  # Or the client may send its next request on a connection that is closing.
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """Answers requests in turn; it closes the connection after an answer that is cut short or has no JSON object."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[Message] = []
        self.connections = 0
        self.asked: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            # A client that is killed may reset its connection.
            with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
                self._serve(connection, reader)

    def _serve(self, connection, reader) -> None:
        while (request := read_message(reader)) is not None:
            self.requests.append(request)
            self.asked()
            if not self.answers:
                return
            data = self.answers.pop(0)
            connection.sendall(data)
            if not data.endswith(_LAST_OF_JSON):
                return

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
