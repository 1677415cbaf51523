"""Flat records, as a database keeps them: ids as foreign keys, no logic."""

from datetime import datetime
from uuid import UUID

from attrs import frozen

from ._fields import checked
from ._rules import Count, Name, Ordinal, Texts
from .enums import ExecutionStatus

__all__ = ["JobDTO", "JobExecutionDTO", "PipelineDTO", "PipelineExecutionDTO", "StageDTO", "StageExecutionDTO"]


@frozen(kw_only=True)
@checked
class PipelineDTO:
    """A pipeline.

    Attributes:
        id: Its id.
        name: Its name.
        repo_url: The repository that it is for.
        branch: The branch that it runs on; ``main`` by default.
        commit_hash: The commit that it runs on; none means the head of the branch.
        created_at: When the record was made.
        updated_at: When it was last changed.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    name: Name
    repo_url: str
    branch: Name = "main"
    commit_hash: str | None = None
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
@checked
class StageDTO:
    """A stage of a pipeline.

    Attributes:
        id: Its id.
        pipeline_id: The pipeline that it is part of.
        name: Its name.
        execution_order: Its place among the stages of the pipeline, from 0.
        created_at: When the record was made.
        updated_at: When it was last changed.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    pipeline_id: UUID
    name: Name
    execution_order: Count
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
@checked
class JobDTO:
    """A job of a stage.

    Attributes:
        id: Its id.
        stage_id: The stage that it is part of.
        name: Its name.
        script: Its shell commands, in order; at least one.
        docker_image: The image to run in; none means on the host.
        working_dir: Where to run, from the root of the repository; none means in the root.
        dependencies: The ids of the jobs that must succeed before it; none by default.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``; false by default.
        artifacts: Glob patterns of the files to keep; none by default.
        created_at: When the record was made.
        updated_at: When it was last changed.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    stage_id: UUID
    name: Name
    script: Texts
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[UUID, ...] = ()
    allow_failure: bool = False
    artifacts: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
@checked
class PipelineExecutionDTO:
    """A run of a pipeline.

    Attributes:
        id: Its id.
        pipeline_id: The pipeline that runs.
        run_number: Its number among the runs of the pipeline, from 1.
        commit_hash: The commit it runs on, if it is known.
        is_local: Whether it is for the caller's own machine; false by default.
        status: How far it has come.
        start_time: When its first job started; none if none did.
        completion_time: When it ended; none if it has not.
        canceled_at: When canceling was asked for; none if it was not.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    pipeline_id: UUID
    run_number: Ordinal
    commit_hash: str | None = None
    is_local: bool = False
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None
    canceled_at: datetime | None = None


@frozen(kw_only=True)
@checked
class StageExecutionDTO:
    """A run of a stage.

    Attributes:
        id: Its id.
        stage_id: The stage that runs.
        pipeline_execution_id: The run of the pipeline that it is part of.
        execution_order: Its place among the stages of the run, from 0.
        status: How far it has come.
        start_time: When its first job started; none if none did.
        completion_time: When its last job ended; none if it has not, or if no job ran.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    stage_id: UUID
    pipeline_execution_id: UUID
    execution_order: Count
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None


@frozen(kw_only=True)
@checked
class JobExecutionDTO:
    """A run of a job.

    Attributes:
        id: Its id.
        stage_execution_id: The run of the stage that it is part of.
        job_id: The job that runs.
        status: How far it has come.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``; false by default.
        exit_code: What the job's process ended with, if it ended.
        queued_at: When it was handed to a Worker; none if it was not.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.
        last_sequence: The highest sequence of the updates that were applied, from 0 (none yet); 0 by default.
        logs: Its output; empty by default.
        job: The record of the job, where the reader is to have it too.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    stage_execution_id: UUID
    job_id: UUID
    status: ExecutionStatus
    allow_failure: bool = False
    exit_code: int | None = None
    queued_at: datetime | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    last_sequence: Count = 0
    logs: str = ""
    job: JobDTO | None = None
