"""Pages to look at: pipelines, runs and logs, made on the server. They need no JavaScript, and none is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from ansi2html import Ansi2HTMLConverter
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cicd_common import ContractError, converter
from cicd_common.api.request import JobExecutionRequest, ReportRequest
from cicd_common.store import ExecutionStore

from ..again import request_again
from .drawing import graph_of, timeline_of
from .guard import TOKEN_COOKIE, arriving, matches

__all__ = ["page_routes"]

_HERE = Path(__file__).parent / "templates"
_MAX_FORM = 10_000
_LOG_BYTES = 1024 * 1024
_SECURITY = {
    # Nothing from elsewhere, no script, and no page of others around this one.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Send = Callable[[Sequence[JobExecutionRequest]], None]


def page_routes(store: ExecutionStore, send: Send, *, token: str | None) -> list[Route]:
    """Make the routes of the pages.

    Args:
        store: Knows what there is to show.
        send: Sends the jobs of a run that is started from a page.
        token: The bearer token, with which people sign in; none if everybody may look.
    """
    pages = _Pages(store, send, token)
    return [
        Route("/", pages.home, methods=["GET"]),
        Route("/run/{execution_id}", pages.run, methods=["GET"]),
        Route("/run/{execution_id}/cancel", pages.cancel, methods=["POST"]),
        Route("/run/{execution_id}/again", pages.again, methods=["POST"]),
        Route("/job/{job_execution_id}", pages.job, methods=["GET"]),
        Route("/sign-in", pages.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
        Route("/style.css", pages.style, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, store: ExecutionStore, send: Send, token: str | None) -> None:
        self._store = store
        self._send = send
        self._token = token
        self._templates = Environment(
            loader=FileSystemLoader(_HERE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"took": _took, "shown": _shown}
        colours = str(Ansi2HTMLConverter(dark_bg=True).produce_headers())  # An element of HTML around the rules.
        self._style = colours.partition(">")[2].rpartition("<")[0] + (_HERE / "style.css").read_text()

    def home(self, _: Request) -> Response:
        names = dict.fromkeys(pipeline.name for pipeline in self._store.pipelines())
        found = [(name, self._store.report(ReportRequest(pipeline_name=name, limit=5)).executions) for name in names]
        return self._page("home.html", pipelines=found)

    def run(self, request: Request) -> Response:
        run = self._store.execution(_id(request, "execution_id"))
        now = datetime.now(UTC)
        left = [(job.job.name, self._store.artifacts(job.id)) for stage in run.stages for job in stage.jobs]
        return self._page(
            "run.html",
            refresh=not run.status.is_terminal,
            run=run,
            why=run.explain().text,
            graph=graph_of(run),
            now=now,
            timeline=timeline_of(run, now),
            artifacts=[(name, artifacts) for name, artifacts in left if artifacts],
        )

    def job(self, request: Request) -> Response:
        job = self._store.job_execution(_id(request, "job_execution_id"))
        text = self._store.log_tail(job.id, max_bytes=_LOG_BYTES)
        # The library escapes what is HTML in the text.
        converted = Ansi2HTMLConverter(dark_bg=True).convert(text.removesuffix("\n"), full=False)
        lines = [Markup(line) for line in converted.removesuffix("\n").split("\n")] if text else []
        return self._page("job.html", refresh=not job.status.is_terminal, job=job, lines=lines)

    def cancel(self, request: Request) -> Response:
        execution_id = _id(request, "execution_id")
        self._store.cancel(execution_id)
        return RedirectResponse(f"/run/{execution_id}", 303)

    def again(self, request: Request) -> Response:
        started = self._store.start(request_again(self._store.execution(_id(request, "execution_id"))))
        self._send(started.jobs)
        return RedirectResponse(f"/run/{started.execution.execution_id}", 303)

    async def sign_in(self, request: Request) -> Response:
        if request.method == "GET":
            return self._page("sign_in.html", is_wrong=False)
        body = b""
        async for chunk in arriving(request):
            body += chunk
            if len(body) > _MAX_FORM:
                raise HTTPException(413, "Expected a token.")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]
        if self._token is None or not matches(given.encode(), self._token.encode()):
            return await run_in_threadpool(self._page, "sign_in.html", status=403, is_wrong=True)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(TOKEN_COOKIE, self._token, httponly=True, samesite="strict")
        return answer

    async def sign_out(self, _: Request) -> Response:
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(TOKEN_COOKIE, httponly=True, samesite="strict")
        return answer

    async def style(self, _: Request) -> Response:
        return Response(self._style, media_type="text/css")

    def _page(self, template: str, *, status: int = 200, refresh: bool = False, **values: Any) -> Response:
        text = self._templates.get_template(template).render(has_token=self._token is not None, **values)
        # What is under way is loaded anew: so the page moves without a script.
        headers = _SECURITY | ({"Refresh": "2"} if refresh else {})
        return Response(text, status, headers, media_type="text/html")


def _id(request: Request, name: str) -> UUID:
    try:
        return converter.structure(request.path_params[name], UUID)
    except ContractError:
        raise HTTPException(404, "There is nothing at this path.") from None


def _took(duration: timedelta | None) -> str:
    if duration is None:
        return ""
    seconds = int(duration.total_seconds())
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def _shown(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M:%S UTC")
