"""What the CLI, the Backend and the Worker ask of each other."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from attrs import frozen

from .._fields import checked
from .._rules import SOME, Count, Name, Ordinal, PageSize, RelativePath, Sha256, Texts, refuse
from ..enums import ExecutionStatus
from ..model import Pipeline

__all__ = [
    "Artifact",
    "ArtifactUploadRequest",
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
        repo: The repository, as a URL or a path.
        branch: The branch to run on; ``main`` by default.
        commit_hash: The commit to run on; none means the head of the branch.
        pipeline_id: A pipeline that the Backend has. At least one of this and the next two is given.
        file_path: Where the definition lies in the repository.
        pipeline: The definition itself.
        is_local: Whether the run is for the caller's own machine; false by default.

    Raises:
        ContractError: A field is refused, or nothing says which pipeline to run.
    """

    request_id: UUID
    repo: str
    branch: Name = "main"
    commit_hash: str | None = None
    pipeline_id: UUID | None = None
    file_path: str | None = None
    pipeline: Pipeline | None = None
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
        job_id: The job that is run.
        job_name: Its name, for people.
        repo: The repository, as a URL or a path.
        commit_hash: The commit to run on; none means the head of the pipeline's branch.
        is_local: Whether the run is for the caller's own machine; false by default.
        docker_image: The image to run in; none means on the host.
        commands: The shell commands, in order; at least one.
        working_dir: Where to run them, from the root of the repository; none means in the root.
        artifacts: Glob patterns of the files to keep; none by default.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    stage_execution_id: UUID
    job_id: UUID
    job_name: Name
    repo: str
    commit_hash: str | None = None
    is_local: bool = False
    docker_image: str | None = None
    commands: Texts
    working_dir: str | None = None
    artifacts: tuple[str, ...] = ()


@frozen(kw_only=True)
@checked
class JobStatusUpdate:
    """Worker to Backend: how a job is doing.

    Attributes:
        job_execution_id: The job execution it tells of.
        sequence: The number of this update, per job execution; from 1, rising by one.
        status: How far the job has come.
        occurred_at: When it came so far.
        logs: The output since the update before; empty by default.
        exit_code: What the job's process ended with, if it ended.

    Raises:
        ContractError: A field is refused.
    """

    job_execution_id: UUID
    sequence: Ordinal
    status: ExecutionStatus
    occurred_at: datetime
    logs: str = ""
    exit_code: int | None = None


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
    """Worker to Backend: what a job left.

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
