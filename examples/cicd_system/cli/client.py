"""The client of the CLI for the Backend."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_exponential, wait_random

from cicd_common import ContractError, converter
from cicd_common.api.request import Artifact, PipelineExecutionRequest, ReportRequest
from cicd_common.api.response import (
    ArtifactsResponse,
    ExecutionLogResponse,
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from cicd_common.artifacts import ContentMismatchError, save
from cicd_common.dto import JobExecutionDTO
from cicd_common.model import ExecutionLog, PipelineExecution

from ..clock import BackendClock
from ..endpoint import check_endpoint
from ..recent import RecentRuns

__all__ = ["BackendError", "Client", "LostAnswerError"]

T = TypeVar("T")

_REPORTS: dict[str, Any] = {
    "pipeline": PipelineReportResponse,
    "stage": StageReportResponse,
    "job": JobReportResponse,
}


# Statuses after which a repeated request may succeed.
_PASSING = (408, 425, 429, 502, 503, 504)
_TIMEOUT = 10  # Seconds.
_STARTING = 60  # Seconds; the start of a run with thousands of jobs takes long.


class BackendError(Exception):
    """The Backend does not answer, or refuses a request. The text says why."""


class _PassingError(BackendError):
    """There is no answer, or an error after which a repeated request may succeed."""


class LostAnswerError(_PassingError):
    """There is no answer, and the Backend may have handled the request."""


class Client:
    """Sends requests to the Backend, and repeats them if there is no answer. It is a context manager.

    Args:
        url: The URL of the Backend.
        token: The bearer token; None if the Backend needs none.
        patience: For how many seconds to repeat a request.

    Attributes:
        is_silent: Whether the last request has no answer yet.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot contain the token.
    """

    def __init__(self, url: str, token: str | None, *, patience: float = 10) -> None:
        check_endpoint(url, token)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._clock = BackendClock()
        hooks: dict[str, list[Any]] = {"response": [self._clock.heed]}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT, event_hooks=hooks)
        self._url = httpx.URL(url).copy_with(userinfo=b"")  # Its password is in no message.
        self._patience = patience
        self.is_silent = False

    def patient(self, patience: float) -> Self:
        """A client with more patience that shares the connections of this one.

        Args:
            patience: For how many seconds to repeat a request, at least.
        """
        other = copy.copy(self)
        other._patience = max(patience, self._patience)
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def now(self) -> datetime:
        """The Backend's time."""
        return self._clock.now()

    def execute(self, request: PipelineExecutionRequest) -> PipelineExecutionResponse:
        """Start a run. The Backend recognises a repeated request by its id.

        Raises:
            LostAnswerError: It is not known whether the run has started.
        """
        body = converter.dumps(request)
        return self._read("POST", "/api/pipeline/execute", PipelineExecutionResponse, content=body, timeout=_STARTING)

    def status(self, execution_id: UUID) -> PipelineExecutionResponse:
        """The status of a run."""
        return self._read("GET", f"/api/pipeline/status/{execution_id}", PipelineExecutionResponse)

    def execution(self, execution_id: UUID) -> PipelineExecution:
        """A run with its definition and all its jobs."""
        return self._read("GET", f"/api/pipeline/execution/{execution_id}", PipelineExecution)

    def artifacts(self, job_execution_id: UUID) -> ArtifactsResponse:
        """The artifacts of a job."""
        return self._read("GET", f"/api/job/artifacts/{job_execution_id}", ArtifactsResponse)

    def download(self, artifact: Artifact, target: Path) -> None:
        """Write the content of an artifact to a file, which appears when it is complete and verified."""
        try:
            with self._http.stream("GET", f"/api/artifact/{artifact.sha256}") as response:
                if not response.is_success:
                    response.read()
                    raise BackendError(_said(response))
                save(response.iter_bytes(), target, sha256=artifact.sha256, size=artifact.size)
        except (httpx.HTTPError, ContentMismatchError) as error:
            raise BackendError(f"the content of an artifact did not come whole: {type(error).__name__}") from None

    def execution_logs(self, execution_id: UUID) -> Iterator[ExecutionLog]:
        """The logs of a run and its jobs, in the order of time."""
        path, after = f"/api/execution/logs/{execution_id}", ""
        while True:
            page = self._read("GET", path + after, ExecutionLogResponse)
            yield from page.logs
            if page.next_cursor is None:
                return
            after = f"?after={quote(page.next_cursor, safe='')}"

    def cancel(self, execution_id: UUID) -> PipelineExecutionResponse:
        """Cancel a run."""
        return self._read("POST", f"/api/pipeline/cancel/{execution_id}", PipelineExecutionResponse)

    def runs(self) -> RecentRuns:
        """The last run of each pipeline."""
        return self._read("GET", "/api/runs", RecentRuns)

    def report(self, request: ReportRequest) -> Any:
        """A page of a report, with the type of its level."""
        return _loads(self.report_bytes(request), _REPORTS[request.level])

    def report_bytes(self, request: ReportRequest) -> bytes:
        """A page of a report as JSON."""
        names = [(level, name) for level in _REPORTS if (name := getattr(request, f"{level}_name")) is not None]
        path = "".join(f"/{level}/{_escaped(name)}" for level, name in names)
        query = {
            "run_number": request.run_number,
            "status": request.status and request.status.value,
            "limit": request.limit,
            "cursor": request.cursor,
        }
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", f"/api/report{path}", params=given)

    def log_pages(self, job_execution_id: UUID, after: int = 0) -> Iterator[JobExecutionDTO]:
        """The output of a job in pages, up to the newest output; the last page may be empty."""
        while True:
            page = self._read("GET", f"/api/job/logs/{job_execution_id}?after={after}", JobExecutionDTO)
            yield page
            if page.last_sequence == after:
                return
            after = page.last_sequence

    def log_tail(self, job_execution_id: UUID, size: int) -> str:
        """The end of the output of a job, at most `size` bytes."""
        return self._read("GET", f"/api/job/logs/{job_execution_id}?tail={size}", JobExecutionDTO).logs

    def _read(self, method: str, path: str, type: type[T], **arguments: Any) -> T:
        return _loads(self._ask(method, path, **arguments), type)

    def _ask(self, method: str, path: str, **arguments: Any) -> bytes:
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            wait=wait_exponential(multiplier=0.1, max=2) + wait_random(0, 0.1),
            stop=self._is_enough,
            reraise=True,
        )
        return retrying(self._try, method, path, **arguments)

    def _is_enough(self, state: RetryCallState) -> bool:
        is_lost = state.outcome is not None and isinstance(state.outcome.exception(), LostAnswerError)
        return (state.seconds_since_start or 0) >= (max(self._patience, 2 * _STARTING) if is_lost else self._patience)

    def _try(self, method: str, path: str, **arguments: Any) -> bytes:
        headers = {"Content-Type": "application/json"} if "content" in arguments else {}
        self.is_silent = True
        try:
            with self._http.stream(method, path, headers=headers, **arguments) as response:
                # The response must not keep its body: it is part of a reference cycle, so bodies would pile up until
                # the garbage collector finds them.
                body = b"".join(response.iter_bytes()) if response.is_success else response.read()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _PassingError(self._nobody(error)) from None
        except httpx.TransportError as error:
            raise (LostAnswerError if method == "POST" else _PassingError)(self._nobody(error)) from None
        except httpx.RequestError as error:
            raise BackendError(self._nobody(error)) from None
        if response.status_code in _PASSING:
            raise _PassingError(_said(response))
        self.is_silent = False
        if not response.is_success:
            raise BackendError(_said(response))
        return body

    def _nobody(self, error: Exception) -> str:
        return f"no Backend answers at {self._url}: {type(error).__name__}"


def _loads(content: bytes, type: type[T]) -> T:
    try:
        return converter.loads(content, type)
    except ContractError:
        raise BackendError(f"what answers is no Backend: expected a {type.__name__}") from None


def _escaped(name: str) -> str:
    # A name may be "." or "..", which must not be a step of the path.
    return quote(name, safe="").replace(".", "%2E")


def _said(response: httpx.Response) -> str:
    """The text of a problem document (RFC 9457), or of the status line."""
    try:
        document = response.json()
        said = document.get("detail") or document["title"]
    except (ValueError, KeyError, AttributeError):
        said = response.reason_phrase
    return f"the Backend answers {response.status_code}: {said}"
