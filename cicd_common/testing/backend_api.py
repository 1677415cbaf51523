"""The HTTP interface of a `FakeBackend`, as an ASGI application and as a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from attrs import evolve, field, frozen

from ..api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobExecutionRequest,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from ..api.response import ArtifactsResponse
from ..converter import converter
from ..errors import ContractError, Problem
from .fake_backend import FakeBackend

__all__ = ["Answer", "BackendApi", "Paths", "serve"]

_PROBLEM = "application/problem+json"
_NUMBERS = ("run_number", "limit", "after")


@frozen(kw_only=True)
class Paths:
    """The paths of a Backend's HTTP interface. Names in braces are replaced by their values, percent-encoded.

    Attributes:
        execute: ``POST`` of a `PipelineExecutionRequest`, answered by a `PipelineExecutionResponse`: 201 for a new run,
            200 for one that the same request had started before.
        pipeline_status: ``GET`` of a `PipelineExecutionResponse`.
        cancel: ``POST`` without a body, answered by a `PipelineExecutionResponse`.
        update: ``POST`` of a `JobStatusUpdate`, answered by a `JobExecutionResponse`.
        job_status: ``GET`` of a `JobExecutionResponse`.
        upload: ``POST`` of an `ArtifactUploadRequest`, answered by a `JobExecutionResponse`.
        artifacts: ``GET`` of an `ArtifactsResponse`.
        content: ``PUT`` of an artifact's content under its SHA-256, answered by 204 without a body; ``GET`` returns it.
        add_logs: ``POST`` of an `ExecutionLogUpload`, answered by 204 without a body.
        execution_logs: ``GET`` of an `ExecutionLogResponse`; queries ``after`` and ``limit``.
        report: ``GET`` of a report on the pipeline of a name, followed by ``/stage/{name}`` and ``/job/{name}`` for the
            lower levels; queries ``run_number``, ``status``, ``limit`` and ``cursor``.
        logs: ``GET`` of a `JobExecutionDTO` with the output up to the first missing chunk; queries ``after`` and
            ``limit``.
    """

    execute: str = "/api/pipeline/execute"
    pipeline_status: str = "/api/pipeline/status/{execution_id}"
    cancel: str = "/api/pipeline/cancel/{execution_id}"
    update: str = "/api/job/status"
    job_status: str = "/api/job/status/{job_execution_id}"
    upload: str = "/api/job/artifact/upload"
    artifacts: str = "/api/job/artifacts/{job_execution_id}"
    content: str = "/api/artifact/{sha256}"
    add_logs: str = "/api/execution/logs"
    execution_logs: str = "/api/execution/logs/{execution_id}"
    report: str = "/api/report/pipeline/{pipeline_name}"
    logs: str = "/api/job/logs/{job_execution_id}"


@frozen
class Answer:
    """An HTTP response.

    Attributes:
        status: The HTTP status.
        body: The body; empty if there is none.
        type: The media type of the body: JSON, a problem document (RFC 9457), or bytes.
    """

    status: int
    body: bytes = b""
    type: str = "application/json"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that describe the body."""
        return {"Content-Type": self.type, "Content-Length": str(len(self.body))}


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@frozen(eq=False)
class BackendApi:
    """A Backend in memory behind HTTP. An instance is an ASGI application; `serve` makes a server of it.

    It calls `take_over` before every request, as a Backend does every few seconds.

    Args:
        backend: The Backend; a new one by default.
        paths: The paths of the interface.

    Attributes:
        requests: All requests of jobs that were handed out, in order. A broker would carry them to the Workers.
    """

    backend: FakeBackend = field(factory=FakeBackend)
    paths: Paths = field(factory=Paths)
    requests: list[JobExecutionRequest] = field(init=False, factory=list)
    _contents: dict[str, bytes] = field(init=False, factory=dict)
    _lock: Lock = field(init=False, factory=Lock)

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """Answer a request. Any number of threads may call this.

        Args:
            method: The HTTP method.
            path: The path, percent-encoded.
            query: The query string; empty if there is none.
            body: The body.
        """
        try:
            with self._lock:
                self.requests.extend(self.backend.take_over().jobs)
                return self._route(method, path, query, body)
        except ContractError as error:
            problem = error.to_problem()
            return Answer(problem["status"], json.dumps(problem).encode(), _PROBLEM)

    def _route(self, method: str, path: str, query: str, body: bytes) -> Answer:
        for wanted, template, handler in self._table():
            found = _match(template, path)
            if wanted == method and found is not None:
                return handler(found, query, body)
        return _not_found()

    def _table(self) -> list[tuple[str, str, Callable[[dict[str, str], str, bytes], Answer]]]:
        paths = self.paths
        return [
            ("POST", paths.execute, self._execute),
            ("GET", paths.pipeline_status, lambda at, *_: _json(self.backend.status(_id(at)))),
            ("POST", paths.cancel, self._cancel),
            ("POST", paths.update, self._update),
            ("GET", paths.job_status, lambda at, *_: _json(self.backend.job_status(_id(at)))),
            ("POST", paths.upload, self._upload),
            ("GET", paths.artifacts, self._artifacts),
            ("PUT", paths.content, self._put),
            ("GET", paths.content, self._get),
            ("POST", paths.add_logs, self._add_logs),
            (
                "GET",
                paths.execution_logs,
                lambda at, *_: _json(self.backend.execution_logs(pipeline_execution_id=_id(at))),
            ),
            ("GET", paths.logs, self._logs),
            ("GET", paths.report, self._report),
            ("GET", f"{paths.report}/stage/{{stage_name}}", self._report),
            ("GET", f"{paths.report}/stage/{{stage_name}}/job/{{job_name}}", self._report),
        ]

    def _execute(self, _: dict[str, str], __: str, body: bytes) -> Answer:
        started = self.backend.start(converter.loads(body, PipelineExecutionRequest))
        self.requests.extend(started.jobs)
        return _json(started.execution, 201 if started.jobs else 200)

    def _cancel(self, at: dict[str, str], _: str, __: bytes) -> Answer:
        self.backend.cancel(_id(at))
        return _json(self.backend.status(_id(at)))

    def _update(self, _: dict[str, str], __: str, body: bytes) -> Answer:
        applied = self.backend.apply(converter.loads(body, JobStatusUpdate))
        self.requests.extend(applied.jobs)
        return _json(applied.response)

    def _upload(self, _: dict[str, str], __: str, body: bytes) -> Answer:
        upload = converter.loads(body, ArtifactUploadRequest)
        self.backend.add_artifacts(upload)
        return _json(self.backend.job_status(upload.job_execution_id))

    def _artifacts(self, at: dict[str, str], _: str, __: bytes) -> Answer:
        return _json(ArtifactsResponse(job_execution_id=_id(at), artifacts=self.backend.artifacts(_id(at))))

    def _put(self, at: dict[str, str], _: str, body: bytes) -> Answer:
        (digest,) = at.values()
        if sha256(body).hexdigest() != digest:
            raise ContractError(Artifact, [Problem("/sha256", "value", "expected content of this SHA-256")])
        self._contents[digest] = body
        return Answer(204)

    def _get(self, at: dict[str, str], _: str, __: bytes) -> Answer:
        (digest,) = at.values()
        found = self._contents.get(digest)
        return _not_found() if found is None else Answer(200, found, "application/octet-stream")

    def _add_logs(self, _: dict[str, str], __: str, body: bytes) -> Answer:
        self.backend.add_logs(converter.loads(body, ExecutionLogUpload))
        return Answer(204)

    def _logs(self, at: dict[str, str], query: str, _: bytes) -> Answer:
        asked = _query(query)
        job = self.backend.job_execution(_id(at))
        text = self.backend.logs(_id(at), **asked).contiguous
        last = text.chunks[-1][0] if text.chunks else asked.get("after", 0)
        return _json(evolve(job, logs=text.text, last_sequence=last))

    def _report(self, at: dict[str, str], query: str, _: bytes) -> Answer:
        return _json(self.backend.report(converter.structure({**at, **_query(query)}, ReportRequest)))

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI 3.0 connection: a request, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = scope.get("raw_path", scope["path"].encode()).decode()
        answer = self.answer(scope["method"], path, scope["query_string"].decode(), body)
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


