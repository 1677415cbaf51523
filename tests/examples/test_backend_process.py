"""The Backend as a process: how it starts and ends, what it listens on, and what comes over a real wire."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cicd_system.backend.server import listening
from sqlalchemy import make_url, select

from cicd_common import converter
from cicd_common.integrations.cdevents import from_http
from cicd_common.store import ExecutionStore
from cicd_common.store.tables import outbox
from tests.support.examples.backend_in_process import JSON, order, problem, simple
from tests.support.examples.private_servers import free_ports
from tests.support.examples.programs import Program
from tests.support.examples.proxy import TcpProxy
from tests.support.examples.settings import embedded, jobs_in, postgres_schema
from tests.support.examples.system import System
from tests.support.examples.system_checks import rows_of
from tests.support.examples.waiting import DEADLINE, until
from tests.support.http_receiver import receiver

UPDATE = "/api/job/status"
ANYWHERE = "0.0.0.0"


@pytest.fixture
def directory(tmp_path):
    return tmp_path


@pytest.fixture
def system(directory):
    """A Backend without Workers; at the end its log and its exit are checked."""
    with embedded(directory) as setting, System.on(setting, directory, workers=0) as system:
        yield system


@pytest.fixture
def started(directory):
    """A Backend that was started by its command line."""
    with embedded(directory) as setting, System.on(setting, directory, workers=0, are_forked=False) as system:
        yield system


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, directory):
    if request.param == "sqlite":
        yield f"sqlite:///{directory}/cicd.db"
        return
    with postgres_schema() as url:
        yield url


def client(system, number=0):
    return httpx.Client(
        base_url=system.urls[number], headers={"Authorization": f"Bearer {system.token}"} | JSON, timeout=DEADLINE
    )


def lines(system, number=0):
    """What a Backend has logged so far."""
    return [json.loads(line) for line in system.backends[number].log.read_text().splitlines()]


def run_backend(directory, *flags, **environment):
    """Run a Backend that ends by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CICD_")}
    return Program("backend", "cicd_system.backend", flags, clean | environment, directory).run()


