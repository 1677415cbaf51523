"""How what an update tells is joined with what is known of a job."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from attrs import evolve

from ..enums import ExecutionStatus
from .span import earliest, latest

if TYPE_CHECKING:
    from ..api.request import JobStatusUpdate
    from .execution import JobExecution

__all__ = ["UpdateOutcome", "join"]


class UpdateOutcome(Enum):
    """What became of an update."""

    APPLIED = auto()
    """It was newer than all before it, and moved the job forward."""
    LATE = auto()
    """A newer one had come before it; at the most it filled in what was not known yet."""
    CONFLICT = auto()
    """It tells of another end than the one that is known. The first one stands."""


def join(job: JobExecution, update: JobStatusUpdate) -> tuple[JobExecution, UpdateOutcome]:
    """Join what an update tells of a job with what is known of it.

    For a true history (sequences rising by one, ranks never falling, one end) any order of arrival, with any repeats,
    ends in the same job.

    Args:
        job: What is known.
        update: What is told, of this job.

    Returns:
        What is known now, and what became of the update. If nothing changed, the job is the one that was given.
    """
    known, told = job.status, update.status
    if known.is_terminal and told.is_terminal and known is not told:
        return job, UpdateOutcome.CONFLICT
    if update.sequence <= job.last_sequence or told.can_become(known):
        return _filled_in(job, update), UpdateOutcome.LATE
    moved = evolve(job, status=told, last_sequence=update.sequence)
    return _filled_in(moved, update), UpdateOutcome.APPLIED


def _filled_in(job: JobExecution, update: JobStatusUpdate) -> JobExecution:
    """The times and the exit code, of which each update tells a part, joined so that their order does not matter."""
    start, end, code = job.start_time, job.completion_time, job.exit_code
    if update.status is ExecutionStatus.RUNNING and job.status is not ExecutionStatus.PENDING:
        start = earliest(start, update.occurred_at)
    if update.status is job.status and job.status.is_terminal:
        end = latest(end, update.occurred_at)
        code = update.exit_code if code is None else code
    if (start, end, code) == (job.start_time, job.completion_time, job.exit_code):
        return job
    return evolve(job, start_time=start, completion_time=end, exit_code=code)
