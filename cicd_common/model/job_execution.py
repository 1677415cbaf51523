"""A run of a job, and its changes that do not come from its Worker.

The functions take a `JobExecution`, or a `JobState`, which is the row of a database. They return the same object if
nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from attrs import Factory, evolve, frozen

from ..enums import EndReason, ExecutionStatus
from ..fields import Count, Name, Ordinal, Time, checked
from .definition import Job
from .status import counted_status, duration_between

__all__ = [
    "MAX_LOSSES",
    "JobExecution",
    "JobState",
    "handed_out",
    "handed_out_again",
    "is_ready",
    "is_waiting",
    "lost",
    "skipped",
]

MAX_LOSSES = 3
"""How many times a job is lost before it ends as ``WORKER_LOST``, by default."""


@frozen(kw_only=True)
@checked
class JobExecution:
    """A run of a job.

    Attributes:
        id: Its id; a new one by default.
        job: The job that runs.
        status: How far it has come; ``PENDING`` by default.
        reason: Why it ended; none if it has not ended, or if no reason was given.
        queued_at: When it was first handed to a Worker; none if it was not.
        start_time: When it started; none if it did not.
        completion_time: When it ended; none if it has not, or if it never ran.
        exit_code: The exit code of the job's process, if it ended.
        last_sequence: The highest sequence of the updates that were applied; 0, the default, if none was.
        attempt: The attempt that was handed out last, from 1; 1 by default.
        worker: The Worker that claimed the attempt; none if none did.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID = Factory(uuid4)
    job: Job
    status: ExecutionStatus = ExecutionStatus.PENDING
    reason: EndReason | None = None
    queued_at: Time | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    exit_code: int | None = None
    last_sequence: Count = 0
    attempt: Ordinal = 1
    worker: Name | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it has not started and was not handed out."""
        return is_waiting(self)

    @property
    def duration(self) -> timedelta | None:
        """From its start to its completion; none if either is not known, never negative."""
        return duration_between(self.start_time, self.completion_time)

    @property
    def queue_time(self) -> timedelta | None:
        """From when it was handed to a Worker to its start; none if either is not known, never negative."""
        return duration_between(self.queued_at, self.start_time)

    @property
    def counted_status(self) -> ExecutionStatus:
        """What it counts as in its stage: a ``FAILED`` job that is allowed to fail counts as ``SUCCESS``."""
        return counted_status(self.status, self.job.allow_failure)


@frozen(kw_only=True)
class JobState:
    """The fields of a `JobExecution` that change, as a row of a database has them.

    Attributes:
        status: How far it has come.
        reason: Why it ended.
        queued_at: When it was first handed to a Worker.
        start_time: When it started.
        completion_time: When it ended.
        exit_code: The exit code of its process.
        last_sequence: The highest sequence of the updates that were applied; 0 if none was.
        attempt: The attempt that was handed out last.
        worker: The Worker that claimed the attempt.
    """

    status: ExecutionStatus
    reason: EndReason | None
    queued_at: datetime | None
    start_time: datetime | None
    completion_time: datetime | None
    exit_code: int | None
    last_sequence: int
    attempt: int
    worker: str | None


J = TypeVar("J", JobExecution, JobState)


def is_waiting(job: JobExecution | JobState) -> bool:
    """Tell whether a job has not started and was not handed out."""
    return job.status is ExecutionStatus.PENDING and job.queued_at is None


def is_ready(job: JobExecution | JobState, needs: Iterable[ExecutionStatus]) -> bool:
    """Tell whether a job may be handed out.

    Args:
        job: The job, in the open stage of a run that is not halted.
        needs: The statuses that its dependencies count as.
    """
    return is_waiting(job) and all(status is ExecutionStatus.SUCCESS for status in needs)


def handed_out(job: J, at: datetime) -> J:
    """Return a job that is handed to a Worker. The time of the first time is kept.

    Args:
        job: The job.
        at: The time, in UTC.
    """
    return job if job.queued_at is not None else evolve(job, queued_at=at)


def handed_out_again(job: J) -> J:
    """Return a job in its next attempt, which no Worker has claimed.

    Args:
        job: The job, which has not ended.
    """
    return evolve(job, attempt=job.attempt + 1, worker=None)


def skipped(job: J) -> J:
    """Return a job that is canceled before it ran. It has no times.

    Args:
        job: The job.
    """
    return evolve(job, status=ExecutionStatus.CANCELED, reason=EndReason.SKIPPED)


def lost(job: J, at: datetime, *, losses: int, is_canceled: bool, max_losses: int = MAX_LOSSES) -> J:
    """Return a job whose Worker was silent for a lease.

    If canceling was asked for, the job ends, claimed or not. Otherwise a claimed job is handed out again until it was
    lost too often, and a job that nobody claimed stays as it is, since its request is sent again.

    Args:
        job: The job, which was handed out and has not ended.
        at: The time, in UTC.
        losses: How often it was lost, this time included.
        is_canceled: Whether canceling of its run was asked for.
        max_losses: How often it may be lost before it ends as ``FAILED``.
    """
    if is_canceled:
        never_ran = job.worker is None and job.start_time is None
        return skipped(job) if never_ran else _without_worker(job, ExecutionStatus.CANCELED, at)
    if job.worker is None:
        return job
    return handed_out_again(job) if losses < max_losses else _without_worker(job, ExecutionStatus.FAILED, at)


def _without_worker(job: J, status: ExecutionStatus, at: datetime) -> J:
    """End a job in place of its Worker. The job has no Worker then, so that later updates are superseded."""
    return evolve(job, status=status, reason=EndReason.WORKER_LOST, completion_time=at, worker=None)
