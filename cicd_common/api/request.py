"""What the CLI, the Backend and the Worker ask of each other."""

from typing import Annotated, Literal
from uuid import UUID

from attrs import frozen

from ..enums import EndReason, ExecutionStatus
from ..fields import SOME, Count, Kind, Name, Ordinal, PageSize, RelativePath, Retries, Sha256, Time, checked, refuse
from ..model.definition import SCRIPT, Pipeline
from ..model.log import ExecutionLog
from ..values import Environment, JsonObject

__all__ = [
    "Artifact",
    "ArtifactUploadRequest",
    "ExecutionLogUpload",
    "JobExecutionRequest",
    "JobStatusUpdate",
    "PipelineExecutionRequest",
    "ReportRequest",
]


@frozen(kw_only=True)
@checked
class PipelineExecutionRequest:
    """CLI to Backend: start a pipeline.

    Attributes:
        request_id: The idempotency key: the same id never starts a second run.
        repo: The repository of the pipeline, as a URL or a path. The Backend refuses another repository than the
            pipeline's: its code would run with the pipeline's secrets.
        branch: The branch to run on; none means the pipeline's own.
        commit_hash: The commit to run on; none means the head of the branch when the run starts, the same for all jobs.
        pipeline_id: A pipeline that the Backend has. At least one of this and the next two is given.
        file_path: Where the definition lies in the repository.
        pipeline: The definition itself.
        environment: Environment variables of the run, which overlay those of the pipeline and its jobs; empty by
            default.
        is_local: Whether the run is for the caller's own machine; false by default.

    Raises:
        ContractError: A field is refused, or nothing says which pipeline to run.
    """

    request_id: UUID
    repo: str
    branch: Name | None = None
    commit_hash: str | None = None
    pipeline_id: UUID | None = None
    file_path: str | None = None
    pipeline: Pipeline | None = None
    environment: Environment = Environment()
    is_local: bool = False

    def __attrs_post_init__(self) -> None:
        if self.pipeline_id is None and self.file_path is None and self.pipeline is None:
            raise refuse(type(self), "", "expected at least one of pipeline_id, file_path and pipeline")


@frozen(kw_only=True)
@checked
class JobExecutionRequest:
    """Backend to Worker: run this job.

    Attributes:
        job_execution_id: The execution that the Worker reports on.
        stage_execution_id: The stage execution that it is part of.
        pipeline_execution_id: The pipeline execution that it is part of.
        job_id: The job that is run.
        job_name: Its name.
        stage_name: The name of its stage.
        pipeline_name: The name of its pipeline.
        run_number: The number of the pipeline's run, from 1.
        repo: The repository, as a URL or a path.
        branch: The branch that the run is on.
        commit_hash: The commit to run on; none means the head of the branch.
        is_local: Whether the run is for the caller's own machine; false by default.
        kind: What the parameters mean; ``script`` by default.
        parameters: The parameters of the kind; empty by default.
        environment: The environment variables of the job, with those of its pipeline and its run; empty by default.
        secrets: Names of secrets that the Worker holds and gives to the job's environment, never their values; none
            by default.
        docker_image: The image to run in; none means on the host.
        commands: The shell commands, in order; at least one if the kind is ``script``.
        working_dir: Where to run them, from the root of the repository; none means in the root.
        timeout_seconds: How many seconds a try may take, from 1; none means no limit.
        retries: How often the Worker runs the job again, within this attempt, after it failed, 0 to 10; 0 by default.
        artifacts: Glob patterns of the files to keep; none by default.
        inputs: The executions of the jobs that it depends on, whose artifacts it gets; none by default.
        attempt: The number of this attempt, from 1; 1 by default.
        last_sequence: The sequence of the newest update that is stored, from 0; the updates of this attempt begin
            behind it. 0 by default.
        lease_seconds: After how many seconds without an update the job counts as lost, from 1; 60 by default.

    Raises:
        ContractError: A field is refused, or a job of the kind ``script`` has no commands.
    """

    job_execution_id: UUID
    stage_execution_id: UUID
    pipeline_execution_id: UUID
    job_id: UUID
    job_name: Name
    stage_name: Name
    pipeline_name: Name
    run_number: Ordinal
    repo: str
    branch: Name
    commit_hash: str | None = None
    is_local: bool = False
    kind: Kind = SCRIPT
    parameters: JsonObject = JsonObject()
    environment: Environment = Environment()
    secrets: tuple[str, ...] = ()
    docker_image: str | None = None
    commands: tuple[str, ...]
    working_dir: str | None = None
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()
    inputs: tuple[UUID, ...] = ()
    attempt: Ordinal = 1
    last_sequence: Count = 0
    lease_seconds: Ordinal = 60

    def __attrs_post_init__(self) -> None:
        if self.kind == SCRIPT and not self.commands:
            raise refuse(type(self), "/commands", "expected at least one command for a job of the kind script")


