"""The requests of the CLI to the Backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_exponential, wait_random

from cicd_common import converter
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from cicd_common.api.response import (
    ExecutionLogResponse,
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from cicd_common.dto import JobExecutionDTO
from cicd_common.model import ExecutionLog, PipelineExecution

from ..connection import BackendError, Connection, LostAnswerError, NoAnswerError
from ..messages import RecentRuns

__all__ = ["BackendError", "Client", "LostAnswerError"]

_REPORTS: dict[str, Any] = {
    "pipeline": PipelineReportResponse,
    "stage": StageReportResponse,
    "job": JobReportResponse,
}
_STARTING = 60  # Seconds; the start of a run with thousands of jobs takes long.


class Client(Connection):
    """Sends the requests of the CLI, and repeats them for some seconds if there is no answer.

    Attributes:
        patience: For how many seconds to repeat a request.
        is_silent: Whether the last request has no answer yet and is repeated.
    """

    def __init__(self, url: str, token: str | None, *, patience: float) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(NoAnswerError),
            wait=wait_exponential(multiplier=0.1, max=2) + wait_random(0, 0.1),
            before=self._note_silence,
            stop=self._is_enough,
            reraise=True,
        )
        super().__init__(url, token, retrying)
        self.patience = patience
        self.is_silent = False

    def _note_silence(self, state: RetryCallState) -> None:
        self.is_silent = state.attempt_number > 1

    def _is_enough(self, state: RetryCallState) -> bool:
        is_lost = state.outcome is not None and isinstance(state.outcome.exception(), LostAnswerError)
        patience = max(self.patience, 2 * _STARTING) if is_lost else self.patience
        return (state.seconds_since_start or 0) >= patience

    def execute(self, request: PipelineExecutionRequest) -> PipelineExecutionResponse:
        """Start a run. The Backend recognises a repeated request by its id.

        Raises:
            LostAnswerError: It is not known whether the run has started.
        """
        return self.ask("POST", "/api/pipeline/execute", PipelineExecutionResponse, request, timeout=_STARTING)

    def status(self, execution_id: UUID) -> PipelineExecutionResponse:
        """The status of a run."""
        return self.ask("GET", f"/api/pipeline/status/{execution_id}", PipelineExecutionResponse)

    def execution(self, execution_id: UUID) -> PipelineExecution:
        """A run with its definition and all its jobs."""
        return self.ask("GET", f"/api/pipeline/execution/{execution_id}", PipelineExecution)

    def cancel(self, execution_id: UUID) -> PipelineExecutionResponse:
        """Cancel a run."""
        return self.ask("POST", f"/api/pipeline/cancel/{execution_id}", PipelineExecutionResponse)

    def execution_logs(self, execution_id: UUID) -> Iterator[ExecutionLog]:
        """The logs of a run and its jobs, in the order of time."""
        after: str | None = ""
        while after is not None:
            query = {"after": after} if after else {}
            page = self.ask("GET", f"/api/execution/logs/{execution_id}", ExecutionLogResponse, params=query)
            yield from page.logs
            after = page.next_cursor

    def runs(self) -> RecentRuns:
        """The last run of each pipeline."""
        return self.ask("GET", "/api/runs", RecentRuns)

    def report(self, request: ReportRequest) -> Any:
        """A page of a report, with the type of its level."""
        given = {name: value for name, value in converter.unstructure(request).items() if value is not None}
        names = {level: given.pop(f"{level}_name") for level in _REPORTS if f"{level}_name" in given}
        # A name may be "." or "..", which must not be a step of the path.
        path = "".join(f"/{level}/{quote(name, safe='').replace('.', '%2E')}" for level, name in names.items())
        return self.ask("GET", f"/api/report{path}", _REPORTS[request.level], params=given)

    def log_pages(self, job_execution_id: UUID, after: int = 0) -> Iterator[JobExecutionDTO]:
        """The output of a job in pages, up to the newest output; the last page may be empty."""
        while True:
            page = self.ask("GET", f"/api/job/logs/{job_execution_id}?after={after}", JobExecutionDTO)
            yield page
            if page.last_sequence == after:
                return
            after = page.last_sequence

    def log_tail(self, job_execution_id: UUID, size: int) -> str:
        """The end of the output of a job, at most `size` bytes."""
        return self.ask("GET", f"/api/job/logs/{job_execution_id}?tail={size}", JobExecutionDTO).logs
