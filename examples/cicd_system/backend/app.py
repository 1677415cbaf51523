"""The Backend as an ASGI application: its routes, and the handlers of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from anyio import CapacityLimiter, move_on_after, to_thread
from attrs import evolve, frozen
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cicd_common import ContractError, converter
from cicd_common.api.request import (
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobExecutionRequest,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from cicd_common.api.response import ArtifactsResponse
from cicd_common.artifacts import ArtifactStore
from cicd_common.errors import Problem
from cicd_common.logging import get_logger
from cicd_common.store import ExecutionStore, Started

from ..git import RepositoryError
from .dispatch import SendJobs
from .guard import TokenGuard
from .intake import Intake
from .middleware import AccessLog, answer_to, log_ids
from .overview import recent_runs
from .pages import page_routes
from .reading import announced_size, chunks_of, read_message, read_query, report_names

__all__ = ["create_app"]

log = get_logger(__name__)

T = TypeVar("T")

CommitOf = Callable[[str, str], str | None]
"""Finds the commit of a branch of a repository; None for a directory without git."""
Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request in the event loop."""
State = Callable[[], Mapping[str, Any]]
"""Returns a state as JSON data."""

MAX_CONTENT = 4 * 1024**3
"""The largest content of an artifact, in bytes."""
MAX_TAIL = 4 * 1024**2
"""The longest end of a log in one answer, in bytes. A request for more gets this much."""

_HEALTH_SECONDS = 1
_WRITERS = 8  # Threads for each route whose requests may wait for other writers, or for git.


def create_app(
    store: ExecutionStore,
    contents: ArtifactStore,
    send: SendJobs,
    *,
    token: str | None = None,
    commit_of: CommitOf | None = None,
    state: State = dict,
) -> Starlette:
    """Make the application. It has no state of its own, so several Backends may share a store.

    Args:
        store: The store. It is not closed.
        contents: Stores the contents of artifacts.
        send: Sends jobs to the Workers.
        token: The bearer token. If None, all requests to ``localhost`` or a loopback address are accepted.
        commit_of: Finds the commit of a branch for a run without a commit, so that all its jobs use the same one. If
            None, each Worker uses the head of the branch.
        state: Returns further fields of ``/health``, which needs no token.
    """
    api = _Api(store, contents, send, commit_of, state, Intake(store), CapacityLimiter(2))
    app = Starlette(
        routes=[*api.routes(), *page_routes(store, send, token)],
        middleware=[Middleware(AccessLog), Middleware(TokenGuard, token=token)],
        exception_handlers={HTTPException: _refuse},
    )
    # A redirection would lead to the host in the client's header `Host`.
    app.router.redirect_slashes = False
    return app


