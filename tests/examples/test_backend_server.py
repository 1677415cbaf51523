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
from tests.support.examples.http_messages import read_message
from tests.support.examples.waiting import DEADLINE, until

HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n" + HEAD
REFUSED = b"POST /api/job/status HTTP/1.1\r\n" + HEAD
SIGNED_IN = HEAD + f"Authorization: Bearer {TOKEN}\r\n".encode()
EXECUTE = "/api/pipeline/execute"
START = f"POST {EXECUTE} HTTP/1.1\r\n".encode() + SIGNED_IN


@pytest.fixture
def short_arrival(monkeypatch):
    """The Backend waits only for a moment for heads. Tests whose requests must arrive do without it."""
    monkeypatch.setattr(server_module, "ARRIVAL", 0.3)


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
    with connect(url) as connection, contextlib.suppress(ConnectionError):
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
@pytest.mark.usefixtures("short_arrival")
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
        problem(httpx.post(url + EXECUTE, content=content, headers=headers, timeout=DEADLINE), 413)
    assert answer_to(url, START + b"Content-Length: 1000000000000\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_client_that_breaks_off_is_no_flaw(url, monkeypatch):
    """It is logged at INFO."""
    monkeypatch.setattr(reading, "PATIENCE", DEADLINE)
    with capture_logs() as lines:
        with connect(url) as connection:
            connection.sendall(START + b"Content-Length: 100\r\n\r\n{")
        until(lambda: [line for line in lines if line["message"] == "answered"], "its line in the log")
    assert {(line["level"], line.get("status")) for line in lines} == {("INFO", 400)}


@pytest.mark.usefixtures("short_arrival")
@pytest.mark.parametrize("sent", [b"", b"G", HEALTH, HEALTH + b"X: "])
def test_half_a_request_is_not_waited_for(url, sent):
    """The connection is closed."""
    assert answer_to(url, sent) == b""


def test_a_head_without_an_end_is_refused(url, monkeypatch):
    """A head that is too large is refused and not collected in memory."""
    monkeypatch.setattr(server_module, "ARRIVAL", 10 * DEADLINE)  # It is not refused because it is late.
    answer = answer_to(url, HEALTH + b"X: " + b"x" * 1_000_000)
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""


@pytest.mark.parametrize("what", ["POST /api/job/status", f"PUT /api/artifact/{'0' * 64}", "POST /sign-in"])
def test_half_a_body_is_not_waited_for(url, what, monkeypatch):
    """The client gets 408."""
    monkeypatch.setattr(reading, "PATIENCE", 0.3)
    head = f"{what} HTTP/1.1\r\n".encode() + SIGNED_IN
    assert answer_to(url, head + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_by_bytes_is_not_waited_for(url, monkeypatch):
    """The client gets 408 when the whole body is late, although it was never silent for long."""
    monkeypatch.setattr(reading, "WHOLE", 0.5)
    monkeypatch.setattr(reading, "PATIENCE", DEADLINE)
    with connect(url) as connection:
        connection.sendall(b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: 9999\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # It may be closed while a byte is sent.
            while not select.select([connection], [], [], 0.05)[0]:
                connection.sendall(b"x")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_half_a_body_that_nobody_reads_is_not_waited_for(url, monkeypatch):
    """A client that is refused before it has sent its body cannot keep the connection by sending it slowly."""
    with connect(url) as connection, connection.makefile("rb") as answers:
        connection.sendall(REFUSED + b"Content-Length: 100\r\n\r\n")
        assert read_message(answers).status == 401
        monkeypatch.setattr(server_module, "ARRIVAL", 0.3)
        connection.sendall(b"{")
        assert answers.read() == b""


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
    path = f"/api/artifact/{sha256(content).hexdigest()} HTTP/1.1\r\n".encode() + HEAD
    monkeypatch.setattr(server_module, "most_connections", lambda: 2)
    monkeypatch.setattr(server_module, "UNREAD", 0.5)
    with ExecutionStore("sqlite://") as store, served(app_on(store)) as url:
        with connect(url) as connection, connection.makefile("rb") as answers:
            connection.sendall(b"PUT " + path + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
            assert read_message(answers).status == 204
            connection.sendall(b"GET " + path + b"\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            until(lambda: httpx.get(f"{url}/health", timeout=DEADLINE).status_code == 200, "room for another client")
            received = 0
            with contextlib.suppress(ConnectionError):
                while chunk := answers.read1():
                    received += len(chunk)
        assert received < len(content)


def test_a_client_that_is_slow_between_requests_is_served(url, monkeypatch):
    """A client may keep its connection between requests."""
    with connect(url) as connection, connection.makefile("rb") as answers:
        connection.sendall(HEALTH + b"\r\n")
        assert read_message(answers).status == 200
        monkeypatch.setattr(server_module, "ARRIVAL", 0.3)
        for _ in range(3):
            answer_to(url, b"")  # Longer than a request may take to arrive.
        connection.sendall(HEALTH + b"\r\n")
        assert read_message(answers).status == 200


@pytest.mark.usefixtures("short_arrival")
def test_many_that_say_nothing_keep_nobody_out(monkeypatch):
    """Silent connections are closed after a moment."""
    monkeypatch.setattr(server_module, "most_connections", lambda: 100)
    request = HEALTH + b"Connection: close\r\n\r\n"
    with ExecutionStore("sqlite://") as store, served(app_on(store)) as url, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(url)) for _ in range(200)]
        until(lambda: answer_to(url, request).startswith(b"HTTP/1.1 200 "), "room for another client")
        assert {connection.recv(1) for connection in silent} == {b""}