@contextmanager
def serve(answer: Callable[[str, str, str, bytes], Answer | None]) -> Iterator[str]:
    """Serve HTTP on a free port of this machine for as long as the context lasts.

    Args:
        answer: Answers a method, a path, a query and a body, as `BackendApi.answer` does, in a thread for each
            connection. If it returns None, the connection is closed without an answer.

    Yields:
        The base URL.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is written in two parts, and the second must not wait for the first to be acknowledged.
        disable_nagle_algorithm = True

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path, _, query = self.path.partition("?")
            found = answer(self.command, path, query, body)
            if found is None:
                self.close_connection = True
                return
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.body)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - the names that the server calls

        def log_message(self, format: str, *_: Any) -> None:
            """Do not log the requests of a test."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _json(content: Any, status: int = 200) -> Answer:
    return Answer(status, converter.dumps(content))


def _not_found() -> Answer:
    problem = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is nothing at this path."}
    return Answer(404, json.dumps(problem).encode(), _PROBLEM)


def _match(template: str, path: str) -> dict[str, str] | None:
    """Return the values of the names in a template's braces; None if the path does not match."""
    wanted, found = template.split("/"), path.split("/")
    if len(wanted) != len(found):
        return None
    values = {}
    for want, part in zip(wanted, found, strict=True):
        if want.startswith("{"):
            values[want[1:-1]] = unquote(part)
        elif want != part:
            return None
    return values


def _id(at: dict[str, str]) -> UUID:
    (text,) = at.values()
    try:
        return converter.structure(text, UUID)
    except ContractError:
        raise _NoSuchPath(UUID, [Problem("", "value", "expected a UUID in the path")]) from None


class _NoSuchPath(ContractError):
    status = 404


def _query(query: str) -> dict[str, Any]:
    values = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        values[name] = int(text) if name in _NUMBERS and text.isdecimal() else text
    return values
