"""A run of a job, and a run of a stage, whose status and times follow from its jobs."""

from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID, uuid4

from attrs import Factory, frozen

from .._fields import checked
from .._rules import Count, Name
from ..enums import ExecutionStatus
from .definition import Job
from .span import Span, between, earliest, latest
from .status import StatusCounts, counted_status

__all__ = ["JobExecution", "StageExecution"]


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
    def is_waiting(self) -> bool:
        """Whether it has not started, and was not handed out."""
        return self.status is ExecutionStatus.PENDING and self.queued_at is None

    @property
    def duration(self) -> timedelta | None:
        """From its start to its completion; none if either is not known."""
        return between(self.start_time, self.completion_time)

    @property
    def queue_time(self) -> timedelta | None:
        """From when it was handed to a Worker to its start; none if either is not known."""
        return between(self.queued_at, self.start_time)

    @property
    def counted_status(self) -> ExecutionStatus:
        """What it counts as in its stage: a ``FAILED`` job that is allowed to fail counts as ``SUCCESS``."""
        return counted_status(self.status, self.job.allow_failure)


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
    def span(self) -> Span:
        """How many of its jobs have which status, and from when to when they ran."""
        return Span(
            StatusCounts.of(job.counted_status for job in self.jobs),
            earliest(*(job.start_time for job in self.jobs)),
            latest(*(job.completion_time for job in self.jobs)),
        )

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        return self.span.counts.status

    @property
    def start_time(self) -> datetime | None:
        """When its first job started; none if none did."""
        return self.span.start

    @property
    def completion_time(self) -> datetime | None:
        """When its last job ended; none if it has not, or if no job ran."""
        return self.span.completion

    @property
    def duration(self) -> timedelta | None:
        """From its start to its completion; none if either is not known."""
        return between(self.start_time, self.completion_time)
