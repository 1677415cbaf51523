"""Pages of pipelines, runs and logs, rendered on the server. A script updates them while something runs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from cicd_common import converter
from cicd_common.model import PipelineExecution
from cicd_common.store import ExecutionStore, Started

from ..again import request_again
from .dispatch import SendJobs
from .guard import TOKEN_COOKIE, is_by_https
from .job_log import JobLogs
from .live import Look, Streams
from .overview import overview
from .reading import read_body
from .run_page import attributes_of, content_of, job_parts, places_of, run_parts, shown
from .server import most_connections

__all__ = ["page_routes"]

_HERE = Path(__file__).parent
_MAX_FORM = 10_000
_MOST_STREAMS = 256
_MOST_RUNS = 5  # Of each pipeline on the first page.
_MOST_LISTS = 50  # Jobs whose artifacts are on the page of their run; each needs a query.
_MOST_EVENTS = 1000
_SECURITY = {
    # Only resources of this Backend, no inline scripts, and no frames of other sites.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    # Other sites get no referrer. Forms of this site need one, because it is checked.
    "Referrer-Policy": "same-origin",
}


def page_routes(store: ExecutionStore, send: SendJobs, token: str | None) -> list[Route]:
    """Make the routes of the pages. If there is a token, browsers sign in with it."""
    pages = _Pages(store, send, token)
    run = "/run/{pipeline_execution_id:uuid}"
    job = run + "/job/{job_execution_id:uuid}"
    return [
        Route("/", pages.home),
        Route("/events", pages.home_events),
        Route(run, pages.run),
        Route(f"{run}/events", pages.run_events),
        Route(f"{run}/cancel", pages.cancel, methods=["POST"]),
        Route(f"{run}/again", pages.again, methods=["POST"]),
        Route(job, pages.job),
        Route(f"{job}/events", pages.job_events),
        Route("/sign-in", pages.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
        Route("/style.css", lambda _: FileResponse(_HERE / "static/style.css")),
        Route("/live.js", lambda _: FileResponse(_HERE / "static/live.js", media_type="text/javascript")),
    ]


class _Pages:
    def __init__(self, store: ExecutionStore, send: SendJobs, token: str | None) -> None:
        self._store = store
        self._send = send
        self._token = token
        self._logs = JobLogs(store)
        self._streams = Streams(min(_MOST_STREAMS, most_connections() // 4))
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["shown"] = shown

    # --- pipelines ----------------------------------------------------------------------------------------------

    def home(self, request: Request) -> Response:
        after = _after(request)
        return self._page("home.html", self._look_home(after), after=after)

    async def home_events(self, request: Request) -> Response:
        after = _after(request)
        return self._streams.respond(request, ("home", after), partial(self._look_home, after))

    def _look_home(self, after: UUID | None) -> Look:
        pipelines, following = overview(self._store, after, runs=_MOST_RUNS)
        return Look({"pipelines": self._html("pipelines.html", pipelines=pipelines, following=following)})

    # --- runs ---------------------------------------------------------------------------------------------------

    def run(self, request: Request) -> Response:
        run = self._store.execution(request.path_params["pipeline_execution_id"])
        jobs = [job for stage in run.stages for job in stage.jobs]
        numbers = {job.id: f"job-{number}" for number, job in enumerate(jobs)}
        look, places = self._look_run(run), places_of(run)
        return self._page("run.html", look, run=run, numbers=numbers, places=places, request_id=uuid4())

    async def run_events(self, request: Request) -> Response:
        execution_id = request.path_params["pipeline_execution_id"]
        return self._streams.respond(request, execution_id, lambda: self._look_run(self._store.execution(execution_id)))

    def _look_run(self, run: PipelineExecution) -> Look:
        jobs = [job for stage in run.stages for job in stage.jobs]
        ended = [job for job in jobs if job.status.is_terminal and job.job.artifacts]
        artifacts = [(f"{job.job.name}: ", self._store.artifacts(job.id)) for job in ended[:_MOST_LISTS]]
        events = self._store.execution_logs(pipeline_execution_id=run.id, limit=_MOST_EVENTS)
        names = {job.id: job.job.name for job in jobs}
        parts = {
            **run_parts(run, datetime.now(UTC)),
            "artifacts": self._html("artifacts.html", artifacts=artifacts),
            "events": self._html("events.html", run=run, events=events, names=names),
        }
        return Look(parts, run.status.is_terminal)

    def cancel(self, request: Request) -> Response:
        execution_id = request.path_params["pipeline_execution_id"]
        self._store.cancel(execution_id)
        return RedirectResponse(f"/run/{execution_id}", 303)

    async def again(self, request: Request) -> Response:
        # A button that is pressed twice sends the same id, which starts one run.
        text = await _field(request, "request_id")
        request_id = converter.structure(text, UUID) if text else None
        started = await run_in_threadpool(self._start_again, request.path_params["pipeline_execution_id"], request_id)
        # The browser does not wait until the broker has all jobs.
        sending = BackgroundTask(self._send, started.jobs)
        return RedirectResponse(f"/run/{started.execution.execution_id}", 303, background=sending)

    def _start_again(self, execution_id: UUID, request_id: UUID | None) -> Started:
        return self._store.start(request_again(self._store.execution(execution_id), request_id))

    # --- jobs ---------------------------------------------------------------------------------------------------

    def job(self, request: Request) -> Response:
        run_id, job_id = request.path_params.values()
        run = self._store.execution(run_id)
        for stage in run.stages:
            for job in stage.jobs:
                if job.id == job_id:
                    look, end = self._look_job(job_id), self._logs.end(job_id)
                    return self._page("job.html", look, run=run, stage=stage, job=job, log=end)
        raise HTTPException(404, "The run has no such job.")

    async def job_events(self, request: Request) -> Response:
        _, job_id = request.path_params.values()
        return self._streams.respond(request, job_id, partial(self._look_job, job_id), partial(self._logs.more, job_id))

    def _look_job(self, job_id: UUID) -> Look:
        job = self._store.job_execution(job_id)
        has_ended = job.status.is_terminal
        artifacts = [("", self._store.artifacts(job_id))] if has_ended else []
        parts = {**job_parts(job, datetime.now(UTC)), "artifacts": self._html("artifacts.html", artifacts=artifacts)}
        return Look(parts, has_ended)

    # --- signing in ---------------------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return self._page("sign_in.html", is_wrong=False)
        given = await _field(request, "token")
        if self._token is None or not compare_digest(given.encode(), self._token.encode()):
            return self._page("sign_in.html", status=403, is_wrong=True)
        answer = RedirectResponse("/", 303)
        is_secure = is_by_https(request.scope)
        answer.set_cookie(TOKEN_COOKIE, self._token, httponly=True, samesite="strict", secure=is_secure)
        return answer

    async def sign_out(self, request: Request) -> Response:
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(TOKEN_COOKIE, httponly=True, samesite="strict", secure=is_by_https(request.scope))
        return answer

    # --- shared by all pages ------------------------------------------------------------------------------------

    def _page(self, template: str, look: Look | None = None, *, status: int = 200, **values: Any) -> Response:
        if look is not None:
            values["attributes"] = partial(attributes_of, look.parts)
            values["content"] = partial(content_of, look.parts)
        is_live = look is not None and not look.is_over
        text = self._render(template, has_token=self._token is not None, is_live=is_live, **values)
        return Response(text, status, _SECURITY, media_type="text/html")

    def _html(self, template: str, **values: Any) -> dict[str, str | None]:
        return {"html": self._render(template, **values)}

    def _render(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)


async def _field(request: Request, name: str) -> str:
    """A field of a form; empty if it is missing."""
    body = await read_body(request, _MAX_FORM)
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0]


def _after(request: Request) -> UUID | None:
    text = request.query_params.get("after")
    return None if text is None else converter.structure(text, UUID)