@frozen
class _Api:
    _store: ExecutionStore
    _contents: ArtifactStore
    _send: SendJobs
    _commit_of: CommitOf | None
    _state: State
    _intake: Intake
    _for_health: CapacityLimiter

    def routes(self) -> list[Route]:
        run, job = "{pipeline_execution_id:uuid}", "{job_execution_id:uuid}"
        # Routes are tried in this order; most requests are updates.
        return [
            Route("/api/job/status", self.update, methods=["POST"]),
            Route("/api/pipeline/execute", _writing(PipelineExecutionRequest, self.execute), methods=["POST"]),
            Route(f"/api/pipeline/status/{run}", _by_id(self._store.status)),
            Route(f"/api/pipeline/execution/{run}", _by_id(self._store.execution)),
            Route(f"/api/pipeline/cancel/{run}", _by_id(self.cancel), methods=["POST"]),
            Route(f"/api/job/status/{job}", _by_id(self._store.job_status)),
            Route("/api/job/artifact/upload", _writing(ArtifactUploadRequest, self.upload), methods=["POST"]),
            Route(f"/api/job/artifacts/{job}", _by_id(self.artifacts)),
            Route("/api/artifact/{sha256}", self.put_content, methods=["PUT"]),
            Route("/api/artifact/{sha256}", self.content),
            Route("/api/execution/logs", _writing(ExecutionLogUpload, self.add_logs), methods=["POST"]),
            Route(f"/api/execution/logs/{run}", self.execution_logs),
            Route(f"/api/job/logs/{job}", self.logs),
            Route("/api/runs", self.runs),
            Route("/api/report/{rest:path}", self.report),
            Route("/health", self.health),
        ]

    # --- pipelines ----------------------------------------------------------------------------------------------

    def execute(self, request: Request, asked: PipelineExecutionRequest) -> Response:
        started = self._start(asked)
        run = started.execution
        log_ids(request, pipeline_execution_id=run.execution_id)
        # A new run hands out at least one job, a repeated request none.
        if started.jobs:
            log.info("a run has started", pipeline_execution_id=run.execution_id, run_number=run.run_number)
        return _answer(run, 201 if started.jobs else 200, self._sending(started.jobs))

    def _start(self, asked: PipelineExecutionRequest) -> Started:
        if self._commit_of is not None and asked.commit_hash is None and not asked.is_local:
            # A repeated request is answered even if its branch was deleted.
            if known := self._store.started(asked.request_id):
                return Started(execution=known, jobs=())
            asked = self._with_commit(asked, self._commit_of)
        return self._store.start(asked)

    def _with_commit(self, asked: PipelineExecutionRequest, commit_of: CommitOf) -> PipelineExecutionRequest:
        """The request with the commit of its branch; a ContractError if the branch has no commit."""
        pipeline = asked.pipeline
        if pipeline is None and asked.pipeline_id is not None:
            pipeline = self._store.pipeline(asked.pipeline_id)
        if pipeline is None or asked.repo != pipeline.repo_url:
            return asked  # The store refuses it.
        branch = asked.branch or pipeline.branch
        if pipeline.commit_hash is not None and branch == pipeline.branch:
            return asked
        try:
            return evolve(asked, commit_hash=commit_of(pipeline.repo_url, branch))
        except RepositoryError as error:
            raise ContractError(PipelineExecutionRequest, [Problem("/branch", "value", str(error))]) from None

    def cancel(self, execution_id: UUID) -> object:
        stopping = self._store.cancel(execution_id)
        log.info("a run was canceled", pipeline_execution_id=execution_id, jobs_to_stop=len(stopping))
        return self._store.status(execution_id)

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def update(self, request: Request) -> Response:
        update = await read_message(request, JobStatusUpdate)
        log_ids(request, job_execution_id=update.job_execution_id)
        applied = await self._intake.apply(update)
        return _answer(applied.response, background=self._sending(applied.jobs))

    def _sending(self, jobs: Sequence[JobExecutionRequest]) -> BackgroundTask | None:
        """Send jobs after the answer. The client does not wait until the broker has them: the store has them."""
        return BackgroundTask(self._send, jobs) if jobs else None

    def logs(self, request: Request) -> Response:
        job_execution_id = request.path_params["job_execution_id"]
        asked = read_query(request, "after", "limit", "tail")
        # The state first: what it says of the end of the output is then true of the output, too.
        job = self._store.job_execution(job_execution_id)
        if "tail" in asked:
            size = min(asked["tail"], MAX_TAIL)
            return _answer(evolve(job, logs=self._store.log_tail(job_execution_id, max_bytes=size)))
        text = self._store.logs(job_execution_id, **asked).contiguous
        last = text.chunks[-1][0] if text.chunks else asked.get("after", 0)
        return _answer(evolve(job, logs=text.text, last_sequence=last))

    # --- artifacts ----------------------------------------------------------------------------------------------

    def upload(self, request: Request, uploaded: ArtifactUploadRequest) -> Response:
        log_ids(request, job_execution_id=uploaded.job_execution_id)
        self._store.add_artifacts(uploaded)
        return _answer(self._store.job_status(uploaded.job_execution_id))

    def artifacts(self, job_execution_id: UUID) -> object:
        files = self._store.artifacts(job_execution_id)
        return ArtifactsResponse(job_execution_id=job_execution_id, artifacts=files)

    async def put_content(self, request: Request) -> Response:
        size = announced_size(request, MAX_CONTENT)
        if size is None:
            raise HTTPException(411, "Expected a Content-Length.")
        writer = await run_in_threadpool(self._contents.writer, sha256=request.path_params["sha256"], size=size)
        try:
            async for chunk in chunks_of(request):
                await run_in_threadpool(writer.write, chunk)
            await run_in_threadpool(writer.commit)
        finally:
            await run_in_threadpool(writer.discard)  # After a commit this does nothing.
        return Response(status_code=204)

    def content(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        size = self._contents.size(sha256)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if request.method == "HEAD":
            return Response(headers=headers)
        return StreamingResponse(self._contents.read(sha256), headers=headers)

    # --- logs and reports ---------------------------------------------------------------------------------------

    def add_logs(self, _: Request, uploaded: ExecutionLogUpload) -> Response:
        self._store.add_logs(uploaded)
        return Response(status_code=204)

    def execution_logs(self, request: Request) -> Response:
        asked = read_query(request, "after", "limit")
        return _answer(self._store.execution_logs(**request.path_params, **asked))

    def runs(self, _: Request) -> Response:
        return _answer(recent_runs(self._store))

    def report(self, request: Request) -> Response:
        query = read_query(request, "run_number", "status", "limit", "cursor")
        return _answer(self._store.report(converter.structure(report_names(request) | query, ReportRequest)))

    async def health(self, _: Request) -> Response:
        # Threads of its own: those of other requests may all wait for the database. After a second it says "busy".
        content: Mapping[str, Any] = {"status": "busy"}
        with move_on_after(_HEALTH_SECONDS):
            content = await to_thread.run_sync(self._health, limiter=self._for_health, abandon_on_cancel=True)
        return JSONResponse(content)

    def _health(self) -> Mapping[str, Any]:
        self._store.pipelines(limit=1)
        return {"status": "ok", **self._state()}


def _writing(message: type[T], handle: Callable[[Request, T], Response]) -> Handler:
    """A handler that reads a message and writes to the store.

    However many requests wait to write, readers have threads. Starts that wait for git leave threads to other routes.
    """
    limiter = CapacityLimiter(_WRITERS)

    async def read_and_write(request: Request) -> Response:
        given = await read_message(request, message)
        return await to_thread.run_sync(handle, request, given, limiter=limiter)

    return read_and_write


def _by_id(read: Callable[[UUID], object]) -> Callable[[Request], Response]:
    """A handler that answers with what a function returns for the id in the path."""

    def handle(request: Request) -> Response:
        (execution_id,) = request.path_params.values()
        return _answer(read(execution_id))

    return handle


def _answer(content: object, status: int = 200, background: BackgroundTask | None = None) -> Response:
    return Response(converter.dumps(content), status, media_type="application/json", background=background)


async def _refuse(_: Request, error: Exception) -> Response:
    return answer_to(error)