class TestStart:
    """The start, and what prevents it."""

    def test_address(self, started):
        """The log and the file have the actual address."""
        urls = [line["url"] for line in lines(started) if "url" in line]
        assert urls == started.urls
        assert urlsplit(urls[0]).port != 0
        assert sorted(path.name for path in started.directory.glob("*.url*")) == ["backend-0.url"]

    @pytest.mark.parametrize(
        ("host", "environment"),
        [(ANYWHERE, {}), (ANYWHERE, {"CICD_TOKEN": ""}), ("::", {}), ("192.0.2.1", {}), ("example.org", {}), ("", {})],
    )
    def test_refuses_all_but_the_loopback_without_a_token(self, directory, host, environment):
        """There is one error, and no file is created."""
        ended = run_backend(directory, "--host", host, "--port", "0", **environment)
        assert ended.returncode == 2
        assert ended.stderr.count("CICD_TOKEN") == 1
        assert "Traceback" not in ended.stderr
        assert list(directory.iterdir()) == []

    @pytest.mark.parametrize("token", ["two words", "t\u00f6ken-of-some-length", 'quoted"quoted', "line\nline-line"])
    def test_refuses_what_is_no_token(self, directory, token):
        """A token that no client could send is refused and not repeated."""
        ended = run_backend(directory, "--port", "0", CICD_TOKEN=token)
        assert ended.returncode == 2
        assert ended.stderr.count("CICD_TOKEN") == 1
        assert token not in ended.stderr

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--store", "mysql://hunter2hunter2@x/y"], "the URL of a database"),
            (["--broker", "http://u:hunter2hunter2@x"], "scheme"),
            (["--store", "sqlite:////nowhere/at/all.db"], "database"),
            (["--host", "127.0.0.1", "--port", "PORT"], "in use"),
            (["--url-file", "/nowhere/at/all"], "nowhere"),
        ],
        ids=["store", "broker", "no database", "port", "url file"],
    )
    def test_cannot_start(self, directory, flags, said):
        """One line gives the reason, without a traceback and without a password."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            given = {"--port": "0", "--broker": f"sqla+sqlite:///{directory}/broker.db", "--store": "sqlite://"}
            given |= dict(zip(flags[::2], [port if each == "PORT" else each for each in flags[1::2]], strict=True))
            ended = run_backend(directory, *(part for pair in given.items() for part in pair))
        assert ended.returncode == 1
        (line,) = (line for line in map(json.loads, ended.stderr.splitlines()) if line["level"] == "CRITICAL")
        assert said in line["message"]
        assert "hunter2" not in ended.stderr

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_answers_do_not_wait(self, host):
        """Connections have TCP_NODELAY; otherwise a part of each answer waits for an acknowledgement."""
        with listening(host, 0) as listener, socket.create_connection(listener.getsockname()[:2], timeout=DEADLINE):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_without_a_token_on_the_loopback(self, directory):
        """The Backend answers over IPv4 and over IPv6."""
        for host in ("127.0.0.2", "::1"):
            system = started_alone(directory / host.replace(":", "-"), host)
            try:
                url = system.urls[0]
                assert httpx.get(f"{url}/health").status_code == 200
                problem(httpx.get(f"{url}/api/report/pipeline/absent"), 404)
                problem(httpx.get(f"{url}/api/report/pipeline/absent", headers={"Host": "evil.example"}), 421)
            finally:
                assert system.stop() == []


def started_alone(directory, host):
    """A Backend without a token at an address."""
    directory.mkdir()
    with embedded(directory) as setting:
        system = System.on(setting, directory, workers=0)
    program = system.backends[0]
    program.arguments[program.arguments.index("--host") + 1] = host
    program.environment["CICD_TOKEN"] = ""
    system.start()
    return system


class TestEnd:
    """The end by a signal."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal(self, started, number):
        """The exit code is 0."""
        assert end_of(started, number) == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_at_the_very_start(self, directory, number):
        """A signal right after the address was logged ends the Backend."""
        with embedded(directory) as setting:
            system = System.on(setting, directory, workers=0, are_forked=False)
        system.backends[0].start()
        until(lambda: "listening" in system.backends[0].log.read_text(), "the address", pause=0.001)
        assert end_of(system, number) == 0
        system.stop()

    def test_running_request_ends(self, system):
        """A request that began before the signal is answered, even if its body arrives later."""
        with connection(system) as wire:
            body = converter.dumps(order(simple()))
            wire.sendall(head(system, "POST", "/api/pipeline/execute", len(body)) + body[:10])
            # A second request on another connection is answered once the first has been read that far.
            assert httpx.get(f"{system.urls[0]}/health").status_code == 200
            os.kill(system.backends[0].pid, signal.SIGTERM)
            until(lambda: refuses(system), "an end of listening")
            wire.sendall(body[10:])
            assert b"201 Created" in wire.makefile("rb").read()
        assert end_of(system) == 0
        assert sent(system) == 1

    def test_streams_of_events_end(self, system):
        """The answer of an open page is completed without the event `over`."""
        with client(system) as open_client, open_client.stream("GET", "/events") as answer:
            lines_told = answer.iter_lines()
            assert next(lines_told) == "event: ping"
            os.kill(system.backends[0].pid, signal.SIGTERM)
            assert "event: over" not in list(lines_told)
        assert end_of(system) == 0

    def test_open_connections(self, system):
        """Idle connections do not delay the end."""
        with client(system) as open_client:
            assert open_client.get("/health").status_code == 200
            assert end_of(system, signal.SIGTERM) == 0


def end_of(system, number=None):
    """Send a Backend a signal and wait for its end; returns its exit code."""
    program = system.backends[0]
    if number is not None:
        os.kill(program.pid, number)
    until(lambda: not program.runs, "the end of the Backend")
    return program.exit_code


def refuses(system):
    try:
        connection(system).close()
    except ConnectionRefusedError:
        return True
    return False


def connection(system):
    parts = urlsplit(system.urls[0])
    return socket.create_connection((parts.hostname, parts.port), timeout=DEADLINE)


