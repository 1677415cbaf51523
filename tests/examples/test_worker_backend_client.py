"""The requests of a Worker to a Backend that answers late, wrongly or not at all."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from threading import Event
from uuid import UUID

import pytest
from attrs import evolve
from cicd_system import connection
from cicd_system.connection import DeniedError, NoAnswerError, RefusedError
from cicd_system.worker.backend_client import BackendClient

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import Artifact, ExecutionLogUpload, JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse
from cicd_common.model import ExecutionLog
from tests.support.examples.scripted_server import Server, answer
from tests.support.examples.waiting import DEADLINE

JOB = UUID(int=7)
DAY = timedelta(days=1)
RUNNING, CANCELED = ExecutionStatus.RUNNING, ExecutionStatus.CANCELED
UPDATE = JobStatusUpdate(
    job_execution_id=JOB, sequence=3, status=RUNNING, occurred_at=datetime.now(UTC), logs="x\n", worker="w"
)
LOG = ExecutionLog(job_execution_id=JOB, sequence=0, timestamp=datetime.now(UTC), log_text="claimed")
LOGS = ExecutionLogUpload(logs=(LOG,))


def job(status=RUNNING, **fields):
    return answer(converter.dumps(JobExecutionResponse(job_execution_id=JOB, status=status, **fields)))


@pytest.fixture
def ending():
    return Event()


@pytest.fixture
def client_of(ending, monkeypatch):
    """A client of a server that gives answers."""
    monkeypatch.setattr(connection, "_TIMEOUT", DEADLINE)  # A busy machine answers late.
    opened = []

    def make(*answers, token=None):
        server = Server(*answers)
        client = BackendClient(server.url, token, ending=ending, longest_pause=0.01)
        opened.extend([client, server])
        return client, server

    yield make
    for each in opened:
        each.close()


def http_date(ahead):
    return format_datetime(datetime.now(UTC) + ahead, usegmt=True)


class TestClock:
    def test_last_answer_counts(self, client_of):
        """Where the clocks agree but for the time that a request takes, times stay as they are."""
        soon = http_date(timedelta(seconds=9))  # It agrees for 19 seconds, however slow this machine is.
        client, _ = client_of(answer(b"{}", date=http_date(DAY)), answer(b"{}", date=soon))
        client.send("GET", "/health")
        assert abs(client.now() - datetime.now(UTC) - DAY) < timedelta(minutes=1)
        client.send("GET", "/health")
        assert client.backend_time(UPDATE.occurred_at) == UPDATE.occurred_at

    @pytest.mark.parametrize("date", [None, "", "soon", "Tue, 24 Nov 2026 12:00:00 -0000"])
    def test_no_time(self, client_of, date):
        """An answer without a time changes nothing."""
        client, _ = client_of(*[answer(b"{}", **{} if date is None else {"date": date})] * 2)
        client.set_clock()
        assert client.ahead is None
        client.ahead = DAY
        client.send("GET", "/health")
        assert client.ahead == DAY

    def test_skewed(self, client_of):
        """Reports and logs have times of the Backend's clock. The Backend is asked for its time once."""
        client, server = client_of(answer(b"{}", date=http_date(-DAY)), job(), answer(status=204))
        client.set_clock()
        client.set_clock()
        client.report(UPDATE)
        client.add_logs(LOGS)
        health, report, upload = server.requests
        assert health.start == "GET /health HTTP/1.1"
        told = converter.loads(report.body, JobStatusUpdate)
        assert timedelta(hours=23) < UPDATE.occurred_at - told.occurred_at < timedelta(hours=25)
        (log,) = converter.loads(upload.body, ExecutionLogUpload).logs
        assert timedelta(hours=23) < LOGS.logs[0].timestamp - log.timestamp < timedelta(hours=25)
        assert log == evolve(LOGS.logs[0], timestamp=log.timestamp)

    def test_no_answer(self, client_of):
        """Without an answer, the time of this machine is used."""
        client, server = client_of(b"", job())
        client.set_clock()
        client.report(UPDATE)
        assert converter.loads(server.requests[-1].body, JobStatusUpdate) == UPDATE


class TestAnswers:
    def test_report(self, client_of):
        """An answer has the status of the job, and says whether another attempt has it."""
        client, server = client_of(job(CANCELED, is_superseded=True), token="t0ken")
        answered = client.report(UPDATE)
        assert (answered.status, answered.is_superseded, answered.is_cancel_requested) == (CANCELED, True, False)
        (request,) = server.requests
        assert request.start == "POST /api/job/status HTTP/1.1"
        assert converter.loads(request.body, JobStatusUpdate) == UPDATE
        headers = (request.headers["authorization"], request.headers["content-type"])
        assert headers == ("Bearer t0ken", "application/json")

    def test_one_connection(self, client_of):
        """Sequential requests use one connection, and a new one after a pause of some seconds."""
        client, server = client_of(*[job()] * 5)
        assert [client.status(JOB).status for _ in range(5)] == [RUNNING] * 5
        assert server.connections < 5


