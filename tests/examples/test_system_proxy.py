"""The proxies of the tests cause the faults that they are named for."""

from __future__ import annotations

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.examples.proxy import Fault, HttpProxy, TcpProxy, once


class Handler(BaseHTTPRequestHandler):
    """Answers with the number of requests so far, including this one."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        answer = b"%d" % len(self.server.bodies)
        self.send_response(200)
        if body == b"in chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # The server joins its threads at its end.

    def handle_error(self, *_):
        """Print nothing: the tests reset connections."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as server:
        server.bodies = []
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(server):
    with HttpProxy(server.server_address) as proxy:
        yield proxy


def post(proxy, *bodies):
    """Post on one connection, and return the answers up to a failure."""
    answers = []
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    try:
        for body in bodies:
            connection.request("POST", "/", body)
            answers.append(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        answers.append(None)
    finally:
        connection.close()
    return answers


def ask_again(connection):
    connection.request("POST", "/", b"b")
    return connection.getresponse()


class TestHttpProxy:
    def test_passes_on(self, server, proxy):
        """A connection can carry several requests, with answers of both forms."""
        assert post(proxy, b"a", b"in chunks", b"c") == [b"1", b"2", b"3"]
        assert server.bodies == [b"a", b"in chunks", b"c"]
        seen = [
            (e.request.method, e.request.path, e.request.body, e.answer.status, e.answer.body) for e in proxy.exchanges
        ]
        assert seen == [
            ("POST", "/", b"a", 200, b"1"),
            ("POST", "/", b"in chunks", 200, b"2"),
            ("POST", "/", b"c", 200, b"3"),
        ]

    @pytest.mark.parametrize(
        ("fault", "answers", "bodies"),
        [
            (Fault.CUT, [None], []),
            (Fault.TRUNCATED, [None], []),
            (Fault.LOST, [None], [b"four"]),
            (Fault.REPEATED, [b"2"], [b"four", b"four"]),
            (Fault.REPLAYED, [b"1"], [b"four"]),
            (Fault.DELAYED, [b"1"], [b"four"]),
        ],
        ids=lambda value: value.name if isinstance(value, Fault) else "",
    )
    def test_faults(self, server, proxy, fault, answers, bodies):
        """A request has its fault the first time, and not when it is repeated."""
        proxy.plan = once(fault)
        assert post(proxy, b"four") == answers
        assert server.bodies == bodies
        assert post(proxy, b"four") == [b"%d" % (len(bodies) + 1)]
        assert proxy.faults[fault] == 1

    def test_replays_late(self, server, proxy):
        """A replayed request arrives again after two others."""
        proxy.plan = once(Fault.REPLAYED)
        post(proxy, b"a", b"b", b"c")
        assert server.bodies == [b"a", b"b", b"c", b"a"]

    def test_one_plan_for_all_connections(self, proxy):
        """Different requests have their faults independently, on any connection."""
        proxy.plan = once(Fault.CUT)
        assert [post(proxy, b"a"), post(proxy, b"b"), post(proxy, b"a"), post(proxy, b"b")] == [
            [None],
            [None],
            [b"1"],
            [b"2"],
        ]

    def test_no_server(self, server):
        """Without a server the connection of the client is reset."""
        with HttpProxy() as proxy:
            assert post(proxy, b"a") == [None]
            proxy.target = server.server_address
            assert post(proxy, b"a") == [b"1"]


@pytest.mark.parametrize("kind", [TcpProxy, HttpProxy])
class TestCutting:
    def test_cut_and_mended(self, server, kind):
        """A cut resets open and new connections until it is mended."""
        with kind(server.server_address) as proxy:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
            connection.request("POST", "/", b"a")
            assert connection.getresponse().read() == b"1"
            proxy.cut()
            with pytest.raises((OSError, http.client.HTTPException)):
                ask_again(connection)
            connection.close()
            assert post(proxy, b"c") == [None]
            proxy.mend()
            assert post(proxy, b"d") == [b"2"]
        assert server.bodies == [b"a", b"d"]

    def test_stalled_and_mended(self, server, kind):
        """Data that was sent during a stall arrives after it."""
        with kind(server.server_address) as proxy:
            proxy.stall()
            answers = []
            thread = threading.Thread(target=lambda: answers.extend(post(proxy, b"a")))
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
            assert server.bodies == []
            proxy.mend()
            thread.join(30)
            assert answers == [b"1"]

    def test_closed(self, server, kind):
        """A closed proxy does not listen."""
        proxy = kind(server.server_address)
        proxy.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", proxy.port), timeout=30)
