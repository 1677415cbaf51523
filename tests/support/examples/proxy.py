"""TCP and HTTP proxies with the faults of networks: they cut, stall, delay, lose and repeat.

`TcpProxy` passes bytes. `HttpProxy` reads the requests of HTTP/1.1, so it can treat each request differently, and it
records the requests and their answers.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.examples.http_messages import Message, read_message

RESET = struct.pack("ii", 1, 0)
BEFORE_THE_REPEAT = 2


class TcpProxy:
    """Listens on a free port of the loopback and forwards connections to `target`.

    Until `target` is set, connections are refused.
    """

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._down = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Reset all connections and stop listening."""
        self.cut()
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """Reset all connections, and all new ones until `mend` is called."""
        with self._lock:
            self._down = True
            connections = list(self._open)
        for connection in connections:
            # This wakes the thread that reads from it; until then the socket is not really closed.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            self._reset(connection)

    def stall(self) -> None:
        """Hold all data back without an error until `mend` is called."""
        self._flowing.clear()

    def mend(self) -> None:
        """End all faults."""
        with self._lock:
            self._down = False
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._took(connection):
                threading.Thread(target=self._serve_and_close, args=[connection], daemon=True).start()

    def _took(self, connection: socket.socket) -> bool:
        with self._lock:
            if not self._down and self.target is not None:
                self._open.add(connection)
                return True
        self._reset(connection)
        return False

    def _serve_and_close(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._serve(client)
        self._reset(client)

    def _serve(self, client: socket.socket) -> None:
        upstream = self._connect()
        back = threading.Thread(target=self._pump, args=[upstream, client], daemon=True)
        back.start()
        self._pump(client, upstream)
        back.join()
        self._reset(upstream)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                if self._down:
                    break
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _connect(self) -> socket.socket:
        upstream = socket.create_connection(self.target, timeout=30)
        upstream.settimeout(None)
        with self._lock:
            self._open.add(upstream)
        return upstream

    def _reset(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()


class Fault(enum.Enum):
    """What can happen to a request."""

    NONE = "it is passed on"
    CUT = "the connection is reset before the Backend gets it"
    TRUNCATED = "the connection is reset in the middle of it"
    LOST = "it is applied, and the answer is lost"
    REPEATED = "it is sent twice at once; the client gets the second answer"
    REPLAYED = "it is sent again after later requests"
    DELAYED = "it is passed on later"


@dataclass(frozen=True)
class Exchange:
    """A request that was passed on, its answer, its fault, and the seconds until the answer."""

    request: Message
    answer: Message
    fault: Fault
    seconds: float


Plan = Callable[[Message], Fault]


def once(fault: Fault) -> Plan:
    """A plan that gives each request the fault the first time, and passes it on when it is repeated."""
    seen: set[tuple[str, bytes]] = set()

    def plan(request: Message) -> Fault:
        key = (request.start, request.body)
        if key in seen:
            return Fault.NONE
        seen.add(key)
        return fault

    return plan


def passed(_request: Message) -> Fault:
    """A plan without faults."""
    return Fault.NONE


class HttpProxy(TcpProxy):
    """Passes requests on one by one, with the faults of a plan.

    Attributes:
        plan: Returns the fault of a request. It can be replaced at any time.
        delay: The seconds by which requests are delayed.
        exchanges: The requests that were passed on, with their answers.
        faults: The number of requests with each fault.
    """

    def __init__(self, target: tuple[str, int] | None = None, *, plan: Plan = passed, delay: float = 0.3) -> None:
        self.plan = plan
        self.delay = delay
        self.exchanges: list[Exchange] = []
        self.faults: dict[Fault, int] = dict.fromkeys(Fault, 0)
        self._stale: list[tuple[int, Message]] = []
        super().__init__(target)

    def _serve(self, client: socket.socket) -> None:
        with client.makefile("rb") as reader:
            while (request := read_message(reader)) is not None:
                self._flowing.wait()
                if self._down:
                    return
                fault = self._next_fault(request)
                answer = STEPS[fault](self, request)
                if answer is None:
                    return
                self._send_stale()
                client.sendall(answer.raw)

    def _next_fault(self, request: Message) -> Fault:
        with self._lock:
            fault = self.plan(request)
            self.faults[fault] += 1
            return fault

    def send(self, request: Message, fault: Fault) -> Message:
        upstream = self._connect()
        start = time.perf_counter()
        try:
            upstream.sendall(request.raw)
            with upstream.makefile("rb") as reader:
                answer = read_message(reader)
        finally:
            self._reset(upstream)
        if answer is None:
            raise EOFError
        self.exchanges.append(Exchange(request, answer, fault, time.perf_counter() - start))
        return answer

    def pass_on(self, request: Message) -> Message:
        return self.send(request, Fault.NONE)

    def cut_off(self, _request: Message) -> None:
        return None

    def truncate(self, request: Message) -> None:
        upstream = self._connect()
        upstream.sendall(request.raw[: -(len(request.body) // 2) - 1])
        self._reset(upstream)

    def lose(self, request: Message) -> None:
        self.send(request, Fault.LOST)

    def repeat(self, request: Message) -> Message:
        self.send(request, Fault.REPEATED)
        return self.send(request, Fault.REPEATED)

    def replay(self, request: Message) -> Message:
        with self._lock:
            self._stale.append((BEFORE_THE_REPEAT, request))
        return self.send(request, Fault.REPLAYED)

    def _send_stale(self) -> None:
        """Send requests again that were followed by enough other requests."""
        with self._lock:
            due = [request for left, request in self._stale if not left]
            self._stale = [(left - 1, request) for left, request in self._stale if left]
        for request in due:
            self.send(request, Fault.REPLAYED)

    def wait(self, request: Message) -> Message:
        threading.Event().wait(self.delay)
        return self.send(request, Fault.DELAYED)


STEPS: dict[Fault, Callable[[HttpProxy, Message], Message | None]] = {
    Fault.NONE: HttpProxy.pass_on,
    Fault.CUT: HttpProxy.cut_off,
    Fault.TRUNCATED: HttpProxy.truncate,
    Fault.LOST: HttpProxy.lose,
    Fault.REPEATED: HttpProxy.repeat,
    Fault.REPLAYED: HttpProxy.replay,
    Fault.DELAYED: HttpProxy.wait,
}
