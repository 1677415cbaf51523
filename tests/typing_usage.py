"""Uses of the types of the package. This file is only type-checked, by mypy and pyright."""

from datetime import datetime
from typing import Literal, assert_type
from uuid import UUID

import attrs

from cicd_common import ContractError, ExecutionStatus, Problem, converter, make_converter
from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate, ReportRequest
from cicd_common.api.response import JobReportResponse, PipelineReportResponse, StageReportResponse
from cicd_common.dto import JobDTO
from cicd_common.mapping import job_execution_request, pipeline_from_records, pipeline_to_records
from cicd_common.model import (
    Explanation,
    Job,
    JobExecution,
    LogText,
    Pipeline,
    PipelineExecution,
    Plan,
    Stage,
    StatusCounts,
    UpdateOutcome,
)
from cicd_common.reports import report


def reading_and_writing(data: bytes, view: memoryview, text: str) -> None:
    assert_type(converter.loads(data, JobStatusUpdate), JobStatusUpdate)
    assert_type(converter.loads(view, JobStatusUpdate, strict=True), JobStatusUpdate)
    assert_type(converter.loads(text, tuple[JobDTO, ...]), tuple[JobDTO, ...])
    assert_type(converter.structure({}, JobDTO), JobDTO)
    assert_type(make_converter(engine="json").dumps(text), bytes)
    assert_type(make_converter().engine, Literal["json", "msgspec"])


def constructing(execution_id: UUID, now: datetime) -> None:
    update = JobStatusUpdate(
        job_execution_id=execution_id, sequence=1, status=ExecutionStatus.RUNNING, occurred_at=now, worker="w"
    )
    assert_type(update.sequence, int)
    assert_type(update.logs, str)
    assert_type(update.exit_code, int | None)
    assert_type(attrs.evolve(update, sequence=2), JobStatusUpdate)
    assert_type(ReportRequest(pipeline_name="p").level, Literal["pipeline", "stage", "job"])
    assert_type(Job(name="job", script=("true",)).dependencies, tuple[str, ...])
    assert_type(Stage(name="stage", jobs=()).jobs, tuple[Job, ...])


def moving(pipeline: Pipeline, update: JobStatusUpdate, now: datetime) -> None:
    execution = PipelineExecution.of(pipeline, run_number=1)
    assert_type(execution, PipelineExecution)
    assert_type(Plan.of(pipeline), Plan)
    execution, outcome = execution.apply(update)
    assert_type(outcome, UpdateOutcome)
    execution, jobs = execution.hand_out(now)
    assert_type(jobs, tuple[JobExecution, ...])
    assert_type(execution.stages[0].counts + StatusCounts(), StatusCounts)
    assert_type(execution.explain(), Explanation)
    assert_type(execution.start_time, datetime | None)
    assert_type(LogText.of([update]).gaps, tuple[range, ...])
    assert_type(LogText().contiguous, LogText)
    assert_type(job_execution_request(execution, update.job_execution_id), JobExecutionRequest)


def reporting(pipeline: Pipeline, now: datetime) -> None:
    records = pipeline_to_records(pipeline, created_at=now, updated_at=now)
    assert_type(pipeline_from_records(records.pipeline, records.stages, records.jobs), Pipeline)
    found = report([PipelineExecution.of(pipeline, run_number=1)], ReportRequest(pipeline_name="p"))
    assert_type(found, PipelineReportResponse | StageReportResponse | JobReportResponse)


def failing(error: ContractError) -> None:
    assert_type(error.problems, tuple[Problem, ...])
    assert_type(error.problems[0].pointer, str)
