"""Requests of tests to the Backends of a system, with the types of the contract."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.api.response import (
    JobExecutionRecord,
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from cicd_common.dto import JobExecutionDTO
from cicd_common.model import Pipeline
from tests.support.examples.waiting import DEADLINE, until

REPORTS = (PipelineReportResponse, StageReportResponse, JobReportResponse)


class Api:
    """Sends each request to the next Backend of a system, and to another one if there is no answer."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}
        self._clients: list[httpx.Client] = []
        self._turn = itertools.count()

    def add(self, url: str) -> None:
        self._clients.append(httpx.Client(base_url=url, headers=self._headers, timeout=DEADLINE))

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request until a Backend answers."""

        def ask() -> httpx.Response | None:
            client = self._clients[next(self._turn) % len(self._clients)]
            with contextlib.suppress(httpx.TransportError):
                return client.request(method, path, **arguments)
            return None

        answer = until(lambda: [found for found in [ask()] if found is not None], f"an answer to {method} {path}")
        return answer[0]

    def ask(self, type_: type[Any], method: str, path: str, **arguments: Any) -> Any:
        """Send a request, and read the answer. Its bytes must be those that the converter writes."""
        answer = self.request(method, path, **arguments)
        assert answer.status_code in {200, 201}, f"{answer.status_code} {answer.text}"
        found = converter.loads(answer.content, type_, strict=True)
        assert converter.dumps(found) == answer.content
        return found

    def execute(self, pipeline: Pipeline, request_id: UUID | None = None, **fields: Any) -> PipelineExecutionResponse:
        """Start a run."""
        request = PipelineExecutionRequest(
            request_id=request_id or uuid4(), repo=pipeline.repo_url, pipeline=pipeline, **fields
        )
        headers = {"Content-Type": "application/json"}
        body = converter.dumps(request)
        return self.ask(PipelineExecutionResponse, "POST", "/api/pipeline/execute", content=body, headers=headers)

    def status(self, run: PipelineExecutionResponse) -> ExecutionStatus:
        """The status of a run."""
        path = f"/api/pipeline/status/{run.execution_id}"
        return self.ask(PipelineExecutionResponse, "GET", path).status

    def cancel(self, run: PipelineExecutionResponse) -> PipelineExecutionResponse:
        return self.ask(PipelineExecutionResponse, "POST", f"/api/pipeline/cancel/{run.execution_id}")

    def end_of(self, run: PipelineExecutionResponse, *, deadline: float = DEADLINE) -> ExecutionStatus:
        """Wait for the end of a run, and return its status."""
        until(lambda: self.status(run).is_terminal, "the end of the run", deadline=deadline)
        return self.status(run)

    def report(self, pipeline: Pipeline, stage: str | None = None, job: str | None = None, **query: Any) -> Any:
        """A report on a pipeline, a stage or a job."""
        names = [name for name in (pipeline.name, stage, job) if name is not None]
        words = ("pipeline", "stage", "job")
        path = "/".join(f"{word}/{quote(name, safe='')}" for word, name in zip(words, names, strict=False))
        return self.ask(REPORTS[len(names) - 1], "GET", f"/api/report/{path}", params=query)

    def jobs(self, pipeline: Pipeline) -> dict[str, JobExecutionRecord]:
        """The records of all jobs of the last run, by name."""
        return {
            job.name: self.report(pipeline, stage.name, job.name).executions[0]
            for stage in pipeline.stages
            for job in stage.jobs
        }

    def job(self, pipeline: Pipeline, name: str) -> JobExecutionRecord:
        """The record of a job of the last run."""
        (stage,) = (stage.name for stage in pipeline.stages for job in stage.jobs if job.name == name)
        return self.report(pipeline, stage, name).executions[0]

    def log(self, job_execution_id: UUID, *, limit: int = 1000) -> str:
        """The output of a job, read in pages."""
        text, after = "", 0
        while True:
            path = f"/api/job/logs/{job_execution_id}"
            page = self.ask(JobExecutionDTO, "GET", path, params={"after": after, "limit": limit})
            if page.last_sequence == after:
                return text
            text, after = text + page.logs, page.last_sequence
