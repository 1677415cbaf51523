"""A run: jobs, stages and a pipeline as they are executed."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from uuid import UUID, uuid4

from attrs import Factory, frozen

from .._fields import Count, Name, Ordinal, checked
from ..enums import ExecutionStatus
from ..errors import ContractError, Problem
from .definition import Job, Pipeline
from .status import StatusCounts

__all__ = ["JobExecution", "PipelineExecution", "StageExecution"]


@frozen(kw_only=True)
@checked
class JobExecution:
    """A run of a job.

    Attributes:
        id: Its id; a new one by default.
        job: The job that runs.
        status: How far it has come; ``PENDING`` by default.
        queued_at: When it was handed to a Worker; none if it was not.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.
        exit_code: What the job's process ended with, if it ended.
        last_sequence: The highest sequence of the updates that were applied; 0, the default, if none was.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID = Factory(uuid4)
    job: Job
    status: ExecutionStatus = ExecutionStatus.PENDING
    queued_at: datetime | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    exit_code: int | None = None
    last_sequence: Count = 0

    @property
    def counted_status(self) -> ExecutionStatus:
        """What it counts as in its stage: a ``FAILED`` job that is allowed to fail counts as ``SUCCESS``."""
        if self.job.allow_failure and self.status is ExecutionStatus.FAILED:
            return ExecutionStatus.SUCCESS
        return self.status


@frozen(kw_only=True)
@checked
class StageExecution:
    """A run of a stage. Its status and its times follow from its jobs.

    Attributes:
        id: Its id; a new one by default.
        name: The name of the stage.
        jobs: Its jobs, in the order of their definition.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID = Factory(uuid4)
    name: Name
    jobs: tuple[JobExecution, ...]

    @cached_property
    def counts(self) -> StatusCounts:
        """How many of its jobs have which status."""
        return StatusCounts.of(job.counted_status for job in self.jobs)

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        return self.counts.status

    @property
    def start_time(self) -> datetime | None:
        """When its first job started; none if none did."""
        return min((job.start_time for job in self.jobs if job.start_time is not None), default=None)

    @property
    def completion_time(self) -> datetime | None:
        """When its last job ended; none if it has not, or if no job ran."""
        if not self.status.is_terminal:
            return None
        return max((job.completion_time for job in self.jobs if job.completion_time is not None), default=None)


@frozen(kw_only=True)
@checked
class PipelineExecution:
    """A run of a pipeline. Its status and its times follow from its stages.

    Attributes:
        id: Its id; a new one by default.
        pipeline: The pipeline that runs.
        run_number: Its number among the runs of the pipeline, from 1.
        commit_hash: The commit it runs on, if it is known.
        is_local: Whether it is for the caller's own machine; false by default.
        canceled_at: When canceling was asked for; none if it was not.
        stages: Its stages with their jobs: those of the pipeline, in the same order.

    Raises:
        ContractError: A field is refused; the stages are not those of the pipeline; or two job executions, or two
            stage executions, have one id.
    """

    id: UUID = Factory(uuid4)
    pipeline: Pipeline
    run_number: Ordinal
    commit_hash: str | None = None
    is_local: bool = False
    canceled_at: datetime | None = None
    stages: tuple[StageExecution, ...]

    def __attrs_post_init__(self) -> None:
        if problems := [*_mismatches(self), *_shared_ids(self)]:
            raise ContractError(type(self), problems)

    @cached_property
    def counts(self) -> StatusCounts:
        """How many of its stages have which status."""
        return StatusCounts.of(stage.status for stage in self.stages)

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        return self.counts.status

    @property
    def start_time(self) -> datetime | None:
        """When its first job started; none if none did."""
        return min((stage.start_time for stage in self.stages if stage.start_time is not None), default=None)

    @property
    def completion_time(self) -> datetime | None:
        """When its last job ended, or when it was canceled, if no job ever ran; none if it has not ended."""
        if not self.status.is_terminal:
            return None
        ends = (stage.completion_time for stage in self.stages if stage.completion_time is not None)
        return max(ends, default=self.canceled_at)


def _mismatches(execution: PipelineExecution) -> Iterable[Problem]:
    """Where the stages of a run are not those of its pipeline."""
    stages, runs = execution.pipeline.stages, execution.stages
    if len(stages) != len(runs):
        yield Problem("/stages", "value", "expected the stages of the pipeline, one for one")
        return
    for at, (stage, run) in enumerate(zip(stages, runs, strict=True)):
        if stage.name != run.name:
            yield Problem(f"/stages/{at}/name", "value", f"expected the name of the pipeline's stage, {stage.name}")
        jobs = [execution.job for execution in run.jobs]
        if len(jobs) != len(stage.jobs) or any(a is not b and a != b for a, b in zip(stage.jobs, jobs, strict=True)):
            yield Problem(f"/stages/{at}/jobs", "value", f"expected the jobs of the pipeline's stage {stage.name}")


def _shared_ids(execution: PipelineExecution) -> Iterable[Problem]:
    stages: set[UUID] = set()
    jobs: set[UUID] = set()
    for at, stage in enumerate(execution.stages):
        if stage.id in stages:
            yield Problem(f"/stages/{at}/id", "value", "expected an id of its own, found that of another stage")
        stages.add(stage.id)
        for place, job in enumerate(stage.jobs):
            if job.id in jobs:
                message = "expected an id of its own, found that of another job execution"
                yield Problem(f"/stages/{at}/jobs/{place}/id", "value", message)
            jobs.add(job.id)
