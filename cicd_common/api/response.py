"""What the Backend answers."""

from datetime import datetime
from uuid import UUID

from attrs import frozen

from .._fields import checked
from .._rules import Name, Ordinal
from ..enums import ExecutionStatus

__all__ = [
    "JobExecutionRecord",
    "JobExecutionResponse",
    "JobReportResponse",
    "JobReportSummary",
    "PipelineExecutionRecord",
    "PipelineExecutionResponse",
    "PipelineReportResponse",
    "StageExecutionRecord",
    "StageReportResponse",
    "StageReportSummary",
]


@frozen(kw_only=True)
@checked
class PipelineExecutionResponse:
    """How a pipeline execution is doing.

    Attributes:
        execution_id: The execution.
        run_number: Its number among the runs of its pipeline, from 1.
        status: How far it has come.

    Raises:
        ContractError: A field is refused.
    """

    execution_id: UUID
    run_number: Ordinal
    status: ExecutionStatus


@frozen(kw_only=True)
@checked
class JobExecutionResponse:
    """How a job execution is doing.

    Attributes:
        job_execution_id: The execution.
        status: How far it has come.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    status: ExecutionStatus


@frozen(kw_only=True)
@checked
class StageReportSummary:
    """A stage in the report on its pipeline.

    Attributes:
        stage_name: The stage.
        status: How far it has come.
        start_time: When its first job started; none if none did.
        completion_time: When its last job ended; none if it has not, or if no job ran.

    Raises:
        ContractError: A field is refused.
    """

    stage_name: Name
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None


@frozen(kw_only=True)
@checked
class PipelineExecutionRecord:
    """One execution in the report on a pipeline.

    Attributes:
        execution_id: The pipeline execution.
        run_number: Its number among the runs of its pipeline, from 1.
        commit_hash: The commit it ran on, if it is known.
        status: How far it has come.
        start_time: When its first job started; none if none did.
        completion_time: When it ended; none if it has not.
        stages: Its stages, in the order in which they run.

    Raises:
        ContractError: A field is refused.
    """

    execution_id: UUID
    run_number: Ordinal
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None
    stages: tuple[StageReportSummary, ...]


@frozen(kw_only=True)
@checked
class PipelineReportResponse:
    """The report on a pipeline: one page of its executions.

    Attributes:
        pipeline_name: The pipeline.
        executions: Its executions, newest first.
        next_cursor: The ``cursor`` of a `ReportRequest` for the next page; none if this is the last.

    Raises:
        ContractError: A field is refused.
    """

    pipeline_name: Name
    executions: tuple[PipelineExecutionRecord, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
@checked
class JobReportSummary:
    """A job in the report on its stage.

    Attributes:
        job_name: The job.
        status: How far it has come.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.

    Raises:
        ContractError: A field is refused.
    """

    job_name: Name
    status: ExecutionStatus
    allow_failure: bool
    start_time: datetime | None = None
    completion_time: datetime | None = None


@frozen(kw_only=True)
@checked
class StageExecutionRecord:
    """One execution in the report on a stage.

    Attributes:
        execution_id: The stage execution.
        run_number: The number of the pipeline's run, from 1.
        status: How far it has come.
        start_time: When its first job started; none if none did.
        completion_time: When its last job ended; none if it has not, or if no job ran.
        jobs: Its jobs, in the order of their definition.

    Raises:
        ContractError: A field is refused.
    """

    execution_id: UUID
    run_number: Ordinal
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None
    jobs: tuple[JobReportSummary, ...]


@frozen(kw_only=True)
@checked
class StageReportResponse:
    """The report on a stage: one page of its executions.

    Attributes:
        pipeline_name: The pipeline.
        stage_name: The stage.
        executions: The stage's executions, newest first.
        next_cursor: The ``cursor`` of a `ReportRequest` for the next page; none if this is the last.

    Raises:
        ContractError: A field is refused.
    """

    pipeline_name: Name
    stage_name: Name
    executions: tuple[StageExecutionRecord, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
@checked
class JobExecutionRecord:
    """One execution in the report on a job.

    Attributes:
        execution_id: The job execution.
        run_number: The number of the pipeline's run, from 1.
        status: How far it has come.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``.
        exit_code: What the job's process ended with, if it ended.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.
        logs: Its output; empty by default.

    Raises:
        ContractError: A field is refused.
    """

    execution_id: UUID
    run_number: Ordinal
    status: ExecutionStatus
    allow_failure: bool
    exit_code: int | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    logs: str = ""


@frozen(kw_only=True)
@checked
class JobReportResponse:
    """The report on a job: one page of its executions.

    Attributes:
        pipeline_name: The pipeline.
        stage_name: The stage that the job is part of.
        job_name: The job.
        executions: The job's executions, newest first.
        next_cursor: The ``cursor`` of a `ReportRequest` for the next page; none if this is the last.

    Raises:
        ContractError: A field is refused.
    """

    pipeline_name: Name
    stage_name: Name
    job_name: Name
    executions: tuple[JobExecutionRecord, ...]
    next_cursor: str | None = None