@frozen(kw_only=True)
@checked
class JobStatusUpdate:
    """Worker to Backend: how a job is doing.

    Attributes:
        job_execution_id: The job execution.
        sequence: The number of this update, per job execution; from 1, rising by one.
        status: How far the job has come.
        occurred_at: When it came so far.
        logs: The output since the update before; empty by default.
        exit_code: The exit code of the job's process, if it ended.
        reason: Why the job ended; only with a terminal status.
        attempt: The attempt of the `JobExecutionRequest`, from 1; 1 by default.
        worker: The name of the Worker's process. A restarted Worker has another name.
        is_released: Whether the Worker gives the job back because the Worker ends; only with ``RUNNING``. False by
            default.

    Raises:
        ContractError: A field is refused, a reason comes without a terminal status, or a release without ``RUNNING``.
    """

    job_execution_id: UUID
    sequence: Ordinal
    status: ExecutionStatus
    occurred_at: Time
    logs: str = ""
    exit_code: int | None = None
    reason: EndReason | None = None
    attempt: Ordinal = 1
    worker: Name
    is_released: bool = False

    def __attrs_post_init__(self) -> None:
        if self.reason is not None and not self.status.is_terminal:
            raise refuse(type(self), "/reason", "expected a reason only with a terminal status")
        if self.is_released and self.status is not ExecutionStatus.RUNNING:
            raise refuse(type(self), "/is_released", "expected a release only with the status RUNNING")


@frozen(kw_only=True)
@checked
class Artifact:
    """A file that a job left.

    Attributes:
        path: Where it lies in the repository's working copy: relative, POSIX, without ``..``, a drive or a backslash.
        size: Its size in bytes, from 0.
        sha256: The SHA-256 of its bytes, as 64 lower-case hexadecimal digits.

    Raises:
        ContractError: A field is refused.
    """

    path: RelativePath
    size: Count
    sha256: Sha256


@frozen(kw_only=True)
@checked
class ArtifactUploadRequest:
    """Worker to Backend: what a job left. The contents go before it, by their SHA-256.

    Attributes:
        job_execution_id: The job execution that left it.
        artifacts: The files; at least one.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    artifacts: Annotated[tuple[Artifact, ...], SOME]


@frozen(kw_only=True)
@checked
class ExecutionLogUpload:
    """Worker or Backend to Backend: what was logged about executions.

    Attributes:
        logs: The logs; at least one.

    Raises:
        ContractError: A field is refused.
    """

    logs: Annotated[tuple[ExecutionLog, ...], SOME]


@frozen(kw_only=True)
@checked
class ReportRequest:
    """CLI to Backend: past executions of a pipeline, of one of its stages, or of one of its jobs.

    Attributes:
        pipeline_name: The pipeline.
        stage_name: The stage, for a report on a stage or a job.
        job_name: The job, for a report on a job; needs ``stage_name``.
        run_number: Only this run, from 1; none means all.
        status: Only executions of this status, at the level of the report; none means all.
        limit: How many executions a page holds at most, 1 to 1000; 20 by default.
        cursor: Where the page starts: ``next_cursor`` of the page before. Opaque; none means the newest.

    Raises:
        ContractError: A field is refused, or a job is named without its stage.
    """

    pipeline_name: Name
    stage_name: Name | None = None
    job_name: Name | None = None
    run_number: Ordinal | None = None
    status: ExecutionStatus | None = None
    limit: PageSize = 20
    cursor: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.job_name is not None and self.stage_name is None:
            raise refuse(type(self), "/stage_name", "expected the name of the job's stage")

    @property
    def level(self) -> Literal["pipeline", "stage", "job"]:
        """What is reported on: ``pipeline``, ``stage`` or ``job``."""
        if self.job_name is not None:
            return "job"
        return "pipeline" if self.stage_name is None else "stage"
