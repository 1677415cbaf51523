"""The Backend as a process: how it starts and ends, and what it listens on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from cicd_system.backend.server import listening
from sqlalchemy import select

from cicd_common import converter
from cicd_common.integrations.cdevents import from_http
from cicd_common.store import ExecutionStore
from cicd_common.store.tables import outbox
from tests.support.examples.backend_in_process import JSON, order, problem, simple
from tests.support.examples.private_servers import free_ports
from tests.support.examples.programs import Program
from tests.support.examples.settings import embedded, jobs_in
from tests.support.examples.system import System
from tests.support.examples.waiting import DEADLINE, until
from tests.support.http_receiver import receiver

EXECUTE = "/api/pipeline/execute"


def system_in(directory, **changes):
    """A system of one Backend, without Workers."""
    with embedded(directory) as setting:
        # Jobs that nobody claims are not sent again, so that they can be counted.
        return System.on(setting, directory, workers=0, **{"resend": 3600} | changes)


@pytest.fixture
def system(tmp_path):
    """A Backend without Workers; at the end its log and its exit are checked."""
    with system_in(tmp_path) as system:
        yield system


def client(system):
    headers = {"Authorization": f"Bearer {system.token}"} | JSON
    return httpx.Client(base_url=system.urls[0], headers=headers, timeout=DEADLINE)


def lines(system):
    """What the Backend has logged so far."""
    return [json.loads(line) for line in system.backends[0].log.read_text().splitlines()]


def run_backend(directory, *flags, **environment):
    """Run a Backend that ends by itself."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CICD_")}
    return Program("backend", "cicd_system.backend", flags, clean | environment, directory).run()


