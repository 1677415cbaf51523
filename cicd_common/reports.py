"""Reports on past executions. They define the results that a database must return."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any
from uuid import UUID

from attrs import frozen

from .api.request import ReportRequest
from .api.response import (
    JobExecutionRecord,
    JobReportResponse,
    JobReportSummary,
    PipelineExecutionRecord,
    PipelineReportResponse,
    StageExecutionRecord,
    StageReportResponse,
    StageReportSummary,
)
from .errors import ContractError, Problem, UnknownNameError
from .model import JobExecution, Pipeline, PipelineExecution, StageExecution

__all__ = ["MAX_PAGE_OUTPUT", "Cursor", "Report", "check_found", "end_of_output", "report"]

MAX_PAGE_OUTPUT = 4 * 1024 * 1024
"""How many bytes of output, in UTF-8, a page of a report on a job has at most."""

Report = PipelineReportResponse | StageReportResponse | JobReportResponse
Logs = Mapping[UUID, str]
_NONE: Logs = {}


@frozen(order=True)
class Cursor:
    """The last execution of a page, after which the next page starts.

    Executions are ordered by run number, which pipelines of one name share. New runs come before the first page, so
    they do not change the pages after a cursor.

    Attributes:
        run_number: The run number, from 1.
        execution_id: The id of the pipeline execution.
    """

    run_number: int
    execution_id: UUID

    def __str__(self) -> str:
        """Return the text of a ``next_cursor``, which only `parse` reads."""
        return urlsafe_b64encode(self.run_number.to_bytes(8) + self.execution_id.bytes).decode()

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the ``cursor`` of a request.

        Args:
            text: The text of a ``next_cursor``.

        Raises:
            ContractError: The cursor is malformed.
        """
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
            cursor = cls(int.from_bytes(raw[:8]), UUID(bytes=raw[8:]))
        except ValueError:
            cursor = None
        if cursor is None or str(cursor) != text:
            message = "expected the next_cursor of the page before"
            raise ContractError(ReportRequest, [Problem("/cursor", "value", message)])
        return cursor


def report(
    executions: Iterable[PipelineExecution],
    request: ReportRequest,
    *,
    logs: Logs = _NONE,
    pipelines: Iterable[Pipeline] = (),
) -> Report:
    """Report on past executions at the level of a request.

    Args:
        executions: All executions, of any pipelines and in any order.
        request: The request.
        logs: The output of each job, by the id of its execution. Other jobs have no output.
        pipelines: More pipelines, which may have no execution.

    Returns:
        A page of the executions of the pipeline, the stage or the job, newest first, with the run number and the status
        of the request. Its ``next_cursor`` leads to the next page, if there is one.

    Raises:
        UnknownNameError: There is no pipeline, stage or job of the name.
        ContractError: The cursor is malformed.
    """
    runs = [run for run in executions if run.pipeline.name == request.pipeline_name]
    _check_names(request, [run.pipeline for run in runs] + [p for p in pipelines if p.name == request.pipeline_name])
    page, cursor = _page(runs, request)
    return _RESPONDERS[request.level](request, page, cursor, logs)


def _check_names(request: ReportRequest, pipelines: list[Pipeline]) -> None:
    stages = [stage for pipeline in pipelines for stage in pipeline.stages if stage.name == request.stage_name]
    jobs = [job for stage in stages for job in stage.jobs if job.name == request.job_name]
    check_found(request, pipeline=bool(pipelines), stage=bool(stages), job=bool(jobs))


def check_found(request: ReportRequest, *, pipeline: bool, stage: bool, job: bool) -> None:
    """Refuse a request whose pipeline, stage or job does not exist.

    Args:
        request: The request.
        pipeline: Whether there is a pipeline of the request's name.
        stage: Whether a pipeline of this name has a stage of the request's name.
        job: Whether a stage of this name has a job of the request's name.

    Raises:
        UnknownNameError: There is no pipeline, stage or job of the name.
    """
    inside = ""
    for level, is_found in (("pipeline", pipeline), ("stage", stage), ("job", job)):
        name = getattr(request, f"{level}_name")
        if name is None:
            return
        if not is_found:
            message = f"expected the name of a {level}{inside}, there is none named {name}"
            raise UnknownNameError(ReportRequest, [Problem(f"/{level}_name", "value", message)])
        inside = f" of the {level} {name}{inside}"


