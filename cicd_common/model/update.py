"""Join an update with the known state of a job: the rules of order, and of which Worker may report."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from attrs import evolve

from ..api.request import JobStatusUpdate
from ..enums import ExecutionStatus
from .job_execution import J, JobExecution, JobState, handed_out_again
from .status import earliest, latest

__all__ = ["UpdateOutcome", "is_superseded", "join"]


class UpdateOutcome(Enum):
    """The effect of an update."""

    APPLIED = auto()
    """It was newer than all updates before it, and moved the job forward."""
    LATE = auto()
    """A newer update had arrived before. This one only filled in what was not known yet."""
    CONFLICT = auto()
    """It reports another terminal status than the known one, which is kept."""
    SUPERSEDED = auto()
    """It does not come from the Worker that has the job. Nothing changed."""


def is_superseded(job: JobExecution | JobState, update: JobStatusUpdate) -> bool:
    """Tell whether an update does not come from the Worker that has the job.

    The update is of another attempt than the one that was handed out last, or of another Worker than the one that
    claimed the attempt, or the job ended while no Worker had claimed it.

    Args:
        job: The known state.
        update: The update, of this job.
    """
    if update.attempt != job.attempt:
        return True
    if job.worker is None:
        return job.status.is_terminal
    return update.worker != job.worker


def join(job: J, update: JobStatusUpdate) -> tuple[J, UpdateOutcome]:
    """Join an update with the known state of its job.

    The first update of an attempt claims it for its Worker. A release hands the job out again. For the true history of
    an attempt (one Worker, sequences rising by one, ranks never falling, one end) any order of arrival, with any
    repeats, ends in the same job.

    Args:
        job: The known state.
        update: The update, of this job.

    Returns:
        The new state, and the outcome of the update. If nothing changed, the state is the one that was given.
    """
    if is_superseded(job, update):
        return job, UpdateOutcome.SUPERSEDED
    known, told = job.status, update.status
    if known.is_terminal and told.is_terminal and known is not told:
        return job, UpdateOutcome.CONFLICT
    changes: dict[str, Any] = {"worker": update.worker}
    is_late = update.sequence <= job.last_sequence or told.can_become(known)
    if not is_late:
        changes |= {"status": told, "last_sequence": update.sequence}
    changes |= _facts(job, update, known if is_late else told)
    changes = {name: value for name, value in changes.items() if value != getattr(job, name)}
    joined = evolve(job, **changes) if changes else job
    if is_late:
        return joined, UpdateOutcome.LATE
    return handed_out_again(joined) if update.is_released else joined, UpdateOutcome.APPLIED


def _facts(job: JobExecution | JobState, update: JobStatusUpdate, status: ExecutionStatus) -> dict[str, Any]:
    """Return the times, the exit code and the reason of an update, joined so that the order does not matter."""
    if update.status is ExecutionStatus.RUNNING and status is not ExecutionStatus.PENDING:
        return {"start_time": earliest(job.start_time, update.occurred_at)}
    if update.status is status and status.is_terminal:
        return {
            "completion_time": latest(job.completion_time, update.occurred_at),
            "exit_code": update.exit_code if job.exit_code is None else job.exit_code,
            "reason": update.reason if job.reason is None else job.reason,
        }
    return {}
