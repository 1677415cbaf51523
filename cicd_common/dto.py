"""Flat records, as a database keeps them: ids as foreign keys, no logic."""

from uuid import UUID

from attrs import frozen

from .enums import EndReason, ExecutionStatus
from .fields import Count, Kind, Name, Ordinal, Retries, Time, checked
from .values import Environment, JsonObject

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
        kind: What the parameters mean; ``pipeline`` by default.
        parameters: The parameters of the kind; empty by default.
        environment: Environment variables of all its jobs; empty by default.
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
    kind: Kind = "pipeline"
    parameters: JsonObject = JsonObject()
    environment: Environment = Environment()
    created_at: Time
    updated_at: Time


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
    created_at: Time
    updated_at: Time


@frozen(kw_only=True)
@checked
class JobDTO:
    """A job of a stage.

    Attributes:
        id: Its id.
        stage_id: The stage that it is part of.
        name: Its name.
        kind: What the parameters mean; ``script`` by default.
        parameters: The parameters of the kind; empty by default.
        environment: Environment variables of the job; empty by default.
        secrets: Names of the secrets that it gets, never their values; none by default.
        script: Its shell commands, in order; none by default.
        docker_image: The image to run in; none means on the host.
        working_dir: Where to run, from the root of the repository; none means in the root.
        dependencies: The ids of the jobs that must succeed before it; none by default.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``; false by default.
        timeout_seconds: How many seconds a try may take, from 1; none means no limit.
        retries: How often its Worker runs it again after it failed, 0 to 10; 0 by default.
        artifacts: Glob patterns of the files to keep; none by default.
        created_at: When the record was made.
        updated_at: When it was last changed.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    stage_id: UUID
    name: Name
    kind: Kind = "script"
    parameters: JsonObject = JsonObject()
    environment: Environment = Environment()
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[UUID, ...] = ()
    allow_failure: bool = False
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()
    created_at: Time
    updated_at: Time


@frozen(kw_only=True)
@checked
class PipelineExecutionDTO:
    """A run of a pipeline.

    Attributes:
        id: Its id.
        pipeline_id: The pipeline that runs.
        run_number: Its number among the runs of pipelines of its name, from 1.
        branch: The branch it runs on.
        commit_hash: The commit it runs on, if it is known.
        environment: Environment variables of the run, which overlay those of the pipeline and its jobs; empty by
            default.
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
    branch: Name
    commit_hash: str | None = None
    environment: Environment = Environment()
    is_local: bool = False
    status: ExecutionStatus
    start_time: Time | None = None
    completion_time: Time | None = None
    canceled_at: Time | None = None


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
    start_time: Time | None = None
    completion_time: Time | None = None


@frozen(kw_only=True)
@checked
class JobExecutionDTO:
    """A run of a job.

    Attributes:
        id: Its id.
        stage_execution_id: The run of the stage that it is part of.
        job_id: The job that runs.
        status: How far it has come.
        reason: Why it ended; none if it has not ended, or if no reason was given.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``; false by default.
        exit_code: The exit code of the job's process, if it ended.
        queued_at: When it was handed to a Worker; none if it was not.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.
        last_sequence: The highest sequence of the updates that were applied, from 0 (none yet); 0 by default.
        attempt: The attempt that was handed out last, from 1; 1 by default.
        worker: The Worker that claimed the attempt; none if none did.
        heard_at: When the Backend last heard of that Worker, by the Backend's clock; none if it never did.
        logs: Its output; empty by default.
        job: The record of the job, where the reader is to have it too.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID
    stage_execution_id: UUID
    job_id: UUID
    status: ExecutionStatus
    reason: EndReason | None = None
    allow_failure: bool = False
    exit_code: int | None = None
    queued_at: Time | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    last_sequence: Count = 0
    attempt: Ordinal = 1
    worker: Name | None = None
    heard_at: Time | None = None
    logs: str = ""
    job: JobDTO | None = None