def _page(runs: Iterable[PipelineExecution], request: ReportRequest) -> tuple[list[_Found], str | None]:
    """Return the executions on the page, newest first, and the cursor of the next page."""
    after = None if request.cursor is None else Cursor.parse(request.cursor)
    found = [each for each in map(_FINDERS[request.level], runs, repeat(request)) if each is not None]
    if request.run_number is not None:
        found = [each for each in found if each.run.run_number == request.run_number]
    if request.status is not None:
        found = [each for each in found if each.execution.status is request.status]
    if after is not None:
        found = [each for each in found if each.cursor < after]
    found.sort(key=lambda each: each.cursor, reverse=True)
    page = found[: request.limit]
    return page, str(page[-1].cursor) if len(found) > len(page) else None


@frozen
class _Found:
    """An execution to report on.

    Attributes:
        run: The run.
        execution: The execution of its pipeline, of its stage or of its job.
    """

    run: PipelineExecution
    execution: Any

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.run.run_number, self.run.id)


def _find_run(run: PipelineExecution, _: ReportRequest) -> _Found | None:
    return _Found(run, run)


def _find_stage(run: PipelineExecution, request: ReportRequest) -> _Found | None:
    # A run from before the stage was added to the pipeline does not have it.
    return next((_Found(run, stage) for stage in run.stages if stage.name == request.stage_name), None)


def _find_job(run: PipelineExecution, request: ReportRequest) -> _Found | None:
    stage = _find_stage(run, request)
    jobs = () if stage is None else stage.execution.jobs
    return next((_Found(run, job) for job in jobs if job.job.name == request.job_name), None)


_FINDERS = {"pipeline": _find_run, "stage": _find_stage, "job": _find_job}


# --- the responses ---------------------------------------------------------------------------------------------


def _pipeline_report(request: ReportRequest, page: list[_Found], cursor: str | None, _: Logs) -> Report:
    return PipelineReportResponse(
        pipeline_name=request.pipeline_name,
        executions=tuple(
            PipelineExecutionRecord(
                execution_id=run.id,
                run_number=run.run_number,
                branch=run.branch,
                commit_hash=run.commit_hash,
                **_progress(run),
                stages=tuple(StageReportSummary(stage_name=stage.name, **_progress(stage)) for stage in run.stages),
            )
            for run in (each.run for each in page)
        ),
        next_cursor=cursor,
    )


def _stage_report(request: ReportRequest, page: list[_Found], cursor: str | None, _: Logs) -> Report:
    return StageReportResponse(
        pipeline_name=request.pipeline_name,
        stage_name=request.stage_name or "",
        executions=tuple(
            StageExecutionRecord(
                execution_id=each.execution.id,
                run_number=each.run.run_number,
                **_progress(each.execution),
                jobs=tuple(
                    JobReportSummary(
                        job_execution_id=run.id,
                        job_name=run.job.name,
                        reason=run.reason,
                        allow_failure=run.job.allow_failure,
                        **_progress(run),
                    )
                    for run in each.execution.jobs
                ),
            )
            for each in page
        ),
        next_cursor=cursor,
    )


def _job_report(request: ReportRequest, page: list[_Found], cursor: str | None, logs: Logs) -> Report:
    return JobReportResponse(
        pipeline_name=request.pipeline_name,
        stage_name=request.stage_name or "",
        job_name=request.job_name or "",
        executions=tuple(
            _job_record(each, logs.get(each.execution.id, ""), MAX_PAGE_OUTPUT // len(page)) for each in page
        ),
        next_cursor=cursor,
    )


def _job_record(found: _Found, output: str, limit: int) -> JobExecutionRecord:
    run: JobExecution = found.execution
    end = end_of_output(output, limit)
    return JobExecutionRecord(
        execution_id=run.id,
        run_number=found.run.run_number,
        reason=run.reason,
        allow_failure=run.job.allow_failure,
        exit_code=run.exit_code,
        **_progress(run),
        logs=end,
        is_log_whole=end == output,
    )


def end_of_output(output: str, limit: int) -> str:
    """Return the end of a text, with as many whole characters as fit.

    Args:
        output: The text.
        limit: How many bytes of UTF-8 the end may have, from 1.
    """
    data = output.encode()
    return output if len(data) <= limit else data[-limit:].decode(errors="ignore")


def _progress(of: PipelineExecution | StageExecution | JobExecution) -> dict[str, Any]:
    return {"status": of.status, "start_time": of.start_time, "completion_time": of.completion_time}


_RESPONDERS = {"pipeline": _pipeline_report, "stage": _stage_report, "job": _job_report}
