"""Requests that no HTTP library sends, and limits for slow, silent and unlimited clients."""

import contextlib
import select
import socket
from hashlib import sha256
from urllib.parse import urlsplit

import httpx
import pytest
from cicd_system.backend import reading
from cicd_system.backend import server as server_module

from cicd_common import converter
from cicd_common.logging import capture_logs
from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import TOKEN, app_on, order, problem, served, simple
from tests.support.examples.waiting import DEADLINE, until

HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n" + HEAD
REFUSED = b"POST /api/job/status HTTP/1.1\r\n" + HEAD
SIGNED_IN = HEAD + f"Authorization: Bearer {TOKEN}\r\n".encode()
EXECUTE = "/api/pipeline/execute"
START = f"POST {EXECUTE} HTTP/1.1\r\n".encode() + SIGNED_IN


@pytest.fixture(scope="module", autouse=True)
def _impatient():
    """The Backend waits for a moment for its clients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PATIENCE", 0.3)
        patch.setattr(server_module, "ARRIVAL", 0.3)
        patch.setattr(server_module, "UNREAD", 0.5)
        yield


@pytest.fixture(scope="module")
def store():
    """The store, in which nothing is ever stored."""
    with ExecutionStore("sqlite://") as store:
        yield store
        assert store.pipelines() == ()


@pytest.fixture(scope="module")
def url(store):
    with served(app_on(store, token=TOKEN)) as url:
        yield url


def connect(url):
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=DEADLINE)


def answer_to(url, sent):
    """All bytes that a connection receives until the Backend closes it."""
    answer = b""
    with connect(url) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(sent)
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\xa5\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["TLS", "no path", "version", "bytes", "length"],
)
def test_other_bytes_than_http_are_refused(url, sent):
    assert answer_to(url, sent)[:12] in (b"HTTP/1.1 400", b"")


def test_large_bodies_are_refused(url, monkeypatch):
    """They are refused with and without a Content-Length, which may be a lie."""
    monkeypatch.setattr(reading, "PATIENCE", DEADLINE)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    sound = converter.dumps(order(simple("x" * 200)))

    def in_chunks():
        yield sound
        for _ in range(9 << 4):
            yield b" " * (1 << 16)

    for content in (sound + b" " * (9 << 20), in_chunks()):
        problem(httpx.post(url + EXECUTE, content=content, headers=headers), 413)
    assert answer_to(url, START + b"Content-Length: 1000000000000\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_client_that_breaks_off_is_no_flaw(url, monkeypatch):
    """It is logged at INFO."""
    monkeypatch.setattr(reading, "PATIENCE", DEADLINE)
    with capture_logs() as lines:
        with connect(url) as connection:
            connection.sendall(START + b"Content-Length: 100\r\n\r\n{")
        until(lambda: [line for line in lines if line["message"] == "answered"], "its line in the log")
    assert {(line["level"], line.get("status")) for line in lines} == {("INFO", 400)}


@pytest.mark.parametrize("sent", [b"", b"G", HEALTH, HEALTH + b"X: "])
def test_half_a_request_is_not_waited_for(url, sent):
    """The connection is closed."""
    assert answer_to(url, sent) == b""


def test_a_head_without_an_end_is_refused(url):
    """A head that is too large is refused and not collected in memory."""
    answer = answer_to(url, HEALTH + b"X: " + b"x" * 1_000_000)
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""


@pytest.mark.parametrize("what", ["POST /api/job/status", f"PUT /api/artifact/{'0' * 64}", "POST /sign-in"])
def test_half_a_body_is_not_waited_for(url, what):
    """The client gets 408."""
    head = f"{what} HTTP/1.1\r\n".encode() + SIGNED_IN
    assert answer_to(url, head + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_by_bytes_is_not_waited_for(url, monkeypatch):
    """The client gets 408 when the whole body is late, although it was never silent for long."""
    monkeypatch.setattr(reading, "WHOLE", 0.5)
    monkeypatch.setattr(reading, "PATIENCE", DEADLINE)
    with connect(url) as connection:
        connection.sendall(b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: 9999\r\n\r\n")
        while not select.select([connection], [], [], 0.05)[0]:
            connection.sendall(b"x")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_half_a_body_that_nobody_reads_is_not_waited_for(url):
    """A client that is refused before it has sent its body cannot keep the connection by sending it slowly."""
    with connect(url) as connection:
        connection.sendall(REFUSED + b"Content-Length: 100\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"{")
        assert connection.recv(65_536) == b""


def test_requests_that_do_not_wait_for_answers_do_not_pile_up(url):
    """The connection is closed while the client sends without an end."""
    request = b"GET /style.css HTTP/1.1\r\n" + HEAD + b"\r\n"
    with connect(url) as connection, pytest.raises(ConnectionError):
        connection.sendall(request * 2_000_000)


def test_a_request_before_the_end_of_the_last_answer_is_answered(url, monkeypatch):
    """A client may have read an answer before the Backend has finished it."""
    monkeypatch.setattr(reading, "PATIENCE", DEADLINE)
    content = b"x" * 30_000_000
    path = f"/api/artifact/{sha256(content).hexdigest()}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.put(url + path, content=content, headers=headers, timeout=DEADLINE).status_code == 204
    with connect(url) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n".encode() + SIGNED_IN + b"\r\n")
        answer = connection.recv(9)
        connection.sendall(HEALTH + b"Connection: close\r\n\r\n")
        while chunk := connection.recv(1_000_000):
            answer += chunk
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_an_answer_that_is_not_read_is_not_waited_for(monkeypatch):
    """The connection of a client that no longer reads is closed, so that there is room for others."""
    content = b"x" * 30_000_000
    path = f"/api/artifact/{sha256(content).hexdigest()}"
    monkeypatch.setattr(server_module, "most_connections", lambda: 2)
    with ExecutionStore("sqlite://") as store, served(app_on(store)) as url:
        assert httpx.put(url + path, content=content, timeout=DEADLINE).status_code == 204
        with connect(url) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\n".encode() + HEAD + b"\r\n")
            assert connection.recv(9) == b"HTTP/1.1 "
            assert httpx.get(f"{url}/health").status_code == 503
            until(lambda: httpx.get(f"{url}/health").status_code == 200, "room for another client")


def test_a_client_that_is_slow_between_requests_is_served(url):
    """A client may keep its connection between requests."""
    with httpx.Client(base_url=url) as client:
        assert client.get("/health").status_code == 200
        for _ in range(3):
            answer_to(url, b"")  # Longer than a request may take to arrive.
        assert client.get("/health").status_code == 200


def test_many_that_say_nothing_keep_nobody_out(url):
    """Silent connections are closed after a moment."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(url))
        assert httpx.get(f"{url}/health", timeout=DEADLINE).status_code == 200