class TestStart:
    """The start, and what prevents it."""

    @pytest.mark.parametrize(
        ("host", "token"),
        [
            *[(host, "") for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", "")],
            *[
                ("127.0.0.1", token)
                for token in ("two words", "t\u00f6ken-of-some-length", 'quoted"quoted', "line\nline")
            ],
        ],
    )
    def test_refuses_tokens_and_addresses(self, tmp_path, host, token):
        """Without a token only the loopback is accepted, and a token must be one that clients can send."""
        ended = run_backend(tmp_path, "--host", host, "--port", "0", CICD_TOKEN=token)
        assert ended.returncode == 2
        assert ended.stderr.count("CICD_TOKEN") == 1
        assert "Traceback" not in ended.stderr
        assert not token or token not in ended.stderr
        assert list(tmp_path.iterdir()) == []

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
    def test_cannot_start(self, tmp_path, flags, said):
        """One line gives the reason, without a traceback and without a password."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            given = {"--port": "0", "--broker": f"sqla+sqlite:///{tmp_path}/broker.db", "--store": "sqlite://"}
            given |= dict(zip(flags[::2], [port if each == "PORT" else each for each in flags[1::2]], strict=True))
            ended = run_backend(tmp_path, *(part for pair in given.items() for part in pair))
        assert ended.returncode == 1
        (line,) = (line for line in map(json.loads, ended.stderr.splitlines()) if line["level"] == "CRITICAL")
        assert said in line["message"]
        assert "hunter2" not in ended.stderr

    def test_answers_do_not_wait(self):
        """Connections have TCP_NODELAY; otherwise a part of each answer waits for an acknowledgement."""
        with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=DEADLINE):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_without_a_token_on_the_loopback(self, tmp_path):
        """The Backend needs no token there, and its address may be one of IPv6."""
        system = system_in(tmp_path)
        program = system.backends[0]
        program.arguments[program.arguments.index("--host") + 1] = "::1"
        program.environment["CICD_TOKEN"] = ""
        system.start()
        try:
            assert system.urls[0].startswith("http://[::1]:")
            problem(httpx.get(f"{system.urls[0]}/api/report/pipeline/absent", timeout=DEADLINE), 404)
        finally:
            assert system.stop() == []


class TestEnd:
    """The end by a signal, with the exit code 0."""

    def test_signal(self, tmp_path):
        """A Backend that was started by its command line tells its address, and ends by SIGTERM."""
        with system_in(tmp_path, are_forked=False) as system:
            assert [line["url"] for line in lines(system) if "url" in line] == system.urls
            assert urlsplit(system.urls[0]).port != 0
            assert sorted(path.name for path in tmp_path.glob("*.url*")) == ["backend-0.url"]
            assert end_of(system, signal.SIGTERM) == 0

    def test_signal_at_the_very_start(self, tmp_path):
        """SIGINT right after the address was logged ends the Backend."""
        system = system_in(tmp_path)
        system.backends[0].start()
        until(lambda: "listening" in system.backends[0].log.read_text(), "the address", pause=0.001)
        assert end_of(system, signal.SIGINT) == 0
        system.stop()

    def test_what_is_open_ends(self, system):
        """A request that began before is answered, an open page without the event `over`; idle connections end."""
        with (
            client(system) as idle,
            client(system) as page,
            page.stream("GET", "/events") as answer,
            connection(system) as wire,
        ):
            told = answer.iter_lines()
            assert next(told) == "event: ping"
            body = converter.dumps(order(simple()))
            head = {"Host": "localhost", "Authorization": f"Bearer {system.token}", "Content-Length": len(body), **JSON}
            fields = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            wire.sendall(f"POST {EXECUTE} HTTP/1.1\r\n{fields}\r\n".encode() + body[:10])
            # Another request is answered once the first has been read that far.
            assert idle.get("/health").status_code == 200
            system.backends[0].send(signal.SIGTERM)
            until(lambda: refuses(system), "an end of listening")
            wire.sendall(body[10:])
            assert b"201 Created" in wire.makefile("rb").read()
            last = []
            with contextlib.suppress(httpx.RemoteProtocolError):  # It is cut if it does not end in time.
                last.extend(told)
            assert "event: over" not in last
            assert end_of(system) == 0
        assert len(jobs(system)) == 1


def end_of(system, number=None):
    """Send a Backend a signal and wait for its end; returns its exit code."""
    program = system.backends[0]
    if number is not None:
        program.send(number)
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


class TestCrash:
    """The Backend is killed while its broker and its receiver fail."""

    def test_killed_before_jobs_and_events_were_sent(self, tmp_path):
        """Jobs and events that were not accepted before the kill are sent after the next start."""
        broker, events = free_ports(2)
        store = f"sqlite:///{tmp_path}/cicd.db"
        system = System(tmp_path, store=store, broker=f"redis://127.0.0.1:{broker}/0", workers=0)
        environment = system.backends[0].environment
        environment["CICD_EVENTS"] = f"http://127.0.0.1:{events}"
        system.start()
        try:
            with client(system) as asking:
                bodies = [converter.dumps(order(simple(f"pipeline {number}"))) for number in range(3)]
                answers = [asking.post(EXECUTE, content=body) for body in bodies]
                assert [answer.status_code for answer in answers] == [201] * 3
                waiting = {"events": {"waiting": 3, "given_up": 0}}
                # It says "busy" if the answer takes a second.
                until(lambda: asking.get("/health").json() == {"status": "ok", **waiting}, "three runs that wait")
            with ExecutionStore(store) as own:
                until(lambda: [row.claim for row in untold(own) if row.attempts] == [None] * 3, "failed attempts")
            system.backends[0].kill()
            environment["CICD_BROKER"] = f"sqla+sqlite:///{tmp_path}/broker.db"
            with receiver() as somebody:
                environment["CICD_EVENTS"] = environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = somebody.url
                system.restart_backend()
                # Both are sent again if it takes long until they are accepted, or claimed.
                runs = {each.json()["execution_id"] for each in answers}
                until(lambda: {str(job.pipeline_execution_id) for job in jobs(system)} == runs, "the jobs of all runs")
                until(lambda: {event.chain_id for event in told(somebody)} == runs, "the events of all runs")
            assert all("TRACEPARENT" in job.environment for job in jobs(system))
        finally:
            system.stop()


def untold(store):
    """The rows of the outbox."""
    with store._database.read() as connection:
        return connection.execute(select(outbox)).all()


def told(somebody):
    """The events that a receiver has received."""
    return [from_http(request.headers, request.body) for request in somebody.requests]


def jobs(system):
    """The jobs in the broker."""
    return jobs_in(f"sqla+sqlite:///{system.directory}/broker.db")
