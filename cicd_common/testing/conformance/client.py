"""The client of the Backend under test, by HTTP or as an ASGI application without a server."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from attrs import frozen

from ...api.request import JobStatusUpdate, PipelineExecutionRequest
from ...api.response import (
    JobExecutionResponse,
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from ...converter import converter
from ...dto import JobExecutionDTO
from ...model import Pipeline
from ..backend_api import Paths

__all__ = ["Caller", "client_of"]

T = TypeVar("T")

_BASE = "http://localhost"


def client_of(backend: str | Callable[..., Awaitable[None]], **options: Any) -> httpx.Client:
    """Make a client of a Backend.

    An application is started when the client is made, and shut down when the client is closed. A WSGI application needs
    ``httpx.Client(base_url="http://localhost", transport=httpx.WSGITransport(app))`` instead.

    Args:
        backend: The base URL of the Backend, or its ASGI application.
        options: Further arguments of `httpx.Client`, for instance ``headers`` with a token.

    Raises:
        RuntimeError: The startup of the application failed; when the client is closed, its shutdown.
    """
    if isinstance(backend, str):
        return httpx.Client(base_url=backend, **options)
    return httpx.Client(base_url=_BASE, transport=_AsgiTransport(backend), **options)


class _AsgiTransport(httpx.BaseTransport):
    """Runs an ASGI application (ASGI 3.0) in a thread with an event loop, from its startup to its shutdown."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app: Any = app
        self._state: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        atexit.register(self.close)  # In case the client is not closed.
        self._run(self._begin())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _begin(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self._state}
        self._lifespan = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        await self._step("startup")

    async def _step(self, name: str) -> None:
        """Let the application start up or shut down. One without a lifespan raises or returns at once."""
        await self._to_app.put({"type": f"lifespan.{name}"})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({answer, self._lifespan}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._lifespan.exception()  # Otherwise asyncio would log it.
        elif answer.result()["type"] == f"lifespan.{name}.failed":
            raise RuntimeError(f"the {name} of the application failed: {answer.result().get('message', '')}")

    def close(self) -> None:
        """Shut the application down, and end the thread."""
        atexit.unregister(self.close)
        if not self._lifespan.done():
            self._run(self._step("shutdown"))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Call the application."""
        return self._run(self._answer(request, request.read()))

    async def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port or 80),
            "client": ("127.0.0.1", 1),
            "state": dict(self._state),
        }
        sent: list[Mapping[str, Any]] = []
        coming = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Mapping[str, Any]:
            message = next(coming, None)
            while message is None:
                # The client stays connected: an application that waits for a disconnect waits until it has answered.
                await asyncio.Event().wait()
            return message

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return httpx.Response(sent[0]["status"], headers=sent[0].get("headers", []), content=content)


@frozen
class Caller:
    """Sends requests to a Backend, and reads its responses with the converter.

    Attributes:
        client: The client.
        paths: The paths of the Backend.
    """

    client: httpx.Client
    paths: Paths

    def get(self, path: str, type: type[T], *, query: Mapping[str, Any] | None = None, **parts: Any) -> T:
        """Send a ``GET`` request, and read the response, whose status must be 200."""
        url = httpx.URL(_at(path, parts))  # The path may have a query, too.
        return _read(self.client.get(url.copy_merge_params(query) if query else url), type)

    def post(self, path: str, type: type[T], message: Any = None, *, status: int | None = None, **parts: Any) -> T:
        """Send a message by ``POST``, and read the response, whose status must be 200 or the given one."""
        return _read(self.send(path, message, **parts), type, status or 200)

    def send(self, path: str, message: Any = None, **parts: Any) -> httpx.Response:
        """Send a message or bytes by ``POST``, and return the response."""
        content = b"" if message is None else message if isinstance(message, bytes) else converter.dumps(message)
        return self.client.post(_at(path, parts), content=content, headers={"Content-Type": "application/json"})

    # --- requests of most tests -----------------------------------------------------------------------------------

    def start(self, request: PipelineExecutionRequest) -> PipelineExecutionResponse:
        """Start a new run."""
        return self.post(self.paths.execute, PipelineExecutionResponse, request, status=201)

    def tell(self, update: JobStatusUpdate) -> JobExecutionResponse:
        """Send an update of a Worker."""
        return self.post(self.paths.update, JobExecutionResponse, update)

    def run(self, execution_id: Any) -> PipelineExecutionResponse:
        """Return the status of a run."""
        return self.get(self.paths.pipeline_status, PipelineExecutionResponse, execution_id=execution_id)

    def cancel(self, execution_id: Any) -> PipelineExecutionResponse:
        """Cancel a run."""
        return self.post(self.paths.cancel, PipelineExecutionResponse, execution_id=execution_id)

    def job(self, job_execution_id: Any) -> JobExecutionResponse:
        """Return the status of a job."""
        return self.get(self.paths.job_status, JobExecutionResponse, job_execution_id=job_execution_id)

    def record(self, job_execution_id: Any, **query: Any) -> JobExecutionDTO:
        """Return the record of a job with its output."""
        return self.get(self.paths.logs, JobExecutionDTO, query=query, job_execution_id=job_execution_id)

    def jobs(self, pipeline: Pipeline, run_number: int) -> dict[str, Any]:
        """Return the job executions of a run by the names of their jobs, from the reports on its stages."""
        found: dict[str, Any] = {}
        for stage in pipeline.stages:
            report = self.stage_report(pipeline.name, stage.name, run_number=run_number)
            found |= {job.job_name: job.job_execution_id for run in report.executions for job in run.jobs}
        return found

    def report(self, pipeline: str, **query: Any) -> PipelineReportResponse:
        """Return the report on a pipeline."""
        return self.get(self.paths.report, PipelineReportResponse, query=query, pipeline_name=pipeline)

    def stage_report(self, pipeline: str, stage: str, **query: Any) -> StageReportResponse:
        """Return the report on a stage."""
        path = f"{self.paths.report}/stage/{{stage_name}}"
        return self.get(path, StageReportResponse, query=query, pipeline_name=pipeline, stage_name=stage)

    def job_report(self, pipeline: str, stage: str, job: str, **query: Any) -> JobReportResponse:
        """Return the report on a job."""
        path = f"{self.paths.report}/stage/{{stage_name}}/job/{{job_name}}"
        return self.get(path, JobReportResponse, query=query, pipeline_name=pipeline, stage_name=stage, job_name=job)


def _at(template: str, parts: Mapping[str, Any]) -> str:
    return template.format(**{name: quote(str(value), safe="") for name, value in parts.items()})


def _read(response: httpx.Response, type: type[T], status: int = 200) -> T:
    assert response.status_code == status, f"expected {status}, found {response.status_code}: {response.text[:500]}"
    return converter.loads(response.content, type)
