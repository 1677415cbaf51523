"""Read requests and answers of HTTP/1.1 from a socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO


@dataclass(frozen=True)
class Message:
    """A request or an answer, with its bytes in `raw`."""

    start: str
    headers: dict[str, str]
    body: bytes
    raw: bytes = field(repr=False)

    @property
    def method(self) -> str:
        return self.start.split(" ")[0]

    @property
    def path(self) -> str:
        return self.start.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1])


def read_message(reader: IO[bytes]) -> Message | None:
    """Read one request or answer; None at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        head += line
    start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body, raw = _read_chunks(reader)
    else:
        body = raw = _read_exactly(reader, int(headers.get("content-length", "0")))
    return Message(start, headers, body, head + raw)


def _read_chunks(reader: IO[bytes]) -> tuple[bytes, bytes]:
    body = raw = b""
    while True:
        line = reader.readline()
        size = int(line.partition(b";")[0], 16)
        data = _read_exactly(reader, size + 2)
        body += data[:size]
        raw += line + data
        if not size:
            return body, raw


def _read_exactly(reader: IO[bytes], size: int) -> bytes:
    data = reader.read(size)
    if len(data) < size:
        raise EOFError
    return data
