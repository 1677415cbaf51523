"""Pages of pipelines, runs and logs, rendered on the server. A script updates them while something runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import escape
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from cicd_common import converter
from cicd_common.model import PipelineExecution
from cicd_common.store import ExecutionStore, Started

from ..messages import rerun_request
from .dispatch import SendJobs
from .guard import TOKEN_COOKIE, is_by_https
from .job_log import JobLogs
from .live import Look, Streams
from .overview import overview
from .reading import read_body
from .run_page import places_of, timeline_of
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
        self._templates.filters |= {"shown": _shown, "duration": _duration}
        self._templates.globals |= {"took": _took, "has_token": token is not None}

    # --- pipelines ----------------------------------------------------------------------------------------------

    def home(self, request: Request) -> Response:
        return _page(self._look_home(_after(request)))

    async def home_events(self, request: Request) -> Response:
        after = _after(request)
        return self._streams.respond(request, ("home", after), partial(self._look_home, after))

    def _look_home(self, after: UUID | None) -> Look:
        pipelines, following = overview(self._store, after, runs=_MOST_RUNS)
        return self._look("home.html", pipelines=pipelines, after=after, following=following)

    # --- runs ---------------------------------------------------------------------------------------------------

    def run(self, request: Request) -> Response:
        return _page(self._look_run(request.path_params["pipeline_execution_id"]))

    async def run_events(self, request: Request) -> Response:
        execution_id = request.path_params["pipeline_execution_id"]
        return self._streams.respond(request, execution_id, partial(self._look_run, execution_id))

    def _look_run(self, execution_id: UUID) -> Look:
        run = self._store.execution(execution_id)
        jobs = [job for stage in run.stages for job in stage.jobs]
        ended = [job for job in jobs if job.status.is_terminal and job.job.artifacts]
        now = datetime.now(UTC)
        bars, whole = timeline_of(run, now)
        return self._look(
            "run.html",
            is_over=run.status.is_terminal,
            now=now,
            run=run,
            names={job.id: job.job.name for job in jobs},
            places=places_of(run),
            bars=bars,
            whole=whole,
            artifacts=[(f"{job.job.name}: ", self._store.artifacts(job.id)) for job in ended[:_MOST_LISTS]],
            events=self._store.execution_logs(pipeline_execution_id=run.id, limit=_MOST_EVENTS),
            request_id=uuid4(),
        )

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
        return self._store.start(rerun_request(self._store.execution(execution_id), request_id))

    # --- jobs ---------------------------------------------------------------------------------------------------

    def job(self, request: Request) -> Response:
        run_id, job_id = request.path_params.values()
        return _page(self._look_job(job_id, self._store.execution(run_id)))

    async def job_events(self, request: Request) -> Response:
        _, job_id = request.path_params.values()
        return self._streams.respond(request, job_id, partial(self._look_job, job_id), partial(self._logs.more, job_id))

    def _look_job(self, job_id: UUID, run: PipelineExecution | None = None) -> Look:
        """The state of a job, or with its run the whole page."""
        # The state first: when it says that the job has ended, the log that is read then is complete.
        state = self._store.job_execution(job_id)
        has_ended = state.status.is_terminal
        artifacts = [("", self._store.artifacts(job_id))] if has_ended else []
        look = partial(self._look, is_over=has_ended, now=datetime.now(UTC), state=state, artifacts=artifacts)
        if run is None:
            return look("job_state.html")
        return look("job.html", run=run, job=run.job(job_id), log=self._logs.end(job_id))

    # --- signing in ---------------------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        if request.method != "POST":
            return _page(self._look("sign_in.html", is_over=True, is_wrong=False))
        given = await _field(request, "token")
        if self._token is None or not compare_digest(given.encode(), self._token.encode()):
            return _page(self._look("sign_in.html", is_over=True, is_wrong=True), 403)
        answer = RedirectResponse("/", 303)
        is_secure = is_by_https(request.scope)
        answer.set_cookie(TOKEN_COOKIE, self._token, httponly=True, samesite="strict", secure=is_secure)
        return answer

    async def sign_out(self, request: Request) -> Response:
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(TOKEN_COOKIE, httponly=True, samesite="strict", secure=is_by_https(request.scope))
        return answer

    # --- templates ----------------------------------------------------------------------------------------------

    def _look(self, template: str, *, is_over: bool = False, **values: Any) -> Look:
        """Render a template. What it passes to ``live`` with an id are the contents of an element that changes."""
        parts = {}

        def live(id: object, text: object = "", caller: Callable[[], str] | None = None) -> str:
            parts[str(id)] = html = escape(text) if caller is None else caller()
            return html

        page = self._templates.get_template(template).render(live=live, is_live=not is_over, **values)
        return Look(page, parts, is_over)


def _page(look: Look, status: int = 200) -> Response:
    return Response(look.html, status, _SECURITY, media_type="text/html")


async def _field(request: Request, name: str) -> str:
    """A field of a form; empty if it is missing."""
    body = await read_body(request, _MAX_FORM)
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0]


def _after(request: Request) -> UUID | None:
    text = request.query_params.get("after")
    return None if text is None else converter.structure(text, UUID)


def _took(execution: Any, now: datetime) -> str:
    """How long a run or a job has taken until now; empty if it has not started."""
    if execution.start_time is None:
        return ""
    return _duration(max((execution.completion_time or now) - execution.start_time, timedelta()))


def _duration(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _shown(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M:%S UTC")
