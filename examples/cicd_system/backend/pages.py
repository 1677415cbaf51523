"""Pages of pipelines, runs and logs, rendered on the server. A script updates them while something runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cicd_common import ContractError, converter
from cicd_common.api.request import Artifact, JobExecutionRequest
from cicd_common.model import JobExecution, PipelineExecution
from cicd_common.store import ExecutionStore, Started

from ..again import request_again
from .drawing import graph_of
from .guard import TOKEN_COOKIE, arriving, is_by_https, matches
from .job_log import JobLogs
from .live import Look, Part, Streams
from .overview import overview
from .parts import attributes_of, content_of, job_parts, run_parts, shown
from .server import most_connections

__all__ = ["PAUSE", "page_routes"]

PAUSE = 1.0
"""The least number of seconds between two reads of the same run, job or list."""

_HERE = Path(__file__).parent
_MAX_FORM = 10_000
_MOST_STREAMS = 256
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

SendJobs = Callable[[Sequence[JobExecutionRequest]], None]


def page_routes(store: ExecutionStore, send: SendJobs, *, token: str | None) -> list[Route]:
    """Make the routes of the pages.

    Args:
        store: The store.
        send: Sends the jobs of a run that is started from a page.
        token: The bearer token for signing in; None if there is none.
    """
    pages = _Pages(store, send, token)
    run, job = "/run/{execution_id}", "/run/{execution_id}/job/{job_execution_id}"
    return [
        Route("/", pages.home, methods=["GET"]),
        Route("/events", pages.home_events, methods=["GET"]),
        Route(run, pages.run, methods=["GET"]),
        Route(f"{run}/events", pages.run_events, methods=["GET"]),
        Route(f"{run}/cancel", pages.cancel, methods=["POST"]),
        Route(f"{run}/again", pages.again, methods=["POST"]),
        Route(job, pages.job, methods=["GET"]),
        Route(f"{job}/events", pages.job_events, methods=["GET"]),
        Route("/sign-in", pages.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
        Route("/style.css", pages.style, methods=["GET"]),
        Route("/live.js", pages.script, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, store: ExecutionStore, send: SendJobs, token: str | None) -> None:
        self._store = store
        self._send = send
        self._token = token
        self._logs = JobLogs(store)
        self._streams = Streams(most=min(_MOST_STREAMS, most_connections() // 4), pause=PAUSE)
        self._style, self._script = ((_HERE / "static" / name).read_text() for name in ("style.css", "live.js"))
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"shown": shown}

    # --- pipelines ----------------------------------------------------------------------------------------------

    def home(self, request: Request) -> Response:
        after = _after(request)
        return self._page("home.html", self._look_home(after), after=after)

    async def home_events(self, request: Request) -> Response:
        after = _after(request)
        return self._streams.respond(request, ("home", after), partial(self._look_home, after))

    def _look_home(self, after: UUID | None) -> Look:
        html = self._render("pipelines.html", overview=overview(self._store, after))
        return Look({"pipelines": {"html": html}})

    # --- runs ---------------------------------------------------------------------------------------------------

    def run(self, request: Request) -> Response:
        run = self._store.execution(_id(request, "execution_id"))
        look = self._look_run(run, {})
        return self._page("run.html", look, run=run, graph=graph_of(run), request_id=uuid4())

    async def run_events(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        known: dict[UUID, tuple[Artifact, ...]] = {}
        return self._streams.respond(
            request, execution_id, lambda: self._look_run(self._store.execution(execution_id), known)
        )

    def _look_run(self, run: PipelineExecution, known: dict[UUID, tuple[Artifact, ...]]) -> Look:
        """Make the elements of the page of a run.

        Args:
            run: The run.
            known: The artifacts of ended jobs, by their ids; missing ones are added.
        """
        ended = (job for stage in run.stages for job in stage.jobs if job.status.is_terminal)
        for job in islice(filter(_leaves_artifacts, ended), _MOST_LISTS):
            if job.id not in known:
                known[job.id] = self._store.artifacts(job.id)
        jobs = [job for stage in run.stages for job in stage.jobs if known.get(job.id)]
        events = self._store.execution_logs(pipeline_execution_id=run.id, limit=_MOST_EVENTS)
        parts: dict[str, Part] = {
            **run_parts(run, datetime.now(UTC)),
            "artifacts": {"html": self._render("artifacts.html", artifacts=[(job, known[job.id]) for job in jobs])},
            "events": {"html": self._render("events.html", run=run, events=events)},
        }
        return Look(parts, is_over=run.status.is_terminal)

    def cancel(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        self._store.cancel(execution_id)
        return RedirectResponse(f"/run/{execution_id}", 303)

    async def again(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        # A button that is pressed twice sends the same id, which starts one run.
        text = await _field(request, "request_id")
        started = await run_in_threadpool(self._start_again, execution_id, _uuid(text) if text else None)
        # The browser does not wait until the broker has all jobs.
        sending = BackgroundTask(self._send, started.jobs)
        return RedirectResponse(f"/run/{started.execution.execution_id}", 303, background=sending)

    def _start_again(self, execution_id: UUID, request_id: UUID | None) -> Started:
        return self._store.start(request_again(self._store.execution(execution_id), request_id))

    # --- jobs ---------------------------------------------------------------------------------------------------

    def job(self, request: Request) -> Response:
        run = self._store.execution(_id(request, "execution_id"))
        job_id = _id(request, "job_execution_id")
        stage = next((stage for stage in run.stages for job in stage.jobs if job.id == job_id), None)
        if stage is None:
            raise _nothing()
        job = next(job for job in stage.jobs if job.id == job_id)
        look = self._look_job(job_id)
        piece = self._logs.end(job_id)
        return self._page("job.html", look, run=run, stage=stage, job=job, log=piece)

    async def job_events(self, request: Request) -> Response:
        job_id = _id(request, "job_execution_id")
        return self._streams.respond(request, job_id, partial(self._look_job, job_id), partial(self._logs.more, job_id))

    def _look_job(self, job_id: UUID) -> Look:
        job = self._store.job_execution(job_id)
        parts: dict[str, Part] = job_parts(job, datetime.now(UTC))
        if job.status.is_terminal:
            files = self._store.artifacts(job_id)
            parts["artifacts"] = {"html": self._render("artifacts.html", artifacts=[(None, files)] if files else [])}
        else:
            parts["artifacts"] = {"html": ""}
        return Look(parts, job.status.is_terminal, job.last_sequence)

    # --- signing in ---------------------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        if request.method == "GET":
            return self._page("sign_in.html", is_wrong=False)
        given = await _field(request, "token")
        if self._token is None or not matches(given.encode(), self._token.encode()):
            return await run_in_threadpool(self._page, "sign_in.html", status=403, is_wrong=True)
        answer = RedirectResponse("/", 303)
        is_secure = is_by_https(request.scope)
        answer.set_cookie(TOKEN_COOKIE, self._token, httponly=True, samesite="strict", secure=is_secure)
        return answer

    async def sign_out(self, request: Request) -> Response:
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(TOKEN_COOKIE, httponly=True, samesite="strict", secure=is_by_https(request.scope))
        return answer

    # --- shared by all pages ------------------------------------------------------------------------------------

    async def style(self, _: Request) -> Response:
        return Response(self._style, media_type="text/css")

    async def script(self, _: Request) -> Response:
        return Response(self._script, media_type="text/javascript")

    def _page(self, template: str, look: Look | None = None, *, status: int = 200, **values: Any) -> Response:
        if look is not None:
            values["attributes"] = partial(attributes_of, look.parts)
            values["content"] = partial(content_of, look.parts)
        is_live = look is not None and not look.is_over
        text = self._render(template, has_token=self._token is not None, is_live=is_live, **values)
        return Response(text, status, _SECURITY, media_type="text/html")

    def _render(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)


def _leaves_artifacts(job: JobExecution) -> bool:
    return bool(job.job.artifacts)


async def _field(request: Request, name: str) -> str:
    """A field of a form; empty if it is missing.

    Raises:
        HTTPException: 413 if the form is too large.
    """
    body = b""
    async for chunk in arriving(request):
        body += chunk
        if len(body) > _MAX_FORM:
            raise HTTPException(413, "Expected a smaller form.")
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0]


def _uuid(text: str) -> UUID:
    try:
        return converter.structure(text, UUID)
    except ContractError:
        raise _nothing() from None


def _id(request: Request, name: str) -> UUID:
    return _uuid(request.path_params[name])


def _after(request: Request) -> UUID | None:
    text = request.query_params.get("after")
    return None if text is None else _uuid(text)


def _nothing() -> HTTPException:
    return HTTPException(404, "There is nothing at this path.")
