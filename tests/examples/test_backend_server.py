"""Limits for slow and silent clients."""

import contextlib
import socket
import threading

import httpx
import pytest
from cicd_system.backend import reading
from cicd_system.backend import server as server_module
from cicd_system.backend.server import listening, make_server

from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import app_on
from tests.support.examples.waiting import until

DEADLINE = 30


@pytest.fixture
def address(monkeypatch):
    """The address of a Backend that waits a tenth of a second for its clients."""
    monkeypatch.setattr(reading, "PATIENCE", 0.1)
    monkeypatch.setattr(server_module, "ARRIVAL", 0.1)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Handlers belong to the main thread.
    with ExecutionStore("sqlite://") as store, listening("127.0.0.1", 0) as listener:
        server = make_server(app_on(store))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, "the Backend to start", pause=0.01)
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


def answer_to(address, sent):
    """All bytes that a connection receives until the Backend closes it."""
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                answer += chunk
    return answer


@pytest.mark.parametrize(
    "sent",
    [b"", b"G", b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "],
)
def test_half_a_request_is_not_waited_for(address, sent):
    """The connection is closed."""
    assert answer_to(address, sent) == b""


def test_a_head_without_an_end_is_refused(address):
    """A head that is too large is refused and not collected in memory."""
    answer = answer_to(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000)
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""


@pytest.mark.parametrize("what", ["POST /api/job/status", f"PUT /api/artifact/{'0' * 64}", "POST /sign-in"])
def test_half_a_body_is_not_waited_for(address, what):
    """The client gets 408."""
    head = f"{what} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    assert answer_to(address, head + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408 ")


def test_a_client_that_is_slow_between_requests_is_served(address):
    """A client may keep its connection between requests."""
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}") as client:
        assert client.get("/health", headers={"Host": "localhost"}).status_code == 200
        for _ in range(3):
            answer_to(address, b"")  # Longer than a request may take to arrive.
        assert client.get("/health", headers={"Host": "localhost"}).status_code == 200


def test_many_that_say_nothing_keep_nobody_out(address):
    """Silent connections are closed after a moment."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(address, timeout=DEADLINE))
        answer = httpx.get(f"http://{address[0]}:{address[1]}/health", headers={"Host": "localhost"}, timeout=DEADLINE)
        assert answer.status_code == 200
