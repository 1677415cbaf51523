"""How what an update tells is joined with what is known of a job."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, frozen

from ..enums import ExecutionStatus
from .span import earliest, latest

if TYPE_CHECKING:
    from ..api.request import JobStatusUpdate
    from .parts import JobExecution

__all__ = ["JobState", "UpdateOutcome", "join"]


@frozen
class JobState:
    """What updates move of a job execution: all that a database needs to have at hand.

    Attributes:
        status: Its status.
        start_time: When it started.
        completion_time: When it ended.
        exit_code: The exit code of its process.
        last_sequence: The sequence of the newest update; 0 for none.
    """

    status: ExecutionStatus
    start_time: datetime | None
    completion_time: datetime | None
    exit_code: int | None
    last_sequence: int


J = TypeVar("J", "JobExecution", JobState)


class UpdateOutcome(Enum):
    """What became of an update."""

    APPLIED = auto()
    """It was newer than all before it, and moved the job forward."""
    LATE = auto()
    """A newer one had come before it; at the most it filled in what was not known yet."""
    CONFLICT = auto()
    """It tells of another end than the one that is known. The first one stands."""


def join(job: J, update: JobStatusUpdate) -> tuple[J, UpdateOutcome]:
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
        changes: dict[str, Any] = {}
        outcome = UpdateOutcome.LATE
    else:
        changes = {"status": told, "last_sequence": update.sequence}
        outcome = UpdateOutcome.APPLIED
    changes |= _filled_in(job, update, changes.get("status", known))
    return evolve(job, **changes) if changes else job, outcome


def _filled_in(job: JobExecution | JobState, update: JobStatusUpdate, status: ExecutionStatus) -> dict[str, Any]:
    """What an update tells of the times and the exit code that was not known, joined so that no order matters."""
    told: dict[str, Any] = {}
    if update.status is ExecutionStatus.RUNNING and status is not ExecutionStatus.PENDING:
        told["start_time"] = earliest(job.start_time, update.occurred_at)
    if update.status is status and status.is_terminal:
        told["completion_time"] = latest(job.completion_time, update.occurred_at)
        told["exit_code"] = update.exit_code if job.exit_code is None else job.exit_code
    return {name: value for name, value in told.items() if value != getattr(job, name)}
