"""The CLI and Backends that do not answer as they should: what it sends again, and when it gives up."""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest
from attrs import evolve
from cicd_system.cli.__main__ import logs
from cicd_system.cli.client import Client

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.dto import JobExecutionDTO
from tests.support.examples.programs import Program
from tests.support.examples.waiting import DEADLINE


class Server(ThreadingHTTPServer):
    """Answers in turn what it was told to, a status and a body each; none breaks the connection off."""

    daemon_threads = True

    def __init__(self, *answers: tuple[int, bytes] | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.bodies: list[bytes] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        answer = self.server.answers.pop(0)
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, body = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[object]:
    servers = []

    def start(*answers: tuple[int, bytes] | None) -> Server:
        servers.append(server := Server(*answers))
        Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text("name: a\nrepo_url: .\nstages: [{name: s, jobs: [{name: j, script: [x]}]}]\n")
    return path


def program(port: int, *arguments: str, **variables: str) -> Program:
    given = ["--backend", f"http://127.0.0.1:{port}", *arguments]
    environment = {**os.environ, "CICD_TOKEN": "a-token-of-the-test", **variables}
    return Program("cli", "cicd_system.cli", given, environment, Path.cwd())


def cli(server: Server, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = program(server.server_port, *arguments, **variables).run()
    assert "Traceback" not in done.stderr
    assert "a-token-of-the-test" not in done.stdout + done.stderr
    return done


def test_sent_again(serve, file):
    """A request without an answer is sent again as it was, with its id: it starts no second run."""
    server = serve(None, (503, b"{}"), (429, b""), (422, b'{"detail": "no"}'))
    done = cli(server, "run", str(file))
    assert (done.returncode, done.stderr) == (3, "the Backend answers 422: no\n")
    assert len(server.bodies) == 4
    assert len(set(server.bodies)) == 1
    assert converter.loads(server.bodies[0], PipelineExecutionRequest).pipeline is not None


def test_short_token(serve):
    """One that is too short to be masked is no reason for a line of the log."""
    done = cli(serve((422, b'{"detail": "no"}')), "report", "x", CICD_TOKEN="short")
    assert done.stderr == "the Backend answers 422: no\n"


def test_new_id(serve, file):
    """Two runs are two requests."""
    servers = [serve((422, b"{}")), serve((422, b"{}"))]
    for server in servers:
        cli(server, "run", str(file))
    assert servers[0].bodies != servers[1].bodies


@pytest.mark.parametrize(
    "answer",
    [(200, b"<html>"), (200, b"{}"), (204, b""), (302, b""), (404, b"<html>"), (500, b"\xff"), (400, b'{"detail":5}')],
    ids=lambda answer: f"{answer[0]} {answer[1]!r}",
)
def test_no_backend(serve, answer):
    """What answers otherwise than a Backend does is said to."""
    done = cli(serve(answer), "report", "x")
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1


def test_problems(serve):
    """All problems are shown, and nothing in them is obeyed."""
    detail = r'"ReportRequest: 2 problems\n  /a: expected \u001b[2J\n  /b: expected [red]"'
    done = cli(serve((422, f'{{"detail": {detail}}}'.encode())), "report", "x")
    assert done.stderr.splitlines()[1:] == ["  /a: expected \\x1b[2J", "  /b: expected [red]"]


def test_interrupted(file):
    """Before there is an answer, it is not known what became of the request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            program(listener.getsockname()[1], "run", str(file)).command,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert re.fullmatch(
        "it is not known whether the run has started; to ask again, .*: --request-id [0-9a-f-]{36}\n", said
    )


def most_memory(serve, pages: int) -> int:
    """The most memory in bytes that showing a log of pages of 100 kB takes, without the garbage collector."""
    ids = dict.fromkeys(("id", "stage_execution_id", "job_id"), UUID(int=1))
    record = JobExecutionDTO(**ids, status=ExecutionStatus.SUCCESS, logs="x" * 99_999 + "\n")
    answers = [(200, converter.dumps(evolve(record, last_sequence=number))) for number in range(1, pages + 1)]
    server = serve(*answers, (200, converter.dumps(evolve(record, logs="", last_sequence=pages))))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}", None) as client:
            logs([str(record.id)], obj=client, standalone_mode=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def test_log_of_any_size(serve, monkeypatch):
    """The memory for showing a log depends on the size of a page, and not on the size of the log."""
    with Path(os.devnull).open("w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        most_memory(serve, 1)  # Imports and caches are not counted.
        assert most_memory(serve, 30) < most_memory(serve, 5) + 500_000


def test_starts_fast():
    """The command line does not load what the Backend and the Worker stand on."""
    code = (
        "import cicd_system.cli.__main__, sys; print({'celery', 'kombu', 'sqlalchemy', 'starlette'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert done.stdout == "set()\n"
