"""The CLI and Backends that do not answer as they should: which requests it repeats, and for how long."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve
from cicd_system.cli.__main__ import logs
from cicd_system.cli.client import Client

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.dto import JobExecutionDTO
from tests.support.examples.programs import Program
from tests.support.examples.scripted_server import Server, answer
from tests.support.examples.waiting import DEADLINE


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers with answers."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers: stack.enter_context(contextlib.closing(Server(*answers)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text("name: a\nrepo_url: .\nstages: [{name: s, jobs: [{name: j, script: [x]}]}]\n")
    return path


def program(url: str, *arguments: str, **variables: str) -> Program:
    given = ["--backend", url, *arguments]
    environment = {**os.environ, "CICD_TOKEN": "a-token-of-the-test", **variables}
    return Program("cli", "cicd_system.cli", given, environment, Path.cwd())


def cli(server: Server, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = program(server.url, *arguments, **variables).run()
    assert "Traceback" not in done.stderr
    assert "a-token-of-the-test" not in done.stdout + done.stderr
    return done


def test_sent_again(serve, file):
    """A request without an answer is sent again as it was, with its id: it starts no second run."""
    server = serve(b"", answer(b"{}", 503), answer(b"{}", 500), answer(status=429), answer(b'{"detail": "no"}', 422))
    done = cli(server, "run", str(file))
    assert (done.returncode, done.stderr) == (3, "the Backend answers 422: no\n")
    first, *others = [request.body for request in server.requests]
    assert others == [first] * 4
    assert converter.loads(first, PipelineExecutionRequest).pipeline is not None


def test_short_token(serve):
    """A token that is too short to be masked causes no log line."""
    done = cli(serve(answer(b'{"detail": "no"}', 422)), "report", "x", CICD_TOKEN="short")
    assert done.stderr == "the Backend answers 422: no\n"


def test_new_id(serve, file):
    """Each run has a request with a new id."""
    server = serve(*[answer(b"{}", 422)] * 2)
    for _ in range(2):
        cli(server, "run", str(file))
    first, second = [request.body for request in server.requests]
    assert first != second


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"{}"), (204, b""), (302, b""), (404, b"<html>"), (400, b"\xff"), (400, b'{"detail":5}')],
)
def test_no_backend(serve, status, body):
    """An answer that is not one of a Backend is an error."""
    done = cli(serve(answer(body, status)), "--patience", "0", "report", "x")
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1


def test_problems(serve):
    """All problems are shown, with control characters escaped and without markup."""
    detail = r'"ReportRequest: 2 problems\n  /a: expected \u001b[2J\n  /b: expected [red]"'
    done = cli(serve(answer(f'{{"detail": {detail}}}'.encode(), 422)), "report", "x")
    assert done.stderr.splitlines()[1:] == ["  /a: expected \\x1b[2J", "  /b: expected [red]"]


def test_interrupted(file):
    """If it is interrupted before the answer, it says that the run may have started, and how to ask again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            program(f"http://127.0.0.1:{listener.getsockname()[1]}", "run", str(file)).command,
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
    records = [evolve(record, last_sequence=number) for number in range(1, pages + 1)]
    records.append(evolve(record, logs="", last_sequence=pages))
    server = serve(*[answer(converter.dumps(each)) for each in records])
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with contextlib.closing(Client(server.url, None, patience=0)) as client:
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
    """The command line does not import the libraries of the Backend and the Worker."""
    code = (
        "import cicd_system.cli.__main__, sys; print({'celery', 'kombu', 'sqlalchemy', 'starlette'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert done.stdout == "set()\n"
