"""A Backend in this process: the application on a real store, with a queue in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cicd_system.backend import Dispatcher, create_app
from cicd_system.backend.dispatch import SendJobs
from cicd_system.backend.server import listening, make_server
from starlette.applications import Starlette

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate, PipelineExecutionRequest
from cicd_common.artifacts import ArtifactStore
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore
from tests.support.examples.waiting import until

TOKEN = "correct-horse-battery"
JSON = {"Content-Type": "application/json"}
OCCURRED = "2026-01-31T12:30:00Z"


def app_on(store: ExecutionStore, send: SendJobs = lambda _: None, **settings: Any) -> Starlette:
    """The application on a store; by default its jobs are sent to nobody.

    Args:
        store: The store.
        send: Sends jobs.
        settings: Others of `create_app`.
    """
    return create_app(store, ArtifactStore(f"memory://{uuid4()}"), send, **settings)


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve an application in a thread by the server of the Backend; yields its address."""
    with listening("127.0.0.1", 0) as listener:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("signal.signal", lambda *_: None)  # The handlers of the test stay.
            server = make_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, "the server to start", pause=0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Kept:
    """A queue that keeps its jobs, and may refuse some.

    Attributes:
        jobs: What it has taken.
        asked: How often it was asked to take something.
        refuses: The names of the jobs that it does not take.
        error: The error with which it refuses all jobs; None if it does not.
    """

    def __init__(self) -> None:
        self.jobs: list[JobExecutionRequest] = []
        self.asked = 0
        self.refuses: set[str] = set()
        self.error: Exception | None = None

    def put(self, request: JobExecutionRequest) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        if request.job_name in self.refuses:
            raise ConnectionRefusedError
        self.jobs.append(request)

    @property
    def names(self) -> list[str]:
        return [job.job_name for job in self.jobs]


class Backend:
    """The application and a client. Close it at the end.

    Args:
        store: Where it keeps all.
        token: The token that it wants, and gets from here.
        settings: Others of `create_app`.
    """

    def __init__(self, store: ExecutionStore, token: str | None = TOKEN, **settings: Any) -> None:
        self.store = store
        self.queue = Kept()
        self.app = app_on(store, Dispatcher(store, self.queue.put).send, token=token, **settings)
        self._runner = asyncio.Runner()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request as it is."""
        return self._runner.run(self._client.send(request))

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **arguments))

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        """Send bytes, or a message of the contract as JSON."""
        data = content if isinstance(content, bytes) else converter.dumps(content)
        return self.ask("POST", path, content=data, headers=JSON | headers)

    def read(self, type_: type[Any], method: str, path: str, **arguments: Any) -> Any:
        """Send a request, and read the answer as a message of the contract."""
        answer = self.ask(method, path, **arguments)
        assert answer.status_code == 200, answer.text
        return converter.loads(answer.content, type_, strict=True)

    def start(self, pipeline: Pipeline) -> UUID:
        """Start a run; returns the id of its first job."""
        answer = self.post("/api/pipeline/execute", order(pipeline))
        assert answer.status_code == 201, answer.text
        return self.queue.jobs[-1].job_execution_id

    def report(self, job_execution_id: UUID, sequence: int, status: str, **fields: Any) -> httpx.Response:
        """Send an update of a job."""
        return self.post("/api/job/status", update(job_execution_id, sequence, status, **fields))


@contextmanager
def backend_on(url: str = "sqlite://", *, outbox: bool = False, **settings: Any) -> Iterator[Backend]:
    """A Backend with its store; by default the store is in memory."""
    with ExecutionStore(url, outbox=outbox) as store, closing(Backend(store, **settings)) as backend:
        yield backend


def order(pipeline: Pipeline | None = None, **fields: Any) -> PipelineExecutionRequest:
    repo = "/repo" if pipeline is None else pipeline.repo_url
    given = {"request_id": uuid4(), "repo": repo, "pipeline": pipeline, **fields}
    return PipelineExecutionRequest(**given)


def update(job_execution_id: UUID, sequence: int, status: str, **fields: Any) -> JobStatusUpdate:
    plain = {
        "job_execution_id": str(job_execution_id),
        "sequence": sequence,
        "status": ExecutionStatus[status].value,
        "occurred_at": OCCURRED,
        "worker": "worker",
        **fields,
    }
    return converter.structure(plain, JobStatusUpdate)


def simple(name: str = "app", *jobs: str) -> Pipeline:
    """A pipeline whose first job is in the first stage, and the others in the second."""
    first, *last = jobs or ("one",)
    stages = [Stage(name="first", jobs=(Job(name=first, script=("true",)),))]
    stages += [Stage(name="second", jobs=tuple(Job(name=each, script=("true",)) for each in last))] if last else []
    return Pipeline(name=name, repo_url="/repo", stages=tuple(stages))


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The content of a problem document, which must be complete and have this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said.keys() >= {"type", "title", "status", "detail"}
    assert said["status"] == status
    return said