def head(system, method, path, length=None, **headers):
    """The head of a request."""
    given = {"Host": "localhost", "Authorization": f"Bearer {system.token}", **JSON}
    given |= {} if length is None else {"Content-Length": length}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items()), "", ""]).encode(
        "latin-1"
    )


def answer_of(system, *parts):
    """Send bytes; returns the status and the body of the answer after the connection was closed."""
    with connection(system) as wire:
        for part in parts:
            wire.sendall(part)
        answer = wire.makefile("rb").read()
    first, _, rest = answer.partition(b"\r\n")
    return int(first.split()[1]), rest.partition(b"\r\n\r\n")[2]


class TestWire:
    """Requests that no HTTP library sends."""

    def test_too_large(self, system):
        """A too large body is refused with and without a Content-Length, and nothing is stored."""
        before = sorted(rows_of(system.store))
        sound = converter.dumps(order(simple("x" * 200)))
        large = sound + b" " * (9 << 20)

        def in_chunks():
            yield sound
            for _ in range(9 << 4):
                yield b" " * (1 << 16)

        with client(system) as asking:
            for _ in range(5):
                problem(asking.post("/api/pipeline/execute", content=large), 413)
                problem(asking.post("/api/pipeline/execute", content=in_chunks()), 413)
            assert asking.get("/health").status_code == 200
        assert sorted(rows_of(system.store)) == before

    def test_a_length_that_is_a_lie(self, system):
        """A too large Content-Length is refused at once, and bytes after the announced ones are not read."""
        status, _ = answer_of(system, head(system, "POST", UPDATE, 10**12, Connection="close"))
        assert status == 413
        status, _ = answer_of(system, head(system, "POST", UPDATE, 2, Connection="close") + b"{}" + b"x" * 1000)
        assert status in {400, 422}

    @pytest.mark.parametrize("path", ["/api/report/pipeline/" + "x" * 70_000, f"{UPDATE}?" + "x=1&" * 20_000])
    def test_path_too_long(self, system, path):
        """The server refuses a too long head."""
        status, _ = answer_of(system, head(system, "GET", path, Connection="close"))
        assert 400 <= status < 500

    @pytest.mark.parametrize(
        "request_",
        [b"\x16\x03\x01\x00\xa5\x01", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"],
    )
    def test_no_http(self, system, request_):
        """Other bytes than HTTP are refused, and the Backend goes on."""
        with connection(system) as wire:
            wire.sendall(request_)
            wire.shutdown(socket.SHUT_WR)
            assert b"200" not in wire.makefile("rb").read().partition(b"\r\n")[0]
        assert httpx.get(f"{system.urls[0]}/health").status_code == 200

    def test_broken_off(self, system):
        """A client that disconnects within its body is logged at INFO, and nothing is stored."""
        before = sorted(rows_of(system.store))
        sound = converter.dumps(order(simple()))
        with connection(system) as wire:
            wire.sendall(head(system, "POST", "/api/pipeline/execute", len(sound)) + sound[:-1])
        until(lambda: any(line.get("status") == 400 for line in lines(system)), "its line in the log")
        assert {line["level"] for line in lines(system)} == {"INFO"}
        assert sorted(rows_of(system.store)) == before


class TestCrash:
    """The Backend is killed, or its broker or its store fails."""

    def test_killed_before_jobs_and_events_were_sent(self, directory, store):
        """Jobs and events that were not accepted before the kill are sent after the next start."""
        broker, events = free_ports(2)
        system = System(directory, store=store, broker=f"redis://127.0.0.1:{broker}/0", workers=0)
        environment = system.backends[0].environment
        environment["CICD_EVENTS"] = f"http://127.0.0.1:{events}"
        system.start()
        try:
            with client(system) as asking:
                answers = [asking.post("/api/pipeline/execute", content=body) for body in bodies(3)]
                assert [answer.status_code for answer in answers] == [201] * 3
                waiting = {"events": {"waiting": 3, "given_up": 0}}
                assert asking.get("/health").json() == {"status": "ok", **waiting}
            with ExecutionStore(store) as own:
                until(lambda: [row.claim for row in untold(own) if row.attempts] == [None] * 3, "failed attempts")
            system.backends[0].kill()
            environment["CICD_BROKER"] = f"sqla+sqlite:///{directory}/broker.db"
            with receiver() as somebody:
                environment["CICD_EVENTS"] = environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = somebody.url
                system.restart_backend()
                until(lambda: sent(system) == 3, "three jobs in the queue")
                until(lambda: len(told(somebody)) >= 3, "the events of three runs")
            assert all("TRACEPARENT" in job.environment for job in jobs_in(environment["CICD_BROKER"]))
            assert {event.chain_id for event in told(somebody)} == {each.json()["execution_id"] for each in answers}
        finally:
            system.stop()

    def test_broker_comes_back(self, directory):
        """Jobs that the broker did not accept are sent when it works again."""
        blocked = directory / "blocked"
        blocked.write_text("A file where the broker's directory has to be.")
        system = System(
            directory, store=f"sqlite:///{directory}/cicd.db", broker=f"sqla+sqlite:///{blocked}/broker.db", workers=0
        )
        system.start()
        try:
            with client(system) as asking:
                assert asking.post("/api/pipeline/execute", content=next(bodies(1))).status_code == 201
            until(lambda: any(line["level"] == "WARNING" for line in lines(system)), "a warning")
            blocked.unlink()
            blocked.mkdir()
            until(lambda: jobs_in(f"sqla+sqlite:///{blocked}/broker.db"), "the job in the queue")
            assert not any(line["level"] == "ERROR" for line in lines(system))
        finally:
            system.stop()

    def test_store_goes_away(self, directory):
        """Requests are answered with 503 until the store is back."""
        with postgres_schema() as direct, TcpProxy() as proxy:
            address = make_url(direct)
            proxy.target = (str(address.host), address.port or 5432)
            url = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
            with (
                System(directory, store=url, broker=f"sqla+sqlite:///{directory}/broker.db", workers=0) as system,
                client(system) as asking,
            ):
                (body,) = bodies(1)
                proxy.cut()
                for path in ("/health", "/api/report/pipeline/absent"):
                    away = asking.get(path)
                    problem(away, 503)
                    assert away.headers["retry-after"] == "1"
                problem(asking.post("/api/pipeline/execute", content=body), 503)
                proxy.mend()
                until(lambda: asking.get("/health").status_code == 200, "the store")
                assert asking.post("/api/pipeline/execute", content=body).status_code == 201
                until(lambda: sent(system) == 1, "the job in the queue")
                assert not [line for line in lines(system) if line["level"] == "ERROR"]

    def test_store_is_locked(self, system):
        """Health is answered while another process locks SQLite and all threads of the pool wait."""
        path = make_url(system.store).database
        with (
            client(system) as asking,
            contextlib.closing(sqlite3.connect(path)) as other,
            ThreadPoolExecutor(50) as pool,
        ):
            other.execute("BEGIN IMMEDIATE")
            waiting = [pool.submit(asking.post, "/api/pipeline/execute", content=body) for body in bodies(50)]
            until(lambda: system_threads(system) > 40, "all threads of the pool")
            health = asking.get("/health")
            assert (health.status_code, health.json()["status"] in {"ok", "busy"}) == (200, True)
            assert not any(future.done() for future in waiting)
            other.rollback()
            assert {future.result().status_code for future in waiting} <= {201, 503}


def system_threads(system):
    """The number of threads of the Backend; its pool has 40."""
    return len(list(Path(f"/proc/{system.backends[0].pid}/task").iterdir()))


def untold(store):
    """The rows of the outbox."""
    with store._database.read() as connection:
        return connection.execute(select(outbox)).all()


def told(somebody):
    """The events that a receiver has received."""
    return [from_http(request.headers, request.body) for request in somebody.requests]


def bodies(count):
    return (converter.dumps(order(simple(f"pipeline {number}"))) for number in range(count))


def sent(system):
    """The number of jobs in the broker."""
    return len(jobs_in(f"sqla+sqlite:///{system.directory}/broker.db"))
