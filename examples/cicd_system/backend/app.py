"""The Backend as an ASGI application: routes and their handlers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote
from uuid import UUID

from anyio import CapacityLimiter, move_on_after, to_thread
from attrs import evolve
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
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
from cicd_common.api.response import ArtifactsResponse, ExecutionLogResponse
from cicd_common.artifacts import ArtifactStore
from cicd_common.dto import JobExecutionDTO
from cicd_common.errors import Problem
from cicd_common.logging import get_logger
from cicd_common.store import ExecutionStore, Started

from ..git import RepositoryError
from .access import AccessLog, about
from .contents import content_routes
from .dispatch import Dispatcher
from .guard import TokenGuard, read_json
from .intake import Intake
from .job_log import without_gaps
from .overview import recent_runs
from .pages import page_routes
from .problems import HANDLERS

__all__ = ["MAX_BODY", "create_app"]

log = get_logger(__name__)

T = TypeVar("T")

CommitOf = Callable[[str, str], str | None]
"""Finds the commit of a branch of a repository; None for a directory without git."""

State = Callable[[], Mapping[str, Any]]
"""Returns a state as JSON data."""

MAX_BODY = 8 * 1024 * 1024
"""The largest body, in bytes."""

# Bytes. Reading a smaller body takes less than a millisecond, so it needs no thread.
_SMALL_BODY = 64 * 1024
_HEALTH_SECONDS = 1
_REPORT = "/api/report/"
# The parts of a report's path; each is followed by a name.
_LEVELS = ("pipeline", "stage", "job")
_NUMBERS = ("run_number", "limit", "after", "tail")
# As in JSON, with no more digits than a 64-bit integer has.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


def create_app(
    store: ExecutionStore,
    dispatcher: Dispatcher,
    *,
    token: str | None = None,
    max_body: int = MAX_BODY,
    commit_of: CommitOf | None = None,
    contents: ArtifactStore | None = None,
    state: State | None = None,
) -> Starlette:
    """Make the application. It has no state of its own, so several Backends may share a store.

    Args:
        store: The store. It is not closed.
        dispatcher: Sends jobs to the Workers.
        token: The bearer token. If None, all requests to ``localhost`` or a loopback address are accepted.
        max_body: The largest body, in bytes.
        commit_of: Finds the commit of a branch for a run without a commit, so that all its jobs use the same one. If
            None, each Worker uses the head of the branch.
        contents: Stores the contents of artifacts. If None, there are no routes for them.
        state: Further fields of ``/health``, which needs no token; none by default.
    """
    backend = _Backend(store, dispatcher, max_body, commit_of, state or dict)
    routes = [*backend.routes(), *page_routes(store, dispatcher.send, token=token)]
    routes += [] if contents is None else content_routes(contents)
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    # A redirection would lead to the host in the client's header `Host`.
    app.router.redirect_slashes = False
    app.add_middleware(TokenGuard, token=token, open_paths=["/health", "/sign-in", "/style.css"])
    app.add_middleware(AccessLog)
    return app


class _Backend:
    def __init__(
        self,
        store: ExecutionStore,
        dispatcher: Dispatcher,
        max_body: int,
        commit_of: CommitOf | None,
        state: State,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._max_body = max_body
        self._commit_of = commit_of
        self._state = state
        self._intake = Intake(store)
        self._for_health = CapacityLimiter(2)

    def routes(self) -> list[Route]:
        # Routes are tried in this order; most requests are updates.
        table: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("POST", "/api/job/status", self.update),
            ("POST", "/api/pipeline/execute", self.execute),
            ("GET", "/api/pipeline/status/{execution_id}", self.pipeline_status),
            ("GET", "/api/pipeline/execution/{execution_id}", self.execution),
            ("POST", "/api/pipeline/cancel/{execution_id}", self.cancel),
            ("GET", "/api/job/status/{job_execution_id}", self.job_status),
            ("POST", "/api/job/artifact/upload", self.upload),
            ("GET", "/api/job/artifacts/{job_execution_id}", self.artifacts),
            ("POST", "/api/execution/logs", self.add_logs),
            ("GET", "/api/execution/logs/{execution_id}", self.execution_logs),
            ("GET", "/api/runs", self.runs),
            ("GET", _REPORT + "{rest:path}", self.report),
            ("GET", "/api/job/logs/{job_execution_id}", self.logs),
            ("GET", "/health", self.health),
        ]
        return [Route(path, endpoint, methods=[method]) for method, path, endpoint in table]

    # --- pipelines ----------------------------------------------------------------------------------------------

    async def execute(self, request: Request) -> Response:
        asked = await self._message(request, PipelineExecutionRequest)
        started = await run_in_threadpool(self._start, asked)
        run = started.execution
        with about(request, pipeline_execution_id=run.execution_id):
            # A new run hands out at least one job, a repeated request none.
            if started.jobs:
                log.info("a run has started", run_number=run.run_number)
        answer = _answer(run, 201 if started.jobs else 200)
        answer.background = self._sending(started.jobs)
        return answer

    def _start(self, asked: PipelineExecutionRequest) -> Started:
        if self._commit_of is not None and asked.commit_hash is None and not asked.is_local:
            # A repeated request is answered even if its branch was deleted.
            if known := self._store.started(asked.request_id):
                return Started(execution=known, jobs=())
            asked = self._with_commit(asked, self._commit_of)
        return self._store.start(asked)

    def _with_commit(self, asked: PipelineExecutionRequest, commit_of: CommitOf) -> PipelineExecutionRequest:
        """The request with the commit of its branch.

        Raises:
            ContractError: The branch does not exist, or the repository does not answer.
        """
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

    def pipeline_status(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        with about(request, pipeline_execution_id=execution_id):
            return _answer(self._store.status(execution_id))

    def execution(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        with about(request, pipeline_execution_id=execution_id):
            return _answer(self._store.execution(execution_id))

    def cancel(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        with about(request, pipeline_execution_id=execution_id):
            told = self._store.cancel(execution_id)
            log.info("a run was asked to be canceled", jobs_to_stop=len(told))
            return _answer(self._store.status(execution_id))

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def update(self, request: Request) -> Response:
        update = await self._message(request, JobStatusUpdate)
        with about(request, job_execution_id=update.job_execution_id):
            applied = await self._intake.apply(update)
        answer = _answer(applied.response)
        answer.background = self._sending(applied.jobs)
        return answer

    def job_status(self, request: Request) -> Response:
        job_execution_id = _id(request, "job_execution_id")
        with about(request, job_execution_id=job_execution_id):
            return _answer(self._store.job_status(job_execution_id))

    async def upload(self, request: Request) -> Response:
        uploaded = await self._message(request, ArtifactUploadRequest)
        with about(request, job_execution_id=uploaded.job_execution_id):
            await run_in_threadpool(self._store.add_artifacts, uploaded)
            return _answer(await run_in_threadpool(self._store.job_status, uploaded.job_execution_id))

    def artifacts(self, request: Request) -> Response:
        job_execution_id = _id(request, "job_execution_id")
        with about(request, job_execution_id=job_execution_id):
            files = self._store.artifacts(job_execution_id)
            return _answer(ArtifactsResponse(job_execution_id=job_execution_id, artifacts=files))

    async def add_logs(self, request: Request) -> Response:
        uploaded = await self._message(request, ExecutionLogUpload)
        await run_in_threadpool(self._store.add_logs, uploaded)
        return Response(status_code=204)

    def execution_logs(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        asked = _query(request, ExecutionLogResponse, "after", "limit")
        after = asked.get("after")
        limit = asked.get("limit", 1000)
        with about(request, pipeline_execution_id=execution_id):
            return _answer(self._store.execution_logs(pipeline_execution_id=execution_id, after=after, limit=limit))

    def logs(self, request: Request) -> Response:
        job_execution_id = _id(request, "job_execution_id")
        asked = _query(request, JobExecutionDTO, "after", "limit", "tail")
        with about(request, job_execution_id=job_execution_id):
            # The state first: what it says of the end of the output is then true of the output, too.
            job = self._store.job_execution(job_execution_id)
            if "tail" in asked:
                return _answer(evolve(job, logs=self._store.log_tail(job_execution_id, max_bytes=asked["tail"])))
            text = without_gaps(self._store.logs(job_execution_id, **asked))
        last = text.chunks[-1][0] if text.chunks else asked.get("after", 0)
        return _answer(evolve(job, logs=text.text, last_sequence=last))

    # --- reports ------------------------------------------------------------------------------------------------

    def runs(self, _: Request) -> Response:
        return _answer(recent_runs(self._store))

    def report(self, request: Request) -> Response:
        names = _names(request)
        query = _query(request, ReportRequest, "run_number", "status", "limit", "cursor")
        return _answer(self._store.report(converter.structure(names | query, ReportRequest)))

    async def health(self, _: Request) -> Response:
        # Separate threads: those of other requests may all be waiting for the database. After a second the answer is
        # "busy".
        content: dict[str, Any] = {"status": "busy"}
        with move_on_after(_HEALTH_SECONDS):
            content = await to_thread.run_sync(self._health, limiter=self._for_health, abandon_on_cancel=True)
        return Response(json.dumps(content, separators=(",", ":")), media_type="application/json")

    def _health(self) -> dict[str, Any]:
        self._store.pipelines(limit=1)
        return {"status": "ok", **self._state()}

    # --- both ways ----------------------------------------------------------------------------------------------

    async def _message(self, request: Request, type: type[T]) -> T:
        body = await read_json(request, self._max_body)
        if len(body) < _SMALL_BODY:
            return converter.loads(body, type)
        return await run_in_threadpool(converter.loads, body, type)

    def _sending(self, jobs: Iterable[JobExecutionRequest]) -> BackgroundTask | None:
        """Send jobs after the answer. The client does not wait until the broker has them: the store has them."""
        return BackgroundTask(self._dispatcher.send, jobs) if jobs else None


def _answer(content: Any, status: int = 200) -> Response:
    return Response(converter.dumps(content), status, media_type="application/json")


def _id(request: Request, name: str) -> UUID:
    """An id in the path, in any form that the contract accepts.

    Raises:
        HTTPException: 404 if it is not a UUID.
    """
    try:
        return converter.structure(request.path_params[name], UUID)
    except ContractError:
        raise HTTPException(404, f"Expected a UUID as the {name} in the path.") from None


def _names(request: Request) -> dict[str, str]:
    """The names in the path of a report. Each is decoded separately, because a name may contain a slash.

    Raises:
        HTTPException: 404 if the path is not that of a report.
    """
    no_report = HTTPException(404, "Expected /api/report/pipeline/{name}[/stage/{name}[/job/{name}]].")
    raw = request.scope["raw_path"].decode("ascii", "replace").partition(_REPORT)[2].split("/")
    levels, names = raw[::2], raw[1::2]
    if tuple(levels) != _LEVELS[: len(levels)] or len(levels) != len(names):
        raise no_report
    try:
        return {f"{level}_name": unquote(name, errors="strict") for level, name in zip(levels, names, strict=True)}
    except UnicodeDecodeError:
        raise no_report from None


def _query(request: Request, type: type[Any], *known: str) -> dict[str, Any]:
    """The parameters of a query, with numbers as integers.

    Raises:
        ContractError: A parameter is unknown, repeated, or not a number although it should be.
    """
    problems, values = [], {}
    for name, text in request.query_params.multi_items():
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        if name not in known:
            problems.append(Problem(pointer, "unknown", f"expected no parameters but {', '.join(known)}"))
        elif name in values:
            problems.append(Problem(pointer, "value", "expected it once"))
        elif name in _NUMBERS and not _INTEGER.fullmatch(text):
            problems.append(Problem(pointer, "type", "expected an integer"))
        else:
            values[name] = int(text) if name in _NUMBERS else text
    if problems:
        raise ContractError(type, problems)
    return values
