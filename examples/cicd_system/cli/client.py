"""The Backend as the CLI sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay
from tenacity.wait import wait_exponential_jitter

from cicd_common import converter
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from cicd_common.api.response import (
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from cicd_common.dto import JobExecutionDTO

__all__ = ["BackendError", "Client"]

T = TypeVar("T")

_REPORTS: dict[str, Any] = {
    "pipeline": PipelineReportResponse,
    "stage": StageReportResponse,
    "job": JobReportResponse,
}


class BackendError(Exception):
    """The Backend does not answer, or refuses. The text says what it said."""


class _Passing(Exception):
    """No answer, or one that may be another a little later."""


class Client:
    """Asks the Backend, and asks again while it does not answer. As a context manager it is closed in the end.

    Args:
        url: Where the Backend is.
        token: The bearer token; none if it asks for none.
        patience: For how many seconds to ask again.
    """

    def __init__(self, url: str, token: str | None, *, patience: float = 30) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=10)
        self._url = url
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def execute(self, request: PipelineExecutionRequest) -> PipelineExecutionResponse:
        """Start a run. Asked again, the Backend knows the request by its id."""
        return self._read("POST", "/api/pipeline/execute", PipelineExecutionResponse, content=converter.dumps(request))

    def status(self, execution_id: UUID) -> PipelineExecutionResponse:
        """How a run is doing."""
        return self._read("GET", f"/api/pipeline/status/{execution_id}", PipelineExecutionResponse)

    def cancel(self, execution_id: UUID) -> PipelineExecutionResponse:
        """Cancel a run."""
        return self._read("POST", f"/api/pipeline/cancel/{execution_id}", PipelineExecutionResponse)

    def report(self, request: ReportRequest) -> Any:
        """A page of a report, of the type of its level."""
        return converter.loads(self.report_bytes(request), _REPORTS[request.level])

    def report_bytes(self, request: ReportRequest) -> bytes:
        """A page of a report as it came."""
        names = [(level, name) for level in _REPORTS if (name := getattr(request, f"{level}_name")) is not None]
        path = "".join(f"/{level}/{_escaped(name)}" for level, name in names)
        query = {
            "run_number": request.run_number,
            "status": request.status and request.status.value,
            "limit": request.limit,
            "cursor": request.cursor,
        }
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", f"/api/report{path}", params=given).content

    def log_pages(self, job_execution_id: UUID, after: int = 0) -> Iterator[JobExecutionDTO]:
        """The output of a job, page by page; the last one, which may be empty, is what there is so far."""
        while True:
            page = self._read("GET", f"/api/job/logs/{job_execution_id}?after={after}", JobExecutionDTO)
            yield page
            if page.last_sequence == after:
                return
            after = page.last_sequence

    def _read(self, method: str, path: str, type: type[T], **arguments: Any) -> T:
        return converter.loads(self._ask(method, path, **arguments).content, type)

    def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        retrying = Retrying(
            retry=retry_if_exception_type(_Passing),
            wait=wait_exponential_jitter(initial=0.1, max=2, jitter=0.1),
            stop=stop_after_delay(self._patience),
        )
        try:
            return retrying(self._try, method, path, **arguments)
        except RetryError as error:
            raise BackendError(str(error.last_attempt.exception())) from None

    def _try(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if "content" in arguments else {}
        try:
            response = self._http.request(method, path, headers=headers, **arguments)
        except httpx.TransportError as error:
            raise _Passing(f"no Backend answers at {self._url}: {type(error).__name__}") from None
        if response.status_code in (502, 503, 504):
            raise _Passing(_said(response))
        if not response.is_success:
            raise BackendError(_said(response))
        return response


def _escaped(name: str) -> str:
    # A name may be "." or "..", which is not to be taken for a step in the path.
    return quote(name, safe="").replace(".", "%2E")


def _said(response: httpx.Response) -> str:
    """What a problem document says (RFC 9457), or what little there is."""
    try:
        document = response.json()
        said = document.get("detail") or document["title"]
    except (ValueError, KeyError, AttributeError):
        said = response.reason_phrase
    return f"the Backend answers {response.status_code}: {said}"
