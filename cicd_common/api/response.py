"""What the Backend answers."""

from uuid import UUID

from attrs import frozen

from ..enums import EndReason, ExecutionStatus
from ..fields import Name, Ordinal, Time, checked
from ..model.log import ExecutionLog
from .request import Artifact

__all__ = [
    "ArtifactsResponse",
    "ExecutionLogResponse",
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
        run_number: Its number among the runs of pipelines of its name, from 1.
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
        is_cancel_requested: Whether the Worker is to stop the job and to report how it ended; false by default.
        is_superseded: Whether another attempt runs, or the job has ended without this one: the Worker is to stop the
            job and to report nothing more. False by default.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    status: ExecutionStatus
    is_cancel_requested: bool = False
    is_superseded: bool = False


@frozen(kw_only=True)
@checked
class ArtifactsResponse:
    """What a job left. The contents are asked for by their SHA-256.

    Attributes:
        job_execution_id: The execution.
        artifacts: The files.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    artifacts: tuple[Artifact, ...]


@frozen(kw_only=True)
@checked
class ExecutionLogResponse:
    """A page of what was logged about an execution.

    Attributes:
        logs: The logs, in order of time and sequence.
        next_cursor: Where the next page starts; none if this is the last.

    Raises:
        ContractError: A field is refused.
    """

    logs: tuple[ExecutionLog, ...]
    next_cursor: str | None = None


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
    start_time: Time | None = None
    completion_time: Time | None = None


@frozen(kw_only=True)
@checked
class PipelineExecutionRecord:
    """One execution in the report on a pipeline.

    Attributes:
        execution_id: The pipeline execution.
        run_number: Its number among the runs of pipelines of its name, from 1.
        branch: The branch it ran on.
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
    branch: Name
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: Time | None = None
    completion_time: Time | None = None
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
        job_execution_id: The execution of the job.
        job_name: The job.
        status: How far it has come.
        reason: Why it ended; none if it has not ended, or if no reason was given.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    job_name: Name
    status: ExecutionStatus
    reason: EndReason | None = None
    allow_failure: bool
    start_time: Time | None = None
    completion_time: Time | None = None


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
    start_time: Time | None = None
    completion_time: Time | None = None
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
        reason: Why it ended; none if it has not ended, or if no reason was given.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``.
        exit_code: The exit code of the job's process, if it ended.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.
        logs: The end of its output; empty by default. A page holds at most 4 MiB of output, shared evenly among its
            executions.
        is_log_whole: Whether ``logs`` is the whole output; true by default.

    Raises:
        ContractError: A field is refused.
    """

    execution_id: UUID
    run_number: Ordinal
    status: ExecutionStatus
    reason: EndReason | None = None
    allow_failure: bool
    exit_code: int | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    logs: str = ""
    is_log_whole: bool = True


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