class TestTriesAgain:
    @pytest.mark.parametrize(
        "bad",
        [
            answer(b"{}", 503, Retry_After="1"),
            answer(b"{}", 500),
            answer(b"{}", 429),
            answer(b"{}", 408),
            b"",
            b"HTTP/1.1 200 OK\r\ncontent-len",
            job()[:-5],
            b"no http at all\r\n\r\n",
            answer(b"<html>a portal</html>"),
            answer(b"{}"),
            answer(b'{"job_execution_id":"1"}'),
            answer(b"{}", content_encoding="gzip"),
            answer(b"<html>of another server</html>", 404),
            answer(b'{"title": "Not Found"}', 404, content_type="application/problem+json"),  # The path is wrong.
            answer(b"{}", 301, location="https://example.org/"),
        ],
    )
    def test_until_it_is_answered(self, client_of, bad):
        """After every failure that may pass, the same bytes are sent again."""
        client, server = client_of(bad, bad, job())
        assert client.report(UPDATE).status is RUNNING
        first, *others = [(request.start, request.body) for request in server.requests]
        assert others == [first, first]

    def test_where_nobody_listens(self, ending):
        """Refused connections are tried again until the Worker ends."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))  # Without `listen`. No other server can get the port.
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            threading.Timer(0.3, ending.set).start()
            with (
                closing(BackendClient(url, None, ending=ending, longest_pause=0.01)) as client,
                pytest.raises(NoAnswerError),
            ):
                client.report(UPDATE)
        assert ending.is_set()


BROKEN = [answer(b"other {}"), answer(b"content {}")[:-1]]


@pytest.mark.parametrize("broken", BROKEN, ids=["wrong", "short"])
class TestFetches:
    CONTENT = b"content {}"
    ARTIFACT = Artifact(path="file", size=len(CONTENT), sha256=sha256(CONTENT).hexdigest())

    def test_broken_content_again(self, client_of, tmp_path, broken):
        """Content that arrives broken is requested again, and the file appears when it is complete."""
        client, server = client_of(broken, broken, answer(self.CONTENT))
        client.fetch(self.ARTIFACT, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == self.CONTENT
        assert len(server.requests) == 3

    def test_damaged_content(self, client_of, tmp_path, broken):
        """Content that arrives broken five times is damaged in the Backend, so the job does not wait for it."""
        client, server = client_of(*[broken] * 6)
        with pytest.raises(RefusedError, match="the content of an artifact is damaged"):
            client.fetch(self.ARTIFACT, tmp_path / "file")
        assert len(server.requests) == 5
        assert not (tmp_path / "file").exists()


class TestEnds:
    @pytest.mark.parametrize(
        ("status", "error"),
        [*((status, RefusedError) for status in (400, 404, 409, 413, 422)), (401, DeniedError), (403, DeniedError)],
    )
    def test_refused(self, client_of, status, error):
        """A refused request is not sent again. A wrong token has an error of its own: it is wrong for every job."""
        problem = b'{"type": "urn:cicd-common:problem:contract"}'
        client, server = client_of(answer(problem, status), job())
        with pytest.raises(error, match=str(status)):
            client.report(UPDATE)
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("url", "token"), [("localhost:80", None), ("http://", None), ("http://a:b", None), ("http://a", "line\n")]
    )
    def test_wrong_settings(self, ending, url, token):
        """A URL or a token with which no request can be sent is refused before the first one."""
        with pytest.raises(ValueError, match="expected"):
            BackendClient(url, token, ending=ending)

    def test_pipe_in_place_of_an_artifact(self, client_of, tmp_path):
        """A pipe is read without waiting for a writer."""
        client, server = client_of(answer(status=204))
        os.mkfifo(tmp_path / "pipe")
        client.put(Artifact(path="a", size=0, sha256=sha256(b"").hexdigest()), tmp_path / "pipe", lambda: None)
        assert [request.body for request in server.requests] == [b""]

    def test_impatient(self, client_of):
        """An impatient request is sent once, and logs are, because the handler that ships them repeats them."""
        client, server = client_of(*[answer(b"{}", 503)] * 3, job())
        for ask in (
            lambda: client.status(JOB),
            lambda: client.report(UPDATE, patient=False),
            lambda: client.add_logs(LOGS),
        ):
            with pytest.raises(NoAnswerError):
                ask()
        assert len(server.requests) == 3
